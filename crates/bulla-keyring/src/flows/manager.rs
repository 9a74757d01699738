//! All keys of an application.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::cell::Cell;
use super::key::{Key, MAX_ATTEMPTS};
use super::running::{Running, within};
use super::states::States;
use super::{
    ChangeLock, ChangeReport, CryptoTool, Flow, FlowError, InProcess, KeyDefinition, KeyHandle, KeyState, OnChange,
    Result, StateRepo,
};
use crate::source::{SecretPair, SecretValue, Source};
use crate::{KeyName, UseCase};

/// The keys of an application: which value serves which path, and what happens when one changes. See [`flows`](super).
///
/// Clones are the same keys. They live as long as the process; what outlives it is the state of stateful keys, in the repository.
#[doc(alias = "KeysManagement")]
#[doc(alias = "KeysManagementImpl")]
#[derive(Clone)]
pub struct KeyFlows(Arc<Inner>);

struct Inner {
    keys: RwLock<BTreeMap<KeyName, Arc<Key>>>,
    states: Option<States>,
    lock: Arc<dyn ChangeLock>,
}

/// Says where a [`KeyFlows`] keeps states, and how it locks.
#[derive(Debug)]
#[must_use]
pub struct KeyFlowsBuilder {
    states: Option<States>,
    lock: Arc<dyn ChangeLock>,
}

impl KeyFlowsBuilder {
    /// Keeps states in a repository, sealed by a tool.
    pub fn states(self, repo: Arc<dyn StateRepo>, tool: Arc<dyn CryptoTool>) -> Self {
        Self { states: Some(States { repo, tool }), ..self }
    }

    /// Locks in this way rather than within the process.
    pub fn lock(self, lock: Arc<dyn ChangeLock>) -> Self {
        Self { lock, ..self }
    }

    /// Makes it.
    #[must_use]
    pub fn build(self) -> KeyFlows {
        KeyFlows(Arc::new(Inner { keys: RwLock::default(), states: self.states, lock: self.lock }))
    }
}

impl KeyFlows {
    /// Makes one for stateless keys, used by any number of threads of this process.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Begins one that keeps states, or locks in another way.
    pub fn builder() -> KeyFlowsBuilder {
        KeyFlowsBuilder { states: None, lock: Arc::new(InProcess::new()) }
    }

    /// Defines a key. Its source is not asked yet.
    ///
    /// # Errors
    /// [`FlowError::AlreadyDefined`]; [`FlowError::Reserved`] for names that belong to Bulla itself; [`FlowError::NoStates`] for a stateful key where
    /// there is no repository; [`FlowError::ImplicitWithoutCache`].
    pub fn define_key(&self, name: &KeyName, source: Arc<dyn Source>, definition: KeyDefinition) -> Result<KeyHandle> {
        if name.is_system() {
            return Err(FlowError::Reserved(name.clone()));
        }
        if definition.is_stateful() && self.0.states.is_none() {
            return Err(FlowError::NoStates(name.clone()));
        }
        if definition.contradicts_itself() {
            return Err(FlowError::ImplicitWithoutCache(name.clone()));
        }
        let mut keys = self.0.keys.write().unwrap_or_else(PoisonError::into_inner);
        if keys.contains_key(name) {
            return Err(FlowError::AlreadyDefined(name.clone()));
        }
        let key = Arc::new(Key::new(name.clone(), definition, source));
        keys.insert(name.clone(), Arc::clone(&key));
        Ok(KeyHandle::new(self.clone(), key))
    }

    /// Returns a handle to a single key.
    ///
    /// # Errors
    /// [`FlowError::NotDefined`].
    #[doc(alias = "get_single_management")]
    pub fn handle(&self, name: &KeyName) -> Result<KeyHandle> {
        Ok(KeyHandle::new(self.clone(), self.find(name)?))
    }

