//! What SQLite's result codes mean to a caller.

use std::{io, path::Path, sync::Arc};

use rusqlite::{ErrorCode, ffi};

use crate::{BackendError, ErrorKind};

/// Result of a step of an operation.
pub(super) type Attempt<T> = Result<T, Failure>;

/// Why a step failed, before it is known which operation it belonged to. Cloned for every request of a batch.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) kind: ErrorKind,
    detail: String,
    is_read_only: bool,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Failure {
    pub(super) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), is_read_only: false, source: None }
    }

    /// Describes a write to a database that lies on a read-only disk.
    pub(super) fn read_only(database: &Path) -> Self {
        let detail = format!(
            "`{}` lies on a disk that was mounted read-only when it was opened; mount the disk writable and open it anew",
            database.display()
        );
        Self { is_read_only: true, ..Self::new(ErrorKind::Permission, detail) }
    }

    /// Describes a file system error on one of the database's files.
    pub(super) fn io(what: &str, error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Permission,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Full,
            io::ErrorKind::NotADirectory | io::ErrorKind::NotFound => ErrorKind::Unsuitable,
            _ => ErrorKind::Io,
        };
        let is_read_only = error.kind() == io::ErrorKind::ReadOnlyFilesystem;
        Self { kind, detail: format!("{what}: {error}"), is_read_only, source: Some(Arc::new(error)) }
    }

    /// Says whether it is that the disk is mounted read-only.
    pub(super) fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    /// Says whether the shared index of the log is of no use until somebody mends it who can write to it.
    pub(super) fn wants_recovery(&self) -> bool {
        let error = self.source.as_ref().and_then(|source| source.downcast_ref::<rusqlite::Error>());
        let code = error.and_then(rusqlite::Error::sqlite_error).map(|error| error.extended_code);
        matches!(code, Some(ffi::SQLITE_READONLY_RECOVERY | ffi::SQLITE_READONLY_CANTINIT))
    }

    /// Names the operation that the failure ended.
    pub(super) fn during(self, operation: &'static str) -> BackendError {
        let error = BackendError::new(self.kind, operation, self.detail).on_read_only(self.is_read_only);
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        let (kind, meaning) = classify(&error);
        Self { kind, detail: format!("{meaning} ({error})"), is_read_only: false, source: Some(Arc::new(error)) }
    }
}

/// Sorts an error; see <https://www.sqlite.org/rescode.html>.
fn classify(error: &rusqlite::Error) -> (ErrorKind, &'static str) {
    let rusqlite::Error::SqliteFailure(failure, _) = error else {
        // A column of another type than the schema says, or a number that no writer of ours has put there.
        return (ErrorKind::Corrupt, "the database holds something else than its schema says");
    };
    match failure.extended_code {
        ffi::SQLITE_READONLY_DBMOVED => {
            return (ErrorKind::Unsuitable, "the database file was moved or deleted while it was in use");
        }
        ffi::SQLITE_IOERR_NOMEM => return (ErrorKind::Unavailable, "there is no memory left"),
        ffi::SQLITE_IOERR_CORRUPTFS | ffi::SQLITE_IOERR_DATA => {
            return (ErrorKind::Corrupt, "the file system reports damaged data");
        }
        _ => {}
    }
    match failure.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
            (ErrorKind::Unavailable, "another process keeps the database locked; try again")
        }
        ErrorCode::OperationAborted | ErrorCode::OperationInterrupted | ErrorCode::SchemaChanged => {
            (ErrorKind::Unavailable, "the database was interrupted; try again")
        }
        ErrorCode::OutOfMemory => (ErrorKind::Unavailable, "there is no memory left"),
        ErrorCode::DiskFull => (ErrorKind::Full, "no room is left on the disk, or within the quota"),
        ErrorCode::ReadOnly
        | ErrorCode::PermissionDenied
        | ErrorCode::AuthorizationForStatementDenied
        | ErrorCode::CannotOpen => {
            (ErrorKind::Permission, "this user must be able to read and write the database file and its folder")
        }
        // `Unknown` stands for SQLITE_ERROR: our fixed statements fail so only where tables are not as our schema makes them.
        ErrorCode::DatabaseCorrupt
        | ErrorCode::NotADatabase
        | ErrorCode::ConstraintViolation
        | ErrorCode::TypeMismatch
        | ErrorCode::Unknown => (ErrorKind::Corrupt, "the database file is damaged, or not one of ours"),
        ErrorCode::TooBig => (ErrorKind::InvalidInput, "a value is too large for the database"),
        _ => (ErrorKind::Io, "the database failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_code_has_a_kind() {
        let check = |code, kind| {
            let failure = Failure::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
            assert_eq!(failure.kind, kind, "result code {code}");
        };
        for code in [ffi::SQLITE_BUSY, ffi::SQLITE_BUSY_SNAPSHOT, ffi::SQLITE_LOCKED, ffi::SQLITE_PROTOCOL] {
            check(code, ErrorKind::Unavailable);
        }
        for code in [ffi::SQLITE_NOMEM, ffi::SQLITE_IOERR_NOMEM, ffi::SQLITE_INTERRUPT, ffi::SQLITE_ABORT] {
            check(code, ErrorKind::Unavailable);
        }
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB, ffi::SQLITE_CONSTRAINT, ffi::SQLITE_IOERR_DATA] {
            check(code, ErrorKind::Corrupt);
        }
        for code in [ffi::SQLITE_IOERR, ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_INTERNAL] {
            check(code, ErrorKind::Io);
        }
        for code in [ffi::SQLITE_READONLY, ffi::SQLITE_PERM, ffi::SQLITE_CANTOPEN, ffi::SQLITE_AUTH] {
            check(code, ErrorKind::Permission);
        }
        check(ffi::SQLITE_FULL, ErrorKind::Full);
        check(ffi::SQLITE_TOOBIG, ErrorKind::InvalidInput);
        check(ffi::SQLITE_READONLY_DBMOVED, ErrorKind::Unsuitable);
    }

    #[test]
    fn what_does_not_fit_the_schema_is_corrupt() {
        let failure = Failure::from(rusqlite::Error::IntegralValueOutOfRange(1, -1));
        assert_eq!(failure.kind, ErrorKind::Corrupt);
    }
}
