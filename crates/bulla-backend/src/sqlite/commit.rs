//! Batches of writes: one turn, one transaction, one sync.

mod compact;

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::Connection;

use super::{
    error::{Attempt, Failure},
    files::{Files, PATIENCE},
    lock::{Turn, Turnstile},
    queue::{Outcome, Queue, Request, Task},
    schema,
    transaction::{Sequence, Transaction},
};
use crate::{Collection, Durability, ErrorKind, Result};

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

/// Most groups of a collection whose numbers are kept in memory.
const MAX_KNOWN_GROUPS: usize = 4_096;

/// What the writer thread and the readers both know.
#[derive(Debug, Default)]
pub(super) struct Shared {
    collections: RwLock<Vec<(&'static str, i64)>>,
    /// By the number of the collection, and the name.
    groups: RwLock<HashMap<i64, Groups>>,
    is_in_doubt: AtomicBool,
    /// Whether nothing is taken note of.
    is_forgetful: bool,
}

/// The numbers that stand for groups, by name.
type Groups = HashMap<Box<[u8]>, i64>;

impl Shared {
    /// Makes one that takes note of no number: for a read-only disk, where another database may come to lie in the place of this one.
    pub(super) fn forgetful() -> Self {
        Self { is_forgetful: true, ..Self::default() }
    }

    /// Returns the number that stands for a collection, if it is known.
    pub(super) fn collection(&self, collection: Collection) -> Option<i64> {
        find(&self.collections.read().unwrap_or_else(PoisonError::into_inner), collection)
    }

    /// Takes note of a number that is committed. A collection keeps its number for ever.
    pub(super) fn learn(&self, collection: Collection, id: i64) {
        if self.is_forgetful {
            return;
        }
        let mut known = self.collections.write().unwrap_or_else(PoisonError::into_inner);
        if find(&known, collection).is_none() {
            known.push((collection.name(), id));
        }
    }

    /// Returns the number that stands for a group of a collection, if it is known.
    pub(super) fn group(&self, collection: i64, name: &[u8]) -> Option<i64> {
        let groups = self.groups.read().unwrap_or_else(PoisonError::into_inner);
        groups.get(&collection)?.get(name).copied()
    }

    /// Takes note of a number that is committed. A group keeps its number for ever.
    pub(super) fn learn_group(&self, collection: i64, name: &[u8], id: i64) {
        if self.is_forgetful {
            return;
        }
        let mut groups = self.groups.write().unwrap_or_else(PoisonError::into_inner);
        let known = groups.entry(collection).or_default();
        if known.len() >= MAX_KNOWN_GROUPS {
            known.clear();
        }
        known.insert(name.into(), id);
    }

    /// Says whether a commit has failed in a way that leaves open whether it will be found later.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.is_in_doubt.load(Ordering::Acquire)
    }
}

