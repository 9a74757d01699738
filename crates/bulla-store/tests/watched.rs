//! Documents that tell what is done with them, and let others in between.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bulla_backend::{
    Capabilities, ChangeMark, Collection, Document, DocumentKey, Documents, Expected, Filed, Filing, ListQuery, Page,
    Rerank, Result, Revision, Timestamp, Usage, Write,
};

use crate::ground::ENTRIES;

type Hook = Box<dyn FnOnce() + Send>;

/// Documents under watch.
pub(crate) struct Watched {
    documents: Arc<dyn Documents>,
    entries_read: AtomicU64,
    before_commit: Mutex<Option<Hook>>,
    before_delete: Mutex<Option<Hook>>,
    hides_marks: AtomicBool,
}

impl Watched {
    pub(crate) fn new(documents: &Arc<dyn Documents>) -> Arc<Self> {
        Arc::new(Self {
            documents: Arc::clone(documents),
            entries_read: AtomicU64::new(0),
            before_commit: Mutex::new(None),
            before_delete: Mutex::new(None),
            hides_marks: AtomicBool::new(false),
        })
    }

    /// Says how many entries were read since the last question.
    pub(crate) fn entries_read(&self) -> u64 {
        self.entries_read.swap(0, Ordering::SeqCst)
    }

    /// Lets something happen just before the next commit.
    pub(crate) fn before_commit(&self, hook: impl FnOnce() + Send + 'static) {
        *self.before_commit.lock().unwrap() = Some(Box::new(hook));
    }

    /// Lets something happen just before the next commit that deletes.
    pub(crate) fn before_delete(&self, hook: impl FnOnce() + Send + 'static) {
        *self.before_delete.lock().unwrap() = Some(Box::new(hook));
    }

    /// Behaves as a driver without marks.
    pub(crate) fn hide_marks(&self) {
        self.hides_marks.store(true, Ordering::SeqCst);
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("documents", &self.documents).finish_non_exhaustive()
    }
}

#[async_trait]
impl Documents for Watched {
    fn capabilities(&self) -> Capabilities {
        Capabilities { watch: !self.hides_marks.load(Ordering::SeqCst), ..self.documents.capabilities() }
    }

    async fn get(&self, collection: Collection, key: &DocumentKey) -> Result<Option<Document>> {
        if collection.name() == ENTRIES.name() {
            self.entries_read.fetch_add(1, Ordering::SeqCst);
        }
        self.documents.get(collection, key).await
    }

    async fn put(
        &self,
        collection: Collection,
        key: &DocumentKey,
        value: &[u8],
        expected: Expected,
    ) -> Result<Revision> {
        self.documents.put(collection, key, value, expected).await
    }

    async fn delete(&self, collection: Collection, key: &DocumentKey, expected: Expected) -> Result<bool> {
        self.documents.delete(collection, key, expected).await
    }

    async fn list(&self, collection: Collection, query: &ListQuery) -> Result<Page> {
        self.documents.list(collection, query).await
    }

    async fn commit(&self, writes: &[Write]) -> Result<Vec<Option<Revision>>> {
        let deletes = writes.iter().any(|write| matches!(write, Write::Delete { .. }));
        // Taken before it runs: what it does may commit too.
        let hooks = [Some(&self.before_commit), deletes.then_some(&self.before_delete)];
        let hooks = hooks.map(|hook| hook.and_then(|hook| hook.lock().unwrap().take()));
        hooks.into_iter().flatten().for_each(|hook| hook());
        self.documents.commit(writes).await
    }

    async fn change_mark(&self, collection: Collection) -> Result<Option<ChangeMark>> {
        if self.hides_marks.load(Ordering::SeqCst) { Ok(None) } else { self.documents.change_mark(collection).await }
    }

    async fn due(
        &self,
        collection: Collection,
        group: Option<&[u8]>,
        moment: Timestamp,
        after: Option<(Timestamp, &[u8])>,
        limit: usize,
    ) -> Result<Vec<Filed>> {
        self.documents.due(collection, group, moment, after, limit).await
    }

    async fn lowest(&self, collection: Collection, group: &[u8], limit: usize) -> Result<Vec<Filed>> {
        self.documents.lowest(collection, group, limit).await
    }

    async fn usage(&self, collection: Collection, group: &[u8]) -> Result<Usage> {
        self.documents.usage(collection, group).await
    }

    fn share(&self, key: &DocumentKey, value_len: usize, filing: &Filing) -> u64 {
        self.documents.share(key, value_len, filing)
    }

    async fn rerank(&self, collection: Collection, changes: &[(DocumentKey, Rerank)]) -> Result<()> {
        self.documents.rerank(collection, changes).await
    }
}
