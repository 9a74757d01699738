//! A project, and its machine's log on any disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bulla_backend::{Clock, Disk, MemoryDocuments, RealDisk, Timestamp};
use bulla_guard::audit::{Class, Code, Event, Log, LogOptions, LogReader, Origin, Outcome};
use bulla_keyring::{Identity, Keyring, SystemKey, SystemVersion};
use pollster::block_on;
use tempfile::TempDir;

/// A clock that a test sets.
#[derive(Debug, Clone)]
pub(crate) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_700_000_000_000)))
    }

    pub(crate) fn advance(&self, milliseconds: u64) {
        self.0.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// A project with one machine, and a disk.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) key: SystemVersion,
    pub(crate) clock: TestClock,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) folder: PathBuf,
    /// Removed with the last of those that share it.
    pub(crate) _temporary: Option<Arc<TempDir>>,
}

impl Ground {
    /// On a real disk.
    pub(crate) fn new() -> Self {
        let temporary = TempDir::new().unwrap();
        let folder = temporary.path().join("audit");
        Self { _temporary: Some(Arc::new(temporary)), ..Self::on(Arc::new(RealDisk), &folder) }
    }

    pub(crate) fn on(disk: Arc<dyn Disk>, folder: &Path) -> Self {
        let (identity, clock) = (Arc::new(Identity::generate().unwrap()), TestClock::new());
        let name = "here".parse().unwrap();
        let created =
            Keyring::create(Arc::new(MemoryDocuments::new()), Arc::clone(&identity), &name, Arc::new(clock.clone()));
        let keyring = Arc::new(block_on(created).unwrap());
        let key = block_on(keyring.system_key(&SystemKey::audit())).unwrap();
        Self { keyring, identity, key, clock, disk, folder: folder.to_owned(), _temporary: None }
    }

    pub(crate) fn options(&self) -> LogOptions {
        let clock = Arc::new(self.clock.clone());
        LogOptions::new(self.keyring.project(), Arc::clone(&self.identity), self.key.clone(), clock)
    }

    pub(crate) fn open(&self) -> Log {
        Log::open(Arc::clone(&self.disk), &self.folder, self.options()).unwrap()
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin::of(&self.keyring.project(), self.identity.public())
    }

    pub(crate) fn reader(&self) -> LogReader {
        LogReader::new(Arc::clone(&self.disk), &self.folder, self.origin())
    }

    /// Logs a few events, and closes.
    pub(crate) fn fill(&self, count: u64) {
        let log = self.open();
        append(&log, count);
        block_on(log.close()).unwrap();
    }
}

pub(crate) fn append(log: &Log, count: u64) {
    for number in 0..count {
        block_on(log.append(event(number))).unwrap();
    }
}

pub(crate) fn event(number: u64) -> Event {
    let action = Code::new("put");
    Event::new(Class::Store, action, Outcome::Success)
        .principal("alice")
        .resource(format!("orders/{number}"))
        .number(Code::new("number"), number)
}

/// The number that [`event`] was given, of all events in order.
pub(crate) fn numbers(reader: &LogReader) -> Vec<u64> {
    let events = reader.events(0).unwrap().map(|stored| stored.unwrap().event().unwrap());
    events
        .filter_map(|event| match event.field("number") {
            Some(bulla_guard::audit::Value::Number(number)) => Some(*number),
            _ => None,
        })
        .collect()
}
