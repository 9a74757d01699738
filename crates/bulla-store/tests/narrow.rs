//! Documents that can do less than those they stand on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bulla_backend::{
    BackendError, Capabilities, ChangeMark, Collection, Document, DocumentKey, Documents, Expected, ListQuery, Page,
    Result, Revision,
};

#[derive(Debug)]
pub(crate) struct Narrow {
    documents: Arc<dyn Documents>,
    refusal: Option<Refusal>,
}

/// Which writes fail, and how.
#[derive(Debug)]
struct Refusal {
    error: io::ErrorKind,
    /// Where; everywhere, if nothing is said.
    collection: Option<&'static str>,
    stands: Arc<AtomicBool>,
}

impl Narrow {
    /// As on a disk that is mounted read-only.
    pub(crate) fn read_only(documents: &Arc<dyn Documents>) -> Arc<dyn Documents> {
        Self::refusing(documents, None, io::ErrorKind::ReadOnlyFilesystem).0
    }

    /// As in a folder that this user may not write to.
    pub(crate) fn forbidden(documents: &Arc<dyn Documents>) -> Arc<dyn Documents> {
        Self::refusing(documents, None, io::ErrorKind::PermissionDenied).0
    }

    /// Where writes to a collection fail so, as long as the switch is on.
    pub(crate) fn refusing(
        documents: &Arc<dyn Documents>,
        collection: Option<&'static str>,
        error: io::ErrorKind,
    ) -> (Arc<dyn Documents>, Arc<AtomicBool>) {
        let stands = Arc::new(AtomicBool::new(true));
        let refusal = Some(Refusal { error, collection, stands: Arc::clone(&stands) });
        (Arc::new(Self { documents: Arc::clone(documents), refusal }), stands)
    }

    /// As an object storage: no commits, no filing, no marks.
    pub(crate) fn one_at_a_time(documents: &Arc<dyn Documents>) -> Arc<dyn Documents> {
        Arc::new(Self { documents: Arc::clone(documents), refusal: None })
    }

    fn may_write(&self, to: Collection) -> Result<()> {
        match &self.refusal {
            Some(Refusal { error, collection, stands })
                if stands.load(Ordering::SeqCst) && collection.is_none_or(|collection| collection == to.name()) =>
            {
                Err(BackendError::io("write a document", to.name(), io::Error::from(*error)))
            }
            _ => Ok(()),
        }
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
        self.may_write(collection)?;
        self.documents.put(collection, key, value, expected).await
    }

    async fn delete(&self, collection: Collection, key: &DocumentKey, expected: Expected) -> Result<bool> {
        self.may_write(collection)?;
        self.documents.delete(collection, key, expected).await
    }

    async fn list(&self, collection: Collection, query: &ListQuery) -> Result<Page> {
        self.documents.list(collection, query).await
    }

    async fn change_mark(&self, _: Collection) -> Result<Option<ChangeMark>> {
        Ok(None)
    }
}
