use std::io;

use bulla_backend::BackendError;
use bulla_seal::{OpenError, ProjectId, SealError};

use crate::{Fingerprint, KeyringError};

/// Failure of making, reading or restoring a backup.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The file could not be read or written.
    #[error("the backup could not be read or written: {0}")]
    Io(#[source] io::Error),
    /// Something else than a backup.
    #[error("this is not a backup")]
    NotABackup,
    /// A format of the future.
    #[error("this backup was written by a newer version of this program; update it")]
    Newer,
    /// Cut off, altered, or put together from several.
    #[error("the backup is damaged: {0}; use another copy of it")]
    Damaged(&'static str),
    /// Sealed to others.
    #[error(
        "the backup is not sealed to machine {0}: it can be restored by machines that were let in when it was made"
    )]
    NotForMachine(Fingerprint),
    /// A backup of another project.
    #[error("this is a backup of project {found}, expected was {pinned}")]
    OtherProject {
        /// The project that the caller pinned.
        pinned: ProjectId,
        /// The project that the backup names.
        found: ProjectId,
    },
    /// Its author could not have made it.
    #[error("the backup does not carry the signature of a machine of the project: do not trust where it came from")]
    Author(Fingerprint),
    /// There is a project where the backup should go.
    #[error("this database is already initialized: it holds project {0}; restore into an empty one")]
    ProjectExists(ProjectId),
    /// There are documents where the backup should go, and no project.
    #[error("this database is not empty: it holds {0} that are not of this backup; restore into an empty one")]
    NotEmpty(&'static str),
    /// Another backup is being restored here.
    #[error(
        "the restoring of another backup, {0}, was begun in this database: finish that, or restore into an empty one"
    )]
    OtherRestore(String),
    /// Another process has gone on with the restoring.
    #[error("another process has taken the restoring of this backup over; nothing is lost")]
    TakenOver,
    /// The keyring failed.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
}

impl BackupError {
    /// Returns the stable code of the failure, as `spec/backup.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io(_) => "file",
            Self::NotABackup => "not_a_backup",
            Self::Newer => "newer_backup",
            Self::Damaged(_) => "damaged_backup",
            Self::NotForMachine(_) => "not_for_machine",
            Self::OtherProject { .. } => "other_project",
            Self::Author(_) => "foreign_backup",
            Self::ProjectExists(_) => "already_exists",
            Self::NotEmpty(_) => "not_empty",
            Self::OtherRestore(_) => "other_restore",
            Self::TakenOver => "taken_over",
            Self::Keyring(error) => error.code(),
        }
    }
}

impl From<io::Error> for BackupError {
    fn from(error: io::Error) -> Self {
        match error.get_ref().map(|inner| inner.downcast_ref::<OpenError>()) {
            Some(Some(_)) => Self::Damaged("it was cut off, altered, or put together from several"),
            _ => Self::Io(error),
        }
    }
}

impl From<BackendError> for BackupError {
    fn from(error: BackendError) -> Self {
        Self::Keyring(error.into())
    }
}

impl From<SealError> for BackupError {
    fn from(error: SealError) -> Self {
        Self::Keyring(error.into())
    }
}
