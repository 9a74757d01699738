//! Removing the entries of engines that were disabled, some at a time.

use bulla_backend::Timestamp;
use bulla_store::{Budget, ClearScope, WalkEvent};

use super::Engines;
use crate::ApiError;

/// How long after it was disabled the entries of an engine are removed, in milliseconds: no process goes by an older table then.
pub(crate) const GRACE: u64 = 60_000;

/// What a sweep has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SweepCounts {
    /// Entries that were removed.
    pub removed: u64,
    /// Entries that did not open, and stay.
    pub failed: u64,
    /// Engines of which nothing is left.
    pub closed: u64,
    /// Engines that are left to sweep.
    pub left: u64,
}

impl Engines {
    /// Removes entries of disabled engines, within a budget for each. It may be stopped anywhere, and run in several processes; the next goes on.
    ///
    /// # Errors
    /// Fails if the store cannot be read or written. What was removed by then stays removed.
    pub async fn sweep(&self, budget: &Budget, now: Timestamp) -> Result<SweepCounts, ApiError> {
        let mut counts = SweepCounts::default();
        for engine in self.read().await?.0.closing {
            counts.left += 1;
            if engine.closed.is_some_and(|closed| now.0 < closed.saturating_add(GRACE)) {
                continue;
            }
            let namespace = engine.entries(&self.store)?;
            let cleared = namespace.clear(&ClearScope::All, budget, &mut |_: WalkEvent<'_, _>| {}).await?;
            counts.removed += cleared.removed;
            counts.failed += cleared.failed;
            if cleared.finished {
                self.change(|table| {
                    table.closing.retain(|other| other.id != engine.id);
                    Ok(())
                })
                .await?;
                counts.closed += 1;
                counts.left -= 1;
            }
        }
        Ok(counts)
    }
}
