//! Documents that can do less than those they stand on.

use std::sync::Arc;

use async_trait::async_trait;
use bulla_backend::{
    BackendError, Capabilities, ChangeMark, Collection, Document, DocumentKey, Documents, ErrorKind, Expected,
    ListQuery, Page, Result, Revision,
};

#[derive(Debug)]
pub(crate) struct Narrow {
    documents: Arc<dyn Documents>,
    is_read_only: bool,
}

impl Narrow {
    /// As a folder that nobody may write to.
    pub(crate) fn read_only(documents: &Arc<dyn Documents>) -> Arc<dyn Documents> {
        Arc::new(Self { documents: Arc::clone(documents), is_read_only: true })
    }

    /// As an object storage: no commits, no filing, no marks.
    pub(crate) fn one_at_a_time(documents: &Arc<dyn Documents>) -> Arc<dyn Documents> {
        Arc::new(Self { documents: Arc::clone(documents), is_read_only: false })
    }

    fn may_write(&self) -> Result<()> {
        if self.is_read_only {
            return Err(BackendError::new(ErrorKind::Permission, "write a document", "it is read-only"));
        }
        Ok(())
    }
}

#[async_trait]
impl Documents for Narrow {
    fn capabilities(&self) -> Capabilities {
        Capabilities { commit: false, watch: false, filing: false, ..self.documents.capabilities() }
    }

    async fn get(&self, collection: Collection, key: &DocumentKey) -> Result<Option<Document>> {
        self.documents.get(collection, key).await
    }

    async fn put(
        &self,
        collection: Collection,
        key: &DocumentKey,
        value: &[u8],
        expected: Expected,
    ) -> Result<Revision> {
        self.may_write()?;
        self.documents.put(collection, key, value, expected).await
    }

    async fn delete(&self, collection: Collection, key: &DocumentKey, expected: Expected) -> Result<bool> {
        self.may_write()?;
        self.documents.delete(collection, key, expected).await
    }

    async fn list(&self, collection: Collection, query: &ListQuery) -> Result<Page> {
        self.documents.list(collection, query).await
    }

    async fn change_mark(&self, _: Collection) -> Result<Option<ChangeMark>> {
        Ok(None)
    }
}
