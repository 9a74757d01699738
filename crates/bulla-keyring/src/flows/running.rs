//! A change that runs: what its callbacks see of their key, and whose calls are theirs.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use super::key::Key;
use super::{CallbackStatus, Flow, HeldLock, KeyDefinition, KeyFlows, KeyHandle, Result};
use crate::KeyName;
use crate::source::{SecretPair, Source};

/// The key of a change, as a callback sees it: its definition to read, its state to read and change.
///
/// A callback that has dealt with the data that was sealed under the old values says so, by one of [`ChangedKey::save_state`], [`ChangedKey::set_last_flow`] and
/// [`ChangedKey::adopt_new`]: from then on the back path gets the new value.
#[doc(alias = "OnChangeKeyDefinition")]
#[derive(Clone)]
pub struct ChangedKey {
    flows: KeyFlows,
    running: Arc<Running>,
}

impl ChangedKey {
    pub(super) fn new(flows: KeyFlows, running: Arc<Running>) -> Self {
        Self { flows, running }
    }

    /// Returns the name of the key.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.running.key.name
    }

    /// Returns how the key is defined.
    #[must_use]
    pub fn definition(&self) -> &KeyDefinition {
        &self.running.key.definition
    }

    /// Returns the source of the key.
    #[doc(alias = "keys_store")]
    #[must_use]
    pub fn source(&self) -> Arc<dyn Source> {
        self.running.key.source()
    }

    /// Returns the path that was used last: forward, if what was sealed has not been opened since.
    #[doc(alias = "get_last_flow")]
    #[must_use]
    pub fn last_flow(&self) -> Option<Flow> {
        self.running.key.look().0.last
    }

    /// Says which path the callback itself has used last on the data: back, if it has opened it and left it open. The new
    /// values take the place of the old ones. A path that the key does not have is passed over.
    pub fn set_last_flow(&self, flow: Flow) {
        let has_flow = self.definition().has_flow(flow);
        self.running.adopt(|cell| cell.last = if has_flow { Some(flow) } else { cell.last });
    }

    /// Returns the values in the cache.
    #[doc(alias = "get_previous_keys")]
    #[must_use]
    pub fn previous_pair(&self) -> Option<SecretPair> {
        self.running.key.look().0.pair
    }

    /// Puts other values into the cache, if the key is kept there.
    #[doc(alias = "set_previous_keys")]
    pub fn set_previous_pair(&self, pair: SecretPair) {
        let key = &self.running.key;
        key.alter(|cell| {
            cell.hold(&key.definition, Some(pair));
            cell.unsaved = key.definition.is_stateful();
        });
        self.running.adopted.store(true, Ordering::Release);
    }

    /// Empties the cache: the next back path gets what the source has then.
    #[doc(alias = "clean_state")]
    pub fn forget_pair(&self) {
        let key = &self.running.key;
        key.alter(|cell| {
            cell.hold(&key.definition, None);
            cell.unsaved = key.definition.is_stateful();
        });
    }

    /// Says that nothing is left that was sealed under the old values: the new ones take their place in the cache.
    pub fn adopt_new(&self) {
        self.running.adopt(|_| {});
    }

    /// Adopts the new values, as [`ChangedKey::adopt_new`], and saves them as the state of the key.
    ///
    /// # Errors
    /// As [`KeyFlows::save_state`].
    pub async fn save_state(&self) -> Result<()> {
        self.flows.save_changed(&self.running).await
    }

    /// Says whether the repository holds the new values as the state of the key: another process has dealt with the data already.
    ///
    /// # Errors
    /// [`FlowError::State`](super::FlowError::State) or [`FlowError::InvalidState`](super::FlowError::InvalidState) if the state cannot be read.
    pub async fn is_stored(&self) -> Result<bool> {
        let key = &self.running.key;
        if key.definition.is_stateless() || self.running.new.is_none() {
            return Ok(false);
        }
        let stored = key.read_state(self.flows.states()).await?.and_then(|state| state.pair);
        Ok(stored == self.running.new)
    }

    /// Returns the names of the callbacks of this change, and how far each is.
    #[must_use]
    pub fn statuses(&self) -> Vec<(String, CallbackStatus)> {
        self.running.statuses().clone()
    }

    /// Says that the change is still being worked on. It is said before each callback too; a callback that takes long says it again and again, or another process
    /// takes over after 15 s; see [`AcrossProcesses`](super::AcrossProcesses).
    ///
    /// # Errors
    /// [`FlowError::LockLost`](super::FlowError::LockLost) if one has: stop.
    pub async fn keep_lock(&self) -> Result<()> {
        self.running.keep_lock().await
    }

    /// Returns the handle to the key.
    #[must_use]
    pub fn handle(&self) -> KeyHandle {
        KeyHandle::new(self.flows.clone(), Arc::clone(&self.running.key))
    }
}

