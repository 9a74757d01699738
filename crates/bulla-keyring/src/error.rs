//! What can go wrong in a keyring, with stable codes.

use bulla_backend::BackendError;
use bulla_seal::{OpenError, ProjectId, SealError};

use crate::{Fingerprint, KeyName, TrustLogError};

/// Result of a keyring operation.
pub type Result<T> = std::result::Result<T, KeyringError>;

/// Failure of a keyring operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// The database holds no project.
    #[error("there is no project in this database; create one")]
    NoProject,
    /// The database holds a project already.
    #[error("this database is already initialized: it holds project {project}")]
    ProjectExists {
        /// The project, as its root record names it.
        project: ProjectId,
        /// Whether the calling machine's identity signed that root record.
        ours: bool,
    },
    /// The database holds another project than the one that was pinned.
    #[error("this database holds project {found}, expected was {pinned}")]
    OtherProject {
        /// The project that the caller pinned.
        pinned: ProjectId,
        /// The project that the database holds.
        found: ProjectId,
    },
    /// No key of that name.
    #[error("there is no key named `{0}`")]
    NoKey(KeyName),
    /// A key of that name exists.
    #[error("there is a key named `{0}` already")]
    KeyExists(KeyName),
    /// A name that belongs to Bulla itself.
    #[error("`{0}` cannot be used: names under `sys` belong to Bulla itself")]
    Reserved(KeyName),
    /// The machine was not let in.
    #[error("machine {0} was not let in to this project; authorize it on a machine that may")]
    NoGrant(Fingerprint),
    /// The machine was let in, but a data key is missing or unreadable.
    #[error("the data key of epoch {epoch} is not available to this machine: {reason}")]
    NoDataKey {
        /// Which data key.
        epoch: u64,
        /// Why it is not available.
        reason: &'static str,
    },
    /// The trust log is older than, or differs from, what was seen before.
    #[error(
        "the trust log went back: {pinned} records were seen before, now {found} agree with them; \
         restore the newest copy of the database"
    )]
    Rollback {
        /// Length of the log that was seen before.
        pinned: u64,
        /// How many records of it there are now, at most.
        found: u64,
    },
    /// A key is older than what this process has seen.
    #[error("key `{name}` went back from version {seen} to {found}; restore the newest copy of the database")]
    KeyRollback {
        /// Which key.
        name: KeyName,
        /// The newest version seen before.
        seen: u64,
        /// The newest version there is now.
        found: u64,
    },
    /// A key has another newest version than this process has seen, under the same number.
    #[error(
        "key `{name}` has another version {number} than was seen before: an older copy of the database was restored, and the key \
         rotated; restore the newest copy"
    )]
    KeyForked {
        /// Which key.
        name: KeyName,
        /// The number of both versions.
        number: u64,
    },
    /// A key, or its newest version, is protected by the data key of an older epoch: it opens, but nothing may be sealed under it.
    #[error(
        "{document} is of epoch {epoch}, the project is in epoch {current}: it opens, but nothing is sealed under it before it is \
         written anew"
    )]
    OldEpoch {
        /// Which document, in words.
        document: String,
        /// Its epoch.
        epoch: u64,
        /// The current epoch.
        current: u64,
    },
    /// A record of the trust log is not what it must be.
    #[error("the trust log is not valid: {0}")]
    TrustLog(#[from] TrustLogError),
    /// A document is not what it must be.
    #[error("{document} is corrupt: {reason}")]
    Corrupt {
        /// Which document, in words.
        document: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Other writers were faster, again and again.
    #[error("{0} was changed by others again and again; try once more")]
    Conflict(String),
    /// A sealed value was not opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A value was not sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl KeyringError {
    /// Returns the stable code of the failure, as `spec/keyring.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoProject | Self::NoKey(_) => "not_found",
            Self::ProjectExists { .. } | Self::KeyExists(_) => "already_exists",
            Self::OtherProject { .. } => "other_project",
            Self::Reserved(_) => "reserved_name",
            Self::NoGrant(_) => "no_grant",
            Self::NoDataKey { .. } => "no_data_key",
            Self::Rollback { .. } | Self::KeyRollback { .. } | Self::KeyForked { .. } => "rollback",
            Self::OldEpoch { .. } => "old_epoch",
            Self::TrustLog(_) => "trust_log",
            Self::Corrupt { .. } => "corrupt",
            Self::Conflict(_) => "conflict",
            Self::Open(error) => error.code(),
            Self::Seal(_) => "cannot_seal",
            Self::Backend(_) => "backend",
        }
    }

    pub(crate) fn corrupt(document: impl Into<String>, reason: &'static str) -> Self {
        Self::Corrupt { document: document.into(), reason }
    }
}
