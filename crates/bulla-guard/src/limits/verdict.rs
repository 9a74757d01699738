//! What a limit says, and how an HTTP answer says it.

use std::time::Duration;

use super::bucket::Level;
use super::quota::Quota;

/// Which bucket a verdict is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// The peer's, for everything.
    Peer,
    /// The principal's, for everything.
    Principal,
    /// The peer's or principal's, for one class of routes.
    Route,
}

impl Policy {
    /// Returns its name in an answer.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Principal => "principal",
            Self::Route => "route",
        }
    }
}

/// Whether a request is admitted, and what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// Whether it is.
    pub admitted: bool,
    /// The bucket that refused, or else the one with least left.
    pub policy: Policy,
    /// How many requests its bucket holds.
    pub limit: u32,
    /// How many are left.
    pub remaining: u32,
    /// Time in which an emptied bucket fills.
    pub window: Duration,
    /// Time until the bucket is full.
    pub reset: Duration,
    /// Time until another request will be admitted; zero if one would be now.
    pub retry_after: Duration,
}

impl Verdict {
    pub(super) fn new(policy: Policy, quota: &Quota, level: Level) -> Self {
        Self {
            admitted: level.admitted,
            policy,
            limit: quota.burst(),
            remaining: level.remaining(quota),
            window: quota.refill(),
            reset: Duration::from_micros(level.full_in),
            retry_after: level.retry_after(quota),
        }
    }

    /// Returns the one that a client should know of: the refusal, or what leaves less.
    pub(super) fn narrower(self, other: Self) -> Self {
        if (other.admitted, other.remaining) < (self.admitted, self.remaining) { other } else { self }
    }

    /// Writes the fields of an HTTP answer, by name: `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4),
    /// and `Retry-After` (RFC 9110, section 10.2.3) if the request is refused. Seconds are rounded up.
    #[must_use]
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let name = self.policy.as_str();
        let mut fields = vec![
            ("RateLimit-Policy", format!("\"{name}\";q={};w={}", self.limit, seconds(self.window).max(1))),
            ("RateLimit", format!("\"{name}\";r={};t={}", self.remaining, seconds(self.reset))),
        ];
        if !self.admitted {
            fields.push(("Retry-After", seconds(self.retry_after).max(1).to_string()));
        }
        fields
    }
}

fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
