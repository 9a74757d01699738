use zeroize::Zeroizing;

use crate::entry::{Entry, EntryStat};
use crate::namespace::Present;
use crate::revise::Revised;
use crate::{Lifetime, Namespace, StoreError};

impl Namespace {
    /// Adds to a number, and returns the sum. Where there is no entry, the number is `initial` before.
    ///
    /// A number is the decimal text of a 64-bit integer with a sign; one that was put may have white space round it. Lifetime, media type
    /// and tags of the entry stay. However many add to one number, each addition counts once.
    ///
    /// # Errors
    /// [`StoreError::NotANumber`] if the value is none; [`StoreError::Overflow`] if the sum is none; and as [`Namespace::put`]. After
    /// [`StoreError::Backend`] the number may be increased or not.
    pub async fn increment(&self, name: &[u8], delta: i64, initial: i64) -> Result<i64, StoreError> {
        let revised = self.revise("increment", name, |settled, present| {
            let now = self.store.clock.now();
            let live = present.filter(|present| !present.entry.stat.is_expired(now));
            let before = live.as_ref().map_or(Some(initial), number).ok_or_else(|| self.not_a_number(name))?;
            let sum = before.checked_add(delta).ok_or_else(|| StoreError::Overflow(self.place(name)))?;
            let value = Zeroizing::new(sum.to_string().into_bytes());
            let kept = live.map(|present| present.entry.stat).unwrap_or_else(|| EntryStat {
                version: 0,
                created: now,
                expires: Lifetime::Inherited.expires(now, settled.settings.lifetime),
                media_type: None,
                tags: Vec::new(),
                compute_time: None,
                sensitive: false,
                len: 0,
            });
            let stat = EntryStat { created: now, len: value.len() as u64, ..kept };
            Ok(Revised { entry: Entry { stat, name: None, blob: None }, value, answer: sum })
        });
        Ok(revised.await?.0)
    }

    fn not_a_number(&self, name: &[u8]) -> StoreError {
        StoreError::NotANumber(self.place(name))
    }
}

/// Reads the number that an entry holds; one with a blob holds none.
fn number(present: &Present) -> Option<i64> {
    std::str::from_utf8(present.value.trim_ascii()).ok()?.parse().ok()
}
