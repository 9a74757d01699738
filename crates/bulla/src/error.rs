use std::io;
use std::path::PathBuf;

use bulla_backend::{BackendError, ErrorKind};
use bulla_keyring::{IdentityError, KeyringError, NameError};
use bulla_seal::{OpenError, ProjectId, SealError};
use bulla_store::StoreError;

use crate::SettingsError;

/// Result of an operation on a project.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong with a project.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings are not as they must be.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The settings name no project.
    #[error("there is no project here: `{}` does not name one", file.display())]
    NoProject {
        /// Where it would be named.
        file: PathBuf,
    },
    /// There is a project where a new one was to be made.
    #[error("already initialized: `{}` names project {project}", file.display())]
    AlreadyInitialized {
        /// Where it is named.
        file: PathBuf,
        /// The project.
        project: ProjectId,
    },
    /// The backend holds a project of this machine that was in use, and the settings do not name it.
    #[error("already initialized: the backend holds project {project} of this machine, which `{}` does not name", file.display())]
    ProjectFound {
        /// Where it would be named.
        file: PathBuf,
        /// The project.
        project: ProjectId,
    },
    /// No setting names the identity file, and the user has no folder for it.
    #[error("there is no place for this machine's identity: neither `identity` nor HOME is set")]
    NoIdentityPlace,
    /// The identity file is missing, open to others, or no identity.
    #[error(transparent)]
    Identity(IdentityError),
    /// The file that remembers the trust log is not one.
    #[error("the trust pin `{}` cannot be used: {reason}", path.display())]
    BadPin {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A file could not be read or written.
    #[error("could not {operation} `{}`: {source}", path.display())]
    File {
        /// What failed.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// How.
        source: io::Error,
    },
    /// A name that no key can have.
    #[error("`{name}` is no name of a key: {reason}")]
    InvalidName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: NameError,
    },
    /// The keyring failed.
    #[error(transparent)]
    Keyring(KeyringError),
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
    /// A context is not as it must be.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl From<IdentityError> for Error {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Io { path, source } => Self::File { operation: "use the identity file", path, source },
            IdentityError::Random(error) => Self::Seal(error),
            error => Self::Identity(error),
        }
    }
}

impl From<KeyringError> for Error {
    fn from(error: KeyringError) -> Self {
        match error {
            KeyringError::Backend(error) => Self::Backend(error),
            error => Self::Keyring(error),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Backend(error) | StoreError::Keyring { source: KeyringError::Backend(error), .. } => {
                Self::Backend(error)
            }
            error => Self::Store(error),
        }
    }
}

impl Error {
    /// Returns the stable code of the failure.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Settings(error) => error.code(),
            Self::NoProject { .. } => "no_project",
            Self::AlreadyInitialized { .. } | Self::ProjectFound { .. } => "already_initialized",
            Self::NoIdentityPlace | Self::Identity(IdentityError::NotFound(_)) => "no_identity",
            Self::Identity(IdentityError::Exposed { .. }) => "exposed_identity",
            Self::Identity(_) => "bad_identity",
            Self::BadPin { .. } => "bad_pin",
            Self::File { .. } => "file",
            Self::InvalidName { .. } => "invalid_name",
            Self::Keyring(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Seal(_) => "cannot_seal",
            Self::Backend(error) => backend_code(error.kind()),
        }
    }

    /// Says what to do about it, where that is more than the message says.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Settings(error) => return error.hint(),
            Self::NoProject { .. } => "`bulla init` makes a project in this folder".to_owned(),
            Self::AlreadyInitialized { .. } => "`bulla status` shows the project".to_owned(),
            Self::ProjectFound { file, project } => {
                format!("if it is the one you want, put `project = \"{project}\"` into `{}`", file.display())
            }
            Self::Identity(IdentityError::NotFound(_)) => {
                "`bulla init` makes it; where it lies elsewhere, name it with `--identity`".to_owned()
            }
            Self::Identity(IdentityError::Exposed { path, .. }) => {
                format!("check who read it, then `chmod 600 {}`", path.display())
            }
            Self::BadPin { .. } => {
                "restore it from a backup; without it, an old copy of the database goes unnoticed".to_owned()
            }
            Self::Keyring(error) => return keyring_hint(error),
            Self::Store(error) => return store_hint(error),
            Self::Backend(error) => backend_hint(error.kind())?.to_owned(),
            _ => return None,
        };
        Some(hint)
    }

    /// Returns why a sealed value was not opened, if that is what failed.
    #[must_use]
    pub fn open_error(&self) -> Option<OpenError> {
        match self {
            Self::Keyring(KeyringError::Open(error)) | Self::Store(StoreError::Open { reason: error, .. }) => {
                Some(*error)
            }
            _ => None,
        }
    }
}

fn backend_code(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Conflict => "backend_conflict",
        ErrorKind::InvalidInput => "backend_input",
        ErrorKind::Unsupported => "backend_unsupported",
        ErrorKind::Unsuitable => "backend_unsuitable",
        ErrorKind::Permission => "backend_permission",
        ErrorKind::Full => "backend_full",
        ErrorKind::Corrupt => "backend_corrupt",
        ErrorKind::Unavailable => "backend_unavailable",
        _ => "backend_io",
    }
}

fn backend_hint(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::Conflict | ErrorKind::Unavailable => "try again",
        ErrorKind::Permission => "the project's folder must be writable by this user",
        ErrorKind::Full => "make room on the disk; nothing that was acknowledged is lost",
        ErrorKind::Corrupt => "restore the newest copy of the database",
        _ => return None,
    })
}

fn keyring_hint(error: &KeyringError) -> Option<String> {
    let hint = match error {
        KeyringError::NoKey(name) => format!("`bulla key new {name}` makes it; `bulla key ls` lists keys"),
        KeyringError::KeyExists(name) => format!("`bulla key rotate {name}` makes a new version of it"),
        KeyringError::OtherProject { .. } => "the settings name another project than the backend holds".to_owned(),
        KeyringError::Open(error) => return open_hint(*error),
        _ => return None,
    };
    Some(hint)
}

fn store_hint(error: &StoreError) -> Option<String> {
    match error {
        StoreError::DamagedBlob { .. } | StoreError::MissingBlob { .. } => {
            Some("nothing of it was returned; put it again, or restore it from a backup".to_owned())
        }
        StoreError::Keyring { source, .. } => keyring_hint(source),
        StoreError::NotFound(_) => Some("`bulla ls` lists entries".to_owned()),
        _ => None,
    }
}

fn open_hint(error: OpenError) -> Option<String> {
    match error {
        OpenError::CannotOpen => Some("name the context it was sealed in, all of it".to_owned()),
        OpenError::UnknownVersion(_) => {
            Some("it was sealed in another project, or under a key that this one lacks".to_owned())
        }
        _ => None,
    }
}
