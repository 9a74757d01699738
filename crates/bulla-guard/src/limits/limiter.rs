//! The buckets of one server.

use bulla_backend::Timestamp;

use super::bucket::{Bucket, Level};
use super::quota::{Quota, micros};
use super::quotas::{Subject, Who};
use super::table::{Key, Table};
use super::verdict::{Policy, Verdict};

/// Buckets that a limiter keeps of peers, and as many of principals, unless told otherwise.
pub const DEFAULT_ENTRIES: usize = 100_000;

/// Counts requests in token buckets.
///
/// # Security
/// What is kept is bounded; what a full table forgets, and why an attacker with many addresses cannot have itself forgotten, is argued
/// in `limits/table.rs`: a bucket goes the sooner the less was taken from it, those of peers and of principals are apart.
#[derive(Debug)]
pub struct Limiter {
    peers: Table<Bucket>,
    principals: Table<Bucket>,
}

impl Limiter {
    /// Makes a limiter for so many buckets of peers, and as many of principals. Each takes about 50 bytes.
    #[must_use]
    pub fn new(entries: usize) -> Self {
        Self { peers: Table::new(entries), principals: Table::new(entries) }
    }

    /// Admits a request or refuses it. A refused one costs nothing.
    #[must_use = "a refused request is not carried out"]
    pub fn check(&self, subject: &Subject<'_>, now: Timestamp) -> Verdict {
        let now = micros(now);
        let Some((route, quota)) = &subject.route else {
            return Verdict::new(subject.who.policy(), &subject.quota, self.take(subject, "", &subject.quota, now));
        };
        let narrow = Verdict::new(Policy::Route, quota, self.take(subject, route, quota, now));
        if !narrow.admitted {
            return narrow;
        }
        let wide = Verdict::new(subject.who.policy(), &subject.quota, self.take(subject, "", &subject.quota, now));
        if !wide.admitted {
            self.put_back_one(subject, route, quota);
        }
        narrow.narrower(wide)
    }

    /// Drops buckets that are full. Call it about once a minute.
    pub fn sweep(&self, now: Timestamp) {
        self.peers.sweep(micros(now));
        self.principals.sweep(micros(now));
    }

    /// Counts the buckets.
    #[must_use]
    pub fn buckets(&self) -> usize {
        self.peers.len() + self.principals.len()
    }

    /// Undoes a check that admitted.
    pub(super) fn put_back(&self, subject: &Subject<'_>) {
        self.put_back_one(subject, "", &subject.quota);
        if let Some((route, quota)) = &subject.route {
            self.put_back_one(subject, route, quota);
        }
    }

    fn take(&self, subject: &Subject<'_>, route: &str, quota: &Quota, now: u64) -> Level {
        let (table, key) = self.place(subject, route);
        table.change(key, now, |bucket| bucket.take(quota, now))
    }

    fn put_back_one(&self, subject: &Subject<'_>, route: &str, quota: &Quota) {
        let (table, key) = self.place(subject, route);
        // A bucket that was dropped meanwhile was full, or is now.
        let _dropped = table.change_present(key, |bucket| bucket.put_back(quota)).is_none();
    }

    fn place(&self, subject: &Subject<'_>, route: &str) -> (&Table<Bucket>, Key) {
        match subject.who {
            Who::Peer(peer) => (&self.peers, self.peers.key([&peer.bytes(), route.as_bytes()])),
            Who::Principal(id) => (&self.principals, self.principals.key([id.as_bytes(), route.as_bytes()])),
        }
    }
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new(DEFAULT_ENTRIES)
    }
}
