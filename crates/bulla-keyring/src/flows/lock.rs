//! One change of a key at a time, as far as a lock reaches.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use bulla_backend::{BackendError, Clock, DocumentKey, Documents, ErrorKind};
use futures_channel::oneshot;

use super::{FlowError, Result};
use crate::lease::Lease;
use crate::{Fingerprint, KeyName, KeyringError};

/// Lets one caller at a time change a key, or write its state.
///
/// [`KeyFlows`](super::KeyFlows) sees to it that a callback is not kept out by the change that it is part of. Two keys whose callbacks declare
/// changes of each other can wait for each other for ever, as with any lock.
#[doc(alias = "Synchronizer")]
#[doc(alias = "SynchronizerFactory")]
#[async_trait]
pub trait ChangeLock: Send + Sync + fmt::Debug {
    /// Waits until the key is free, and takes it.
    ///
    /// # Errors
    /// [`FlowError::Busy`] if it does not become free, [`FlowError::Lock`] if the lock cannot be used.
    async fn acquire(&self, key: &KeyName) -> Result<Box<dyn HeldLock>>;
}

/// A key that is taken. Dropping it gives it back, at once or when its time is over.
#[async_trait]
pub trait HeldLock: Send + fmt::Debug {
    /// Says that the holder goes on.
    ///
    /// # Errors
    /// [`FlowError::LockLost`] if another has taken the key meanwhile, [`FlowError::Lock`] if the lock cannot be used.
    async fn keep(&mut self) -> Result<()>;

    /// Gives the key back.
    async fn give_back(self: Box<Self>);
}

/// No lock, for programs of one thread: changes of one key may run at once.
#[doc(alias = "SINGLE")]
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlocked;

#[async_trait]
impl ChangeLock for Unlocked {
    async fn acquire(&self, _key: &KeyName) -> Result<Box<dyn HeldLock>> {
        Ok(Box::new(Self))
    }
}

#[async_trait]
impl HeldLock for Unlocked {
    async fn keep(&mut self) -> Result<()> {
        Ok(())
    }

    async fn give_back(self: Box<Self>) {}
}

/// A lock for the threads and tasks of one process, first come, first served. Clones are the same lock.
#[doc(alias = "MULTITHREADED")]
#[derive(Clone, Default)]
pub struct InProcess(Arc<Mutex<Queues>>);

/// Who waits for each key that is taken.
type Queues = HashMap<KeyName, VecDeque<oneshot::Sender<Turn>>>;

impl InProcess {
    /// Makes a lock that nobody holds.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    async fn turn(&self, key: &KeyName) -> Turn {
        let mine = Turn { lock: Some(self.clone()), key: key.clone() };
        let waiting = {
            let mut queues = self.queues();
            match queues.get_mut(key) {
                None => {
                    queues.insert(key.clone(), VecDeque::new());
                    None
                }
                Some(queue) => {
                    let (sender, receiver) = oneshot::channel();
                    queue.push_back(sender);
                    Some(receiver)
                }
            }
        };
        match waiting {
            None => mine,
            Some(receiver) => {
                mine.forget();
                // The queue keeps the sender until it has handed the turn on.
                receiver.await.unwrap_or_else(|_| Turn { lock: None, key: key.clone() })
            }
        }
    }

    /// Hands a key on to the next who still waits for it.
    fn hand_on(self, key: &KeyName) {
        loop {
            let next = {
                let mut queues = self.queues();
                let next = queues.get_mut(key).and_then(VecDeque::pop_front);
                if next.is_none() {
                    queues.remove(key);
                }
                next
            };
            let Some(next) = next else { return };
            match next.send(Turn { lock: Some(self.clone()), key: key.clone() }) {
                Ok(()) => return,
                // Whoever that was has gone away.
                Err(turn) => turn.forget(),
            }
        }
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        // Every change is a single call, so that what a panicking thread left behind is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ChangeLock for InProcess {
    async fn acquire(&self, key: &KeyName) -> Result<Box<dyn HeldLock>> {
        Ok(Box::new(self.turn(key).await))
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcess").field("taken", &self.queues().len()).finish()
    }
}

/// A key that is taken within this process. It is handed on when it is dropped, wherever it lies then.
struct Turn {
    /// `None` if there is nothing to hand on.
    lock: Option<InProcess>,
    key: KeyName,
}

