//! Alerts: what in the stream of events somebody has to hear of. Rules are data, and nothing here sends anything.

mod deliver;
mod watch;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use bulla_backend::Timestamp;

pub use self::deliver::{sign_webhook, verify_webhook};
pub use self::watch::AlertWatch;
use super::event::Level;
use super::verdict::Verdict;

/// Why somebody is alerted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AlertKind {
    /// One principal failed to sign in again and again.
    PrincipalFailures,
    /// One address did.
    AddressFailures,
    /// A security violation.
    Violation,
    /// A machine was let in by one that should not.
    UnexpectedAuthoriser,
    /// A log is not what was signed.
    Tampering,
    /// Events were lost.
    Gap,
    /// A key expires soon.
    ExpiringKey,
}

impl AlertKind {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::PrincipalFailures => "principal_failures",
            Self::AddressFailures => "address_failures",
            Self::Violation => "violation",
            Self::UnexpectedAuthoriser => "unexpected_authoriser",
            Self::Tampering => "tampering",
            Self::Gap => "gap",
            Self::ExpiringKey => "expiring_key",
        }
    }
}

impl fmt::Display for AlertKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// How often is too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// That many.
    pub count: usize,
    /// Within this time.
    pub window: Duration,
}

/// What somebody has to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AlertRules {
    /// Failed sign-ins of one principal: 5 in 5 minutes.
    pub principal_failures: Option<Threshold>,
    /// Failed sign-ins from one address: 20 in 5 minutes.
    pub address_failures: Option<Threshold>,
    /// Security violations this loud: high and critical.
    pub violations: Level,
    /// The fingerprints of machines that may let others in; `None` if any may. Held to the field `authoriser` of `authorize`.
    pub authorisers: Option<BTreeSet<String>>,
    /// How long further alerts of one kind about one subject are counted, and not raised: 5 minutes.
    pub quiet: Duration,
}

impl Default for AlertRules {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Self {
            principal_failures: Some(Threshold { count: 5, window: minutes(5) }),
            address_failures: Some(Threshold { count: 20, window: minutes(5) }),
            violations: Level::Error,
            authorisers: None,
            quiet: minutes(5),
        }
    }
}

/// Something that somebody has to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alert {
    /// Why.
    pub kind: AlertKind,
    /// When.
    pub time: Timestamp,
    /// How loud.
    pub level: Level,
    /// Whom or what it is about; an identifier is blinded.
    pub subject: String,
    /// What happened, in plain words.
    pub detail: String,
    /// How many more of this kind and subject there were since the one before, which were not raised.
    pub suppressed: u64,
    /// The event that set it off.
    pub index: Option<u64>,
}

impl Alert {
    pub(super) fn new(kind: AlertKind, time: Timestamp, level: Level, subject: String, detail: String) -> Self {
        Self { kind, time, level, subject, detail, suppressed: 0, index: None }
    }

    /// Makes an alert of a log that is not what was signed.
    #[must_use]
    pub fn of_verdict(log: &str, verdict: &Verdict, time: Timestamp) -> Option<Self> {
        let is_bad = matches!(verdict, Verdict::Altered(_) | Verdict::Truncated(_));
        is_bad.then(|| Self::new(AlertKind::Tampering, time, Level::Critical, log.to_owned(), verdict.to_string()))
    }

    /// Makes alerts of keys that expire within a time, or have.
    pub fn of_keys<'k>(
        keys: impl IntoIterator<Item = (&'k str, Timestamp)>,
        now: Timestamp,
        within: Duration,
    ) -> impl Iterator<Item = Self> {
        let soon = now.saturating_add(within);
        keys.into_iter().filter(move |(_, expires)| *expires <= soon).map(move |(name, expires)| {
            let (level, detail) = if expires <= now {
                (Level::Error, format!("{name} has expired"))
            } else {
                let hours = (expires.0 - now.0).div_ceil(3_600_000);
                (Level::Warning, format!("{name} expires within {hours} hours"))
            };
            Self::new(AlertKind::ExpiringKey, now, level, name.to_owned(), detail)
        })
    }
}
