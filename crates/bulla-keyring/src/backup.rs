//! Backup of a project's trust database, and its restoring: machines, log and keys (`spec/backup.md`).
//!
//! A backup is one file, sealed to every machine that was in force when it was made, so that any one of them can restore it, and signed by
//! the machine that made it. It may hold the documents and blobs of a store too, which this crate carries and does not look into.

mod content_key;
mod error;
mod format;
mod journal;
mod read;
mod restore;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;

use bulla_backend::Timestamp;
use bulla_seal::ProjectId;
use data_encoding::HEXLOWER;

use crate::Fingerprint;
use crate::format::RecordHash;

pub use error::BackupError;
pub use format::{BackupHeader, BackupItem, MAX_BACKUP_HEADER_LEN, MAX_BACKUP_ITEM_LEN};
pub use read::{Backup, BackupContents};
pub use restore::{RestoreProgress, Restored};
pub use write::BackupWriter;

/// Names a backup: the digest of all that it says. Written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BackupId(pub [u8; 32]);

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BackupId({self})")
    }
}

/// What a backup says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupInfo {
    /// Its name.
    pub id: BackupId,
    /// The project.
    pub project: ProjectId,
    /// The machine that made it.
    pub author: Fingerprint,
    /// When it was made, as its author says.
    pub time: Timestamp,
    /// How many records the trust log had.
    pub log_length: u64,
    /// The last of them.
    pub head: RecordHash,
    /// The machines that can restore it.
    pub machines: Vec<Fingerprint>,
    /// How many documents of the trust database it holds, the records included.
    pub documents: u64,
    /// What it holds of a store; `None` for a backup of the trust database alone.
    pub store: Option<StoreCounts>,
}

/// What a backup holds of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StoreCounts {
    /// How many entries.
    pub entries: u64,
    /// How many blobs.
    pub blobs: u64,
    /// The bytes of all documents and blobs of the store, as they are stored.
    pub bytes: u64,
}

impl StoreCounts {
    fn add(&mut self, item: &BackupItem) {
        match item {
            BackupItem::Document { collection, value, .. } if format::STORE_COLLECTIONS.contains(collection) => {
                self.entries += u64::from(collection.name() == "entries");
                self.bytes += value.len() as u64;
            }
            BackupItem::BlobEnd { len, .. } => {
                self.blobs += 1;
                self.bytes += len;
            }
            // What is not of a store, and what a blob's end counts.
            BackupItem::Document { .. } | BackupItem::BlobPiece { .. } | BackupItem::End(_) => {}
        }
    }
}

impl BackupInfo {
    fn new(header: &BackupHeader, id: BackupId, documents: u64, store: StoreCounts) -> Self {
        Self {
            id,
            project: header.project,
            author: header.author,
            time: header.time,
            log_length: header.log_length,
            head: header.head,
            machines: header.recipients.iter().map(|recipient| recipient.machine).collect(),
            documents,
            store: header.with_entries.then_some(store),
        }
    }
}
