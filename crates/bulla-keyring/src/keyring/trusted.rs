//! What this process trusts: what the trust log said when it was last verified.

use std::sync::{Arc, PoisonError};

use super::Keyring;
use crate::Result;
use crate::trust_log::Trusted;

impl Keyring {
    /// Returns what may be relied on now. Every operation that reveals or seals something begins here, and uses one answer to its end.
    pub(super) async fn trusted(&self) -> Result<Arc<Trusted>> {
        Ok(self.last_seen())
    }

    /// Returns what the last look said, however long ago that was: for what reveals nothing.
    pub(super) fn last_seen(&self) -> Arc<Trusted> {
        // What is written is a whole snapshot at once, so that a panicking thread leaves nothing half done.
        Arc::clone(&self.trusted.read().unwrap_or_else(PoisonError::into_inner))
    }
}
