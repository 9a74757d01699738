//! Witnesses: who keeps a checkpoint where the writer of the log cannot change it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bulla_backend::{Documents, ErrorKind, Expected};

use super::error::{AuditError, Result};
use super::note::{Checkpoint, Origin};
use super::publish::{COLLECTION, key};

/// Somebody who is shown checkpoints, and keeps them.
///
/// # Security
/// It is worth as much as it is out of reach of who can write the log: another machine's database, a bucket with object lock.
#[async_trait]
pub trait Witness: Send + Sync + fmt::Debug {
    /// Shows a checkpoint, which is kept if it is larger than the one before.
    ///
    /// # Errors
    /// [`AuditError::Truncated`] if a larger one was shown before; [`AuditError::Altered`] if one of this size with another root was;
    /// [`AuditError::Storage`] if it could not be kept.
    async fn publish(&self, origin: &Origin, checkpoint: &Checkpoint) -> Result<()>;

    /// Returns the largest checkpoint of a log that was shown, to hold the log to.
    ///
    /// # Errors
    /// [`AuditError::Altered`] if what was kept is not signed by the log's machine; [`AuditError::Storage`] if it could not be read.
    async fn latest(&self, origin: &Origin) -> Result<Option<Checkpoint>>;
}

/// A witness that keeps checkpoints as documents of a backend.
#[derive(Debug, Clone)]
pub struct DocumentWitness(Arc<dyn Documents>);

impl DocumentWitness {
    /// Keeps checkpoints in a backend.
    #[must_use]
    pub fn new(documents: Arc<dyn Documents>) -> Self {
        Self(documents)
    }

    async fn find(&self, origin: &Origin) -> Result<Option<(Checkpoint, Expected)>> {
        let found = self.0.get(COLLECTION, &key(&format!("witness/{}", origin.line()))?).await;
        let found = found.map_err(|error| AuditError::backend("read what a witness has seen", &error))?;
        let Some(document) = found else { return Ok(None) };
        let read = Checkpoint::read(&document.value, origin);
        let checkpoint = read.map_err(|error| AuditError::Altered(format!("what a witness has seen: {error}")))?;
        Ok(Some((checkpoint, Expected::Revision(document.revision))))
    }
}

#[async_trait]
impl Witness for DocumentWitness {
    async fn publish(&self, origin: &Origin, checkpoint: &Checkpoint) -> Result<()> {
        let key = key(&format!("witness/{}", origin.line()))?;
        loop {
            let seen = self.find(origin).await?;
            let expected = match &seen {
                None => Expected::Absent,
                Some((seen, _)) if seen.size() > checkpoint.size() => {
                    let what = format!("a witness has seen {} events, not {}", seen.size(), checkpoint.size());
                    return Err(AuditError::Truncated(what));
                }
                Some((seen, _)) if seen.size() == checkpoint.size() => {
                    let what =
                        || AuditError::Altered(format!("a witness has seen another root of {} events", seen.size()));
                    return if seen.root() == checkpoint.root() { Ok(()) } else { Err(what()) };
                }
                Some((_, revision)) => *revision,
            };
            match self.0.put(COLLECTION, &key, checkpoint.to_string().as_bytes(), expected).await {
                // Somebody else has shown one meanwhile: look again.
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                written => {
                    return written
                        .map(drop)
                        .map_err(|error| AuditError::backend("show a witness a checkpoint", &error));
                }
            }
        }
    }

    async fn latest(&self, origin: &Origin) -> Result<Option<Checkpoint>> {
        Ok(self.find(origin).await?.map(|(checkpoint, _)| checkpoint))
    }
}
