//! The local log, to read: nothing is locked, and nothing is changed.

use std::path::Path;
use std::sync::Arc;

use bulla_backend::Disk;

use super::error::{AuditError, Result};
use super::folder::{Folder, Scan};
use super::logged::{LoggedEvent, MalformedEvent};
use super::note::{Checkpoint, Origin};
use super::proof::Proof;
use super::search::Filter;
use super::tree::{inclusion_proof, leaf_hash};
use super::verdict::{Verdict, Verified, Wanted};

/// A log in a folder, to read while others append to it, or a copy of one.
#[derive(Debug, Clone)]
pub struct LogReader {
    folder: Folder,
}

/// An event's stored bytes, and where they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The index of the event.
    pub index: u64,
    /// What is hashed.
    pub bytes: Vec<u8>,
}

impl Stored {
    /// Reads the event.
    ///
    /// # Errors
    /// [`MalformedEvent`] if it is none that this version knows.
    pub fn event(&self) -> std::result::Result<LoggedEvent, MalformedEvent> {
        LoggedEvent::parse(&self.bytes)
    }
}

impl LogReader {
    /// Reads the log of `origin` in a folder.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, folder: &Path, origin: Origin) -> Self {
        Self { folder: Folder { disk, path: folder.to_owned(), origin } }
    }

    /// Returns which log it is.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.folder.origin
    }

    /// Returns the last checkpoint.
    ///
    /// # Errors
    /// [`AuditError::Missing`] if there is none; [`AuditError::Altered`] if the machine has not signed it.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        let nothing = || AuditError::Missing(format!("`{}` has no checkpoint", self.folder.path.display()));
        self.folder.checkpoint()?.ok_or_else(nothing)
    }

    /// Reads and hashes every event, and holds the log to its last checkpoint, and to one from outside.
    ///
    /// # Security
    /// Without a checkpoint from outside nobody can tell whether the whole log was rolled back, or signed anew by who holds the machine's key.
    pub fn verify(&self, against: Option<&Checkpoint>) -> Verdict {
        Verdict::of(self.verified(against))
    }

    fn verified(&self, against: Option<&Checkpoint>) -> Result<Verified> {
        // First: what is appended meanwhile is only more.
        let checkpoint = self.checkpoint().or_else(|error| match (error, against) {
            (AuditError::Missing(what), Some(outside)) if outside.size() > 0 && self.folder.ordinals()?.is_empty() => {
                Err(AuditError::Truncated(what))
            }
            (error, _) => Err(error),
        })?;
        let (parts, _) = self.folder.parts()?;
        let mut wanted = Wanted::new([Some(&checkpoint), against].into_iter().flatten());
        let mut scan = self.folder.scan(parts);
        let len = loop {
            let mut len = 0;
            if let Some(tree) = scan.tree() {
                wanted.hold(tree)?;
                len = tree.len();
            }
            if scan.next()?.is_none() {
                break len;
            }
        };
        if scan.is_torn() && len < checkpoint.size() {
            return Err(AuditError::Altered(format!("event {len}")));
        }
        wanted.finish(len)?;
        Ok(Verified {
            size: checkpoint.size(),
            root: *checkpoint.root(),
            unsigned: len - checkpoint.size(),
            is_torn: scan.is_torn(),
            rollback_detectable: against.is_some(),
        })
    }

    /// Reads the events from an index on.
    ///
    /// # Errors
    /// [`AuditError::Truncated`], [`AuditError::Altered`] or [`AuditError::Storage`] if the segments cannot be listed; each event, too, may
    /// fail with these.
    pub fn events(&self, from: u64) -> Result<Events<'_>> {
        let (mut parts, _) = self.folder.parts()?;
        let begun = parts.iter().filter(|part| part.header.tree.len() <= from).count();
        parts.drain(..begun.saturating_sub(1));
        Ok(Events { scan: self.folder.scan(parts).without_tree(), from, has_failed: false })
    }

    /// Reads the last events.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub fn tail(&self, count: u64) -> Result<Events<'_>> {
        let (parts, _) = self.folder.parts()?;
        let last = parts.last().map_or(0, |part| part.header.tree.len());
        let mut len = last;
        for stored in self.events(last)? {
            len = stored?.index + 1;
        }
        self.events(len.saturating_sub(count))
    }

    /// Reads the events that a filter lets through, one after the other. Those of a version of the future are passed over.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub fn search<'r>(&'r self, filter: &'r Filter) -> Result<impl Iterator<Item = Result<(u64, LoggedEvent)>> + 'r> {
        Ok(self.events(0)?.filter_map(|stored| match stored {
            Ok(stored) => {
                stored.event().ok().filter(|event| filter.lets_through(event)).map(|event| Ok((stored.index, event)))
            }
            Err(error) => Some(Err(error)),
        }))
    }

    /// Proves that an event is in the log, to who trusts the last checkpoint.
    ///
    /// # Errors
    /// [`AuditError::Refused`] if the checkpoint does not cover it; as [`Self::events`]; [`AuditError::Altered`] if the log is not what was
    /// signed.
    pub fn prove(&self, index: u64) -> Result<Proof> {
        let checkpoint = self.checkpoint()?;
        let size = checkpoint.size();
        if index >= size {
            return Err(AuditError::Refused("no checkpoint covers this event yet"));
        }
        let missing = || AuditError::Truncated(format!("{size} events were signed, fewer are there"));
        let event = self.events(index)?.next().transpose()?.ok_or_else(missing)?;
        let leaves = self.events(0)?.map(|stored| stored.map(|stored| leaf_hash(&stored.bytes)));
        let hashes = inclusion_proof(index, size, leaves)?.ok_or_else(missing)?;
        let proof = Proof::new(index, hashes, &checkpoint);
        match proof.verify(&event.bytes, self.origin()) {
            Ok(_) => Ok(proof),
            Err(_) => Err(AuditError::Altered(format!("the first {size} events are not those that were signed"))),
        }
    }
}

/// Events of a log, one after the other, in bounded memory. The first failure ends it.
#[derive(Debug)]
pub struct Events<'r> {
    scan: Scan<'r>,
    from: u64,
    has_failed: bool,
}

impl Iterator for Events<'_> {
    type Item = Result<Stored>;

    fn next(&mut self) -> Option<Result<Stored>> {
        while !self.has_failed {
            match self.scan.next() {
                Ok(Some((index, bytes))) if index >= self.from => return Some(Ok(Stored { index, bytes })),
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => {
                    self.has_failed = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}
