use bulla_guard::access::Access;
use schemars::JsonSchema;
use serde::Serialize;

use crate::ApiError;

/// Documents that are looked at in one step.
const STEP: usize = 1_000;

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SweepView {
    /// How many tokens, and secrets of `AppRole`s, were deleted because they are good for nothing any more.
    pub deleted: usize,
    /// How many cannot be read. They let nobody in.
    pub unreadable: usize,
}

/// Deletes tokens, and secrets of `AppRole`s, that are good for nothing any more.
///
/// # Errors
/// As [`Access::sweep_tokens`].
pub async fn sweep_tokens(access: &Access) -> Result<SweepView, ApiError> {
    let (mut view, mut after) = (SweepView { deleted: 0, unreadable: 0 }, None);
    loop {
        let swept = access.sweep_tokens(after, STEP).await?;
        view.deleted += swept.deleted;
        view.unreadable += swept.unreadable;
        after = swept.next;
        if after.is_none() {
            return Ok(view);
        }
    }
}