impl fmt::Debug for ChangedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangedKey").field("name", self.name()).field("last_flow", &self.last_flow()).finish()
    }
}

/// One run of the callbacks of a key.
pub(super) struct Running {
    pub(super) key: Arc<Key>,
    pub(super) new: Option<SecretPair>,
    /// How many changes of the key this one lies within.
    pub(super) depth: usize,
    /// A callback has dealt with the data.
    adopted: AtomicBool,
    statuses: Mutex<Vec<(String, CallbackStatus)>>,
    /// `None` within another change of the key, whose lock it is, and while the lock is being kept.
    held: Mutex<Option<Box<dyn HeldLock>>>,
}

impl Running {
    pub(super) fn new(
        key: Arc<Key>,
        new: Option<SecretPair>,
        depth: usize,
        callbacks: impl Iterator<Item = String>,
        held: Option<Box<dyn HeldLock>>,
    ) -> Self {
        let statuses = callbacks.map(|name| (name, CallbackStatus::Pending)).collect();
        Self {
            key,
            new,
            depth,
            adopted: AtomicBool::new(false),
            statuses: Mutex::new(statuses),
            held: Mutex::new(held),
        }
    }

    /// Puts the new values in the place of the old ones. Without new values the old ones are forgotten.
    pub(super) fn adopt(&self, change: impl FnOnce(&mut super::cell::Cell)) {
        self.key.alter(|cell| {
            change(cell);
            cell.hold(&self.key.definition, self.new.clone());
            cell.unsaved = self.key.definition.is_stateful();
        });
        self.adopted.store(true, Ordering::Release);
    }

    pub(super) fn has_adopted(&self) -> bool {
        self.adopted.load(Ordering::Acquire)
    }

    pub(super) fn set_status(&self, at: usize, status: CallbackStatus) {
        if let Some((_, known)) = self.statuses().get_mut(at) {
            *known = status;
        }
    }

    pub(super) async fn keep_lock(&self) -> Result<()> {
        // Taken out, so that nothing is locked here while the lock is being kept.
        let mut taken = Taken { running: self, lock: self.take_lock() };
        match &mut taken.lock {
            Some(lock) => lock.keep().await,
            None => Ok(()),
        }
    }

    pub(super) fn take_lock(&self) -> Option<Box<dyn HeldLock>> {
        self.held().take()
    }

    fn held(&self) -> MutexGuard<'_, Option<Box<dyn HeldLock>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn statuses(&self) -> MutexGuard<'_, Vec<(String, CallbackStatus)>> {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lock of a change while it is being kept. It is put back also if the caller does not wait for the end of that.
struct Taken<'a> {
    running: &'a Running,
    lock: Option<Box<dyn HeldLock>>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(lock) = self.lock.take() {
            *self.running.held() = Some(lock);
        }
    }
}

thread_local! {
    /// The callbacks that are being polled on this thread, the innermost last.
    static POLLED: RefCell<Vec<Arc<Running>>> = const { RefCell::new(Vec::new()) };
}

/// Returns the change of the key within whose callback the present call is made.
pub(super) fn within(key: &Arc<Key>) -> Option<Arc<Running>> {
    POLLED.with_borrow(|polled| polled.iter().rfind(|running| Arc::ptr_eq(&running.key, key)).cloned())
}

/// A callback: calls that are made while it is polled are its own.
pub(super) struct Polled<F> {
    callback: Pin<Box<F>>,
    running: Arc<Running>,
}

impl<F> Polled<F> {
    pub(super) fn new(callback: F, running: Arc<Running>) -> Self {
        Self { callback: Box::pin(callback), running }
    }
}

impl<F: Future> Future for Polled<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        /// Takes back the entry also when the callback panics.
        struct Entered;
        impl Drop for Entered {
            fn drop(&mut self) {
                POLLED.with_borrow_mut(Vec::pop);
            }
        }
        POLLED.with_borrow_mut(|polled| polled.push(Arc::clone(&self.running)));
        let _entered = Entered;
        self.callback.as_mut().poll(context)
    }
}
