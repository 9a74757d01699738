//! Why a command failed: a stable code, a message, what to do about it, and the exit code.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;

use bulla::guard::access::AccessError;
use bulla::guard::audit::AuditError;
use bulla::source::{RemoteProblem, SourceError};
use bulla::{
    ArchiveError, BackupError, ErrorKind, IdentityError, KeyringError, OpenError, PassphraseError, SettingsError,
    StoreError, UnlockError,
};
use serde_json::{Value, json};

/// Result of a command.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// How the program ends. `docs/exit-codes.md` and the help say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The work failed, in a way that has no code of its own.
    Failed = 1,
    /// The command or a setting is not as it must be.
    Usage = 2,
    /// What was named is not there.
    NotFound = 3,
    /// It was refused: it does not open, is damaged, or this machine may not.
    Refused = 4,
    /// It exists already, or is not as expected.
    Conflict = 5,
    /// The backend or a file cannot be used now.
    Unavailable = 6,
    /// Damage was found, or machines that should not be in.
    Damage = 7,
    /// The limit of a namespace is reached.
    Full = 8,
    /// The audit log is not what was signed.
    AuditAltered = 10,
    /// Something of the audit log is gone.
    AuditTruncated = 11,
    /// The audit log cannot be verified.
    AuditUnverifiable = 12,
    /// Whoever read our output went away, as the shell reports it for programs that die of it (128 + SIGPIPE).
    ClosedPipe = 141,
}

impl Exit {
    /// Sorts a failure of the library.
    fn of(error: &bulla::Error) -> Self {
        use bulla::Error;
        match error {
            Error::Settings(_) | Error::NoIdentityPlace | Error::InvalidName { .. } | Error::Seal(_) => Self::Usage,
            Error::NoProject { .. } | Error::Identity(IdentityError::NotFound(_)) => Self::NotFound,
            Error::AlreadyInitialized { .. } | Error::ProjectFound { .. } => Self::Conflict,
            Error::Identity(_) | Error::BadPin { .. } | Error::PassphraseNeeded { .. } => Self::Refused,
            Error::Unlock { source: UnlockError::Refused, .. } => Self::Refused,
            Error::NotBuilt { .. } | Error::NoOsKeyring => Self::Usage,
            Error::Source { source, .. } => match source {
                SourceError::NoVariable(_) | SourceError::NoFile(_) => Self::NotFound,
                SourceError::Remote { problem: RemoteProblem::Missing, .. } => Self::NotFound,
                SourceError::Exposed { .. } | SourceError::Remote { problem: RemoteProblem::Refused, .. } => {
                    Self::Refused
                }
                _ => Self::Unavailable,
            },
            Error::SourceEncoding { .. } => Self::Refused,
            Error::SourceUnchanged { .. } | Error::InUse(_) => Self::Conflict,
            Error::OsKeyring { .. } => Self::Unavailable,
            Error::Passphrase(error) => match error {
                PassphraseError::Exposed { .. } => Self::Refused,
                PassphraseError::Length => Self::Usage,
                PassphraseError::File { source, .. } if source.kind() == io::ErrorKind::NotFound => Self::NotFound,
                _ => Self::Unavailable,
            },
            Error::File { .. } => Self::Unavailable,
            Error::Backup { source, .. } => match source {
                BackupError::ProjectExists(_)
                | BackupError::NotEmpty(_)
                | BackupError::OtherRestore(_)
                | BackupError::TakenOver => Self::Conflict,
                _ => Self::Refused,
            },
            Error::Backend(error) => match error.kind() {
                ErrorKind::Conflict => Self::Conflict,
                ErrorKind::InvalidInput => Self::Usage,
                ErrorKind::Corrupt => Self::Refused,
                _ => Self::Unavailable,
            },
            Error::Access(error) => match error {
                AccessError::Rollback { .. } | AccessError::Corrupt { .. } => Self::Refused,
                AccessError::Stale { .. } => Self::Unavailable,
                AccessError::Conflict => Self::Conflict,
                _ => Self::Failed,
            },
            Error::Audit(error) => match error {
                AuditError::Altered(_) => Self::AuditAltered,
                AuditError::Truncated(_) => Self::AuditTruncated,
                AuditError::Storage { .. } | AuditError::Busy(_) => Self::Unavailable,
                _ => Self::AuditUnverifiable,
            },
            Error::Keyring(error) => Self::of_keyring(error),
            Error::Archive(error) => match error {
                ArchiveError::EntryExists(_) => Self::Conflict,
                ArchiveError::Io(_) => Self::Unavailable,
                _ => Self::Refused,
            },
            Error::Store(error) => match error {
                StoreError::InvalidNamespace { .. } | StoreError::InvalidName(_) | StoreError::InvalidEntry { .. } => {
                    Self::Usage
                }
                StoreError::InvalidSettings { .. } | StoreError::BlindedPrefix | StoreError::BlindedSegments => {
                    Self::Usage
                }
                StoreError::NotFound(_) | StoreError::NotQuarantined { .. } => Self::NotFound,
                StoreError::Occupied(_) | StoreError::SettingsConflict(_) => Self::Conflict,
                StoreError::OpenSettings { .. }
                | StoreError::BadSettings { .. }
                | StoreError::SettingsMissing(_)
                | StoreError::SettingsRolledBack { .. }
                | StoreError::BadQuarantineRecord { .. } => Self::Refused,
                StoreError::VersionMismatch { .. }
                | StoreError::Conflict(_)
                | StoreError::BlobCollected(_)
                | StoreError::ModeChanged(_) => Self::Conflict,
                StoreError::Keyring { source, .. } => Self::of_keyring(source),
                StoreError::KeyMissing { .. } | StoreError::UnsuitableKey { .. } => Self::Refused,
                StoreError::LimitReached(_) | StoreError::OverLimit { .. } => Self::Full,
                StoreError::NoEviction(_) => Self::Usage,
                StoreError::InvalidContentName | StoreError::TransactionTooLarge => Self::Usage,
                StoreError::NotANumber(_)
                | StoreError::Overflow(_)
                | StoreError::TransactionConflict(_)
                | StoreError::ComputationBusy(_) => Self::Conflict,
                StoreError::ContentMismatch(_) => Self::Refused,
                error if error.is_integrity_failure() => Self::Refused,
                _ => Self::Failed,
            },
            _ => Self::Failed,
        }
    }

