//! Limits that several servers share, and what holds when they cannot ask each other.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use bulla_backend::Timestamp;

use super::bucket::Level;
use super::limiter::Limiter;
use super::quota::Quota;
use super::quotas::{Subject, Who};
use super::verdict::{Policy, Verdict};
use crate::input::percent;

/// How long a server waits for the shared counter.
pub const SHARED_PATIENCE: Duration = Duration::from_millis(50);

/// For how long a counter that did not answer is not asked again, in milliseconds.
const RESPITE: u64 = 1_000;

/// A bucket that several servers draw from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedBucket {
    /// Its name, the same on every server: `peer:…` or `principal:…`, with `/` and the class of routes if it is for one. Ids and classes are
    /// percent-encoded, so that no two buckets have the same name.
    pub name: String,
    /// Its quota.
    pub quota: Quota,
}

/// What a shared bucket answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Whether there was a request left in it.
    pub admitted: bool,
    /// Time until it is full.
    pub full_in: Duration,
}

/// Counts for several servers.
#[async_trait]
pub trait SharedCounter: Send + Sync + fmt::Debug {
    /// Takes one request out of each of the buckets, of which there are one or two, or out of none if one of them has none left; says what
    /// each answered, in their order.
    ///
    /// The future is dropped if it takes longer than [`SHARED_PATIENCE`]; what it did until then may count.
    ///
    /// # Errors
    /// [`CounterAway`] if it cannot be asked.
    async fn take(&self, buckets: &[SharedBucket], now: Timestamp) -> Result<Vec<Taken>, CounterAway>;
}

/// The shared counter cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the shared limits cannot be asked; limits of this server hold meanwhile")]
pub struct CounterAway;

/// Waits, by whatever the server's runtime has for it.
pub trait Timer: Send + Sync + fmt::Debug {
    /// Returns a future that is ready after so long.
    fn wait(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Counts requests with other servers together, and alone when they are away.
///
/// # Security
/// The local buckets are asked first, by the same quotas, each time. So the shared counter can only refuse more, never admit more, whatever it answers;
/// and when it hangs, fails, or answers nonsense, the local buckets have counted all along and hold at once. What a request waits for it
/// is at most [`SHARED_PATIENCE`], and after a failure nobody waits: one request a second tries whether it is back.
/// With *n* servers, and the counter away, a client may get *n* times its quota.
///
/// A counter that refuses everything stops everybody. It has to be trusted that far.
#[derive(Debug)]
pub struct SharedLimiter {
    local: Limiter,
    counter: Arc<dyn SharedCounter>,
    timer: Arc<dyn Timer>,
    /// Until when the counter is not asked, in milliseconds since 1970; zero while it answers.
    away_until: AtomicU64,
}

impl SharedLimiter {
    /// Makes one of the local limiter, the counter, and what waits.
    #[must_use]
    pub fn new(local: Limiter, counter: Arc<dyn SharedCounter>, timer: Arc<dyn Timer>) -> Self {
        Self { local, counter, timer, away_until: AtomicU64::new(0) }
    }

    /// Returns the limiter that holds when the counter is away.
    #[must_use]
    pub fn local(&self) -> &Limiter {
        &self.local
    }

    /// Says whether the counter answered when it was last asked.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.away_until.load(Ordering::Relaxed) == 0
    }

    /// Admits a request or refuses it.
    #[must_use = "a refused request is not carried out"]
    pub async fn check(&self, subject: &Subject<'_>, now: Timestamp) -> Verdict {
        let local = self.local.check(subject, now);
        if !local.admitted || !self.may_ask(now) {
            return local;
        }
        let buckets = buckets(subject);
        let answer = within(self.counter.take(&buckets, now), self.timer.wait(SHARED_PATIENCE)).await;
        let Some(taken) = answer.and_then(Result::ok).filter(|taken| taken.len() == buckets.len()) else {
            self.away_until.store(now.0.saturating_add(RESPITE).max(1), Ordering::Relaxed);
            return local;
        };
        self.away_until.store(0, Ordering::Relaxed);
        let verdict = verdict(subject, &buckets, &taken);
        if !verdict.admitted {
            self.local.put_back(subject);
            return verdict;
        }
        verdict.narrower(local)
    }

    /// Says whether this request is one that asks the counter: all while it answers, one a second while it does not.
    fn may_ask(&self, now: Timestamp) -> bool {
        let until = self.away_until.load(Ordering::Relaxed);
        if until == 0 {
            return true;
        }
        // A clock that was set back does not prolong the respite.
        let due = now.0 >= until || now.0.saturating_add(RESPITE) < until;
        let next = now.0.saturating_add(RESPITE).max(1);
        due && self.away_until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

fn buckets(subject: &Subject<'_>) -> Vec<SharedBucket> {
    let name = match subject.who {
        Who::Peer(peer) => format!("peer:{peer}"),
        Who::Principal(id) => format!("principal:{}", percent::encode(id.as_bytes())),
    };
    let route = subject
        .route
        .map(|(route, quota)| SharedBucket { name: format!("{name}/{}", percent::encode(route.as_bytes())), quota });
    let wide = SharedBucket { name, quota: subject.quota };
    route.into_iter().chain([wide]).collect()
}

/// Puts the answers together: the one for everything is last.
fn verdict(subject: &Subject<'_>, buckets: &[SharedBucket], taken: &[Taken]) -> Verdict {
    let mut verdicts = buckets.iter().zip(taken).rev().enumerate().map(|(index, (bucket, taken))| {
        let policy = if index == 0 { subject.who.policy() } else { Policy::Route };
        Verdict::new(policy, &bucket.quota, taken.level(&bucket.quota))
    });
    let wide = verdicts.next();
    let narrow = verdicts.next();
    match (wide, narrow) {
        (Some(wide), Some(narrow)) => narrow.narrower(wide),
        (Some(wide), None) => wide,
        // As many answers as buckets, of which there is one at least.
        (None, _) => Verdict::new(subject.who.policy(), &subject.quota, Level { admitted: false, full_in: 0 }),
    }
}

impl Taken {
    /// What the bucket can have meant: nobody waits longer for it than it takes to fill.
    fn level(self, quota: &Quota) -> Level {
        let full_in = u64::try_from(self.full_in.as_micros()).unwrap_or(u64::MAX).min(quota.refill_micros());
        // Refusing means that there is no whole request left, whatever else is said.
        let least = if self.admitted { 0 } else { quota.refill_micros() - quota.interval_micros() + 1 };
        Level { admitted: self.admitted, full_in: full_in.max(least) }
    }
}

/// Waits for the first of two, and returns nothing if the other is first.
async fn within<T>(
    mut asked: Pin<Box<dyn Future<Output = T> + Send + '_>>,
    mut patience: Pin<Box<dyn Future<Output = ()> + Send>>,
) -> Option<T> {
    poll_fn(|context| {
        if let Poll::Ready(answer) = asked.as_mut().poll(context) {
            return Poll::Ready(Some(answer));
        }
        patience.as_mut().poll(context).map(|()| None)
    })
    .await
}
