//! Drivers that fail where a test wants them to, round any driver.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;

use crate::{
    BackendError, BlobId, BlobPage, BlobReader, BlobWriter, Blobs, Capabilities, ChangeMark, Collection, DiskUsage,
    Document, DocumentKey, Documents, Durability, ErrorKind, Expected, Filed, Filing, ListQuery, Page, Rerank, Result,
    Revision, Timestamp, Usage, Write,
};

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It fails, and has done nothing.
    Before,
    /// It does its work and fails all the same, as when an answer is lost on its way: the caller cannot know the outcome.
    After,
    /// The storage is away: this call and all later ones fail, and do nothing, until [`CallFaults::disarm`].
    Away,
}

impl Failure {
    /// Every failure.
    pub const ALL: [Self; 3] = [Self::Before, Self::After, Self::Away];
}

/// Counts calls, and lets one fail. Clones count together, so that documents and blobs can share one.
#[derive(Debug, Clone, Default)]
pub struct CallFaults(Arc<Counter>);

#[derive(Debug, Default)]
struct Counter {
    calls: AtomicU64,
    armed: Mutex<Option<(u64, Failure)>>,
}

impl CallFaults {
    /// Starts to count, with nothing armed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns how many calls there were so far, those that failed included.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.0.calls.load(Ordering::SeqCst)
    }

    /// Lets call number `at` fail; the first one has the number 1.
    pub fn arm(&self, at: u64, failure: Failure) {
        *self.0.armed.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, failure));
    }

    /// Lets no call fail any more.
    pub fn disarm(&self) {
        *self.0.armed.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Counts a call and lets it happen, or fail.
    async fn call<T>(&self, operation: &'static str, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let number = self.0.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let armed = *self.0.armed.lock().unwrap_or_else(PoisonError::into_inner);
        match armed {
            Some((at, Failure::Before)) if number == at => Err(Self::failure(operation)),
            Some((at, Failure::Away)) if number >= at => {
                Err(BackendError::new(ErrorKind::Unavailable, operation, "the storage is away, as a test wants it"))
            }
            Some((at, Failure::After)) if number == at => {
                call.await?;
                Err(Self::failure(operation))
            }
            _ => call.await,
        }
    }

    fn failure(operation: &'static str) -> BackendError {
        BackendError::new(ErrorKind::Io, operation, "it fails as a test wants it")
    }
}

/// Documents of which chosen calls fail. Every method but [`Documents::capabilities`] is a call.
#[derive(Debug)]
pub struct FaultyDocuments {
    documents: Arc<dyn Documents>,
    faults: CallFaults,
}

impl FaultyDocuments {
    /// Puts faults round a driver.
    #[must_use]
    pub fn new(documents: Arc<dyn Documents>, faults: CallFaults) -> Self {
        Self { documents, faults }
    }
}

#[async_trait]
impl Documents for FaultyDocuments {
    fn capabilities(&self) -> Capabilities {
        self.documents.capabilities()
    }

    async fn get(&self, collection: Collection, key: &DocumentKey) -> Result<Option<Document>> {
        self.faults.call("read a document", self.documents.get(collection, key)).await
    }

    async fn put(
        &self,
        collection: Collection,
        key: &DocumentKey,
        value: &[u8],
        expected: Expected,
    ) -> Result<Revision> {
        self.faults.call("write a document", self.documents.put(collection, key, value, expected)).await
    }

    async fn delete(&self, collection: Collection, key: &DocumentKey, expected: Expected) -> Result<bool> {
        self.faults.call("delete a document", self.documents.delete(collection, key, expected)).await
    }

    async fn list(&self, collection: Collection, query: &ListQuery) -> Result<Page> {
        self.faults.call("list documents", self.documents.list(collection, query)).await
    }

    async fn commit(&self, writes: &[Write]) -> Result<Vec<Option<Revision>>> {
        self.faults.call("commit", self.documents.commit(writes)).await
    }

