//! How much is allowed.

use std::time::Duration;

use bulla_backend::Timestamp;

/// A bucket is full again within a year, so that no arithmetic on moments can overflow.
const LONGEST_REFILL: u64 = 366 * 24 * 3_600 * 1_000_000;

/// So many requests in a period, and so many of them at once.
///
/// The default is the 60 a minute that an unauthenticated peer, or an API key without a quota of its own, has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    burst: u32,
    /// Microseconds in which one request becomes free again.
    interval: u64,
}

impl Quota {
    /// Allows `count` requests in a `period`, and `burst` at once after a rest.
    ///
    /// Time is counted in microseconds: one request becomes free each `period / count`, rounded up.
    ///
    /// # Errors
    /// [`QuotaError`] if one of them is zero, or if a bucket that was emptied would not be full again within 366 days.
    pub fn new(count: u32, period: Duration, burst: u32) -> Result<Self, QuotaError> {
        let period = u64::try_from(period.as_micros()).unwrap_or(u64::MAX);
        if count == 0 || period == 0 || burst == 0 {
            return Err(QuotaError::Nothing);
        }
        let interval = period.div_ceil(u64::from(count));
        match interval.checked_mul(u64::from(burst)) {
            Some(..=LONGEST_REFILL) => Ok(Self { burst, interval }),
            _ => Err(QuotaError::TooSlow),
        }
    }

    /// Returns how many requests are allowed at once.
    #[must_use]
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// Returns the time in which one request becomes free again.
    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_micros(self.interval)
    }

    /// Returns the time in which a bucket that was emptied is full again.
    #[must_use]
    pub fn refill(&self) -> Duration {
        Duration::from_micros(self.refill_micros())
    }

    pub(super) fn interval_micros(&self) -> u64 {
        self.interval
    }

    pub(super) fn refill_micros(&self) -> u64 {
        self.interval * u64::from(self.burst)
    }

    /// Says whether this one allows more in the long run, or the same and more at once.
    pub(super) fn is_wider(&self, other: &Self) -> bool {
        (other.interval, self.burst) > (self.interval, other.burst)
    }
}

impl Default for Quota {
    fn default() -> Self {
        Self { burst: 60, interval: 1_000_000 }
    }
}

/// Why there is no such quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuotaError {
    /// A count, period or burst of zero.
    #[error("a quota has a count, a period and a burst that are not zero; to allow nothing, take away the permission")]
    Nothing,
    /// A burst that takes too long to become free again.
    #[error(
        "a quota whose burst takes more than 366 days to become free again: make the burst smaller, or the rate larger"
    )]
    TooSlow,
}

/// Microseconds since 1970. Clocks beyond the year 148,000 stand still, which leaves room to add what a quota can ask for.
pub(super) fn micros(now: Timestamp) -> u64 {
    const LAST: u64 = u64::MAX / 4_000;
    now.0.min(LAST) * 1_000
}