    fn of_keyring(error: &KeyringError) -> Self {
        match error {
            KeyringError::NoProject
            | KeyringError::NoKey(_)
            | KeyringError::NoVersion { .. }
            | KeyringError::NoMachine(_)
            | KeyringError::NotPending(_) => Self::NotFound,
            KeyringError::ProjectExists { .. }
            | KeyringError::KeyExists(_)
            | KeyringError::MachineExists { .. }
            | KeyringError::MaterialInUse { .. }
            | KeyringError::Conflict(_)
            | KeyringError::Busy { .. }
            | KeyringError::LeaseLost => Self::Conflict,
            KeyringError::Reserved(_)
            | KeyringError::AmbiguousMachine { .. }
            | KeyringError::EmptyMachine
            | KeyringError::WrongUse { .. }
            | KeyringError::Setting { .. }
            | KeyringError::RandomLength(_) => Self::Usage,
            // Material, or a message, that the algorithm cannot have; that the system gives no random bytes is none's fault.
            KeyringError::Seal(bulla::SealError::Random | bulla::SealError::Library) => Self::Failed,
            KeyringError::Seal(_) => Self::Usage,
            KeyringError::Backend(_) | KeyringError::Stale { .. } => Self::Unavailable,
            // No grant, put out, may not do it, would be the last; no data key, rolled back, corrupt, or a value that does not open.
            _ => Self::Refused,
        }
    }

