//! Something that is about to be done.

use std::fmt;
use std::sync::Arc;

use super::Shared;
use crate::audit::error::Result;
use crate::audit::event::{Event, Outcome, Phase};

/// Proof that the intent to do something is durable. Dropped without an outcome, it is logged that how it went is unknown.
#[must_use = "say how it went"]
pub struct Intent {
    shared: Arc<Shared>,
    /// `None` once the outcome was handed over.
    event: Option<Event>,
    index: u64,
}

impl Intent {
    pub(super) const fn new(shared: Arc<Shared>, event: Event, index: u64) -> Self {
        Self { shared, event: Some(event), index }
    }

    /// Returns the index of the intent.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Logs how it went, and returns the index of that.
    ///
    /// # Errors
    /// As [`Log::append`](super::Log::append). What was done is done, and must not be shown.
    pub async fn outcome(self, outcome: Outcome) -> Result<u64> {
        self.outcome_with(outcome, |event| event).await
    }

    /// Logs how it went, with what is known by now, and returns the index of that.
    ///
    /// # Errors
    /// As [`Self::outcome`].
    pub async fn outcome_with(mut self, outcome: Outcome, add: impl FnOnce(Event) -> Event) -> Result<u64> {
        // There is one until here.
        let Some(event) = self.event.take() else { return Ok(self.index) };
        self.shared.append(add(event.with_outcome(outcome)), Phase::Outcome, Some(self.index)).await
    }
}

impl Drop for Intent {
    fn drop(&mut self) {
        if let Some(event) = self.event.take() {
            self.shared.note(event.with_outcome(Outcome::Unknown), Phase::Outcome, Some(self.index));
        }
    }
}

impl fmt::Debug for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intent").field("index", &self.index).field("event", &self.event).finish_non_exhaustive()
    }
}
