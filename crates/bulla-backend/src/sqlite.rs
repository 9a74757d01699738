//! Documents in an SQLite database: the embedded default.
//!
//! `spec/backend-sqlite.md` states the schema, the locks and why no crash loses what was answered.

mod check;
mod commit;
mod error;
mod files;
mod lock;
mod place;
mod process;
mod queue;
mod read;
mod read_only;
mod schema;
mod share;
mod transaction;
mod writer;

use std::{
    borrow::Cow,
    path::{Path, absolute},
    process::id,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use async_trait::async_trait;

use self::{
    commit::{Committer, Shared},
    error::{Attempt, Failure},
    files::{Files, Surroundings},
    process::{OPENINGS, forked},
    queue::{Outcome, Task},
    read::Readers,
    writer::{Writer, answered},
};
use crate::{
    BackendError, Capabilities, ChangeMark, Collection, DiskUsage, Document, DocumentKey, Documents, ErrorKind,
    Expected, Filed, Filing, ListQuery, MAX_COMMIT_WRITES, Page, Rerank, Result, Revision, Timestamp, Usage, Write,
    document::check_reranks,
};

/// Documents in one SQLite database file, which any number of processes of one machine may use at once.
///
/// Reads run in the calling thread. Writes go to one thread, which shares each sync among all that wait. Dropping the last use
/// of a database writes what waits, and empties the log into the file.
///
/// On a disk that is mounted read-only it reads all there is, also what others write through another mount, and every write is
/// [`ErrorKind::Permission`].
///
/// # Security
/// Files are readable by their owner only. Nothing in the file is trusted to be code, but what it says is not verified either:
/// that is for the seals of those who wrote it.
#[derive(Debug)]
pub struct SqliteDocuments {
    files: Files,
    /// `None` while suspended.
    open: RwLock<Option<Open>>,
}

/// How a database is opened.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    create: bool,
    surroundings: Surroundings,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { create: true, surroundings: Surroundings::real() }
    }
}

impl SqliteOptions {
    /// Says whether a missing database, and missing folders, are made. They are unless told otherwise.
    #[must_use]
    pub fn create(self, create: bool) -> Self {
        Self { create, ..self }
    }

    /// Puts the database on another disk: `vfs` names the file layer, registered with SQLite, that leads to the same `disk`,
    /// and `boot` the run of the machine, between which the power may have been cut. The log is moved into the database file
    /// often, so that short tests see it.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn on_disk(self, disk: Arc<dyn crate::Disk>, vfs: &str, boot: &str) -> Self {
        let surroundings = Surroundings {
            disk,
            vfs: Some(vfs.to_owned()),
            boot: Some(boot.to_owned()),
            file_system: |_| Ok(place::FileSystem { magic: 0, name: None }),
            log_len: 24,
        };
        Self { surroundings, ..self }
    }

    /// Pretends that all folders lie on a network file system (NFS).
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn on_network(mut self) -> Self {
        self.surroundings.file_system = |_| Ok(place::FileSystem { magic: 0x6969, name: None });
        self
    }
}

impl SqliteDocuments {
    /// Opens a database.
    ///
    /// # Errors
    /// [`ErrorKind::Unsuitable`] if the file is not ours or of a newer version, lies on a network file system, or is missing and
    /// not to be made; [`ErrorKind::Permission`] if it cannot be written, unless that is because the disk is mounted read-only;
    /// [`ErrorKind::Corrupt`] if it is damaged.
    pub fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self> {
        let opened = || {
            // Absolute, so that SQLite takes it for a path and nothing else, and a later change of folder does no harm.
            let database = absolute(path).map_err(|error| Failure::io("the path", error))?;
            let files = Files { database, surroundings: options.surroundings };
            let open = RwLock::new(Some(Open::new(&files, options.create)?));
            Ok(Self { files, open })
        };
        opened().map_err(|failure: Failure| failure.during("open a database"))
    }

    /// Writes what waits and closes all files, until the database is used again.
    ///
    /// Call it before a fork, with no other thread using the database: SQLite's locks do not pass to the child.
    pub fn suspend(&self) {
        drop(self.exclusive().take());
    }

