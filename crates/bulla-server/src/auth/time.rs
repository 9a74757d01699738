//! Moments, as answers show them.

use std::time::Duration;

use bulla_backend::Timestamp;

/// Returns the whole seconds that are left until a moment; 0 if there is no such moment, or it is over.
pub(super) fn left(until: Option<Timestamp>, now: Timestamp) -> u64 {
    until.map_or(0, |until| until.0.saturating_sub(now.0).div_ceil(1_000))
}

/// Returns the whole seconds of a duration; 0 if there is none.
pub(super) fn seconds(time: Option<Duration>) -> u64 {
    time.map_or(0, |time| time.as_secs())
}

/// Writes a moment as RFC 3339 has it, in UTC.
pub(super) fn moment(at: Timestamp) -> String {
    bulla_guard::audit::rfc3339(at)
}
