//! A token bucket as one moment in time.
//!
//! The generic cell rate algorithm (ITU-T I.371, Annex A; ATM Forum TM 4.1, "virtual scheduling"): instead of tokens, a bucket keeps
//! the moment at which it will be full. The crate `governor` does the same, but with one quota for all keys of a table and without a
//! bound on their number; ours differ by key and change while the server runs.

use std::time::Duration;

use super::quota::Quota;
use super::table::{Value, Weight};

/// What is known of one bucket, in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bucket {
    full_at: u64,
    /// How long it takes to fill, by the quota it was last asked about.
    refill: u64,
}

/// What one question to a bucket came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) admitted: bool,
    /// Microseconds until the bucket is full.
    pub(super) full_in: u64,
}

impl Bucket {
    /// Takes one request out, if there is one.
    pub(super) fn take(&mut self, quota: &Quota, now: u64) -> Level {
        let (interval, refill) = (quota.interval_micros(), quota.refill_micros());
        self.refill = refill;
        // No bucket is emptier than empty: not after the clock was set back, nor after its quota became smaller.
        self.full_at = self.full_at.clamp(now, now + refill);
        let admitted = self.full_at + interval <= now + refill;
        if admitted {
            self.full_at += interval;
        }
        Level { admitted, full_in: self.full_at - now }
    }

    /// Puts one request back that was taken and then not carried out.
    pub(super) fn put_back(&mut self, quota: &Quota) {
        self.full_at = self.full_at.saturating_sub(quota.interval_micros());
    }
}

impl Value for Bucket {
    /// By how empty the bucket is, not by how long it takes to fill: somebody whose requests are refused outweighs anybody who has
    /// some left, whatever their quotas.
    fn weight(&self, now: u64) -> Weight {
        let full_in = self.full_at.saturating_sub(now);
        let parts = u128::from(full_in) * u128::from(u32::MAX) / u128::from(self.refill.max(1));
        let emptiness = if full_in == 0 { 0 } else { u32::try_from(parts).unwrap_or(u32::MAX).max(1) };
        Weight { load: emptiness, since: self.full_at }
    }
}

impl Level {
    /// Requests that are left.
    pub(super) fn remaining(&self, quota: &Quota) -> u32 {
        let free = quota.refill_micros().saturating_sub(self.full_in) / quota.interval_micros();
        u32::try_from(free).unwrap_or(u32::MAX)
    }

    /// Time until one more would be admitted.
    pub(super) fn retry_after(&self, quota: &Quota) -> Duration {
        Duration::from_micros((self.full_in + quota.interval_micros()).saturating_sub(quota.refill_micros()))
    }
}
