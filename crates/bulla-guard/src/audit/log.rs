//! The log of this machine, to append to.

mod intent;
mod options;
mod writer;

use std::fmt;
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::{self, JoinHandle};

use bulla_backend::{Clock, Disk, Timestamp};
use bulla_keyring::SystemVersion;
use futures_channel::oneshot;

pub use self::intent::Intent;
pub use self::options::{LogOptions, Reprove};
use self::writer::Writer;
use super::error::{AuditError, Result};
use super::event::{Class, Event, Outcome, Phase};
use super::folder::Folder;
use super::local::{Cut, Opened, Ready, Start};
use super::note::{Checkpoint, Origin};
use super::queue::{Queue, Request};
use super::value::{Code, Identifier};

/// The audit log of this machine. Any number of threads and processes append to one.
///
/// The futures finish without a reactor: a thread of the log's own writes what waits, in one go. When it is dropped, what waits is still
/// written, and signed.
///
/// A process that forks opens the log anew in the child.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use bulla_backend::{MemoryDocuments, RealDisk, SystemClock};
/// use bulla_guard::audit::{Class, Code, Event, Log, LogOptions, Outcome};
/// use bulla_keyring::{Identity, Keyring, SystemKey};
///
/// # pollster::block_on(async {
/// # let folder = tempfile::tempdir()?;
/// let identity = Arc::new(Identity::generate()?);
/// let clock = Arc::new(SystemClock);
/// let keyring = Keyring::create(Arc::new(MemoryDocuments::new()), identity.clone(), &"here".parse()?, clock.clone()).await?;
/// let key = keyring.system_key(&SystemKey::audit()).await?;
///
/// let options = LogOptions::new(keyring.project(), identity, key, clock);
/// let log = Log::open(Arc::new(RealDisk), folder.path(), options)?;
/// let rotate = Event::new(Class::Key, Code::new("rotate"), Outcome::Success).principal("alice").resource("orders");
/// let intent = log.intent(rotate).await?; // durable: now it may be done
/// intent.outcome(Outcome::Success).await?;
/// assert_eq!(log.close().await?.size(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Log {
    shared: Arc<Shared>,
    recovery: Recovery,
    thread: Option<JoinHandle<()>>,
}

/// What the writer thread and those who append share.
struct Shared {
    queue: Queue,
    key: RwLock<SystemVersion>,
    clock: Arc<dyn Clock>,
    origin: Origin,
    process: [u8; 8],
    /// The number of the process that opened it.
    opener: u32,
    period_ms: u64,
    /// When a checkpoint was made last, or tried.
    signed: AtomicU64,
    /// As the writer knows it.
    events: AtomicU64,
    unsigned: AtomicU64,
}

/// What was found when a log was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Recovery {
    /// How many bytes were cut off that were no whole event: what a killed process or a power cut left.
    pub cut_bytes: u64,
    /// Intents of processes that have ended without saying how it went. They have an outcome *unknown* now.
    pub unknown: Vec<u64>,
}

/// How a log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogStatus {
    /// How many events there are, as far as this process knows.
    pub events: u64,
    /// How many of them no checkpoint covers yet.
    pub unsigned: u64,
    /// How many were lost since the last gap that was logged.
    pub lost: u64,
}

impl Log {
    /// Opens the log in a folder; creates it if there is none. What is there is proven to be what was signed, what a killed process left is
    /// cut off, and intents without an outcome get one.
    ///
    /// # Errors
    /// [`AuditError::Altered`] and [`AuditError::Truncated`] if it is not what was signed, and nothing is changed then;
    /// [`AuditError::Missing`] if the checkpoint is; [`AuditError::Storage`] if the disk fails.
    pub fn open(disk: Arc<dyn Disk>, folder: &Path, options: LogOptions) -> Result<Self> {
        let origin = Origin::of(&options.project, options.identity.public());
        let folder = Folder { disk, path: folder.to_owned(), origin: origin.clone() };
        let start = Start {
            folder,
            identity: options.identity,
            segment_len: options.segment_len,
            is_whole: options.reprove == Reprove::All,
            outside: options.outside,
        };
        let Opened { mut local, turn, cut, unknown } = start.open()?;
        let process = local.process();
        let shared = Arc::new(Shared {
            queue: Queue::default(),
            key: RwLock::new(options.key),
            signed: AtomicU64::new(options.clock.now().0),
            clock: options.clock,
            origin,
            process,
            opener: process::id(),
            period_ms: u64::try_from(options.checkpoint_period.as_millis()).unwrap_or(u64::MAX),
            events: AtomicU64::new(0),
            unsigned: AtomicU64::new(0),
        });
        let mut found: Vec<Ready> = cut.map(|cut| shared.recovered(&cut)).into_iter().collect();
        found.extend(unknown.iter().map(|intent| shared.unknown(*intent)));
        if !found.is_empty() {
            local.append(&turn, &found.iter().collect::<Vec<_>>())?;
        }
        let recovery = Recovery { cut_bytes: cut.map_or(0, |cut| cut.bytes), unknown };
        shared.learn(&local);
        drop(turn);
        let writer = Writer::new(Arc::clone(&shared), local, options.checkpoint_events);
        let thread = thread::Builder::new().name("bulla-audit".to_owned()).spawn(move || writer.serve());
        let thread = thread.map_err(|error| AuditError::io("start a thread", "the audit log", &error))?;
        Ok(Self { shared, recovery, thread: Some(thread) })
    }

    /// Logs an event by its own rule: a strict one is durable when this returns, and any other is written when it can be.
    ///
    /// # Errors
    /// As [`Self::append`], for a strict event. What it tells of must not go on then.
    pub async fn record(&self, event: Event) -> Result<()> {
        if event.is_strict() {
            return self.append(event).await.map(drop);
        }
        self.note(event);
        Ok(())
    }

