//! The lock between processes: taken for every batch of writes, in turn; the place of a note about a failed sync, and of the
//! revision that was announced last.

use std::{io, path::Path};

use super::files::beside;
use crate::{Disk, DiskFile, OpenMode, Revision};

/// What stands in the lock file while the log is in doubt. Only whether the file is empty counts.
const NOTE: &[u8] = b"a sync of the write-ahead log failed; the next writer writes it once more before it goes on\n";

/// Two lock files, which make a turnstile.
///
/// Whoever wants to write waits at the first holding nothing, then at the second holding the first, and gives up the first as
/// soon as it has the second. So whoever has just written queues behind the one who waits already, and cannot starve it.
/// SQLite's own lock, taken inside, is what keeps the database whole; this one makes it fair, and lets waiters sleep.
#[derive(Debug)]
pub(super) struct Turnstile {
    entrance: Box<dyn DiskFile>,
    room: Box<dyn DiskFile>,
}

/// Proof of being the one writer among all processes that use this driver. Ends when it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    entrance: &'a dyn DiskFile,
    room: &'a dyn DiskFile,
}

/// The revision that was announced last, as those see it who read: to ask SQLite whether anything has changed costs several times as
/// much as to read a few bytes of the first lock file.
///
/// It is announced before it is committed. So while it is the one that the database is known to have, there is no other; and who
/// finds another asks the database.
#[derive(Debug)]
pub(super) struct Announced(Box<dyn DiskFile>);

impl Announced {
    pub(super) fn open(disk: &dyn Disk, database: &Path) -> io::Result<Self> {
        disk.open(&beside(database, "-turn"), OpenMode::Create).map(Self)
    }

    /// Returns the revision, if the file tells.
    pub(super) fn revision(&self) -> Option<Revision> {
        let mut bytes = [0; 16];
        self.0.read_at(0, &mut bytes).ok().filter(|len| *len == bytes.len())?;
        let [revision, complement] =
            [&bytes[..8], &bytes[8..]].map(|half| half.try_into().map_or(0, u64::from_le_bytes));
        // Else it is just being written.
        (revision == !complement).then_some(Revision(revision))
    }
}

impl Turnstile {
    /// Opens the lock files beside a database; creates them where they are missing.
    pub(super) fn open(disk: &dyn Disk, database: &Path) -> io::Result<Self> {
        Ok(Self {
            entrance: disk.open(&beside(database, "-turn"), OpenMode::Create)?,
            room: disk.open(&beside(database, "-lock"), OpenMode::Create)?,
        })
    }

    /// Waits for a turn.
    pub(super) fn enter(&self) -> io::Result<Turn<'_>> {
        lock(&*self.entrance)?;
        let locked = lock(&*self.room);
        let unlocked = self.entrance.unlock();
        locked?;
        let turn = Turn { entrance: &*self.entrance, room: &*self.room };
        unlocked?;
        Ok(turn)
    }

    /// Takes the turn if nobody has it or waits for it.
    pub(super) fn try_enter(&self) -> io::Result<Option<Turn<'_>>> {
        if !self.entrance.try_lock()? {
            return Ok(None);
        }
        let locked = self.room.try_lock();
        let unlocked = self.entrance.unlock();
        let turn = locked?.then(|| Turn { entrance: &*self.entrance, room: &*self.room });
        unlocked?;
        Ok(turn)
    }
}

impl Turn<'_> {
    /// Announces a revision that is about to be committed.
    pub(super) fn announce(&self, revision: i64) -> io::Result<()> {
        let revision = revision.cast_unsigned();
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&revision.to_le_bytes());
        bytes[8..].copy_from_slice(&(!revision).to_le_bytes());
        self.entrance.write_at(0, &bytes)
    }

    /// Says whether a sync of the log has failed, and nobody has mended it since.
    pub(super) fn is_log_in_doubt(&self) -> io::Result<bool> {
        Ok(!self.room.is_empty()?)
    }

    /// Notes, for whichever process writes next, whether the log is in doubt. It need not survive a power cut: the log is then
    /// what the disk holds.
    pub(super) fn set_log_in_doubt(&self, doubt: bool) -> io::Result<()> {
        if doubt { self.room.write_at(0, NOTE) } else { self.room.set_len(0) }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Fails only if the disk is gone, and the lock with it.
        let _ = self.room.unlock();
    }
}

/// Waits for a lock also across signals: a handler that was installed without `SA_RESTART` ends the wait early.
fn lock(file: &dyn DiskFile) -> io::Result<()> {
    loop {
        match file.lock() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            locked => return locked,
        }
    }
}
