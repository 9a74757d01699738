//! What can go wrong with an audit log.

use std::fmt;
use std::io;

use bulla_backend::BackendError;

use super::note::NoteError;

/// Result of an operation on an audit log.
pub type Result<T> = std::result::Result<T, AuditError>;

/// Failure of an audit log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// What is there is not what was written.
    #[error("the audit log was altered: {0}; keep it as it is, and compare it with a copy")]
    Altered(String),
    /// There is less than there was.
    #[error("the audit log was cut or rolled back: {0}; keep it as it is, and compare it with a copy")]
    Truncated(String),
    /// There is no log, or no checkpoint of it.
    #[error("the audit log is incomplete: {0}")]
    Missing(String),
    /// The disk or the backend failed.
    #[error("could not {operation}: {detail}")]
    Storage {
        /// What was being done.
        operation: &'static str,
        /// How it failed.
        detail: String,
        /// Of which sort that is.
        kind: io::ErrorKind,
    },
    /// Too many events wait for the disk.
    #[error("{0} events wait for the disk already; try again")]
    Busy(usize),
    /// The log was closed, or its writer has ended.
    #[error("the audit log is closed; open it again")]
    Closed,
    /// This process was forked from the one that opened the log.
    #[error("the audit log was opened by the process that this one was forked from; open it here")]
    Forked,
    /// The cryptographic library failed, or the system gave no random bytes.
    #[error("could not sign or draw random bytes: {0}")]
    Library(String),
    /// A proof is not one, or proves something else.
    #[error("the proof is refused: {0}")]
    Refused(&'static str),
    /// A checkpoint or proof is not signed as it should be.
    #[error("{0}")]
    Note(#[from] NoteError),
}

impl AuditError {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Altered(_) => "altered",
            Self::Truncated(_) => "truncated",
            Self::Missing(_) => "missing",
            Self::Storage { .. } => "storage",
            Self::Busy(_) => "busy",
            Self::Closed => "closed",
            Self::Forked => "forked",
            Self::Library(_) => "library",
            Self::Refused(_) => "refused",
            Self::Note(error) => error.code(),
        }
    }

    /// Says whether nothing can be written there, since the disk is read-only.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        matches!(self, Self::Storage { kind: io::ErrorKind::ReadOnlyFilesystem, .. })
    }

    /// Says whether there is no room, or nothing can be written there at all.
    #[must_use]
    pub fn is_unwritable(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        matches!(self, Self::Storage { kind: QuotaExceeded | ReadOnlyFilesystem | StorageFull, .. })
    }

    pub(super) fn io(operation: &'static str, subject: impl fmt::Display, error: &io::Error) -> Self {
        Self::Storage { operation, detail: format!("`{subject}`: {error}"), kind: error.kind() }
    }

    pub(super) fn backend(operation: &'static str, error: &BackendError) -> Self {
        Self::Storage { operation, detail: error.to_string(), kind: io::ErrorKind::Other }
    }
}
