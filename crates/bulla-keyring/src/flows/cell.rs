//! What is remembered of one key, and which value each path takes. No I/O: what is missing is asked for.

use super::{Flow, KeyDefinition, KeyState};
use crate::UseCase;
use crate::source::{SecretPair, SecretValue};

/// What is remembered of a key in this process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cell {
    /// The path that was used last.
    pub(super) last: Option<Flow>,
    /// The cache: the values of that use. Always `None` for keys that are not kept, or used one way.
    pub(super) pair: Option<SecretPair>,
    /// A change was declared since; the pair serves one more use of the back path.
    pub(super) retired: bool,
    /// The state in the repository has been taken into account.
    pub(super) recalled: bool,
    /// The state in the repository is behind.
    pub(super) unsaved: bool,
}

/// What has been fetched for one use of a key.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    /// The state in the repository, if it was read; there may be none.
    pub(super) state: Option<Option<KeyState>>,
    /// The values of the source.
    pub(super) pair: Option<SecretPair>,
}

/// What has to be fetched first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    State,
    Source,
}

impl Cell {
    /// Uses the key on the wanted path, or on the one whose turn it is; returns the value, and what is to be remembered.
    pub(super) fn take(
        mut self,
        definition: &KeyDefinition,
        wanted: Option<Flow>,
        fetched: &Fetched,
    ) -> Result<(Self, SecretValue), Need> {
        let flow = match (definition.use_case(), wanted) {
            (UseCase::OneWay, _) => Flow::OneWay,
            (UseCase::RoundTrip, Some(flow)) => flow,
            (UseCase::RoundTrip, None) => {
                self = self.recall(definition, fetched)?;
                if self.last == Some(Flow::Forward) { Flow::Back } else { Flow::Forward }
            }
        };
        let value = match flow {
            Flow::OneWay => fetched.pair.as_ref().ok_or(Need::Source)?.forward().clone(),
            Flow::Forward => {
                let pair = fetched.pair.as_ref().ok_or(Need::Source)?;
                self.hold(definition, Some(pair.clone()));
                self.unsaved = definition.is_stateful();
                self.recalled = true;
                pair.forward().clone()
            }
            Flow::Back => self.back(definition, fetched)?.back().clone(),
        };
        self.last = Some(flow);
        Ok((self, value))
    }

    /// Takes the state in the repository into account, if nothing else is known of a stateful key.
    pub(super) fn recall(mut self, definition: &KeyDefinition, fetched: &Fetched) -> Result<Self, Need> {
        let has_paths = definition.use_case() == UseCase::RoundTrip;
        if definition.is_stateful() && has_paths && !self.recalled && self.last.is_none() {
            if let Some(state) = fetched.state.as_ref().ok_or(Need::State)? {
                self.last = Some(state.last_flow);
                self.hold(definition, state.pair.clone());
            }
            self.recalled = true;
        }
        Ok(self)
    }

    /// Puts other values in the place of those that were remembered.
    pub(super) fn hold(&mut self, definition: &KeyDefinition, pair: Option<SecretPair>) {
        let keeps = definition.keeps_in_cache() && definition.use_case() == UseCase::RoundTrip;
        self.pair = pair.filter(|_| keeps);
        self.retired = false;
    }

    fn back(&mut self, definition: &KeyDefinition, fetched: &Fetched) -> Result<SecretPair, Need> {
        if let Some(pair) = self.pair.clone() {
            if self.retired {
                self.hold(definition, None);
            }
            return Ok(pair);
        }
        let stored = if definition.is_stateful() && !self.unsaved {
            fetched.state.as_ref().ok_or(Need::State)?.as_ref().and_then(|state| state.pair.clone())
        } else {
            None
        };
        let pair = match stored {
            Some(pair) => pair,
            None => fetched.pair.clone().ok_or(Need::Source)?,
        };
        self.hold(definition, Some(pair.clone()));
        self.recalled = true;
        Ok(pair)
    }
}