fn find(known: &[(&'static str, i64)], collection: Collection) -> Option<i64> {
    known.iter().find(|(name, _)| *name == collection.name()).map(|(_, id)| *id)
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
            pass: None,
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
        let committed = self.log.write_batch(&turn, queue, &mut batch);
        drop(turn);
        answer(batch, &committed);
    }

    /// Does what is asked in a transaction of its own, if that takes no waiting; nothing waits in the queue.
    pub(super) fn apply_at_once(&mut self, operation: &'static str, task: &Task<'_>) -> Option<Result<Vec<Outcome>>> {
        if self.log.needs_care() {
            return None;
        }
        let Ok(Some(turn)) = self.turnstile.try_enter() else { return None };
        if turn.is_log_in_doubt().unwrap_or(true) {
            return None;
        }
        let mut outcomes = Ok(Vec::new());
        let committed = self.log.write_or_mend(&turn, Durability::Cache, |transaction, _| {
            outcomes = transaction.apply(operation, task)?;
            Ok(())
        });
        drop(turn);
        Some(committed.map_err(|failure| failure.during(operation)).and(outcomes))
    }

    /// Gives a piece of the file back, in a turn; `None` if there is nothing more.
    pub(super) fn compact(&mut self) -> Attempt<Option<u64>> {
        let turn = self.turnstile.enter().map_err(lock_failed)?;
        self.log.compact(&turn)
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
        self.log.write_batch(&turn, queue, batch)
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

impl Unwritten {
    fn failure(self) -> Failure {
        match self {
            Self::Nothing(failure) | Self::InDoubt(failure) => failure,
        }
    }
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
    /// How far the file was compacted, if that was begun.
    pass: Option<compact::Pass>,
    shared: Arc<Shared>,
}

impl Log {
    fn open(&mut self, turn: &Turn<'_>) -> Attempt<()> {
        let is_in_doubt = turn.is_log_in_doubt().map_err(lock_failed)?;
        if is_in_doubt {
            self.files.rewrite_log()?;
        }
        schema::migrate(self.connect()?, &schema::STEPS)?;
        self.begin_run(turn, is_in_doubt)?;
        // By now there is a log. Its name, and the database's if whoever made it was killed, must be safe before the first answer.
        self.files.sync_names()?;
        if is_in_doubt { turn.set_log_in_doubt(false).map_err(lock_failed) } else { Ok(()) }
    }

    /// Makes sure that no revision is given out a second time after a power cut, which may have undone the newest writes to
    /// collections that are not durable: at each start of the machine, goes on behind all that were set aside before.
    fn begin_run(&mut self, turn: &Turn<'_>, force: bool) -> Attempt<()> {
        let boot = self.files.surroundings.boot.clone();
        let mut sequence = self.begin(Durability::Durable)?;
        let known: String = self.connect()?.query_row("SELECT boot FROM state WHERE id = 0", [], |row| row.get(0))?;
        if !force && boot.as_ref() == Some(&known) {
            return Ok(self.connect()?.execute_batch("ROLLBACK")?);
        }
        sequence.revision = sequence.reserved;
        sequence.reserve()?;
        let connection = self.connect()?;
        connection.execute("UPDATE state SET boot = ?1 WHERE id = 0", [boot.unwrap_or_default()])?;
        sequence.save(connection)?;
        commit(connection, turn, Some(sequence.revision)).map_err(Unwritten::failure)
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
    fn write_batch(&mut self, turn: &Turn<'_>, queue: &Queue, batch: &mut Batch) -> Attempt<()> {
        let begun = Instant::now();
        self.write_or_mend(turn, queue.durability(), |transaction, durability| {
            let mut bytes = 0;
            while let Some(request) = queue.pop(durability) {
                bytes += request.len();
                let applied = transaction.apply(request.operation, &request.task);
                let (outcome, broken) = match applied {
                    Ok(outcome) => (outcome, None),
                    Err(failure) => (Ok(Vec::new()), Some(failure)),
                };
                batch.push((request, outcome));
                if let Some(failure) = broken {
                    return Err(failure);
                }
                if batch.len() >= MAX_BATCH_REQUESTS || bytes >= MAX_BATCH_BYTES || begun.elapsed() >= MAX_BATCH_TIME {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Writes one transaction; if that fails, leaves things so that the next can be written. The work is told how durable it will be.
    fn write_or_mend(
        &mut self,
        turn: &Turn<'_>,
        durability: Durability,
        work: impl FnOnce(&mut Transaction<'_>, Durability) -> Attempt<()>,
    ) -> Attempt<()> {
        let written = self.write(turn, durability, work);
        self.mended(turn, written)
    }

    /// If a transaction failed, leaves things so that the next can be written.
    fn mended(&mut self, turn: &Turn<'_>, written: std::result::Result<(), Unwritten>) -> Attempt<()> {
        written.map_err(|unwritten| match unwritten {
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

    fn write(
        &mut self,
        turn: &Turn<'_>,
        durability: Durability,
        work: impl FnOnce(&mut Transaction<'_>, Durability) -> Attempt<()>,
    ) -> std::result::Result<(), Unwritten> {
        let sequence = self.begin(durability)?;
        let (durability, shared) = (self.synced, Arc::clone(&self.shared));
        let connection = self.connect()?;
        let mut transaction = Transaction::new(connection, &shared, sequence);
        work(&mut transaction, durability)?;
        if !transaction.has_changed() {
            connection.prepare_cached("ROLLBACK")?.execute([])?;
            return Ok(());
        }
        transaction.finish()?;
        commit(connection, turn, transaction.revised())?;
        transaction.learn();
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
        commit(connection, turn, Some(sequence.revision)).map_err(Unwritten::failure)?;
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
        self.checked(turn, copied)
    }

    /// Looks what became of a checkpoint.
    fn checked(&mut self, turn: &Turn<'_>, copied: Attempt<()>) -> Attempt<()> {
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

/// Commits; before that, announces the new revision to those who remember the one before.
fn commit(connection: &Connection, turn: &Turn<'_>, revision: Option<i64>) -> std::result::Result<(), Unwritten> {
    if let Some(revision) = revision {
        turn.announce(revision).map_err(lock_failed)?;
    }
    let committed = connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
    committed.map(drop).map_err(|error| match Failure::from(error) {
        // The last page of a commit is what makes it one, and it was not written.
        failure @ Failure { kind: ErrorKind::Full, .. } => Unwritten::Nothing(failure),
        failure => Unwritten::InDoubt(failure),
    })
}

/// Runs a checkpoint. That readers or other programs hinder it is no error.
fn checkpoint(connection: &Connection, mode: &str) -> Attempt<()> {
    Ok(connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))?)
}
