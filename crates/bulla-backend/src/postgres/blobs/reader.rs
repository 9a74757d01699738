//! Reading one blob.

use std::sync::Arc;

use async_trait::async_trait;

use super::{CHUNK_LEN, Shared};
use crate::{
    BlobId, BlobReader, ErrorKind, Result,
    postgres::{
        error::{Attempt, Failure},
        server::Lease,
    },
};

/// Most bytes that are asked for at a time, but for what the first chunk has before the offset.
const MAX_STEP: u64 = 16 * CHUNK_LEN as u64;

/// A blob that is being read.
#[derive(Debug)]
pub(super) struct Reader {
    shared: Arc<Shared>,
    id: BlobId,
    upload: i64,
    len: u64,
}

impl Reader {
    pub(super) const fn new(shared: Arc<Shared>, id: BlobId, upload: i64, len: u64) -> Self {
        Self { shared, id, upload, len }
    }

    /// Reads the bytes from `start` up to `end`, which are of at most 16 chunks.
    async fn read(&self, start: u64, end: u64) -> Result<Vec<Vec<u8>>> {
        let (shared, id, upload) = (self.shared.clone(), self.id, self.upload);
        let work = move |lease: Lease| {
            let shared = shared.clone();
            async move { shared.pieces(&lease, &id, upload, start, end).await }
        };
        self.shared.place.server.read("read a blob", work).await
    }
}

#[async_trait]
impl BlobReader for Reader {
    fn len(&self) -> u64 {
        self.len
    }

    async fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let there = self.len.saturating_sub(offset);
        let wanted = usize::try_from(there).unwrap_or(usize::MAX).min(buffer.len());
        let end = offset.saturating_add(wanted as u64);
        let (mut start, mut filled) = (offset, 0);
        while start < end {
            // Up to the end of a chunk.
            let step = (start / CHUNK_LEN as u64 * CHUNK_LEN as u64).saturating_add(MAX_STEP).min(end);
            for piece in self.read(start, step).await? {
                buffer[filled..filled + piece.len()].copy_from_slice(&piece);
                filled += piece.len();
            }
            start = step;
        }
        Ok(filled)
    }
}

impl Shared {
    /// Reads the pieces of chunks that together are the bytes from `start` up to `end`.
    async fn pieces(&self, lease: &Lease, id: &BlobId, upload: i64, start: u64, end: u64) -> Attempt<Vec<Vec<u8>>> {
        let signed = |number: u64| {
            i64::try_from(number).map_err(|_| Failure::corrupt(format!("the blob `{id}` claims an impossible length")))
        };
        let (first, last) = (start / CHUNK_LEN as u64, (end - 1) / CHUNK_LEN as u64);
        let rows = lease
            .query(&self.statements.read, &[&upload, &signed(first)?, &signed(last)?, &signed(start)?, &signed(end)?])
            .await?;
        let mut pieces = Vec::with_capacity(rows.len());
        for (row, number) in rows.iter().zip(first..) {
            let piece: Vec<u8> = row.try_get(1)?;
            let chunk = number * CHUNK_LEN as u64;
            let wanted = end.min(chunk + CHUNK_LEN as u64) - start.max(chunk);
            if row.try_get::<_, i64>(0)? != signed(number)? || piece.len() as u64 != wanted {
                break;
            }
            pieces.push(piece);
        }
        if pieces.len() as u64 == last - first + 1 {
            return Ok(pieces);
        }
        match self.find(lease, id).await? {
            Some((found, _)) if found == upload => {
                Err(Failure::corrupt(format!("the blob `{id}` is not as long as it claims, or lacks a piece")))
            }
            _ => {
                let detail = format!("the blob `{id}` was deleted while it was read; open it anew");
                Err(Failure::new(ErrorKind::Unavailable, detail))
            }
        }
    }
}