    async fn change_mark(&self, collection: Collection) -> Result<Option<ChangeMark>> {
        self.faults.call("read a mark", self.documents.change_mark(collection)).await
    }

    async fn due(
        &self,
        collection: Collection,
        group: Option<&[u8]>,
        moment: Timestamp,
        after: Option<(Timestamp, &[u8])>,
        limit: usize,
    ) -> Result<Vec<Filed>> {
        self.faults.call("find what is due", self.documents.due(collection, group, moment, after, limit)).await
    }

    async fn lowest(&self, collection: Collection, group: &[u8], limit: usize) -> Result<Vec<Filed>> {
        self.faults.call("find the lowest ranks", self.documents.lowest(collection, group, limit)).await
    }

    async fn usage(&self, collection: Collection, group: &[u8]) -> Result<Usage> {
        self.faults.call("count a group", self.documents.usage(collection, group)).await
    }

    fn share(&self, key: &DocumentKey, value_len: usize, filing: &Filing) -> u64 {
        self.documents.share(key, value_len, filing)
    }

    async fn rerank(&self, collection: Collection, changes: &[(DocumentKey, Rerank)]) -> Result<()> {
        self.faults.call("change ranks", self.documents.rerank(collection, changes)).await
    }

    async fn compact(&self) -> Result<Option<u64>> {
        self.faults.call("compact a database", self.documents.compact()).await
    }

    async fn disk_usage(&self) -> Result<Option<DiskUsage>> {
        self.faults.call("measure a database", self.documents.disk_usage()).await
    }
}

/// Blobs of which chosen calls fail. Every method is a call, those of writers and readers too, but for their lengths.
#[derive(Debug)]
pub struct FaultyBlobs {
    blobs: Arc<dyn Blobs>,
    faults: CallFaults,
}

impl FaultyBlobs {
    /// Puts faults round a driver.
    #[must_use]
    pub fn new(blobs: Arc<dyn Blobs>, faults: CallFaults) -> Self {
        Self { blobs, faults }
    }
}

#[async_trait]
impl Blobs for FaultyBlobs {
    async fn create(&self, id: &BlobId, durability: Durability) -> Result<Box<dyn BlobWriter>> {
        let writer = self.faults.call("write a blob", self.blobs.create(id, durability)).await?;
        Ok(Box::new(FaultyWriter { writer, faults: self.faults.clone() }))
    }

    async fn open(&self, id: &BlobId) -> Result<Option<Box<dyn BlobReader>>> {
        let reader = self.faults.call("read a blob", self.blobs.open(id)).await?;
        let faults = self.faults.clone();
        Ok(reader.map(|reader| Box::new(FaultyReader { reader, faults }) as Box<dyn BlobReader>))
    }

    async fn delete(&self, id: &BlobId) -> Result<bool> {
        self.faults.call("delete a blob", self.blobs.delete(id)).await
    }

    async fn list(&self, after: Option<&BlobId>, limit: usize) -> Result<BlobPage> {
        self.faults.call("list blobs", self.blobs.list(after, limit)).await
    }
}

struct FaultyWriter {
    writer: Box<dyn BlobWriter>,
    faults: CallFaults,
}

#[async_trait]
impl BlobWriter for FaultyWriter {
    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.faults.call("write a blob", self.writer.write(bytes)).await
    }

    async fn finish(self: Box<Self>) -> Result<u64> {
        self.faults.call("write a blob", self.writer.finish()).await
    }
}

impl fmt::Debug for FaultyWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.writer.fmt(f)
    }
}

struct FaultyReader {
    reader: Box<dyn BlobReader>,
    faults: CallFaults,
}

#[async_trait]
impl BlobReader for FaultyReader {
    fn len(&self) -> u64 {
        self.reader.len()
    }

    async fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.faults.call("read a blob", self.reader.read_at(offset, buffer)).await
    }
}

impl fmt::Debug for FaultyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reader.fmt(f)
    }
}
