use crate::entry::EntryStat;
use crate::namespace::Present;
use crate::revise::Revised;
use crate::{ExpectedVersion, GetOptions, Lifetime, Namespace, StoreError};

impl Namespace {
    /// Gives an entry another lifetime, which begins now, and returns its new version. Everything else of it stays; a large value is not
    /// written again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no entry, or an expired one; [`StoreError::VersionMismatch`] if another version is there than
    /// is expected; and as [`Namespace::put`].
    pub async fn set_lifetime(
        &self,
        name: &[u8],
        lifetime: Lifetime,
        expected: ExpectedVersion,
    ) -> Result<u64, StoreError> {
        // A namespace without entries needs no key.
        self.stat(name, &GetOptions::default()).await?;
        let revised = self.revise("set_lifetime", name, |settled, present| {
            let now = self.store.clock.now();
            let live = present.filter(|present| !present.entry.stat.is_expired(now));
            let Some(Present { mut entry, value, .. }) = live else {
                return Err(StoreError::NotFound(self.place(name)));
            };
            let found = Some(entry.stat.version);
            if !expected.holds(found) {
                return Err(StoreError::VersionMismatch { place: self.place(name), expected, found });
            }
            entry.stat = EntryStat { expires: lifetime.expires(now, settled.settings.lifetime), ..entry.stat };
            Ok(Revised { entry, value, answer: () })
        });
        Ok(revised.await?.1)
    }
}
