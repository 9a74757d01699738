//! What the tests share: a project in memory, and shorthands.

use std::sync::Arc;

use async_trait::async_trait;
use bulla_backend::testing::{CallFaults, FaultyDocuments};
use bulla_backend::{
    Capabilities, Clock, Collection, Document, DocumentKey, Documents, Expected, ListQuery, MemoryDocuments, Page,
    Revision, Timestamp,
};
use bulla_keyring::{Identity, KeyName, Keyring, KeyringError, MachineName, TrustPin};
use bulla_seal::Context;

#[derive(Debug)]
pub(crate) struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_700_000_000_000)
    }
}

pub(crate) struct Setting {
    pub(crate) documents: MemoryDocuments,
    pub(crate) identity: Arc<Identity>,
}

impl Setting {
    pub(crate) fn new() -> Self {
        Self { documents: MemoryDocuments::new(), identity: Arc::new(Identity::generate().unwrap()) }
    }

    pub(crate) fn create(&self) -> Keyring {
        self.create_on(Arc::new(self.documents.clone())).unwrap()
    }

    pub(crate) fn create_on(&self, documents: Arc<dyn Documents>) -> Result<Keyring, KeyringError> {
        let machine: MachineName = "here".parse().unwrap();
        let identity = Arc::clone(&self.identity);
        pollster::block_on(Keyring::create(documents, identity, &machine, Arc::new(StoppedClock)))
    }

    pub(crate) fn open(&self, pin: impl Into<TrustPin>) -> Result<Keyring, KeyringError> {
        self.open_on(Arc::new(self.documents.clone()), pin)
    }

    pub(crate) fn open_on(
        &self,
        documents: Arc<dyn Documents>,
        pin: impl Into<TrustPin>,
    ) -> Result<Keyring, KeyringError> {
        let identity = Arc::clone(&self.identity);
        pollster::block_on(Keyring::open(documents, identity, pin, Arc::new(StoppedClock)))
    }

    /// Opens the project through a driver whose calls can be made to fail.
    pub(crate) fn open_faulty(&self, pin: impl Into<TrustPin>) -> (Keyring, CallFaults) {
        let faults = CallFaults::new();
        (self.open_on(self.faulty(&faults), pin).unwrap(), faults)
    }

    pub(crate) fn faulty(&self, faults: &CallFaults) -> Arc<dyn Documents> {
        Arc::new(FaultyDocuments::new(Arc::new(self.documents.clone()), faults.clone()))
    }

    /// Returns everything in a collection.
    pub(crate) fn all(&self, collection: Collection) -> Vec<Document> {
        let mut query = ListQuery::default();
        let mut all = Vec::new();
        loop {
            let page = pollster::block_on(self.documents.list(collection, &query)).unwrap();
            all.extend(page.documents);
            match page.next {
                Some(next) => query.after = Some(next),
                None => return all,
            }
        }
    }

    /// Writes a document as somebody with access to the database would.
    pub(crate) fn overwrite(&self, collection: Collection, key: &DocumentKey, value: &[u8]) {
        pollster::block_on(self.documents.put(collection, key, value, Expected::Any)).unwrap();
    }

    pub(crate) fn remove(&self, collection: Collection, key: &DocumentKey) {
        assert!(pollster::block_on(self.documents.delete(collection, key, Expected::Any)).unwrap());
    }
}

/// A backend that can do no more than a backend must.
#[derive(Debug)]
pub(crate) struct OneAtATime(pub(crate) MemoryDocuments);

#[async_trait]
impl Documents for OneAtATime {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn get(&self, collection: Collection, key: &DocumentKey) -> bulla_backend::Result<Option<Document>> {
        self.0.get(collection, key).await
    }

    async fn put(
        &self,
        collection: Collection,
        key: &DocumentKey,
        value: &[u8],
        expected: Expected,
    ) -> bulla_backend::Result<Revision> {
        self.0.put(collection, key, value, expected).await
    }

    async fn delete(
        &self,
        collection: Collection,
        key: &DocumentKey,
        expected: Expected,
    ) -> bulla_backend::Result<bool> {
        self.0.delete(collection, key, expected).await
    }

    async fn list(&self, collection: Collection, query: &ListQuery) -> bulla_backend::Result<Page> {
        self.0.list(collection, query).await
    }
}

pub(crate) fn name(text: &str) -> KeyName {
    text.parse().unwrap()
}

pub(crate) fn context(keyring: &Keyring, row: u64) -> Context {
    Context::user(&keyring.project()).uint("row", row).build().unwrap()
}

pub(crate) fn code<T>(result: Result<T, KeyringError>) -> &'static str {
    result.err().map_or("ok", |error| error.code())
}