    /// Lists what is wrong with the file: nothing, if all is well. Reads all of it.
    ///
    /// # Errors
    /// Fails if it cannot be read so far as to check it.
    pub fn check(&self) -> Result<Vec<String>> {
        self.with("check a database", |open| open.readers.check())
    }

    /// Uses the open database; opens it again if it was suspended.
    fn with<T>(&self, operation: &'static str, work: impl FnOnce(&Open) -> Attempt<T>) -> Result<T> {
        let open = self.opened().map_err(|failure| failure.during(operation))?;
        // `opened` returns a lock on what is open.
        let worked = open.as_ref().ok_or_else(forked).and_then(work);
        worked.map_err(|failure| failure.during(operation))
    }

    fn opened(&self) -> Attempt<RwLockReadGuard<'_, Option<Open>>> {
        let shared = self.open.read().unwrap_or_else(PoisonError::into_inner);
        match &*shared {
            Some(open) if open.process == id() => return Ok(shared),
            Some(_) => return Err(forked()),
            None => drop(shared),
        }
        let mut exclusive = self.exclusive();
        if exclusive.is_none() {
            *exclusive = Some(Open::new(&self.files, false)?);
        }
        Ok(RwLockWriteGuard::downgrade(exclusive))
    }

    fn exclusive(&self) -> RwLockWriteGuard<'_, Option<Open>> {
        self.open.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a task done, all of it or nothing.
    async fn write(&self, operation: &'static str, task: Task<'_>) -> Result<Vec<Outcome>> {
        let answer = {
            let open = self.opened().map_err(|failure| failure.during(operation))?;
            let open = open.as_ref().ok_or_else(|| forked().during(operation))?;
            let writer = open.writer(&self.files).map_err(|failure| failure.during(operation))?;
            writer.submit(operation, task)?
        };
        answered(operation, answer).await
    }
}

#[async_trait]
impl Documents for SqliteDocuments {
    fn capabilities(&self) -> Capabilities {
        Capabilities { commit: true, watch: true, persistent: true, multi_process: true, filing: true }
    }

    async fn get(&self, collection: Collection, key: &DocumentKey) -> Result<Option<Document>> {
        self.with("read a document", |open| open.readers.get(&open.shared, collection, key))
    }

    async fn put(
        &self,
        collection: Collection,
        key: &DocumentKey,
        value: &[u8],
        expected: Expected,
    ) -> Result<Revision> {
        const OPERATION: &str = "write a document";
        Write::check_value(value)?;
        let write = Write::Put { collection, key: key.clone(), value: value.to_vec(), expected };
        match *self.write(OPERATION, Task::Write(Cow::Owned(vec![write]))).await? {
            [Outcome::Put(revision)] => Ok(revision),
            _ => Err(unanswered(OPERATION)),
        }
    }

    async fn delete(&self, collection: Collection, key: &DocumentKey, expected: Expected) -> Result<bool> {
        const OPERATION: &str = "delete a document";
        let write = Write::Delete { collection, key: key.clone(), expected };
        match *self.write(OPERATION, Task::Write(Cow::Owned(vec![write]))).await? {
            [Outcome::Deleted(found)] => Ok(found),
            _ => Err(unanswered(OPERATION)),
        }
    }

    async fn list(&self, collection: Collection, query: &ListQuery) -> Result<Page> {
        self.with("list documents", |open| open.readers.list(&open.shared, collection, query))
    }

    async fn commit(&self, writes: &[Write]) -> Result<Vec<Option<Revision>>> {
        Write::check_commit(writes)?;
        let outcomes = self.write("commit", Task::Write(Cow::Borrowed(writes))).await?;
        let revision = |outcome| if let Outcome::Put(revision) = outcome { Some(revision) } else { None };
        Ok(outcomes.into_iter().map(revision).collect())
    }

