//! Writing one blob.

use std::{fmt, mem, process::id, sync::Arc};

use async_trait::async_trait;

use super::{CHUNK_LEN, Shared, by_durability};
use crate::{
    BackendError, BlobId, BlobWriter, Durability, ErrorKind, Result,
    postgres::{error::Failure, server::Lease},
    remote,
};

/// A blob that is being written; dropped unfinished, it is given up.
pub(super) struct Writer {
    shared: Arc<Shared>,
    id: BlobId,
    durability: Durability,
    upload: i64,
    /// Less than a chunk.
    buffer: Vec<u8>,
    /// How many chunks were written, or may have been.
    chunks: i64,
    state: State,
    /// Whoever inherited a copy by a fork has nothing to give up.
    process: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Failed,
    Finished,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, id: BlobId, upload: i64, durability: Durability) -> Self {
        let process = std::process::id();
        Self { shared, id, durability, upload, buffer: Vec::new(), chunks: 0, state: State::Open, process }
    }

    /// Writes a chunk that is full.
    async fn flush(&mut self) -> Result<()> {
        const OPERATION: &str = "write a blob";
        let (shared, upload, number) = (self.shared.clone(), self.upload, self.chunks);
        let chunk: Arc<[u8]> = mem::take(&mut self.buffer).into();
        let work = move |lease: Lease| {
            let (shared, chunk) = (shared.clone(), chunk.clone());
            async move {
                let statements = &shared.statements;
                let sql = if number == 0 { &statements.first_chunk } else { &statements.next_chunk };
                match lease.execute(sql, &[&upload, &number, &&*chunk]).await? {
                    0 => Err(given_up()),
                    _ => Ok(()),
                }
            }
        };
        self.chunks += 1;
        // Stays so if we are dropped while we wait, too.
        self.state = State::Failed;
        self.shared.place.server.write(OPERATION, work).await?;
        self.state = State::Open;
        Ok(())
    }

    fn check_usable(&self, operation: &'static str) -> Result<()> {
        match self.state {
            State::Open => Ok(()),
            _ => Err(BackendError::new(ErrorKind::Io, operation, "an earlier write to it failed; write it anew")),
        }
    }
}

#[async_trait]
impl BlobWriter for Writer {
    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.check_usable("write a blob")?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(CHUNK_LEN - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            rest = later;
            if self.buffer.len() == CHUNK_LEN {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<u64> {
        const OPERATION: &str = "finish a blob";
        self.check_usable(OPERATION)?;
        let (shared, id, upload, chunks, durability) =
            (self.shared.clone(), self.id, self.upload, self.chunks, self.durability);
        let last: Arc<[u8]> = mem::take(&mut self.buffer).into();
        let too_long = || BackendError::invalid_input(OPERATION, "a blob has at most 2^63 bytes");
        let len = chunks
            .checked_mul(CHUNK_LEN as i64)
            .and_then(|len| len.checked_add(i64::try_from(last.len()).ok()?))
            .ok_or_else(too_long)?;
        let work = move |lease: Lease| {
            let (shared, last) = (shared.clone(), last.clone());
            async move {
                let (statements, id) = (&shared.statements, &id.0[..]);
                if chunks == 0 {
                    let sql = by_durability(&statements.finish_small, durability);
                    return Ok(lease.execute(sql, &[&id, &upload, &len, &&*last]).await? > 0);
                }
                let sql = by_durability(&statements.finish, durability);
                let row =
                    lease.query_one(sql, &[&id, &upload, &len, &&*last, &chunks]).await.map_err(Failure::of_write)?;
                let (held, made): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
                if held == 0 { Err(given_up()) } else { Ok(made > 0) }
            }
        };
        match self.shared.place.server.write(OPERATION, work).await? {
            true => {
                self.state = State::Finished;
                Ok(len.unsigned_abs())
            }
            false => Err(BackendError::conflict(OPERATION, id)),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.state == State::Finished || self.chunks == 0 || self.process != id() {
            return;
        }
        let (shared, upload) = (self.shared.clone(), self.upload);
        // What cannot be done now, an opening does after a day.
        if let Ok(runtime) = remote::handle("give up a blob") {
            drop(runtime.spawn(async move { shared.abandon(upload).await }));
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("id", &self.id)
            .field("upload", &self.upload)
            .field("state", &self.state)
            .finish()
    }
}

fn given_up() -> Failure {
    Failure::new(ErrorKind::Io, "nothing came for a day, so what was written of it was removed; write it anew")
}
