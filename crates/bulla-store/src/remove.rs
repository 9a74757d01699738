use bulla_backend::{ErrorKind, Expected};

use crate::namespace::MAX_ROUNDS;
use crate::{ExpectedVersion, Namespace, StoreError};

impl Namespace {
    /// Removes an entry; says whether there was one. The next entry of that name has version 1.
    ///
    /// # Errors
    /// [`StoreError::VersionMismatch`] if another version is there than is expected; [`StoreError::Conflict`];
    /// and whatever [`Namespace::stat`] says about an entry that fails verification, which is put into quarantine. After
    /// [`StoreError::Backend`] the entry may be there or not.
    pub async fn remove(&self, name: &[u8], expected: ExpectedVersion) -> Result<bool, StoreError> {
        let now = self.store.clock.now();
        for _ in 0..MAX_ROUNDS {
            let settled = self.settled().await?;
            let slot = self.slot(&settled, name)?;
            let present = match self.present(&slot).await {
                Err(error) => {
                    self.tampered(name, error).await?;
                    continue;
                }
                Ok(present) => present,
            };
            let live = present.as_ref().map(|present| &present.entry.stat).filter(|stat| !stat.is_expired(now));
            let found = live.map(|stat| stat.version);
            if !expected.holds(found) {
                return Err(StoreError::VersionMismatch { place: self.place(name), expected, found });
            }
            let Some(present) = present else { return Ok(false) };
            let collection = self.collection(&settled, present.entry.blob.is_some());
            match self.store.entries.delete(collection, &slot.key, Expected::Revision(present.revision)).await {
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    if let Some(blob) = &present.entry.blob {
                        self.discard(&blob.id).await;
                    }
                    self.forget_held(name).await;
                    self.changed("remove", name);
                    return Ok(found.is_some());
                }
            }
        }
        Err(StoreError::Conflict(self.place(name)))
    }
}
