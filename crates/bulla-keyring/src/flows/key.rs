//! One defined key: its definition, its callbacks, and what is remembered of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cell::{Cell, Fetched, Need};
use super::states::States;
use super::{Flow, FlowError, KeyDefinition, KeyState, OnChange, Result};
use crate::source::{SecretPair, SecretValue, Source};
use crate::{KeyName, UseCase};

/// How often a use is tried again that another one overtook. Each time, that other one got on.
pub(super) const MAX_ATTEMPTS: usize = 1_000;

#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: KeyName,
    pub(super) definition: KeyDefinition,
    source: Arc<dyn Source>,
    cell: Mutex<Numbered>,
    callbacks: Mutex<Vec<(String, OnChange)>>,
}

/// What is remembered, and how often it has changed.
#[derive(Debug, Default)]
struct Numbered {
    cell: Cell,
    number: u64,
}

impl Key {
    pub(super) fn new(name: KeyName, definition: KeyDefinition, source: Arc<dyn Source>) -> Self {
        Self { name, definition, source, cell: Mutex::default(), callbacks: Mutex::default() }
    }

    /// Uses the key on the wanted path, or on the one whose turn it is.
    pub(super) async fn take(&self, states: Option<&States>, wanted: Option<Flow>) -> Result<SecretValue> {
        self.check_flow(wanted)?;
        self.advance(states, |cell, fetched| cell.take(&self.definition, wanted, fetched)).await
    }

    /// Takes the state in the repository into account.
    pub(super) async fn recall(&self, states: Option<&States>) -> Result<()> {
        self.advance(states, |cell, fetched| Ok((cell.recall(&self.definition, fetched)?, ()))).await
    }

    pub(super) fn source(&self) -> Arc<dyn Source> {
        Arc::clone(&self.source)
    }

    /// Fetches the values of the source.
    pub(super) async fn fetch(&self) -> Result<SecretPair> {
        let failed = |source| FlowError::Source { name: self.name.clone(), source };
        let pair = self.source.fetch().await.map_err(failed)?;
        if self.definition.use_case() == UseCase::OneWay && !pair.is_single() {
            return Err(FlowError::Pair(self.name.clone()));
        }
        Ok(pair)
    }

    /// Reads the state in the repository; only stateful keys have one.
    pub(super) async fn read_state(&self, states: Option<&States>) -> Result<Option<KeyState>> {
        match states {
            Some(states) => states.read(&self.name).await,
            None => Err(FlowError::NoStates(self.name.clone())),
        }
    }

    /// Returns what is remembered, and the number of its last change.
    pub(super) fn look(&self) -> (Cell, u64) {
        let remembered = self.remembered();
        (remembered.cell.clone(), remembered.number)
    }

    /// Remembers something else, unless another caller was faster.
    pub(super) fn remember(&self, cell: Cell, number: u64) -> bool {
        let mut remembered = self.remembered();
        if remembered.number != number {
            return false;
        }
        // Uses that change nothing do not overtake each other.
        if remembered.cell != cell {
            *remembered = Numbered { cell, number: number + 1 };
        }
        true
    }

    /// Changes what is remembered, whatever it is.
    pub(super) fn alter(&self, change: impl FnOnce(&mut Cell)) {
        let mut remembered = self.remembered();
        change(&mut remembered.cell);
        remembered.number += 1;
    }

    /// Adds a callback, or puts it in the place of the one that has its name; returns its name.
    pub(super) fn register(&self, name: Option<&str>, callback: OnChange) -> String {
        let mut callbacks = self.registered();
        if let Some(name) = name {
            match callbacks.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => *known = callback,
                None => callbacks.push((name.to_owned(), callback)),
            }
            return name.to_owned();
        }
        let mut number = callbacks.len();
        let name = loop {
            number += 1;
            let name = format!("{}_callback_{number}", self.name);
            if callbacks.iter().all(|(known, _)| *known != name) {
                break name;
            }
        };
        callbacks.push((name.clone(), callback));
        name
    }

    /// Returns the callbacks in the order in which they were registered.
    pub(super) fn callbacks(&self) -> Vec<(String, OnChange)> {
        self.registered().clone()
    }

    /// Tries a step until everything is at hand that it needs, and nobody was faster.
    async fn advance<T>(
        &self,
        states: Option<&States>,
        step: impl Fn(Cell, &Fetched) -> std::result::Result<(Cell, T), Need>,
    ) -> Result<T> {
        for _ in 0..MAX_ATTEMPTS {
            let (cell, number) = self.look();
            let mut fetched = Fetched::default();
            let (next, value) = loop {
                match step(cell.clone(), &fetched) {
                    Ok(done) => break done,
                    Err(Need::State) => fetched.state = Some(self.read_state(states).await?),
                    Err(Need::Source) => fetched.pair = Some(self.fetch().await?),
                }
            };
            if self.remember(next, number) {
                return Ok(value);
            }
        }
        Err(FlowError::Conflict(self.name.clone()))
    }

    fn check_flow(&self, wanted: Option<Flow>) -> Result<()> {
        let definition = &self.definition;
        match wanted {
            None if !definition.has_implicit_flow() => Err(FlowError::NoImplicitFlow(self.name.clone())),
            Some(flow) if !definition.has_flow(flow) => {
                Err(FlowError::WrongFlow { name: self.name.clone(), use_case: definition.use_case(), flow })
            }
            _ => Ok(()),
        }
    }

    fn remembered(&self) -> MutexGuard<'_, Numbered> {
        // Every change is a single assignment, so that what a panicking thread left behind is whole.
        self.cell.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn registered(&self) -> MutexGuard<'_, Vec<(String, OnChange)>> {
        self.callbacks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
