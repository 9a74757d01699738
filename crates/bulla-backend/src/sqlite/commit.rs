//! Batches of writes: one turn, one transaction, one sync.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    error::{Attempt, Failure},
    files::{Files, PATIENCE},
    lock::{Turn, Turnstile},
    queue::{Outcome, Queue, Request},
    schema,
};
use crate::{BackendError, Collection, Durability, ErrorKind, Result, Revision, Write};

/// Most requests in a batch.
const MAX_BATCH_REQUESTS: usize = 1_024;
/// A batch takes no further requests once it holds this many bytes of keys and values.
const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;
/// A batch takes no further requests after this time, so that other processes get their turn.
const MAX_BATCH_TIME: Duration = Duration::from_millis(2);

/// From so many times its usual length on, readers who still read from the log are waited for, so that it can begin anew.
const LONG_LOG: i32 = 4;
/// How long they are waited for.
const LONG_LOG_PATIENCE: Duration = Duration::from_millis(50);

/// How many revisions are set aside durably at a time.
const RESERVED_REVISIONS: i64 = 1 << 20;

/// What the writer thread and the readers both know.
#[derive(Debug, Default)]
pub(super) struct Shared {
    collections: RwLock<Vec<(&'static str, i64)>>,
    is_in_doubt: AtomicBool,
}

impl Shared {
    /// Returns the number that stands for a collection, if it is known.
    pub(super) fn collection(&self, collection: Collection) -> Option<i64> {
        find(&self.collections.read().unwrap_or_else(PoisonError::into_inner), collection)
    }

    /// Takes note of a number that is committed. A collection keeps its number for ever.
    pub(super) fn learn(&self, collection: Collection, id: i64) {
        let mut known = self.collections.write().unwrap_or_else(PoisonError::into_inner);
        if find(&known, collection).is_none() {
            known.push((collection.name(), id));
        }
    }

    /// Says whether a commit has failed in a way that leaves open whether it will be found later.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.is_in_doubt.load(Ordering::Acquire)
    }
}

