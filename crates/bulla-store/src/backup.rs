//! Backup of a store beside the trust database of its project, and its restoring (`spec/backup.md`).
//!
//! Entries, settings and quarantine records are copied as they are sealed, and so are blobs. Each entry comes behind its blob, so that no entry
//! is ever restored whose value is not there.

mod copy;
mod incoming;
mod restore;

use bulla_keyring::BackupError;

use crate::StoreError;

pub use copy::BackupCounts;
pub use restore::{RestoreCounts, RestoreOptions};

/// Failure of making or restoring a backup of a store: of one of the two.
#[derive(Debug, thiserror::Error)]
pub enum StoreBackupError {
    /// The backup failed.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StoreBackupError {
    /// Returns the stable code of the failure.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Backup(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
}

impl From<bulla_backend::BackendError> for StoreBackupError {
    fn from(error: bulla_backend::BackendError) -> Self {
        Self::Store(error.into())
    }
}
