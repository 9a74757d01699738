//! Giving room back to the system (spec, "Compacting").

use crate::journal::Allowance;
use crate::walk::{Observer, WalkEvent};
use crate::{Budget, Store, StoreError};

/// What a compaction has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CompactCounts {
    /// Bytes that were given back to the system.
    pub freed: u64,
    /// Whether there is nothing more to give back; else call again.
    pub finished: bool,
}

impl Store {
    /// Gives room that is no longer used back to the system, in small steps between which others read and write. It may be stopped anywhere
    /// and begun again; the storage itself is what it goes by.
    ///
    /// # Errors
    /// Fails if the storage cannot be written.
    pub async fn compact(
        &self,
        budget: &Budget,
        observer: &mut Observer<'_, CompactCounts>,
    ) -> Result<CompactCounts, StoreError> {
        let mut allowance = Allowance::new(budget);
        let mut counts = CompactCounts::default();
        loop {
            match self.entries.compact().await? {
                None => {
                    counts.finished = true;
                    break;
                }
                Some(freed) => {
                    counts.freed += freed;
                    // A step that freed nothing is work all the same.
                    allowance.spend(1, freed.max(1));
                }
            }
            observer(WalkEvent::Progress(&counts));
            if allowance.is_spent() {
                break;
            }
        }
        observer(WalkEvent::Progress(&counts));
        Ok(counts)
    }
}
