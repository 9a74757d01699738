//! What can go wrong when it is changed or asked who may do what, with stable codes.

use bulla_backend::{BackendError, ErrorKind};
use bulla_keyring::KeyringError;
use bulla_seal::SealError;

use super::{AppRoleName, BindingName, CredentialId, MAX_DOCUMENTS, PolicyError, PolicyName, RoleName, UserName};

/// Failure of an operation of [`Access`](super::Access).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// No user of that name.
    #[error("unknown user: {0}")]
    UnknownUser(UserName),
    /// A user of that name exists.
    #[error("there is a user named `{0}` already")]
    UserExists(UserName),
    /// No role of that name.
    #[error("unknown role: {0}")]
    UnknownRole(RoleName),
    /// A role that Bulla brings along.
    #[error("the role `{0}` is built in; define another one")]
    BuiltInRole(RoleName),
    /// A role that somebody has.
    #[error("the role `{role}` is in use by {holder}; remove it there first")]
    RoleInUse {
        /// Which role.
        role: RoleName,
        /// Who has it.
        holder: String,
    },
    /// No API key of that id.
    #[error("unknown API key: {0}")]
    UnknownKey(CredentialId),
    /// An API key that was revoked, or has expired.
    #[error("the API key {0} is revoked or has expired; create another one")]
    KeyEnded(CredentialId),
    /// No policy of that name.
    #[error("unknown policy: {0}")]
    UnknownPolicy(PolicyName),
    /// A policy that cannot be written or deleted.
    #[error("the policy `{0}` is built in")]
    BuiltInPolicy(PolicyName),
    /// A text that is no policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// No `AppRole` of that name.
    #[error("unknown AppRole: {0}")]
    UnknownAppRole(AppRoleName),
    /// No binding of that name.
    #[error("unknown binding: {0}")]
    UnknownBinding(BindingName),
    /// No token, or none any more.
    #[error("unknown token")]
    UnknownToken,
    /// A token that is not renewed.
    #[error("the token is not renewable")]
    NotRenewable,
    /// Whoever asks may not hand out what it asks for.
    #[error("{0}")]
    NotPermitted(&'static str),
    /// Something out of its bounds.
    #[error("{what} {bound}")]
    Invalid {
        /// What was given.
        what: &'static str,
        /// What its bounds are.
        bound: &'static str,
    },
    /// More than there may be.
    #[error("there are {MAX_DOCUMENTS} users, keys, roles, policies and bindings; delete some")]
    Full,
    /// Others changed it each time that it was about to be written.
    #[error("who may do what was changed by others again and again; try again")]
    Conflict,
    /// The backend cannot change several documents at once.
    #[error("this backend changes one document at a time; users and roles need one that commits several, as SQLite")]
    NoCommit,
    /// What was stored could not be read for too long.
    #[error("who may do what could not be read for {seconds} s; nobody is let in meanwhile")]
    Stale {
        /// How long.
        seconds: u64,
        /// Why.
        #[source]
        source: Box<AccessError>,
    },
    /// The database was put back to an older state.
    #[error(
        "users, roles and keys were put back to generation {found}, {seen} was seen before; where that was a restore, accept it"
    )]
    Rollback {
        /// The generation that was seen.
        seen: u64,
        /// The generation that was found.
        found: u64,
    },
    /// What was stored is not what was written.
    #[error("{what} was altered, moved, deleted or put back by somebody else: {reason}")]
    Corrupt {
        /// Which document.
        what: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The keyring refuses.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The backend fails.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// Nothing can be drawn or sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Result of an operation of [`Access`](super::Access).
pub type Result<T> = std::result::Result<T, AccessError>;

impl AccessError {
    /// Returns a short name that stays the same from version to version.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownUser(_) => "unknown_user",
            Self::UserExists(_) => "user_exists",
            Self::UnknownRole(_) => "unknown_role",
            Self::BuiltInRole(_) => "built_in_role",
            Self::RoleInUse { .. } => "role_in_use",
            Self::UnknownKey(_) => "unknown_api_key",
            Self::KeyEnded(_) => "api_key_ended",
            Self::UnknownPolicy(_) => "unknown_policy",
            Self::BuiltInPolicy(_) => "built_in_policy",
            Self::Policy(_) => "bad_policy",
            Self::UnknownAppRole(_) => "unknown_approle",
            Self::UnknownBinding(_) => "unknown_binding",
            Self::UnknownToken => "unknown_token",
            Self::NotRenewable => "not_renewable",
            Self::NotPermitted(_) => "not_permitted",
            Self::Invalid { .. } => "invalid_input",
            Self::Full => "full",
            Self::Conflict => "conflict",
            Self::NoCommit => "unsupported_backend",
            Self::Stale { .. } => "stale",
            Self::Rollback { .. } => "rollback",
            Self::Corrupt { .. } => "corrupt",
            Self::Keyring(error) => error.code(),
            Self::Backend(_) => "backend",
            Self::Seal(_) => "cannot_seal",
        }
    }

    pub(crate) fn corrupt(what: impl Into<String>, reason: &'static str) -> Self {
        Self::Corrupt { what: what.into(), reason }
    }

    /// Says whether the storage did not answer: what was read before may serve for a while.
    pub(crate) fn is_of_storage(&self) -> bool {
        match self {
            Self::Backend(_) | Self::Keyring(KeyringError::Backend(_)) => true,
            // The log cannot be read; the rest may follow from that.
            Self::Keyring(KeyringError::Stale { .. }) => true,
            _ => false,
        }
    }

    /// Says whether somebody else was faster, so that nothing was written.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Backend(error) if error.kind() == ErrorKind::Conflict)
    }
}
