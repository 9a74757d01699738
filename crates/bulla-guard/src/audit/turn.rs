//! The lock between processes, and the note of how far the log is durable.

use std::io;
use std::sync::Arc;

use bulla_backend::{DiskFile, OpenMode};

use super::error::Result;
use super::folder::Folder;

/// Two lock files, which make a turnstile: whoever waits holds the first, so that who has just written queues behind it.
#[derive(Debug, Clone)]
pub(super) struct Turnstile {
    entrance: Arc<dyn DiskFile>,
    room: Arc<dyn DiskFile>,
}

/// Proof of being the one writer among all processes. Ends when it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Arc<dyn DiskFile>);

/// How far the log was durable when the last writer was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) ordinal: u64,
    /// Length of that segment.
    pub(super) length: u64,
    /// How many events the log had.
    pub(super) count: u64,
}

impl Turnstile {
    pub(super) fn open(folder: &Folder) -> Result<Self> {
        let open = |name: &str| folder.open(&folder.path.join(name), OpenMode::Create);
        Ok(Self { entrance: open("turn")?, room: open("lock")? })
    }

    /// Waits for a turn.
    pub(super) fn enter(&self) -> io::Result<Turn> {
        lock(&*self.entrance)?;
        let locked = lock(&*self.room);
        let unlocked = self.entrance.unlock();
        locked?;
        let turn = Turn(Arc::clone(&self.room));
        unlocked?;
        Ok(turn)
    }
}

/// Waits for a lock also across signals.
fn lock(file: &dyn DiskFile) -> io::Result<()> {
    loop {
        match file.lock() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            locked => return locked,
        }
    }
}

impl Turn {
    /// Reads the note, if there is a whole one.
    pub(super) fn note(&self) -> io::Result<Option<Note>> {
        let mut bytes = [0; 28];
        if self.0.read_at(0, &mut bytes)? < bytes.len() {
            return Ok(None);
        }
        let (words, check) = bytes.split_at(24);
        let word = |at: usize| words[at..at + 8].try_into().map_or(0, u64::from_be_bytes);
        let note = Note { ordinal: word(0), length: word(8), count: word(16) };
        Ok((crc32c::crc32c(words).to_be_bytes() == check).then_some(note))
    }

    /// Writes the note. It need not survive a power cut.
    pub(super) fn set_note(&self, note: Note) -> io::Result<()> {
        let mut bytes = [note.ordinal, note.length, note.count].map(u64::to_be_bytes).concat();
        let check = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&check.to_be_bytes());
        self.0.write_at(0, &bytes)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Fails only if the disk is gone, and the lock with it.
        let _ = self.0.unlock();
    }
}