impl Turn {
    fn forget(mut self) {
        self.lock = None;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(lock) = self.lock.take() {
            lock.hand_on(&self.key);
        }
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Turn({})", self.key)
    }
}

#[async_trait]
impl HeldLock for Turn {
    async fn keep(&mut self) -> Result<()> {
        Ok(())
    }

    async fn give_back(self: Box<Self>) {}
}

/// How long a process that waits for another lets pass between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A lock for all processes that share a database: within each of them an [`InProcess`], between them a lease in the collection `leases`, as
/// `spec/key-states.md` has it.
///
/// The lease of a process that dies ends by itself, after 15 s. So does that of one whose callback runs longer and does not say so
/// by [`ChangedKey::keep_lock`](super::ChangedKey::keep_lock): then another process may begin a change while the callback still runs.
#[doc(alias = "MULTIPROCESS")]
#[derive(Debug, Clone)]
pub struct AcrossProcesses {
    within: InProcess,
    documents: Arc<dyn Documents>,
    clock: Arc<dyn Clock>,
    machine: Fingerprint,
    patience: Duration,
}

impl AcrossProcesses {
    /// Takes the database that the processes share, and the fingerprint of this machine, which the others are told.
    #[must_use]
    pub fn new(documents: Arc<dyn Documents>, clock: Arc<dyn Clock>, machine: Fingerprint) -> Self {
        let patience = Duration::from_secs(60);
        Self { within: InProcess::new(), documents, clock, machine, patience }
    }

    /// Says how long to wait for another process before [`FlowError::Busy`]. Default: a minute.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }
}

#[async_trait]
impl ChangeLock for AcrossProcesses {
    async fn acquire(&self, key: &KeyName) -> Result<Box<dyn HeldLock>> {
        let failed = |source| FlowError::Lock { name: key.clone(), source };
        let document = DocumentKey::new(format!("flow/{key}").into_bytes()).map_err(failed)?;
        let turn = self.within.turn(key).await;
        let mut looks = self.patience.as_millis() / LOOK_AGAIN.as_millis();
        loop {
            let (documents, clock) = (Arc::clone(&self.documents), Arc::clone(&self.clock));
            let claimed = Lease::claim(documents, clock, document.clone(), self.machine).await;
            match claimed.map_err(|error| failed(backend(error)))? {
                Ok(lease) => return Ok(Box::new(Leased { lease, turn })),
                Err(holder) if looks == 0 => return Err(FlowError::Busy { name: key.clone(), until: holder.until }),
                Err(_) => {
                    looks -= 1;
                    pause().await.map_err(failed)?;
                }
            }
        }
    }
}

/// A key that is taken among all processes.
#[derive(Debug)]
struct Leased {
    lease: Lease,
    turn: Turn,
}

#[async_trait]
impl HeldLock for Leased {
    async fn keep(&mut self) -> Result<()> {
        self.lease.renew().await.map_err(|error| match error {
            KeyringError::LeaseLost => FlowError::LockLost(self.turn.key.clone()),
            error => FlowError::Lock { name: self.turn.key.clone(), source: backend(error) },
        })
    }

    async fn give_back(self: Box<Self>) {
        // The turn within the process is dropped behind the lease.
        let Self { lease, turn } = *self;
        lease.give_back().await;
        drop(turn);
    }
}

fn backend(error: KeyringError) -> BackendError {
    match error {
        KeyringError::Backend(error) => error,
        error => BackendError::new(ErrorKind::Io, "take a lease", error.to_string()),
    }
}

/// Waits a little, on a thread of its own, since no runtime is known here.
async fn pause() -> bulla_backend::Result<()> {
    let (sender, receiver) = oneshot::channel();
    let waiting = move || {
        let (_open, never) = mpsc::channel::<()>();
        let _ = never.recv_timeout(LOOK_AGAIN);
        // Whoever waited may have gone away.
        let _ = sender.send(());
    };
    let named = thread::Builder::new().name("bulla-pause".to_owned());
    named.spawn(waiting).map_err(|error| BackendError::io("wait for a lease", "a thread", error))?;
    // A thread that could not send has ended, and time has passed.
    let _ = receiver.await;
    Ok(())
}
