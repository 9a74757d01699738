//! Blobs: large, immutable, streamed.

use std::{fmt, str::FromStr};

use async_trait::async_trait;
use data_encoding::HEXLOWER;

use crate::{BackendError, Durability, Result, Timestamp};

/// Most ids in one [`BlobPage`].
pub const MAX_PAGE_BLOBS: usize = 1_000;

/// A place for blobs.
///
/// A blob is written once, under an id that nobody else uses, and then never changed: it is there whole or not at all. Once
/// [`BlobWriter::finish`] has returned `Ok`, a blob of [`Durability::Durable`] survives a kill and a power cut.
#[async_trait]
pub trait Blobs: Send + Sync + fmt::Debug {
    /// Begins a blob. Nothing is visible under `id` before [`BlobWriter::finish`], and then all of it at once; a writer that is
    /// dropped leaves nothing behind (after a kill, at most what a later opening removes). One of
    /// [`Durability::Cache`] survives the process, but after a power cut it may be gone or have wrong bytes, which its seal shows.
    ///
    /// # Errors
    /// Fails if the storage cannot be written.
    async fn create(&self, id: &BlobId, durability: Durability) -> Result<Box<dyn BlobWriter>>;

    /// Opens a blob for reading, or returns `None` where there is none. Deleting it meanwhile does not disturb the reader on a local disk.
    ///
    /// # Errors
    /// Fails if the storage cannot be read.
    async fn open(&self, id: &BlobId) -> Result<Option<Box<dyn BlobReader>>>;

    /// Deletes a blob; says whether there was one. After a power cut it may be there again.
    ///
    /// # Errors
    /// Fails if the storage cannot be written.
    async fn delete(&self, id: &BlobId) -> Result<bool>;

    /// Lists blobs in order of ids, from the first behind `after`; at most `limit`, and at most [`MAX_PAGE_BLOBS`] (also for 0).
    ///
    /// # Errors
    /// Fails if the storage cannot be read.
    async fn list(&self, after: Option<&BlobId>, limit: usize) -> Result<BlobPage>;
}

/// A blob that is being written.
#[async_trait]
pub trait BlobWriter: Send + fmt::Debug {
    /// Appends bytes.
    ///
    /// # Errors
    /// Fails if they cannot be stored; the writer is then of no further use.
    async fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// Makes the blob durable (as asked for at its creation) and visible, and returns its length.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if a blob of this id is there already: it stays as it is.
    async fn finish(self: Box<Self>) -> Result<u64>;
}

/// A blob that is being read.
#[async_trait]
pub trait BlobReader: Send + Sync + fmt::Debug {
    /// Returns the length in bytes, as the storage claims it.
    fn len(&self) -> u64;

    /// Says whether there are no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buffer` from `offset` on, and returns how many bytes there were: fewer than `buffer` holds only at the end of the blob.
    ///
    /// # Errors
    /// Fails if the storage cannot be read.
    async fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize>;
}

/// Name of a blob: 32 bytes, which the caller draws at random. Written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(pub [u8; 32]);

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobId({self})")
    }
}

impl FromStr for BlobId {
    type Err = BackendError;

    fn from_str(text: &str) -> Result<Self> {
        HEXLOWER
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| BackendError::invalid_input("read a blob id", "it is not 64 lower-case hex digits"))
    }
}

/// What a listing says about a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobStat {
    /// Its name.
    pub id: BlobId,
    /// Its length in bytes, as the storage claims it.
    pub len: u64,
    /// When it was finished, by the clock of the storage: not before its last bytes were written, and not after
    /// [`BlobWriter::finish`] returned. Never changes, but for a blob that was brought back from a copy.
    pub finished: Timestamp,
}

/// Some blobs of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlobPage {
    /// The blobs, in order of ids.
    pub blobs: Vec<BlobStat>,
    /// Where the next page begins (`after`), or `None` if this was the last.
    pub next: Option<BlobId>,
}

impl BlobPage {
    /// Returns the most blobs that a page has of which `limit` were asked for.
    #[must_use]
    pub const fn len_for(limit: usize) -> usize {
        if limit == 0 || limit > MAX_PAGE_BLOBS { MAX_PAGE_BLOBS } else { limit }
    }
}