fn find(known: &[(&'static str, i64)], collection: Collection) -> Option<i64> {
    known.iter().find(|(name, _)| *name == collection.name()).map(|(_, id)| *id)
}

/// Looks up the number that stands for a collection.
pub(super) fn find_collection(connection: &Connection, collection: Collection) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM collection WHERE name = ?1")?
        .query_row([collection.name()], |row| row.get(0))
        .optional()
}

/// Writes batches, in turn with other processes.
#[derive(Debug)]
pub(super) struct Committer {
    turnstile: Turnstile,
    log: Log,
}

impl Committer {
    /// Opens the database for writing, makes it if it is missing and `create` is set, and brings its schema up to date.
    pub(super) fn open(files: Files, create: bool, shared: Arc<Shared>) -> Attempt<Self> {
        files.prepare_folder(create)?;
        if !create && !files.exist()? {
            return Err(Failure::new(
                ErrorKind::Unsuitable,
                format!("there is no database `{}`; make one first", files.database.display()),
            ));
        }
        let turnstile = Turnstile::open(&*files.surroundings.disk, &files.database).map_err(lock_failed)?;
        let turn = turnstile.enter().map_err(lock_failed)?;
        if !files.exist()? {
            files.create()?;
        }
        let log_len = files.surroundings.log_len;
        let mut log = Log {
            files,
            connection: None,
            synced: Durability::Durable,
            frames: Arc::default(),
            checkpoint_at: log_len,
            shared,
        };
        let opened = log.open(&turn);
        if let Err(Failure { kind: ErrorKind::Io, .. }) = opened {
            log.doubt(&turn);
        }
        opened?;
        drop(turn);
        Ok(Self { turnstile, log })
    }

    /// Writes a batch of what waits, answers it, and returns how many requests there were.
    pub(super) fn run(&mut self, queue: &Queue) -> usize {
        let mut batch = Vec::new();
        if queue.is_empty() {
            return 0;
        }
        let committed = self.turn(queue, &mut batch);
        if committed.is_err() && batch.is_empty() {
            // Nobody is left waiting for a lock or a disk that does not come.
            let waiting = std::iter::from_fn(|| queue.pop(Durability::Durable)).take(MAX_BATCH_REQUESTS);
            batch.extend(waiting.map(|request| (request, Ok(Vec::new()))));
        }
        answer(batch, &committed)
    }

    /// Does the same unless it means to wait: for other processes, for a sync, or for a checkpoint.
    pub(super) fn run_at_once(&mut self, queue: &Queue) {
        if queue.durability() == Durability::Durable || self.log.needs_care() {
            return;
        }
        let Ok(Some(turn)) = self.turnstile.try_enter() else { return };
        if turn.is_log_in_doubt().unwrap_or(true) {
            return;
        }
        let mut batch = Vec::new();
        let committed = self.log.write_or_mend(&turn, queue, &mut batch);
        drop(turn);
        answer(batch, &committed);
    }

    /// Moves the log into the database file and empties it, if nobody else uses it.
    pub(super) fn close(&mut self) {
        if let Ok(turn) = self.turnstile.enter() {
            self.log.close(&turn);
        }
    }

    fn turn(&mut self, queue: &Queue, batch: &mut Batch) -> Attempt<()> {
        let turn = self.turnstile.enter().map_err(lock_failed)?;
        self.log.ready(&turn)?;
        self.log.write_or_mend(&turn, queue, batch)
    }
}

/// Tells everybody what became of their request; returns how many they were.
fn answer(batch: Batch, committed: &Attempt<()>) -> usize {
    let len = batch.len();
    for (request, outcome) in batch {
        let outcome = match committed {
            Ok(()) => outcome,
            // Also those who lost a race: they lost it to a write that did not happen.
            Err(failure) => Err(failure.clone().during(request.operation)),
        };
        // Whoever does not wait any more does not want to know.
        let _ = request.answer.send(outcome);
    }
    len
}

type Batch = Vec<(Request, Result<Vec<Outcome>>)>;

/// Why a batch was not written.
enum Unwritten {
    /// Nothing of it is in the database, now or later.
    Nothing(Failure),
    /// Its commit failed: the log may hold it, for whoever reads the log anew to find.
    InDoubt(Failure),
}

impl<E: Into<Failure>> From<E> for Unwritten {
    fn from(error: E) -> Self {
        Self::Nothing(error.into())
    }
}

fn lock_failed(error: std::io::Error) -> Failure {
    Failure::io("the lock files beside the database", error)
}

/// The connection that writes, and the state of the log behind it. Used only by whoever has the turn.
#[derive(Debug)]
struct Log {
    files: Files,
    /// Opened when it is needed; closed after a failure.
    connection: Option<Connection>,
    /// Which commits the connection syncs at present.
    synced: Durability,
    /// Length of the log after the newest commit, in pages.
    frames: Arc<AtomicI32>,
    checkpoint_at: i32,
    shared: Arc<Shared>,
}

impl Log {
    fn open(&mut self, turn: &Turn<'_>) -> Attempt<()> {
        let is_in_doubt = turn.is_log_in_doubt().map_err(lock_failed)?;
        if is_in_doubt {
            self.files.rewrite_log()?;
        }
        schema::migrate(self.connect()?, &schema::STEPS)?;
        self.begin_run(is_in_doubt)?;
        // By now there is a log. Its name, and the database's if whoever made it was killed, must be safe before the first answer.
        self.files.sync_names()?;
        if is_in_doubt { turn.set_log_in_doubt(false).map_err(lock_failed) } else { Ok(()) }
    }

    /// Makes sure that no revision is given out a second time after a power cut, which may have undone the newest writes to
    /// collections that are not durable: at each start of the machine, goes on behind all that were set aside before.
    fn begin_run(&mut self, force: bool) -> Attempt<()> {
        let boot = self.files.surroundings.boot.clone();
        let mut sequence = self.begin(Durability::Durable)?;
        let known: String = self.connect()?.query_row("SELECT boot FROM sequence", [], |row| row.get(0))?;
        if !force && boot.as_ref() == Some(&known) {
            return Ok(self.connect()?.execute_batch("ROLLBACK")?);
        }
        sequence.revision = sequence.reserved;
        sequence.reserve()?;
        let connection = self.connect()?;
        connection.execute("UPDATE sequence SET boot = ?1", [boot.unwrap_or_default()])?;
        sequence.save(connection)?;
        Ok(connection.execute_batch("COMMIT")?)
    }

    /// Mends what an earlier failure left, and keeps the log short.
    fn ready(&mut self, turn: &Turn<'_>) -> Attempt<()> {
        if self.shared.is_in_doubt() || turn.is_log_in_doubt().map_err(lock_failed)? {
            self.settle(turn)?;
        }
        if self.is_checkpoint_due() { self.checkpoint(turn) } else { Ok(()) }
    }

    /// Says whether there is more to do than to write.
    fn needs_care(&mut self) -> bool {
        self.shared.is_in_doubt() || self.is_checkpoint_due()
    }

    fn is_checkpoint_due(&mut self) -> bool {
        let frames = self.frames.load(Ordering::Relaxed);
        if frames < self.files.surroundings.log_len {
            self.checkpoint_at = self.files.surroundings.log_len;
        }
        frames >= self.checkpoint_at
    }

    /// Writes one transaction with what waits; if that fails, leaves things so that the next can be written.
    fn write_or_mend(&mut self, turn: &Turn<'_>, queue: &Queue, batch: &mut Batch) -> Attempt<()> {
        self.write(queue, batch).map_err(|unwritten| match unwritten {
            Unwritten::InDoubt(failure) => {
                self.doubt(turn);
                failure
            }
            Unwritten::Nothing(failure) => {
                self.abandon();
                failure
            }
        })
    }

    /// Writes one transaction with what waits.
    fn write(&mut self, queue: &Queue, batch: &mut Batch) -> std::result::Result<(), Unwritten> {
        let begun = Instant::now();
        let mut sequence = self.begin(queue.durability())?;
        let (before, durability) = (sequence.revision, self.synced);
        let shared = Arc::clone(&self.shared);
        let connection = self.connect()?;
        let mut named = Vec::new();
        let mut bytes = 0;
        while let Some(request) = queue.pop(durability) {
            bytes += request.len();
            let applied =
                Transaction { connection, sequence: &mut sequence, shared: &shared, named: &mut named }.apply(&request);
            let (outcome, broken) = match applied {
                Ok(outcome) => (outcome, None),
                Err(failure) => (Ok(Vec::new()), Some(failure)),
            };
            batch.push((request, outcome));
            if let Some(failure) = broken {
                return Err(Unwritten::Nothing(failure));
            }
            if batch.len() >= MAX_BATCH_REQUESTS || bytes >= MAX_BATCH_BYTES || begun.elapsed() >= MAX_BATCH_TIME {
                break;
            }
        }
        if sequence.revision == before {
            connection.prepare_cached("ROLLBACK")?.execute([])?;
            return Ok(());
        }
        sequence.save(connection)?;
        connection.prepare_cached("COMMIT")?.execute([]).map_err(|error| match Failure::from(error) {
            // The last page of a commit is what makes it one, and it was not written.
            failure @ Failure { kind: ErrorKind::Full, .. } => Unwritten::Nothing(failure),
            failure => Unwritten::InDoubt(failure),
        })?;
        for (collection, id) in named {
            self.shared.learn(collection, id);
        }
        Ok(())
    }

    /// Begins a transaction, whose commit is synced if `durability` or the revisions ask for it.
    fn begin(&mut self, durability: Durability) -> Attempt<Sequence> {
        self.connect()?;
        let is_other = self.synced != durability;
        let connection = self.connect()?;
        if is_other {
            // What it costs was measured: less than a second connection, which would read again what the first has written.
            let level = if durability == Durability::Durable { "FULL" } else { "NORMAL" };
            connection.pragma_update(None, "synchronous", level)?;
        }
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut sequence = Sequence::read(connection)?;
        self.synced = durability;
        if sequence.reserved.saturating_sub(sequence.revision) < MAX_BATCH_REQUESTS as i64 {
            if durability == Durability::Cache {
                self.connect()?.execute_batch("ROLLBACK")?;
                return self.begin(Durability::Durable);
            }
            sequence.reserve()?;
        }
        Ok(sequence)
    }

    fn connect(&mut self) -> Attempt<&mut Connection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let mut connection = self.files.connect()?;
                connection.pragma_update(None, "synchronous", "FULL")?;
                self.synced = Durability::Durable;
                let frames = Arc::clone(&self.frames);
                connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, len| {
                    frames.store(len, Ordering::Relaxed);
                    Ok(())
                }))?;
                connection
            }
        };
        Ok(self.connection.insert(connection))
    }

    /// Forgets a transaction that failed, and with it the connection: what it holds in memory is not trusted any more.
    fn abandon(&mut self) {
        self.connection = None;
    }

    /// Takes note that a sync of the log or a commit has failed, and tries at once to mend it.
    fn doubt(&mut self, turn: &Turn<'_>) {
        self.shared.is_in_doubt.store(true, Ordering::Release);
        // If the note cannot be written, other processes do not learn of it, but this one does not forget.
        let _ = turn.set_log_in_doubt(true);
        // If this fails, the next batch tries again before it writes anything.
        let _ = self.settle(turn);
    }

    /// Makes sure that the log is on the disk as it is seen, and decides what became of a commit that failed: either it is
    /// part of the log by now, or a further commit overwrites it.
    fn settle(&mut self, turn: &Turn<'_>) -> Attempt<()> {
        self.abandon();
        let settled = self.try_settle(turn);
        if settled.is_err() {
            self.abandon();
        }
        settled
    }

    fn try_settle(&mut self, turn: &Turn<'_>) -> Attempt<()> {
        self.files.rewrite_log()?;
        let mut sequence = self.begin(Durability::Durable)?;
        sequence.next()?;
        let connection = self.connect()?;
        sequence.save(connection)?;
        connection.execute_batch("COMMIT")?;
        turn.set_log_in_doubt(false).map_err(lock_failed)?;
        self.shared.is_in_doubt.store(false, Ordering::Release);
        Ok(())
    }

    /// Copies the log into the database file, so that the next commit begins the log anew.
    fn checkpoint(&mut self, turn: &Turn<'_>) -> Attempt<()> {
        let frames = self.frames.load(Ordering::Relaxed);
        let log_len = self.files.surroundings.log_len;
        let connection = self.connect()?;
        let copied = if frames < log_len.saturating_mul(LONG_LOG) {
            checkpoint(connection, "PASSIVE")
        } else {
            connection.busy_timeout(LONG_LOG_PATIENCE)?;
            let copied = checkpoint(connection, "RESTART");
            connection.busy_timeout(PATIENCE)?;
            copied
        };
        // Whatever hindered it (a reader, a full disk), the log has everything. Tried again only when there is more of it.
        self.checkpoint_at = frames.saturating_add(log_len);
        match copied {
            Err(failure @ Failure { kind: ErrorKind::Io, .. }) => {
                self.doubt(turn);
                if self.shared.is_in_doubt() { Err(failure) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    fn close(&mut self, turn: &Turn<'_>) {
        // A log in doubt stays as it is: who opens the database next writes it again first.
        if self.shared.is_in_doubt() || turn.is_log_in_doubt().unwrap_or(true) {
            return;
        }
        // Who only read leaves the log to those who write.
        let Some(connection) = self.connection.take().filter(|_| self.frames.load(Ordering::Relaxed) > 0) else {
            return;
        };
        let emptied = connection.busy_timeout(Duration::ZERO).map_err(Failure::from);
        let emptied = emptied.and_then(|()| checkpoint(&connection, "TRUNCATE"));
        if let Err(Failure { kind: ErrorKind::Io, .. }) = emptied {
            // Nobody is there to be told; all that was answered is in the log.
            let _ = turn.set_log_in_doubt(true);
        }
    }
}

/// Runs a checkpoint. That readers or other programs hinder it is no error.
fn checkpoint(connection: &Connection, mode: &str) -> Attempt<()> {
    Ok(connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))?)
}

/// Counts the writes of the database.
#[derive(Debug)]
struct Sequence {
    /// The newest revision.
    revision: i64,
    /// The last revision that may be given out. Raised in synced commits only, so that no power cut brings a revision back.
    reserved: i64,
}

impl Sequence {
    fn read(connection: &Connection) -> Attempt<Self> {
        let mut select = connection.prepare_cached("SELECT revision, reserved FROM sequence")?;
        Ok(select.query_row([], |row| Ok(Self { revision: row.get(0)?, reserved: row.get(1)? }))?)
    }

    fn save(&self, connection: &Connection) -> Attempt<()> {
        let mut update = connection.prepare_cached("UPDATE sequence SET revision = ?1, reserved = ?2")?;
        update.execute([self.revision, self.reserved])?;
        Ok(())
    }

    fn next(&mut self) -> Attempt<i64> {
        self.revision = self.revision.checked_add(1).ok_or_else(used_up)?;
        Ok(self.revision)
    }

    fn reserve(&mut self) -> Attempt<()> {
        self.reserved = self.revision.checked_add(RESERVED_REVISIONS).ok_or_else(used_up)?;
        Ok(())
    }
}

fn used_up() -> Failure {
    Failure::new(ErrorKind::Unsuitable, "the revisions are used up, or the database was tampered with")
}

/// A transaction that has begun.
struct Transaction<'a> {
    connection: &'a Connection,
    sequence: &'a mut Sequence,
    shared: &'a Shared,
    /// Collections that got their number in this transaction.
    named: &'a mut Vec<(Collection, i64)>,
}

