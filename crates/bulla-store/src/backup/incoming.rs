//! Blobs as they come out of a backup.

use std::fmt;

use bulla_backend::{BackendError, BlobId, BlobReader, BlobWriter, Blobs, Durability, ErrorKind};

/// How much is copied at once of what is there already.
const BUFFER_LEN: usize = 64 * 1_024;

/// A blob on its way into a storage.
pub(super) struct Incoming {
    id: BlobId,
    state: State,
}

enum State {
    /// It is not there yet.
    New(Box<dyn BlobWriter>),
    /// It is there, and has been the same so far.
    Same { standing: Box<dyn BlobReader>, until: u64 },
    /// It is there, and one of both is damaged: blobs are never changed. Which one, its entry can tell.
    Other(Box<dyn BlobWriter>),
}

/// What became of a blob.
#[derive(Debug)]
pub(super) enum Settled {
    /// It was written.
    Written,
    /// It was there.
    There,
    /// It was there otherwise; the writer holds what would replace it.
    Other(Replacement),
}

/// What would replace a blob.
pub(super) struct Replacement {
    pub(super) id: BlobId,
    writer: Box<dyn BlobWriter>,
}

impl Incoming {
    pub(super) async fn begin(blobs: &dyn Blobs, id: BlobId) -> Result<Self, BackendError> {
        let state = match blobs.open(&id).await? {
            Some(standing) => State::Same { standing, until: 0 },
            None => State::New(blobs.create(&id, Durability::Durable).await?),
        };
        Ok(Self { id, state })
    }

    pub(super) async fn piece(&mut self, blobs: &dyn Blobs, bytes: &[u8]) -> Result<(), BackendError> {
        match &mut self.state {
            State::New(writer) | State::Other(writer) => writer.write(bytes).await,
            State::Same { standing, until } => {
                let mut there = vec![0; bytes.len()];
                if standing.read_at(*until, &mut there).await? == bytes.len() && there == bytes {
                    *until += bytes.len() as u64;
                    return Ok(());
                }
                let mut writer = copy(blobs, self.id, &**standing, *until).await?;
                writer.write(bytes).await?;
                self.state = State::Other(writer);
                Ok(())
            }
        }
    }

    pub(super) async fn end(self, blobs: &dyn Blobs, len: u64) -> Result<Settled, BackendError> {
        let id = self.id;
        match self.state {
            State::New(writer) => match writer.finish().await {
                Ok(_) => Ok(Settled::Written),
                // Another process restores the same.
                Err(error) if error.kind() == ErrorKind::Conflict => Ok(Settled::There),
                Err(error) => Err(error),
            },
            State::Same { standing, .. } if standing.len() == len => Ok(Settled::There),
            State::Same { standing, until } => {
                let writer = copy(blobs, id, &*standing, until).await?;
                Ok(Settled::Other(Replacement { id, writer }))
            }
            State::Other(writer) => Ok(Settled::Other(Replacement { id, writer })),
        }
    }
}

impl Replacement {
    /// Puts the blob in the place of the one that is there.
    pub(super) async fn replace(self, blobs: &dyn Blobs) -> Result<(), BackendError> {
        blobs.delete(&self.id).await?;
        match self.writer.finish().await {
            Err(error) if error.kind() != ErrorKind::Conflict => Err(error),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Replacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replacement").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Begins a blob anew with the start of the one that is there.
async fn copy(
    blobs: &dyn Blobs,
    id: BlobId,
    standing: &dyn BlobReader,
    until: u64,
) -> Result<Box<dyn BlobWriter>, BackendError> {
    let mut writer = blobs.create(&id, Durability::Durable).await?;
    let mut buffer = vec![0; BUFFER_LEN];
    let mut offset = 0;
    while offset < until {
        let wanted = usize::try_from(until - offset).map_or(BUFFER_LEN, |left| left.min(BUFFER_LEN));
        let read = standing.read_at(offset, &mut buffer[..wanted]).await?;
        if read == 0 {
            return Err(BackendError::new(ErrorKind::Io, "read a blob", format!("`{id}` has become shorter")));
        }
        writer.write(&buffer[..read]).await?;
        offset += read as u64;
    }
    Ok(writer)
}
