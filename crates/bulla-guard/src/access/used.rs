//! When API keys were last used, to the hour: for whoever asks which of them are still needed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bulla_backend::{Expected, Timestamp};

use super::error::Result;
use super::sealed::{ACCESS_USED, Kind};
use super::{Access, CredentialId};

/// How often at most it is written that a key was used.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// Of how many keys it is remembered when that was written.
const MAX_REMEMBERED: usize = 100_000;

/// When it was last written that keys were used.
#[derive(Debug, Default)]
pub(crate) struct Used(Mutex<HashMap<CredentialId, Timestamp>>);

impl Access {
    /// Returns when an API key was last used, to the hour; `None` if it never was, or if that was lost.
    ///
    /// # Errors
    /// As [`Access::refresh`].
    pub async fn last_used(&self, id: CredentialId) -> Result<Option<Timestamp>> {
        self.fresh().await?;
        match self.read_loose::<Timestamp>(ACCESS_USED, Kind::Used, id.as_str()).await {
            Ok(found) => Ok(found.map(|found| found.row)),
            // It decides nothing, and the next use writes it anew.
            Err(error) if error.code() == "corrupt" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes that a key was used, unless that was written within the hour. What fails is left.
    pub(crate) async fn note_use(&self, id: CredentialId, now: Timestamp) {
        let is_old = |last: Timestamp| last > now || last.saturating_add(EVERY) <= now;
        {
            let mut known = self.used.0.lock().unwrap_or_else(PoisonError::into_inner);
            if known.get(&id).is_some_and(|last| !is_old(*last)) {
                return;
            }
            if known.len() >= MAX_REMEMBERED {
                known.clear();
            }
            known.insert(id, now);
        }
        // Another process may have written it within the hour.
        if let Ok(found) = self.last_used(id).await
            && found.is_none_or(is_old)
        {
            let _ = self.write_loose(ACCESS_USED, Kind::Used, id.as_str(), &now, Expected::Any).await;
        }
    }
}
