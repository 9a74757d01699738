//! Why somebody was not let in, as they may hear it.

use std::time::Duration;

use crate::audit::AuditError;
use crate::limits::Verdict;

/// Why somebody was not let in. It tells them no more than they may know: of all credentials that are not good it says the same.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// They presented nothing, and something is needed.
    #[error("a credential is needed, and none was presented")]
    NoCredential,
    /// What they presented is not good.
    #[error("the credential is not accepted")]
    BadCredential,
    /// They are known, and may not do it.
    #[error("permission denied")]
    Forbidden,
    /// Wrong secrets came from there, and the next one is looked at later.
    #[error("too many wrong secrets came from this address")]
    TooSoon(Duration),
    /// They ask too often.
    #[error("too many requests")]
    TooMany(Verdict),
    /// It cannot be known now who they are.
    #[error("{0}")]
    Unavailable(String),
    /// It cannot be recorded, and does not go on without.
    #[error("the audit log cannot be written: {0}")]
    Unrecorded(#[from] AuditError),
    /// It was done, and that cannot be recorded.
    #[error("it was done, and the audit log cannot be written: {0}")]
    OutcomeUnrecorded(AuditError),
}

impl Denied {
    /// Returns a short name that stays the same from version to version.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoCredential => "no_credential",
            Self::BadCredential => "bad_credential",
            Self::Forbidden => "permission_denied",
            Self::TooSoon(_) => "too_many_wrong_secrets",
            Self::TooMany(_) => "too_many_requests",
            Self::Unavailable(_) => "access_unavailable",
            Self::Unrecorded(_) => "audit_unavailable",
            Self::OutcomeUnrecorded(_) => "done_unrecorded",
        }
    }

    /// Returns after how long it makes sense to try again, if it does.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooSoon(wait) => Some(*wait),
            Self::TooMany(verdict) => Some(verdict.retry_after),
            Self::Unavailable(_) | Self::Unrecorded(_) => Some(Duration::from_secs(1)),
            Self::NoCredential | Self::BadCredential | Self::Forbidden | Self::OutcomeUnrecorded(_) => None,
        }
    }
}
