//! What can go wrong in a backend: what failed, on what, and whether trying again may help.

use std::{error::Error, fmt, io};

/// Result of a backend operation.
pub type Result<T> = std::result::Result<T, BackendError>;

/// Failure of a backend operation.
#[derive(Debug)]
pub struct BackendError {
    kind: ErrorKind,
    operation: &'static str,
    detail: String,
    is_read_only: bool,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The sort of a [`BackendError`]: what a caller can decide on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Somebody else was faster: the document is not as expected, and nothing was written. Read it again.
    Conflict,
    /// The caller asked for something outside of the stated bounds.
    InvalidInput,
    /// This driver cannot do it, or was not compiled in.
    Unsupported,
    /// The place is unsuited: a network file system, a newer schema, no directory.
    Unsuitable,
    /// No permission, or a read-only place.
    Permission,
    /// No room left.
    Full,
    /// The group of a document that is filed would pass its limit; nothing was written.
    Limit,
    /// What is stored is not what was written.
    Corrupt,
    /// The storage is busy or away for now.
    Unavailable,
    /// The storage failed; the outcome of a write is unknown until it is read again.
    Io,
}

impl ErrorKind {
    /// Says whether the same call may succeed later without anybody mending anything.
    #[must_use]
    pub const fn is_temporary(self) -> bool {
        matches!(self, Self::Conflict | Self::Unavailable)
    }
}

impl BackendError {
    /// Describes a failure: `operation` as a verb phrase ("write a document"), `detail` in plain words.
    #[must_use]
    pub fn new(kind: ErrorKind, operation: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, operation, detail: detail.into(), is_read_only: false, source: None }
    }

    /// Describes a lost race.
    #[must_use]
    pub fn conflict(operation: &'static str, subject: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Conflict, operation, format!("`{subject}` is not as expected, it was changed meanwhile"))
    }

    /// Describes input outside of the stated bounds.
    #[must_use]
    pub fn invalid_input(operation: &'static str, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, operation, detail)
    }

    /// Describes something that the driver cannot do.
    #[must_use]
    pub fn unsupported(operation: &'static str, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, operation, detail)
    }

    /// Describes a failure of the system under a driver; `subject` is what it happened on, mostly a path.
    #[must_use]
    pub fn io(operation: &'static str, subject: impl fmt::Display, error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Permission,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => ErrorKind::Full,
            io::ErrorKind::NotADirectory => ErrorKind::Unsuitable,
            _ => ErrorKind::Io,
        };
        let is_read_only = error.kind() == io::ErrorKind::ReadOnlyFilesystem;
        Self::new(kind, operation, format!("`{subject}`: {error}")).with_source(error).on_read_only(is_read_only)
    }

    /// Says whether it is that the disk is mounted read-only.
    #[must_use]
    pub(crate) fn on_read_only(self, is_read_only: bool) -> Self {
        Self { is_read_only, ..self }
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns the sort of the failure.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Says whether nothing can be written because the disk is mounted read-only ([`ErrorKind::Permission`]). What is on it can be read.
    #[must_use]
    pub const fn is_read_only(&self) -> bool {
        self.is_read_only
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {}: {}", self.operation, self.detail)
    }
}

impl Error for BackendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