    /// The mark is the revision of the newest write of the whole database, so it says the same in every process and after a
    /// restart, and changes for writes to other collections too. As long as nothing changes, to read it is to read 16 bytes of a file.
    async fn change_mark(&self, _collection: Collection) -> Result<Option<ChangeMark>> {
        self.with("read a change mark", |open| Ok(Some(ChangeMark(open.readers.newest(&open.shared)?.0))))
    }

    async fn due(
        &self,
        collection: Collection,
        group: Option<&[u8]>,
        moment: Timestamp,
        after: Option<(Timestamp, &[u8])>,
        limit: usize,
    ) -> Result<Vec<Filed>> {
        self.with("find what is due", |open| open.readers.due(&open.shared, collection, group, moment, after, limit))
    }

    async fn lowest(&self, collection: Collection, group: &[u8], limit: usize) -> Result<Vec<Filed>> {
        self.with("find the lowest ranks", |open| open.readers.lowest(&open.shared, collection, group, limit))
    }

    async fn usage(&self, collection: Collection, group: &[u8]) -> Result<Usage> {
        self.with("count a group", |open| open.readers.usage(&open.shared, collection, group))
    }

    fn share(&self, key: &DocumentKey, value_len: usize, filing: &Filing) -> u64 {
        let share = share::share(key.as_bytes().len(), value_len as u64, &transaction::columns(0, filing));
        share.unsigned_abs()
    }

    async fn rerank(&self, collection: Collection, changes: &[(DocumentKey, Rerank)]) -> Result<()> {
        check_reranks(changes)?;
        // In parts, so that nobody waits for all of them.
        for part in changes.chunks(MAX_COMMIT_WRITES) {
            self.write("change ranks", Task::Rerank(collection, Cow::Borrowed(part))).await?;
        }
        Ok(())
    }

    async fn compact(&self) -> Result<Option<u64>> {
        self.with("compact a database", |open| open.writer(&self.files)?.compact())
    }

    async fn disk_usage(&self) -> Result<Option<DiskUsage>> {
        self.with("measure a database", |open| open.readers.disk_usage(&open.shared).map(Some))
    }
}

impl Drop for SqliteDocuments {
    fn drop(&mut self) {
        if let Some(inherited) = self.exclusive().take_if(|open| open.process != id()) {
            // Left open on purpose: closing it here would give up the parent's locks, and the thread to join is not there.
            std::mem::forget(inherited);
        }
    }
}

/// A database that is open in this process. Dropping it writes what waits.
#[derive(Debug)]
struct Open {
    process: u32,
    shared: Arc<Shared>,
    // Dropped before the writer, so that no reader of ours hinders it from emptying the log.
    readers: Readers,
    /// `None` on a read-only disk.
    writer: Option<Writer>,
    _counted: Counted,
}

impl Open {
    fn new(files: &Files, create: bool) -> Attempt<Self> {
        let counted = Counted::new()?;
        let mut shared = Arc::new(Shared::default());
        let (readers, writer) = match Committer::open(files.clone(), create, Arc::clone(&shared)) {
            Err(failure) if failure.is_read_only() && files.exist()? => {
                shared = Arc::new(Shared::forgetful());
                (Readers::open_read_only(files.clone())?, None)
            }
            committer => {
                let committer = committer?;
                (Readers::open(files.clone())?, Some(Writer::start(committer)?))
            }
        };
        Ok(Self { process: counted.0, shared, readers, writer, _counted: counted })
    }

    fn writer(&self, files: &Files) -> Attempt<&Writer> {
        self.writer.as_ref().ok_or_else(|| Failure::read_only(&files.database))
    }
}

/// Counts as an open database of a process as long as it lives.
#[derive(Debug)]
struct Counted(u32);

impl Counted {
    fn new() -> Attempt<Self> {
        OPENINGS.add(id())?;
        Ok(Self(id()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        OPENINGS.remove(self.0);
    }
}

/// Describes an answer of the writer thread that does not fit the question, which it never gives.
fn unanswered(operation: &'static str) -> BackendError {
    BackendError::new(ErrorKind::Io, operation, "the writer thread answered something else")
}
