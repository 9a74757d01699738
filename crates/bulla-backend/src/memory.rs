//! Documents and blobs in memory: for tests, and for what need not outlive the process.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Bound::{Excluded, Unbounded},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use async_trait::async_trait;

use crate::{
    BackendError, BlobId, BlobPage, BlobReader, BlobStat, BlobWriter, Blobs, Capabilities, ChangeMark, Clock,
    Collection, Document, DocumentKey, Documents, Durability, Expected, Filed, Filing, ListQuery, Page, Rerank, Result,
    Revision, SystemClock, Timestamp, Usage, Write,
    document::check_reranks,
    table::{Table, share_of},
};

/// Documents that last as long as the process. Clones are the same database.
///
/// What it holds is limited by the machine's memory only.
#[derive(Debug, Clone, Default)]
pub struct MemoryDocuments {
    table: Arc<RwLock<Table>>,
}

impl MemoryDocuments {
    /// Makes an empty database.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Documents for MemoryDocuments {
    fn capabilities(&self) -> Capabilities {
        Capabilities { commit: true, watch: true, filing: true, ..Capabilities::default() }
    }

    async fn get(&self, collection: Collection, key: &DocumentKey) -> Result<Option<Document>> {
        Ok(self.read().get(collection, key))
    }

    async fn put(
        &self,
        collection: Collection,
        key: &DocumentKey,
        value: &[u8],
        expected: Expected,
    ) -> Result<Revision> {
        Write::check_value(value)?;
        let mut table = self.write();
        let write = Write::Put { collection, key: key.clone(), value: value.to_vec(), expected };
        table.apply("write a document", &[write])?;
        Ok(Revision(table.newest()))
    }

    async fn delete(&self, collection: Collection, key: &DocumentKey, expected: Expected) -> Result<bool> {
        let mut table = self.write();
        let found = table.contains(collection, key);
        table.apply("delete a document", &[Write::Delete { collection, key: key.clone(), expected }])?;
        Ok(found)
    }

    async fn list(&self, collection: Collection, query: &ListQuery) -> Result<Page> {
        Ok(self.read().list(collection, query))
    }

    async fn commit(&self, writes: &[Write]) -> Result<Vec<Option<Revision>>> {
        Write::check_commit(writes)?;
        self.write().apply("commit", writes)
    }

    async fn change_mark(&self, _collection: Collection) -> Result<Option<ChangeMark>> {
        Ok(Some(ChangeMark(self.read().newest())))
    }

    async fn due(
        &self,
        collection: Collection,
        group: Option<&[u8]>,
        moment: Timestamp,
        after: Option<(Timestamp, &[u8])>,
        limit: usize,
    ) -> Result<Vec<Filed>> {
        Ok(self.read().due(collection, group, moment, after, limit))
    }

    async fn lowest(&self, collection: Collection, group: &[u8], limit: usize) -> Result<Vec<Filed>> {
        Ok(self.read().lowest(collection, group, limit))
    }

    async fn usage(&self, collection: Collection, group: &[u8]) -> Result<Usage> {
        Ok(self.read().usage(collection, group))
    }

    fn share(&self, key: &DocumentKey, value_len: usize, filing: &Filing) -> u64 {
        share_of(key, value_len, filing)
    }

    async fn rerank(&self, collection: Collection, changes: &[(DocumentKey, Rerank)]) -> Result<()> {
        check_reranks(changes)?;
        self.write().rerank(collection, changes);
        Ok(())
    }
}

/// Blobs that last as long as the process. Clones are the same place.
///
/// What it holds is limited by the machine's memory only.
#[derive(Clone)]
pub struct MemoryBlobs {
    blobs: Arc<Mutex<BTreeMap<BlobId, Finished>>>,
    clock: Arc<dyn Clock>,
}

/// A blob, and when it was finished.
#[derive(Clone)]
struct Finished {
    bytes: Arc<[u8]>,
    at: Timestamp,
}

impl MemoryBlobs {
    /// Makes an empty place, with the clock of this machine.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// Makes an empty place, where `clock` says when a blob is finished.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { blobs: Arc::default(), clock }
    }

    fn blobs(&self) -> MutexGuard<'_, BTreeMap<BlobId, Finished>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryBlobs {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBlobs").field("blobs", &self.blobs().len()).finish()
    }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn create(&self, id: &BlobId, _durability: Durability) -> Result<Box<dyn BlobWriter>> {
        Ok(Box::new(MemoryWriter { place: self.clone(), id: *id, bytes: Vec::new() }))
    }

    async fn open(&self, id: &BlobId) -> Result<Option<Box<dyn BlobReader>>> {
        let found = self.blobs().get(id).cloned();
        Ok(found.map(|found| Box::new(MemoryReader { bytes: found.bytes }) as Box<dyn BlobReader>))
    }

    async fn delete(&self, id: &BlobId) -> Result<bool> {
        Ok(self.blobs().remove(id).is_some())
    }

    async fn list(&self, after: Option<&BlobId>, limit: usize) -> Result<BlobPage> {
        let blobs = self.blobs();
        let mut behind = blobs.range((after.map_or(Unbounded, Excluded), Unbounded)).peekable();
        let listed = behind.by_ref().take(BlobPage::len_for(limit));
        let blobs: Vec<_> =
            listed.map(|(id, blob)| BlobStat { id: *id, len: blob.bytes.len() as u64, finished: blob.at }).collect();
        let next = behind.peek().and(blobs.last()).map(|last| last.id);
        Ok(BlobPage { blobs, next })
    }
}

struct MemoryWriter {
    place: MemoryBlobs,
    id: BlobId,
    bytes: Vec<u8>,
}

impl fmt::Debug for MemoryWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryWriter").field("id", &self.id).field("len", &self.bytes.len()).finish()
    }
}

#[async_trait]
impl BlobWriter for MemoryWriter {
    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<u64> {
        let Self { place, id, bytes } = *self;
        let len = bytes.len() as u64;
        let mut blobs = place.blobs();
        if blobs.contains_key(&id) {
            return Err(BackendError::conflict("write a blob", id));
        }
        blobs.insert(id, Finished { bytes: bytes.into(), at: place.clock.now() });
        Ok(len)
    }
}

struct MemoryReader {
    bytes: Arc<[u8]>,
}

impl fmt::Debug for MemoryReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReader").field("len", &self.bytes.len()).finish()
    }
}

#[async_trait]
impl BlobReader for MemoryReader {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    async fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let behind = usize::try_from(offset).ok().and_then(|offset| self.bytes.get(offset..)).unwrap_or_default();
        let len = behind.len().min(buffer.len());
        buffer[..len].copy_from_slice(&behind[..len]);
        Ok(len)
    }
}