    /// Appends an event, and returns its index once it is durable.
    ///
    /// # Errors
    /// [`AuditError::Storage`], [`AuditError::Busy`], [`AuditError::Closed`] if it could not be written: what it tells of must not go on.
    /// It may be in the log all the same.
    pub async fn append(&self, event: Event) -> Result<u64> {
        self.shared.append(event, Phase::Notice, None).await
    }

    /// Hands an event over, and does not wait. If it cannot be written it is counted, and a gap is logged.
    pub fn note(&self, event: Event) {
        self.shared.note(event, Phase::Notice, None);
    }

    /// Logs that something is about to be done; once this has returned, it may be.
    ///
    /// # Errors
    /// As [`Self::append`]. It must not be done then.
    pub async fn intent(&self, event: Event) -> Result<Intent> {
        let index = self.shared.append(event.clone(), Phase::Intent, None).await?;
        Ok(Intent::new(Arc::clone(&self.shared), event, index))
    }

    /// Signs what there is, if it is time to and there is something new. To be called now and then, each second or so.
    ///
    /// # Errors
    /// As [`Self::checkpoint`].
    pub async fn tick(&self) -> Result<Option<Checkpoint>> {
        let since = self.shared.signed.load(Ordering::Relaxed);
        let now = self.shared.clock.now().0;
        // After the clock was set back, too.
        let is_time = now >= since.saturating_add(self.shared.period_ms) || now < since;
        let is_new = self.shared.unsigned.load(Ordering::Relaxed) > 0 || self.shared.queue.lost().count > 0;
        if is_time && is_new { self.checkpoint().await.map(Some) } else { Ok(None) }
    }

    /// Signs what there is.
    ///
    /// # Errors
    /// [`AuditError::Altered`] and [`AuditError::Truncated`] if what is on the disk is not what was signed before, or known;
    /// [`AuditError::Storage`] if the disk fails.
    pub async fn checkpoint(&self) -> Result<Checkpoint> {
        let (answer, answered) = oneshot::channel();
        self.shared.push(Request::Sign(answer))?;
        answered.await.unwrap_or(Err(AuditError::Closed))
    }

    /// Writes and signs what waits, and closes.
    ///
    /// # Errors
    /// As [`Self::checkpoint`].
    pub async fn close(self) -> Result<Checkpoint> {
        self.checkpoint().await
    }

    /// Blinds identifiers with another version of the key from now on: after it was rotated.
    pub fn set_key(&self, key: SystemVersion) {
        *self.shared.key.write().unwrap_or_else(PoisonError::into_inner) = key;
    }

    /// Blinds an identifier as the events of now are, to look for it.
    #[must_use]
    pub fn blind(&self, identifier: &[u8]) -> Identifier {
        Identifier::blind(&self.shared.key(), identifier)
    }

    /// Returns what was found when it was opened.
    #[must_use]
    pub const fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Returns how it stands.
    #[must_use]
    pub fn status(&self) -> LogStatus {
        LogStatus {
            events: self.shared.events.load(Ordering::Relaxed),
            unsigned: self.shared.unsigned.load(Ordering::Relaxed),
            lost: self.shared.queue.lost().count,
        }
    }

    /// Returns which log it is.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.shared.origin
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if self.shared.opener != process::id() {
            // The thread is the parent's.
            return;
        }
        self.shared.queue.close();
        if let Some(thread) = self.thread.take() {
            // If it panicked, those who waited have learnt it by their answers.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("origin", &self.shared.origin.line())
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn key(&self) -> SystemVersion {
        self.key.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Blinds and encodes an event, in the thread of who has it.
    fn ready(&self, event: Event, phase: Phase, intent: Option<u64>) -> Ready {
        let mut event = event.log(phase, self.clock.now(), self.process, &self.key());
        event.intent = intent;
        Ready::from(event)
    }

    async fn append(&self, event: Event, phase: Phase, intent: Option<u64>) -> Result<u64> {
        let (answer, answered) = oneshot::channel();
        self.push(Request::Append(self.ready(event, phase, intent), answer))?;
        answered.await.unwrap_or(Err(AuditError::Closed))
    }

    fn note(&self, event: Event, phase: Phase, intent: Option<u64>) {
        // What is refused is counted by the queue.
        let _ = self.push(Request::Note(self.ready(event, phase, intent)));
    }

    fn push(&self, request: Request) -> Result<()> {
        if self.opener != process::id() {
            return Err(AuditError::Forked);
        }
        self.queue.push(request)
    }

    fn learn(&self, local: &super::local::Local) {
        self.events.store(local.len(), Ordering::Relaxed);
        self.unsigned.store(local.unsigned(), Ordering::Relaxed);
    }

    fn recovered(&self, cut: &Cut) -> Ready {
        let event = Event::new(Class::Log, Code::new("recovered"), Outcome::Failure)
            .number(Code::new("index"), cut.index)
            .number(Code::new("bytes"), cut.bytes)
            .digest(Code::new("digest"), cut.digest);
        self.ready(event, Phase::Notice, None)
    }

    fn unknown(&self, intent: u64) -> Ready {
        let event = Event::new(Class::Log, Code::new("unknown_outcome"), Outcome::Unknown);
        self.ready(event, Phase::Outcome, Some(intent))
    }

    fn gap(&self, lost: super::queue::Lost) -> Ready {
        let Timestamp(since) = lost.since;
        let event = Event::new(Class::Log, Code::new("gap"), Outcome::Failure)
            .number(Code::new("lost"), lost.count)
            .number(Code::new("since"), since)
            .number(Code::new("until"), lost.until.0);
        self.ready(event, Phase::Notice, None)
    }
}
