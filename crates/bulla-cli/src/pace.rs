//! Long work that leaves room for others.

use std::num::NonZeroU64;
use std::thread;
use std::time::{Duration, Instant};

/// How fast long work may go.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct RateArg {
    /// Go through no more than so many bytes a second
    #[arg(long, value_name = "BYTES_PER_SECOND")]
    rate: Option<NonZeroU64>,
}

/// Holds work to a rate, by waiting.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: Option<NonZeroU64>,
    begun: Instant,
}

impl Pace {
    pub(crate) fn new(rate: &RateArg) -> Self {
        Self { rate: rate.rate, begun: Instant::now() }
    }

    /// Waits until it is time for what comes behind so many bytes.
    #[expect(clippy::disallowed_methods, reason = "waiting is what a rate is; libraries never do")]
    pub(crate) fn wait(&self, done: u64) {
        let due = self.due(done);
        thread::sleep(due.saturating_sub(self.begun.elapsed()));
    }

    /// Waits likewise where what is `read` includes bytes that were read before; `before` learns how many, when it is asked first.
    pub(crate) fn wait_since(&self, before: &mut Option<u64>, read: u64) {
        self.wait(read.saturating_sub(*before.get_or_insert(read)));
    }

    fn due(&self, done: u64) -> Duration {
        let millis = self.rate.map_or(0, |rate| u128::from(done) * 1_000 / u128::from(rate.get()));
        Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_due_when_its_rate_says() {
        let pace = |rate| Pace::new(&RateArg { rate: NonZeroU64::new(rate) });
        assert_eq!(pace(0).due(u64::MAX), Duration::ZERO);
        assert_eq!(pace(1_000).due(2_500), Duration::from_millis(2_500));
        assert_eq!(pace(u64::MAX).due(u64::MAX), Duration::from_secs(1));
        assert_eq!(pace(1).due(u64::MAX), Duration::from_millis(u64::MAX));
    }
}
