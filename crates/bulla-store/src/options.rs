//! What a caller can ask for beyond a name and a value.

use std::fmt;
use std::time::Duration;

use bulla_backend::Timestamp;

/// How long an entry is to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lifetime {
    /// As the settings of its namespace say: until it is replaced or removed, if they say nothing.
    #[default]
    Inherited,
    /// Until it is replaced or removed.
    Unlimited,
    /// So long from when it is put.
    For(Duration),
    /// Until that moment.
    Until(Timestamp),
}

impl Lifetime {
    /// Returns when an entry expires that is put at `now` in a namespace with such a lifetime.
    #[must_use]
    pub fn expires(self, now: Timestamp, inherited: Option<Duration>) -> Option<Timestamp> {
        match self {
            Self::Inherited => inherited.map(|duration| now.saturating_add(duration)),
            Self::Unlimited => None,
            Self::For(duration) => Some(now.saturating_add(duration)),
            Self::Until(moment) => Some(moment),
        }
    }
}

/// Which version of an entry a caller expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExpectedVersion {
    /// Whatever there is: the last writer wins.
    #[default]
    Any,
    /// No entry, or one that has expired.
    Absent,
    /// This version.
    Version(u64),
}

impl ExpectedVersion {
    /// Says whether this is what was found.
    #[must_use]
    pub fn holds(self, found: Option<u64>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => found.is_none(),
            Self::Version(version) => found == Some(version),
        }
    }
}

impl fmt::Display for ExpectedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any version"),
            Self::Absent => f.write_str("no entry"),
            Self::Version(version) => write!(f, "version {version}"),
        }
    }
}

/// How to put an entry. By default it lives as long as the namespace says, and replaces whatever there is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PutOptions {
    /// How long it is to live.
    pub lifetime: Lifetime,
    /// What the value is: 1 to [`MAX_MEDIA_TYPE_LEN`](crate::MAX_MEDIA_TYPE_LEN) printable ASCII characters.
    pub media_type: Option<String>,
    /// At most [`MAX_TAGS`](crate::MAX_TAGS) tags, of 1 to [`MAX_TAG_LEN`](crate::MAX_TAG_LEN) bytes each, in any
    /// order.
    pub tags: Vec<String>,
    /// What must be there.
    pub expected: ExpectedVersion,
    /// Whether the value is encrypted in whatever mode the namespace is, and kept from memory tiers.
    pub sensitive: bool,
    /// How long it took to compute the value: what early recomputation goes by.
    pub compute_time: Option<Duration>,
}

/// How to read an entry. By default, whatever version there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GetOptions {
    /// Which version must be there.
    pub expected: Option<u64>,
}

impl GetOptions {
    /// Expects a version: how a reader who knows it finds that an old entry was put back.
    #[must_use]
    pub const fn version(version: u64) -> Self {
        Self { expected: Some(version) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_end_when_they_say() {
        let now = Timestamp(5_000);
        let minute = Some(Duration::from_mins(1));
        assert_eq!(Lifetime::Inherited.expires(now, None), None);
        assert_eq!(Lifetime::Inherited.expires(now, minute), Some(Timestamp(65_000)));
        assert_eq!(Lifetime::Unlimited.expires(now, minute), None);
        assert_eq!(Lifetime::For(Duration::from_secs(2)).expires(now, minute), Some(Timestamp(7_000)));
        assert_eq!(Lifetime::For(Duration::MAX).expires(now, None), Some(Timestamp(u64::MAX)));
        assert_eq!(Lifetime::Until(Timestamp(1)).expires(now, minute), Some(Timestamp(1)));
    }

    #[test]
    fn expectations_hold_for_what_they_name() {
        assert!(ExpectedVersion::Any.holds(None) && ExpectedVersion::Any.holds(Some(3)));
        assert!(ExpectedVersion::Absent.holds(None) && !ExpectedVersion::Absent.holds(Some(1)));
        let third = ExpectedVersion::Version(3);
        assert!(third.holds(Some(3)) && !third.holds(Some(2)) && !third.holds(None));
    }
}