    /// The last part of the help.
    pub(crate) const HELP: &'static str = "\
Exit codes:
    0  it was done
    1  it failed
    2  the command, or a setting, is not as it must be
    3  not found
    4  refused: it does not open, is damaged, or this machine may not
    5  conflict: it exists already, or is not as expected
    6  the backend, or a file, cannot be used now
    7  damage was found, or machines that should not be in
    8  the limit of a namespace is reached
   10  the audit log was altered
   11  something of the audit log is gone, or it was rolled back
   12  the audit log cannot be verified
  141  whoever read the output went away";
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: &'static str,
    message: String,
    hint: Option<String>,
    exit: Exit,
}

impl Failure {
    pub(crate) fn new(exit: Exit, code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, exit }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }

    /// Describes what the demo found not to be as promised.
    pub(crate) fn demo(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, "demo", message)
    }

    /// Takes over what the parser of arguments says.
    pub(crate) fn from_usage(error: &clap::Error) -> Self {
        let text = error.to_string();
        let message = text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned();
        Self::usage(message)
    }

    /// Describes what the system said about a file.
    pub(crate) fn file(operation: &str, path: &Path, error: &io::Error) -> Self {
        let (exit, code) = match error.kind() {
            io::ErrorKind::BrokenPipe => return Self::closed_pipe(),
            io::ErrorKind::NotFound => (Exit::NotFound, "file_not_found"),
            io::ErrorKind::AlreadyExists => (Exit::Conflict, "file_exists"),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                (Exit::Unavailable, "file_permission")
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                (Exit::Unavailable, "file_full")
            }
            _ => (Exit::Failed, "file"),
        };
        let failure = Self::new(exit, code, format!("could not {operation} `{}`: {error}", path.display()));
        match error.kind() {
            io::ErrorKind::ReadOnlyFilesystem => {
                failure.with_hint("the disk is mounted read-only: name a place on another, or mount it writable")
            }
            _ => failure,
        }
    }

    pub(crate) fn closed_pipe() -> Self {
        Self::new(Exit::ClosedPipe, "closed_pipe", "whoever read the output went away")
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says which input it is about.
    pub(crate) fn about(mut self, input: &str) -> Self {
        self.message = format!("`{input}`: {}", self.message);
        self
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Returns what failed, without what to do about it.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Returns what to do about it.
    pub(crate) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Says whether there is nobody left to tell.
    pub(crate) fn is_silent(&self) -> bool {
        self.exit == Exit::ClosedPipe
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({ "code": self.code, "message": self.message, "hint": self.hint })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        let exit = match &error {
            SettingsError::File { source, .. } if source.kind() == io::ErrorKind::NotFound => Exit::NotFound,
            SettingsError::File { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => Exit::Conflict,
            SettingsError::File { .. } => Exit::Unavailable,
            SettingsError::SourceExists { .. } => Exit::Conflict,
            _ => Exit::Usage,
        };
        Self { code: error.code(), message: error.to_string(), hint: error.hint(), exit }
    }
}

impl From<bulla::Error> for Failure {
    fn from(error: bulla::Error) -> Self {
        let (code, message, hint) = (error.code(), error.to_string(), error.hint());
        match error {
            bulla::Error::Settings(error) => error.into(),
            error => Self { code, message, hint, exit: Exit::of(&error) },
        }
    }
}

impl From<bulla::SealError> for Failure {
    fn from(error: bulla::SealError) -> Self {
        bulla::Error::from(error).into()
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let failure = Self::new(Exit::Refused, error.code(), error.to_string());
        match error {
            OpenError::CannotOpen => failure.with_hint(
                "name the context it was sealed in with `--context`; a file of a sealed folder has `path=PATH`",
            ),
            OpenError::UnknownVersion(_) => failure.with_hint("it may belong to another project"),
            _ => failure,
        }
    }
}

/// Finds the refusal that an error of reading wraps.
pub(crate) fn open_error(error: &io::Error) -> Option<OpenError> {
    error.get_ref().and_then(|inner| (inner as &(dyn Error + 'static)).downcast_ref()).copied()
}