/// Where a document lies, and as which revision.
type Found = Option<(i64, Revision)>;

impl Transaction<'_> {
    /// Applies a request if all it expects holds; else does nothing.
    fn apply(&mut self, request: &Request) -> Attempt<Result<Vec<Outcome>>> {
        let mut found = Vec::with_capacity(request.writes.len());
        for write in &request.writes {
            let document = self.find(write)?;
            if !write.expected().holds(document.map(|(_, revision)| revision)) {
                return Ok(Err(BackendError::conflict(request.operation, write.key())));
            }
            found.push(document);
        }
        let mut next = None;
        let mut outcomes = Vec::with_capacity(request.writes.len());
        for (write, found) in request.writes.iter().zip(found) {
            outcomes.push(match write {
                Write::Put { collection, key, value, .. } => {
                    let revision = self.revision(&mut next)?;
                    self.put(*collection, key.as_bytes(), value, revision, found)?;
                    Outcome::Put(stored(revision)?)
                }
                Write::Delete { collection, .. } => {
                    if let Some((id, _)) = found {
                        self.revision(&mut next)?;
                        self.connection.prepare_cached("DELETE FROM document WHERE id = ?1")?.execute([id])?;
                    } else if collection.durability() == Durability::Durable {
                        // That it is not there may be the doing of a commit that was not synced; this one will be.
                        self.revision(&mut next)?;
                    }
                    Outcome::Deleted(found.is_some())
                }
                Write::Check { .. } => Outcome::Checked,
            });
        }
        Ok(Ok(outcomes))
    }

    /// Draws the revision that all writes of a request share.
    fn revision(&mut self, drawn: &mut Option<i64>) -> Attempt<i64> {
        match *drawn {
            Some(revision) => Ok(revision),
            None => Ok(*drawn.insert(self.sequence.next()?)),
        }
    }

    fn find(&self, write: &Write) -> Attempt<Found> {
        let Some(collection) = self.collection(write.collection())? else { return Ok(None) };
        let mut select =
            self.connection.prepare_cached("SELECT id, revision FROM document WHERE collection = ?1 AND key = ?2")?;
        let row = select.query_row(params![collection, write.key().as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)));
        row.optional()?.map(|(id, revision)| Ok((id, stored(revision)?))).transpose()
    }

    fn put(&mut self, collection: Collection, key: &[u8], value: &[u8], revision: i64, found: Found) -> Attempt<()> {
        if let Some((id, _)) = found {
            let mut update =
                self.connection.prepare_cached("UPDATE document SET revision = ?2, value = ?3 WHERE id = ?1")?;
            update.execute(params![id, revision, value])?;
            return Ok(());
        }
        let collection = match self.collection(collection)? {
            Some(known) => known,
            None => self.name(collection)?,
        };
        let mut insert = self
            .connection
            .prepare_cached("INSERT INTO document (collection, key, revision, value) VALUES (?1, ?2, ?3, ?4)")?;
        insert.execute(params![collection, key, revision, value])?;
        Ok(())
    }

    fn collection(&self, collection: Collection) -> Attempt<Option<i64>> {
        let named = || self.named.iter().find(|(named, _)| named.name() == collection.name()).map(|(_, id)| *id);
        match self.shared.collection(collection).or_else(named) {
            Some(id) => Ok(Some(id)),
            None => Ok(find_collection(self.connection, collection)?),
        }
    }

    fn name(&mut self, collection: Collection) -> Attempt<i64> {
        self.connection.prepare_cached("INSERT INTO collection (name) VALUES (?1)")?.execute([collection.name()])?;
        let id = self.connection.last_insert_rowid();
        self.named.push((collection, id));
        Ok(id)
    }
}

/// Reads a revision out of a column.
pub(super) fn stored(revision: i64) -> Attempt<Revision> {
    u64::try_from(revision)
        .map(Revision)
        .map_err(|_| Failure::new(ErrorKind::Corrupt, format!("a document has revision {revision}, which none has")))
}
