use crate::{ExpectedVersion, GetOptions, Namespace, PutOptions, StoreError};

impl Namespace {
    /// Puts a value under a name that has none, and returns the version of the entry; `None` if there is an entry that has not expired. Of
    /// many who add one name at the same time, one does.
    ///
    /// # Errors
    /// As [`Namespace::put`], but for [`StoreError::VersionMismatch`].
    pub async fn add(&self, name: &[u8], value: &[u8], options: &PutOptions) -> Result<Option<u64>, StoreError> {
        if value.len() > crate::MAX_INLINE_LEN {
            // Readers go on without settings.
            self.settled().await?;
            // A large value is not worth writing if there is an entry already.
            if self.stat(name, &GetOptions::default()).await.is_ok() {
                return Ok(None);
            }
        }
        let options = PutOptions { expected: ExpectedVersion::Absent, ..options.clone() };
        match self.put(name, value, &options).await {
            Err(StoreError::VersionMismatch { .. }) => Ok(None),
            put => put.map(Some),
        }
    }
}
