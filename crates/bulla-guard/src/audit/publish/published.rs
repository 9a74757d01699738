//! Logs of other machines, as they have published them.

use bulla_backend::Documents;
use bulla_keyring::{Fingerprint, PublicIdentity};
use bulla_seal::ProjectId;

use super::edge::Edge;
use super::{Shelf, WIDTH};
use crate::audit::error::{AuditError, Result};
use crate::audit::note::{Checkpoint, Origin};
use crate::audit::reader::Stored;
use crate::audit::tree::{Frontier, Tile, TileKind, leaf_hash, tiles_of};
use crate::audit::verdict::{Verdict, Verified, Wanted};

/// The log of a machine, as it has published it.
#[derive(Debug, Clone, Copy)]
pub struct PublishedLog<'d> {
    documents: &'d dyn Documents,
    origin: &'d Origin,
}

impl<'d> PublishedLog<'d> {
    /// Reads the log of `origin` from a backend.
    #[must_use]
    pub const fn new(documents: &'d dyn Documents, origin: &'d Origin) -> Self {
        Self { documents, origin }
    }

    const fn shelf(&self) -> Shelf<'d> {
        Shelf { documents: self.documents, origin: self.origin }
    }

    /// Returns the checkpoint that was published last, if any.
    ///
    /// # Errors
    /// [`AuditError::Altered`] if the machine has not signed it; [`AuditError::Storage`] if the backend fails.
    pub async fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        Ok(self.shelf().checkpoint().await?.map(|(checkpoint, _)| checkpoint))
    }

    /// Returns the events of one bundle: up to 256, from 256 times its number on. `size` is that of a checkpoint.
    ///
    /// # Errors
    /// [`AuditError::Truncated`] if it is missing; [`AuditError::Altered`] if it is none; [`AuditError::Storage`] if the backend fails.
    pub async fn bundle(&self, number: u64, size: u64) -> Result<Vec<Stored>> {
        let first = number.saturating_mul(WIDTH);
        let width = u16::try_from(size.saturating_sub(first).min(WIDTH)).unwrap_or_default();
        if width == 0 {
            return Ok(Vec::new());
        }
        let tile = Tile { kind: TileKind::Entries, index: number, width };
        let bytes = self.shelf().tile(tile).await?;
        let (mut rest, mut events) = (bytes.as_slice(), Vec::new());
        for index in first..first + u64::from(width) {
            let split = rest
                .split_first_chunk()
                .and_then(|(len, rest)| rest.split_at_checked(usize::from(u16::from_be_bytes(*len))));
            let (event, behind) = split.ok_or_else(|| AuditError::Altered(format!("`{tile}` is no bundle")))?;
            events.push(Stored { index, bytes: event.to_vec() });
            rest = behind;
        }
        Ok(events)
    }

    /// Reads and hashes every event, and holds the log to its checkpoint, its tiles, and a checkpoint from outside.
    pub async fn verify(&self, against: Option<&Checkpoint>) -> Verdict {
        Verdict::of(self.verified(against).await)
    }

    async fn verified(&self, against: Option<&Checkpoint>) -> Result<Verified> {
        let Some(checkpoint) = self.checkpoint().await? else {
            let what = format!("{} has published no checkpoint", self.origin.line());
            let is_gone = against.is_some_and(|outside| outside.size() > 0);
            return Err(if is_gone { AuditError::Truncated(what) } else { AuditError::Missing(what) });
        };
        let (size, shelf) = (checkpoint.size(), self.shelf());
        let mut wanted = Wanted::new([Some(&checkpoint), against].into_iter().flatten());
        let (mut tree, mut edge) = (Frontier::new(), Edge::new());
        wanted.hold(&tree)?;
        for number in 0..size.div_ceil(WIDTH) {
            for stored in self.bundle(number, size).await? {
                let hash = leaf_hash(&stored.bytes);
                tree.push_hash(hash);
                wanted.hold(&tree)?;
                for (tile, hashes) in edge.push(hash) {
                    if shelf.hashes(tile).await? != hashes {
                        return Err(AuditError::Altered(format!("`{tile}`")));
                    }
                }
            }
        }
        for tile in tiles_of(0, size).filter(|tile| !tile.is_full()) {
            if let TileKind::Hashes(level) = tile.kind
                && shelf.hashes(tile).await? != edge.level(level)
            {
                return Err(AuditError::Altered(format!("`{tile}`")));
            }
        }
        wanted.finish(tree.len())?;
        let root = *checkpoint.root();
        Ok(Verified { size, root, unsigned: 0, is_torn: false, rollback_detectable: against.is_some() })
    }
}

/// Verifies the published logs of some machines: all of the trust log, those that were put out too.
pub async fn verify_machines(
    documents: &dyn Documents,
    project: &ProjectId,
    machines: impl IntoIterator<Item = &PublicIdentity>,
) -> Vec<(Fingerprint, Verdict)> {
    let mut verdicts = Vec::new();
    for machine in machines {
        let origin = Origin::of(project, machine);
        verdicts.push((machine.fingerprint(), PublishedLog::new(documents, &origin).verify(None).await));
    }
    verdicts
}
