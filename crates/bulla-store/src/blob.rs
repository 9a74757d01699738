//! Large values: sealed to blobs, and read back from them (spec, "Blobs").

use std::fmt;
use std::ops::Range;

use bulla_backend::{BackendError, BlobId, BlobReader, BlobWriter, Blobs, Durability};
use bulla_seal::{
    ChunkOpener, Context, HEADER_LEN, Header, Layout, OpenError, Params, ProjectId, SealError, SealKey, Secret,
    StreamSealer, TAG_LEN, fill_random,
};
use zeroize::Zeroizing;

use crate::entry::BlobRef;
use crate::{NamespaceName, Place, StoreError};

const DOMAIN: &str = "bulla/store/blob";

fn context(project: &ProjectId, namespace: &NamespaceName, id: &BlobId) -> Result<Context, SealError> {
    Context::in_domain(DOMAIN, project).text("namespace", namespace.as_str()).bytes("blob", &id.0).build()
}

/// Seals a value to a blob of its own, holding one chunk of it in memory.
pub(crate) struct BlobSealer {
    blob: Box<dyn BlobWriter>,
    sealer: StreamSealer,
    /// What is not written yet, with room for a tag.
    chunk: Zeroizing<Vec<u8>>,
    reference: BlobRef,
    len: u64,
    /// The namespace's limit, which no value may pass by itself.
    limit: Option<(NamespaceName, u64)>,
}

impl BlobSealer {
    pub(crate) async fn begin(
        blobs: &dyn Blobs,
        project: &ProjectId,
        namespace: &NamespaceName,
        durability: Durability,
        params: Params,
    ) -> Result<Self, StoreError> {
        let mut id = BlobId([0; 32]);
        fill_random(&mut id.0)?;
        let key = Secret::random()?;
        let sealer =
            StreamSealer::new(&SealKey::with_derived_id(key.expose())?, params, &context(project, namespace, &id)?)?;
        let mut blob = blobs.create(&id, durability).await?;
        blob.write(sealer.header()).await?;
        let chunk = Zeroizing::new(Vec::with_capacity(params.chunk_size.stored()));
        Ok(Self { blob, sealer, chunk, reference: BlobRef { id, key }, len: 0, limit: None })
    }

    /// Refuses more bytes than all entries of the namespace may take, before they fill the disk.
    pub(crate) fn with_limit(mut self, namespace: &NamespaceName, limit: Option<u64>) -> Self {
        self.limit = limit.map(|limit| (namespace.clone(), limit));
        self
    }

    pub(crate) fn id(&self) -> BlobId {
        self.reference.id
    }

    pub(crate) async fn write(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        let size = self.sealer.params().chunk_size.bytes();
        let len = self.len.saturating_add((self.chunk.len() + bytes.len()) as u64);
        if let Some((namespace, limit)) = self.limit.as_ref().filter(|(_, limit)| len > *limit) {
            return Err(StoreError::OverLimit { namespace: namespace.clone(), len, limit: *limit });
        }
        while !bytes.is_empty() {
            // A full chunk waits until more comes: the last one is sealed otherwise.
            if self.chunk.len() == size {
                self.flush(false).await?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(size - self.chunk.len()));
            self.chunk.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Makes the blob durable and visible; returns how to find it, and the length of the value.
    pub(crate) async fn finish(mut self) -> Result<(BlobRef, u64), StoreError> {
        self.flush(true).await?;
        self.blob.finish().await?;
        Ok((self.reference, self.len))
    }

    async fn flush(&mut self, last: bool) -> Result<(), StoreError> {
        let len = self.chunk.len();
        self.chunk.resize(len + TAG_LEN, 0);
        self.sealer.seal_next(last, &mut self.chunk)?;
        self.blob.write(&self.chunk).await?;
        self.chunk.clear();
        self.len += len as u64;
        Ok(())
    }
}

impl fmt::Debug for BlobSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobSealer").field("blob", &self.blob).field("len", &self.len).finish_non_exhaustive()
    }
}

/// A blob whose header and end have verified, so that its length is authentic.
#[derive(Debug)]
pub(crate) struct BlobOpener {
    blob: Box<dyn BlobReader>,
    opener: ChunkOpener,
    layout: Layout,
    chunk_len: usize,
}

