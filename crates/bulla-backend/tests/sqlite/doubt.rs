//! A disk on which every sync fails for a while: what the driver says meanwhile, and what is there once it is mended.

use std::{
    ffi::OsString,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bulla_backend::{
    BackendError, Collection, Disk, DiskFile, Documents, ErrorKind, Expected, OpenMode, Result, SqliteDocuments,
    SqliteOptions, Stat,
    testing::{Fault, Loss, SimDisk},
};
use pollster::block_on;

use super::{CACHE, DURABLE, faults::alone, key, put, value, vfs};

/// A simulated disk, whose syncs of files fail while it is sick: the system gives up on what it should have synced.
#[derive(Debug, Clone)]
struct SickDisk {
    disk: SimDisk,
    is_sick: Arc<AtomicBool>,
}

#[derive(Debug)]
struct SickFile {
    file: Box<dyn DiskFile>,
    disk: SickDisk,
}

impl SickDisk {
    fn new(disk: SimDisk) -> Self {
        Self { disk, is_sick: Arc::default() }
    }

    fn set_sick(&self, is_sick: bool) {
        self.is_sick.store(is_sick, Ordering::Relaxed);
    }

    /// Opens a database on this disk, as one of several processes, or as the first after a start of the machine.
    fn open(&self, boot: &str) -> Result<SqliteDocuments> {
        let options = SqliteOptions::default().on_disk(Arc::new(self.clone()), vfs::NAME, boot);
        SqliteDocuments::open("/sick/entries.db", options)
    }

    fn start(&self) {
        vfs::start("sick", Arc::new(self.clone()));
    }
}

impl Disk for SickDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(SickFile { file: self.disk.open(path, mode)?, disk: self.clone() }))
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        self.disk.stat(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename_new(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.disk.create_folder(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.disk.list(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.disk.sync_folder(folder)
    }
}

impl DiskFile for SickFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        if self.disk.is_sick.load(Ordering::Relaxed) {
            self.disk.disk.arm(self.disk.disk.operations() + 1, Fault::SyncError);
        }
        self.file.sync()
    }

    fn sync_file_system(&self) -> io::Result<()> {
        self.file.sync_file_system()
    }

    fn lock(&self) -> io::Result<()> {
        self.file.lock()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }

    fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }

    fn stat(&self) -> io::Result<Stat> {
        self.file.stat()
    }
}

fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().as_ref().map(BackendError::kind)
}

fn try_put(documents: &dyn Documents, collection: Collection, name: &str) -> Option<ErrorKind> {
    kind(block_on(documents.put(collection, &key(name), b"v", Expected::Any)))
}

/// Leaves a database with writes that are not synced, on a disk that then falls sick, in the middle of a durable one.
fn fallen_sick() -> (SickDisk, SqliteDocuments) {
    let disk = SickDisk::new(SimDisk::new());
    disk.start();
    let documents = disk.open("1").unwrap();
    put(&documents, DURABLE, "before", b"v");
    put(&documents, CACHE, "not synced", b"v");
    disk.set_sick(true);
    assert_eq!(try_put(&documents, DURABLE, "in doubt"), Some(ErrorKind::Io));
    (disk, documents)
}

/// Cuts the power, and lets nothing survive that need not.
fn cut(disk: &SickDisk) -> (SickDisk, SqliteDocuments) {
    let disk = SickDisk::new(disk.disk.power_cut(Loss::Everything));
    disk.start();
    let documents = disk.open("2").unwrap();
    (disk, documents)
}

#[test]
fn nothing_is_read_or_written_until_it_is_settled_what_a_failed_commit_became() {
    let _alone = alone();
    let (disk, documents) = fallen_sick();
    for _ in 0..2 {
        assert_eq!(kind(block_on(documents.get(DURABLE, &key("before")))), Some(ErrorKind::Io));
        assert_eq!(try_put(&documents, CACHE, "refused"), Some(ErrorKind::Io));
        assert_eq!(try_put(&documents, DURABLE, "refused"), Some(ErrorKind::Io));
    }
    // Another process finds the note, and cannot mend the log either.
    assert_eq!(kind(disk.open("1")), Some(ErrorKind::Io));

    disk.set_sick(false);
    put(&documents, DURABLE, "after", b"v");
    let seen = value(&documents, DURABLE, "in doubt");
    let other = disk.open("1").unwrap();
    for documents in [&documents, &other] {
        assert_eq!(value(documents, DURABLE, "in doubt"), seen);
        assert_eq!(value(documents, DURABLE, "refused"), None);
        assert_eq!(value(documents, CACHE, "refused"), None);
        assert!(value(documents, CACHE, "not synced").is_some());
    }
    let (_disk, documents) = cut(&disk);
    assert_eq!(value(&documents, DURABLE, "in doubt"), seen);
    for (collection, name) in [(DURABLE, "before"), (DURABLE, "after"), (CACHE, "not synced")] {
        assert!(value(&documents, collection, name).is_some(), "{name}");
    }
}

#[test]
fn who_opens_a_log_in_doubt_mends_it_first() {
    let _alone = alone();
    let (disk, documents) = fallen_sick();
    // The process ends without having been able to mend anything.
    drop(documents);
    disk.set_sick(false);
    let documents = disk.open("1").unwrap();
    let seen = value(&documents, DURABLE, "in doubt");
    put(&documents, DURABLE, "after", b"v");
    let (_disk, documents) = cut(&disk);
    assert_eq!(value(&documents, DURABLE, "in doubt"), seen);
    // The durable write was appended behind one that was never synced before, and behind a sync that failed.
    for (collection, name) in [(DURABLE, "before"), (CACHE, "not synced"), (DURABLE, "after")] {
        assert!(value(&documents, collection, name).is_some(), "{name}");
    }
}

#[test]
fn another_process_that_takes_the_turn_mends_the_log_first() {
    let _alone = alone();
    let disk = SickDisk::new(SimDisk::new());
    disk.start();
    let (documents, other) = (disk.open("1").unwrap(), disk.open("1").unwrap());
    put(&documents, CACHE, "not synced", b"v");
    disk.set_sick(true);
    assert_eq!(try_put(&documents, DURABLE, "in doubt"), Some(ErrorKind::Io));
    disk.set_sick(false);
    put(&other, DURABLE, "after", b"v");
    let (_disk, documents) = cut(&disk);
    for (collection, name) in [(CACHE, "not synced"), (DURABLE, "after")] {
        assert!(value(&documents, collection, name).is_some(), "{name}");
    }
}
