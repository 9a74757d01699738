//! How full a namespace is, and making room in it.

use bulla_backend::Usage;
use bulla_store::{Budget, EvictCounts, ExpireCounts, RefileCounts};
use pollster::block_on;

use super::Namespace;
use crate::Result;

impl Namespace {
    /// Returns how much there is in the namespace; see [`bulla_store::Namespace::usage`].
    ///
    /// # Errors
    /// As there.
    pub fn usage(&self) -> Result<Option<Usage>> {
        Ok(block_on(self.0.usage())?)
    }

    /// Evicts entries until there is no more than `keep`, or nine tenths of the limit; see [`bulla_store::Namespace::evict`].
    ///
    /// # Errors
    /// As there.
    pub fn evict(&self, keep: Option<Usage>) -> Result<EvictCounts> {
        Ok(block_on(self.0.evict(keep, &Budget::UNLIMITED))?)
    }

    /// Deletes entries that have expired; see [`bulla_store::Namespace::expire_due`].
    ///
    /// # Errors
    /// As there.
    pub fn expire_due(&self) -> Result<ExpireCounts> {
        Ok(block_on(self.0.expire_due(&Budget::UNLIMITED))?)
    }

    /// Files the entries that are there for a new eviction policy; see [`bulla_store::Namespace::refile`].
    ///
    /// # Errors
    /// As there.
    pub fn refile(&self) -> Result<RefileCounts> {
        Ok(block_on(self.0.refile(&Budget::UNLIMITED, &mut |_| {}))?)
    }
}