    /// Returns the names of all keys, in order.
    #[must_use]
    pub fn names(&self) -> Vec<KeyName> {
        self.0.keys.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Returns the value of a key used one way, or that of the path of a round trip whose turn it is: the back path after the forward path, the forward path
    /// otherwise. What was used last is remembered; where nothing was, the state of a stateful key says it.
    ///
    /// For libraries that ask for *the* key, first to encrypt, then to decrypt.
    ///
    /// # Errors
    /// [`FlowError::NotDefined`]; [`FlowError::NoImplicitFlow`] for a key that is not kept in the cache; [`FlowError::Pair`] if the source of a key used one way gave
    /// two values; [`FlowError::Source`], [`FlowError::State`] or [`FlowError::InvalidState`] if something cannot be read; [`FlowError::Conflict`] if others use the key all the time.
    #[doc(alias = "get_key")]
    pub async fn key(&self, name: &KeyName) -> Result<SecretValue> {
        self.handle(name)?.key().await
    }

    /// Returns the value of a key for a path.
    ///
    /// # Errors
    /// As [`KeyFlows::key`], and [`FlowError::WrongFlow`] for a path that the key does not have.
    #[doc(alias = "get_key")]
    pub async fn key_for(&self, name: &KeyName, flow: Flow) -> Result<SecretValue> {
        self.handle(name)?.key_for(flow).await
    }

    /// Returns the value to seal or encrypt with: the one that the source has now.
    ///
    /// # Errors
    /// As [`KeyFlows::key_for`].
    #[doc(alias = "get_forward_path_key")]
    pub async fn forward_path_key(&self, name: &KeyName) -> Result<SecretValue> {
        self.key_for(name, Flow::Forward).await
    }

    /// Returns the value to open or decrypt with: from the cache, else from the state, else from the source.
    ///
    /// # Errors
    /// As [`KeyFlows::key_for`].
    #[doc(alias = "get_back_path_key")]
    pub async fn back_path_key(&self, name: &KeyName) -> Result<SecretValue> {
        self.key_for(name, Flow::Back).await
    }

    /// As [`KeyFlows::forward_path_key`].
    ///
    /// # Errors
    /// As there.
    #[doc(alias = "get_encrypt_key")]
    pub async fn encrypt_key(&self, name: &KeyName) -> Result<SecretValue> {
        self.forward_path_key(name).await
    }

    /// As [`KeyFlows::back_path_key`].
    ///
    /// # Errors
    /// As there.
    #[doc(alias = "get_decrypt_key")]
    pub async fn decrypt_key(&self, name: &KeyName) -> Result<SecretValue> {
        self.back_path_key(name).await
    }

    /// Declares that a key changes, before its source does, and runs its callbacks, one after another in the order in which they were registered. What each
    /// is told of the old and new values is what is said here.
    ///
    /// If the returned future is dropped before its end, the callbacks that were left do not run, and the old values stay in the cache.
    ///
    /// # Errors
    /// [`FlowError::NotDefined`]; [`FlowError::Callbacks`] if one failed and the key's [`ErrorStrategy`](super::ErrorStrategy) says so; [`FlowError::Busy`] if another process
    /// changes the key, [`FlowError::LockLost`] if one has taken over meanwhile, [`FlowError::Lock`] if the lock fails; [`FlowError::State`] or
    /// [`FlowError::InvalidState`] if nothing is known yet of a stateful key and its state cannot be read; [`FlowError::Nested`] for callbacks that
    /// never end.
    #[doc(alias = "key_changed")]
    pub async fn changed(
        &self,
        name: &KeyName,
        old: Option<SecretPair>,
        new: Option<SecretPair>,
    ) -> Result<ChangeReport> {
        self.handle(name)?.changed(old, new).await
    }

    /// Registers what is to run when a key changes, behind what was registered before; returns its name.
    ///
    /// One that has the name of another takes its place. Without a name it gets `KEY_callback_N`, the first that is free.
    ///
    /// # Errors
    /// [`FlowError::NotDefined`].
    pub fn register_on_change(
        &self,
        name: &KeyName,
        callback_name: Option<&str>,
        callback: OnChange,
    ) -> Result<String> {
        Ok(self.handle(name)?.register_on_change(callback_name, callback))
    }

    /// Saves the state of a key: the path used last, and the values that a later lifetime needs for the back path. For data that must not be lost: call it as soon as the
    /// forward path was used.
    ///
    /// Within a callback of the key's change, it says that the data has been brought under the new values, and saves those. A key that
    /// was not used yet keeps the state that it has.
    ///
    /// # Errors
    /// [`FlowError::NotDefined`], [`FlowError::Stateless`], [`FlowError::StateTooLong`]; [`FlowError::State`] if the state cannot be written; [`FlowError::Busy`] or [`FlowError::Lock`] as
    /// [`KeyFlows::changed`]; [`FlowError::Conflict`].
    pub async fn save_state(&self, name: &KeyName) -> Result<()> {
        self.handle(name)?.save_state().await
    }

    /// Saves the states of all stateful keys. One that fails does not keep the others from being saved.
    ///
    /// # Errors
    /// [`FlowError::States`], with what failed.
    pub async fn save_states(&self) -> Result<()> {
        let mut failures = Vec::new();
        for name in self.names() {
            let key = self.find(&name)?;
            if key.definition.is_stateful() {
                failures.extend(self.save(&key).await.err());
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(FlowError::States(failures)) }
    }

    pub(super) fn states(&self) -> Option<&States> {
        self.0.states.as_ref()
    }

    pub(super) fn lock(&self) -> &dyn ChangeLock {
        &*self.0.lock
    }

    pub(super) async fn save(&self, key: &Arc<Key>) -> Result<()> {
        match within(key) {
            Some(running) => self.save_changed(&running).await,
            None => self.write_state(key, None, true).await,
        }
    }

    /// Saves a state within a callback, whose change holds the lock.
    pub(super) async fn save_changed(&self, running: &Running) -> Result<()> {
        if running.new.is_some() {
            running.adopt(|_| {});
        }
        self.write_state(&running.key, running.new.as_ref(), false).await
    }

    async fn write_state(&self, key: &Key, adopted: Option<&SecretPair>, lock: bool) -> Result<()> {
        let Some(states) = self.states().filter(|_| key.definition.is_stateful()) else {
            return Err(FlowError::Stateless(key.name.clone()));
        };
        // A key used one way has no back path that would need them.
        let adopted = adopted.filter(|_| key.definition.use_case() == UseCase::RoundTrip);
        for _ in 0..MAX_ATTEMPTS {
            let (cell, number) = key.look();
            let Some(last_flow) = cell.last else {
                return Ok(());
            };
            let pair = match adopted {
                Some(pair) => Some(pair.clone()),
                None => self.pair_to_save(key, &cell).await?,
            };
            let held = if lock { Some(self.lock().acquire(&key.name).await?) } else { None };
            // Of two that save at once, the one that knows less does not come last.
            let overtaken = key.look().1 != number;
            let written = if overtaken { Ok(()) } else { states.write(&key.name, &KeyState { last_flow, pair }).await };
            if let Some(held) = held {
                held.give_back().await;
            }
            written?;
            if !overtaken {
                key.remember(Cell { unsaved: false, ..cell }, number);
                return Ok(());
            }
        }
        Err(FlowError::Conflict(key.name.clone()))
    }

    /// Finds the values that belong to the path used last.
    async fn pair_to_save(&self, key: &Key, cell: &Cell) -> Result<Option<SecretPair>> {
        if key.definition.keeps_in_cache() || key.definition.use_case() == UseCase::OneWay {
            return Ok(cell.pair.clone());
        }
        if cell.unsaved {
            return key.fetch().await.map(Some);
        }
        Ok(key.read_state(self.states()).await?.and_then(|state| state.pair))
    }

    fn find(&self, name: &KeyName) -> Result<Arc<Key>> {
        let keys = self.0.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(name).cloned().ok_or_else(|| FlowError::NotDefined(name.clone()))
    }
}

impl Default for KeyFlows {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for KeyFlows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFlows").field("names", &self.names()).finish_non_exhaustive()
    }
}