/// Why a blob gives no value.
#[derive(Debug)]
pub(crate) enum BlobError {
    /// It is not there.
    Missing,
    /// It is not what the entry says; with what failed, if it was its opening.
    Damaged(Option<OpenError>),
    /// The storage failed.
    Backend(BackendError),
}

impl BlobError {
    /// Says which entry's blob it is.
    pub(crate) fn at(self, place: Place, blob: BlobId) -> StoreError {
        match self {
            Self::Missing => StoreError::MissingBlob { place, blob },
            Self::Damaged(reason) => StoreError::DamagedBlob { place, blob, reason },
            Self::Backend(error) => error.into(),
        }
    }
}

impl From<OpenError> for BlobError {
    fn from(error: OpenError) -> Self {
        Self::Damaged(Some(error))
    }
}

impl From<BackendError> for BlobError {
    fn from(error: BackendError) -> Self {
        Self::Backend(error)
    }
}

impl From<SealError> for BlobError {
    /// Key and context of a blob have lengths that are always allowed, so that this is the cryptographic library's
    /// failure.
    fn from(_: SealError) -> Self {
        Self::Damaged(None)
    }
}

impl BlobOpener {
    /// Opens the blob of a value of `len` bytes (spec, "Reading", steps 6 and 7).
    pub(crate) async fn open(
        blobs: &dyn Blobs,
        project: &ProjectId,
        namespace: &NamespaceName,
        reference: &BlobRef,
        len: u64,
    ) -> Result<Self, BlobError> {
        let blob = blobs.open(&reference.id).await?.ok_or(BlobError::Missing)?;
        // A sealed value has at least a header and a tag; less is found out by parsing.
        let mut start = [0; HEADER_LEN + TAG_LEN];
        let filled = blob.read_at(0, &mut start).await?.min(start.len());
        let header = Header::parse(&start[..filled])?;
        let sealed_len = header.params().sealed_len(len)?;
        if blob.len() != sealed_len {
            return Err(BlobError::Damaged(None));
        }
        let key = SealKey::with_derived_id(reference.key.expose())?;
        let opener = ChunkOpener::new(&key, &context(project, namespace, &reference.id)?, &header)?;
        let mut last_chunk = Vec::new();
        read_range(&*blob, &opener.last_chunk(sealed_len)?, &mut last_chunk).await?;
        let layout = opener.verify_end(sealed_len, &last_chunk)?;
        Ok(Self { blob, opener, layout, chunk_len: header.params().chunk_size.bytes() })
    }

    /// Returns the length of every chunk's part of the value but the last one's.
    pub(crate) fn chunk_len(&self) -> usize {
        self.chunk_len
    }

    /// Opens chunk `index` to the start of `out`, and returns how long it is; `stored` is room to work in. `None`
    /// behind the last chunk.
    pub(crate) async fn open_chunk(
        &self,
        index: u64,
        stored: &mut Vec<u8>,
        out: &mut [u8],
    ) -> Result<Option<usize>, BlobError> {
        let Some(range) = self.layout.chunk(index) else { return Ok(None) };
        read_range(&*self.blob, &range, stored).await?;
        let len = stored.len() - TAG_LEN;
        let out = out.get_mut(..len).ok_or(BlobError::Damaged(None))?;
        self.opener.open(&self.layout, index, stored, out)?;
        Ok(Some(len))
    }

    /// Opens the whole value, of `len` bytes.
    pub(crate) async fn open_all(&self, len: usize) -> Result<Vec<u8>, BlobError> {
        let mut value = Zeroizing::new(vec![0; len]);
        let mut stored = Vec::with_capacity(self.chunk_len + TAG_LEN);
        let mut filled = 0;
        for index in 0..self.layout.chunks() {
            filled += self.open_chunk(index, &mut stored, &mut value[filled..]).await?.unwrap_or_default();
        }
        Ok(std::mem::take(&mut value))
    }
}

/// Reads exactly one chunk, which is at most 16 MiB and 16 bytes long, and no longer than the blob.
async fn read_range(blob: &dyn BlobReader, range: &Range<u64>, out: &mut Vec<u8>) -> Result<(), BlobError> {
    let len = usize::try_from(range.end - range.start).map_err(|_| BlobError::Damaged(None))?;
    out.resize(len, 0);
    if blob.read_at(range.start, out).await? < len {
        return Err(BlobError::Damaged(Some(OpenError::Damaged)));
    }
    Ok(())
}
