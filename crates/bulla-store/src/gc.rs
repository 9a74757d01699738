//! Removing what nobody needs (spec, "Collecting").

use std::collections::HashMap;
use std::time::Duration;

use bulla_backend::{
    BackendError, BlobId, Collection, Document, DocumentKey, Documents, Durability, ErrorKind, Expected,
    MAX_COMMIT_WRITES, Revision, Timestamp, Write,
};
use minicbor::{Decoder, Encoder};

use crate::journal::{Allowance, Journal, Step};
use crate::references::{Slice, Unclaimed};
use crate::store::DocumentPages;
use crate::walk::{Finding, Observer, WalkEvent};
use crate::{Budget, Store, StoreError};

/// Blobs that are about to be deleted, or were, by their ids. As long as a blob is among them, no entry that refers to it can be written.
pub(crate) const CONDEMNED: Collection = Collection::new("condemned", Durability::Durable);

/// How long it is remembered that a blob was given up: longer than any writer sleeps between its blob and its entry, as a machine that is
/// put away does.
const REMEMBERED: Duration = Duration::from_hours(24 * 30);
/// How many entries a sweep looks at before it says how far it is.
const SWEEP: Budget = Budget { entries: 1_024, bytes: 16 * 1_024 * 1_024 };

const FORMAT: u64 = 1;

/// How to collect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GcOptions {
    /// How old a blob is, at least, that is deleted. An hour by default: the writer of a younger one is probably about to write its entry, and
    /// would have to begin again.
    pub min_age: Duration,
}

impl Default for GcOptions {
    fn default() -> Self {
        Self { min_age: crate::MIN_ORPHAN_AGE }
    }
}

/// What a collection has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct GcCounts {
    /// Expired entries that were deleted.
    pub expired: u64,
    /// Blobs that nothing referred to, and that were deleted.
    pub deleted: u64,
    /// Their stored lengths together, in bytes.
    pub freed: u64,
    /// Blobs that nothing refers to, but too young to be deleted.
    pub recent: u64,
    /// Blobs that nothing is known to refer to, and that stay: there are entries or quarantine records that do not open and may refer to
    /// any of them, or the backend cannot tell a writer that its blob is given up, having no commits.
    pub kept: u64,
    /// Documents, at the last look, that do not say what they refer to.
    pub refused: u64,
    /// Bytes read, of documents.
    pub read: u64,
    /// Whether the end was reached; else call again.
    pub finished: bool,
}

impl GcCounts {
    fn to_step(self) -> Vec<u64> {
        vec![self.expired, self.deleted, self.freed, self.recent, self.kept, self.refused, self.read]
    }

    fn of_step(step: &Step) -> Self {
        let [expired, deleted, freed, recent, kept, refused, read] = step.counts[..] else { return Self::default() };
        Self { expired, deleted, freed, recent, kept, refused, read, finished: false }
    }
}

/// A blob that is given up, as it is stored. It is not authentic: who writes to the storage can delete blobs as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Condemned {
    /// Whether it was looked for in vain after it was condemned: then it is deleted, and stays given up.
    is_doomed: bool,
    /// When that was.
    since: Timestamp,
}

impl Condemned {
    /// Reads a stored row; `None` if it is none.
    pub(crate) fn parse(stored: &[u8]) -> Option<Self> {
        Self::decode(stored).ok().flatten().filter(|row| row.encode() == stored)
    }

    fn decode(stored: &[u8]) -> Result<Option<Self>, minicbor::decode::Error> {
        let mut d = Decoder::new(stored);
        if d.array()? != Some(3) || d.u64()? != FORMAT {
            return Ok(None);
        }
        Ok(Some(Self { is_doomed: d.bool()?, since: Timestamp(d.u64()?) }))
    }

    fn encode(self) -> Vec<u8> {
        let mut encoded = Vec::new();
        let written = self.try_encode(&mut Encoder::new(&mut encoded));
        debug_assert!(written.is_ok(), "encoding to memory does not fail");
        encoded
    }

    fn try_encode(
        self,
        e: &mut Encoder<&mut Vec<u8>>,
    ) -> Result<(), minicbor::encode::Error<core::convert::Infallible>> {
        e.array(3)?.u64(FORMAT)?.bool(self.is_doomed)?.u64(self.since.0).map(drop)
    }
}

/// Rows of blobs: the revisions that decide who may change them, and whether they are doomed.
type Rows = HashMap<BlobId, (Revision, bool)>;

/// The parts of a collection.
const EXPIRING: u64 = 0;
const COLLECTING: u64 = 1;

impl Store {
    /// Says whether a blob was given up, so that no entry that refers to it can be written.
    pub(crate) async fn is_condemned(&self, blob: &BlobId) -> Result<bool, StoreError> {
        Ok(self.entries.get(CONDEMNED, &DocumentKey::new(blob.0)?).await?.is_some())
    }

    /// Deletes what nobody needs: entries that have expired, and blobs that nothing refers to, as writers leave them behind that are killed.
    ///
    /// It may be stopped anywhere and gone on with, and run beside writers and beside other collections: a blob that an entry refers to is
    /// never deleted, whatever sleeps in between. A writer whose blob is given up is told so ([`StoreError::BlobCollected`]). As long as an
    /// entry or a quarantine record does not open, and so does not say which blob it has, no blob is deleted. Where the backend has no
    /// commits, none is either: those of an hour or more are reported.
    ///
    /// The walk over all entries does not stop in the middle, whatever the budget.
    ///
    /// # Errors
    /// Fails if documents or blobs cannot be listed or written.
    pub async fn gc(
        &self,
        options: &GcOptions,
        budget: &Budget,
        observer: &mut Observer<'_, GcCounts>,
    ) -> Result<GcCounts, StoreError> {
        let (journal, step) = Journal::open(self, "gc", None, &[]).await?;
        let step = step.unwrap_or_default();
        let counts = GcCounts::of_step(&step);
        let allowance = Allowance::new(budget);
        Work { store: self, options: *options, allowance, journal, step, counts, observer }.run().await
    }
}

/// A collection under way.
struct Work<'a, 'o> {
    store: &'a Store,
    options: GcOptions,
    allowance: Allowance,
    journal: Journal<'a>,
    step: Step,
    counts: GcCounts,
    observer: &'a mut Observer<'o, GcCounts>,
}

impl Work<'_, '_> {
    async fn run(mut self) -> Result<GcCounts, StoreError> {
        (self.observer)(WalkEvent::Progress(&self.counts));
        if (self.step.phase > EXPIRING || self.expire().await?) && self.collect().await? {
            self.journal.close().await?;
            self.counts.finished = true;
        }
        (self.observer)(WalkEvent::Progress(&self.counts));
        Ok(self.counts)
    }

    async fn write_step(&mut self) -> Result<(), StoreError> {
        self.step.counts = self.counts.to_step();
        self.journal.write(&self.step).await
    }

    /// Deletes expired entries; says whether there are no more.
    async fn expire(&mut self) -> Result<bool, StoreError> {
        loop {
            let swept = self.store.expire_due(&SWEEP).await?;
            self.counts.expired += swept.expired;
            self.allowance.spend(if swept.finished { swept.expired } else { SWEEP.entries }, 0);
            if swept.finished {
                self.step.phase = COLLECTING;
                self.step.after.clear();
            }
            self.write_step().await?;
            (self.observer)(WalkEvent::Progress(&self.counts));
            if swept.finished || self.allowance.is_spent() {
                return Ok(swept.finished && !self.allowance.is_spent());
            }
        }
    }

    /// Deletes blobs that nothing refers to; says whether it came to the end.
    async fn collect(&mut self) -> Result<bool, StoreError> {
        loop {
            let after = self.step.after.as_slice().try_into().map(BlobId).ok();
            let slice = self.store.blob_slice(after).await?;
            let next = slice.next;
            let listed = slice.blobs.len() as u64;
            self.collect_slice(after, slice).await?;
            let Some(next) = next else { return Ok(true) };
            self.step.after = next.0.to_vec();
            self.write_step().await?;
            self.allowance.spend(listed, 0);
            if self.allowance.is_spent() {
                return Ok(false);
            }
        }
    }

    async fn collect_slice(&mut self, after: Option<BlobId>, slice: Slice) -> Result<(), StoreError> {
        let Slice { mut blobs, next, listed } = slice;
        let rows = self.rows(after, next, &blobs).await?;
        let condemned_before: Vec<_> = rows.keys().copied().filter(|id| blobs.contains_key(id)).collect();
        let mut refused = 0;
        if !blobs.is_empty() {
            refused = self.strike_out(&mut blobs).await?;
        }
        // Those that another collection condemned, was stopped, and that are needed after all.
        self.spare(condemned_before.into_iter().filter(|id| !blobs.contains_key(id)), &rows).await?;
        let recent = blobs.len() as u64;
        blobs.retain(|_, (_, finished)| finished.saturating_add(self.options.min_age) <= listed);
        self.counts.recent += recent - blobs.len() as u64;
        if refused > 0 || !self.store.entries.capabilities().commit {
            return self.keep(blobs).await;
        }

        let rows = self.mark(&blobs, &rows, false).await?;
        blobs.retain(|id, _| rows.contains_key(id));
        if blobs.is_empty() {
            return Ok(());
        }
        // From here on, no entry that refers to one of them can be written: what refers to it now, did before.
        let refused = self.strike_out(&mut blobs).await?;
        let is_spared = |(id, (_, is_doomed)): &(&BlobId, &(Revision, bool))| {
            // What is doomed may be deleted just now by another collection, and is remembered as long as its writer may sleep.
            !blobs.contains_key(*id) || (refused > 0 && !is_doomed)
        };
        self.spare(rows.iter().filter(is_spared).map(|(id, _)| *id), &rows).await?;
        if refused > 0 {
            return self.keep(blobs).await;
        }
        let doomed = self.mark(&blobs, &rows, true).await?;
        for id in doomed.keys() {
            if self.store.blobs.delete(id).await? {
                self.counts.deleted += 1;
                self.counts.freed += blobs.get(id).map_or(0, |(len, _)| *len);
            }
        }
        (self.observer)(WalkEvent::Progress(&self.counts));
        Ok(())
    }

    async fn strike_out(&mut self, blobs: &mut Unclaimed) -> Result<u64, StoreError> {
        let (counts, observer) = (&mut self.counts, &mut *self.observer);
        let mut tell = |read| {
            counts.read += read;
            observer(WalkEvent::Progress(counts));
        };
        let refused = self.store.strike_out(blobs, &mut tell).await?;
        self.counts.refused = refused;
        Ok(refused)
    }

    /// Reports blobs that nothing is known to refer to, and that stay.
    async fn keep(&mut self, blobs: Unclaimed) -> Result<(), StoreError> {
        let mut kept: Vec<_> = blobs.into_iter().collect();
        kept.sort_unstable();
        for (id, (len, _)) in kept {
            // Its writer may have deleted it, or somebody who replaced its entry.
            if self.store.blobs.open(&id).await?.is_some() {
                self.counts.kept += 1;
                (self.observer)(WalkEvent::Found(Finding::OrphanBlob { id, len }));
            }
        }
        Ok(())
    }

    /// Reads the rows of a slice, and forgets those of blobs that are long gone.
    async fn rows(
        &mut self,
        after: Option<BlobId>,
        last: Option<BlobId>,
        blobs: &Unclaimed,
    ) -> Result<Rows, StoreError> {
        let mut rows = Rows::new();
        let now = self.store.clock.now();
        let documents = &*self.store.entries;
        let after = after.map(|id| DocumentKey::new(id.0)).transpose()?;
        let mut pages = DocumentPages::of(documents, CONDEMNED, Vec::new()).behind(after);
        while let Some(page) = pages.next().await? {
            for Document { key, revision, value } in page {
                if last.is_some_and(|last| key.as_bytes() > &last.0[..]) {
                    return Ok(rows);
                }
                let Ok(id) = key.as_bytes().try_into().map(BlobId) else { continue };
                if blobs.contains_key(&id) {
                    rows.insert(id, (revision, Condemned::parse(&value).is_some_and(|row| row.is_doomed)));
                } else if Condemned::parse(&value).is_none_or(|row| row.since.saturating_add(REMEMBERED) <= now) {
                    forget(documents, &key, revision).await?;
                }
            }
        }
        Ok(rows)
    }

    /// Takes blobs off the rows, unless another collection has them now.
    async fn spare(&mut self, ids: impl Iterator<Item = BlobId>, rows: &Rows) -> Result<(), StoreError> {
        for id in ids {
            if let Some((revision, _)) = rows.get(&id) {
                forget(&*self.store.entries, &DocumentKey::new(id.0)?, *revision).await?;
            }
        }
        Ok(())
    }

    /// Writes the rows of blobs, in place of those that were read; returns those that were written. Where another collection was faster, the
    /// blob is that one's. What is doomed stays so.
    async fn mark(&mut self, blobs: &Unclaimed, rows: &Rows, dooms: bool) -> Result<Rows, StoreError> {
        let since = self.store.clock.now();
        let mut ids: Vec<_> = blobs.keys().copied().collect();
        ids.sort_unstable();
        let mut written = Rows::new();
        for ids in ids.chunks(MAX_COMMIT_WRITES) {
            let (mut writes, mut doomed) = (Vec::with_capacity(ids.len()), Vec::with_capacity(ids.len()));
            for id in ids {
                let row = rows.get(id);
                let expected = row.map_or(Expected::Absent, |(revision, _)| Expected::Revision(*revision));
                let is_doomed = dooms || row.is_some_and(|(_, is_doomed)| *is_doomed);
                let (key, value) = (DocumentKey::new(id.0)?, Condemned { is_doomed, since }.encode());
                doomed.push(is_doomed);
                writes.push(Write::Put { collection: CONDEMNED, key, value, expected });
            }
            let row = |at: usize, revision: Option<Revision>| Some((ids[at], (revision?, doomed[at])));
            match self.store.entries.commit(&writes).await {
                Ok(revisions) => {
                    written.extend(revisions.into_iter().enumerate().filter_map(|(at, revision)| row(at, revision)));
                }
                // One that another has spoils the whole commit.
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    for (at, write) in writes.iter().enumerate() {
                        match self.store.entries.commit(std::slice::from_ref(write)).await {
                            Ok(revisions) => {
                                written.extend(revisions.into_iter().filter_map(|revision| row(at, revision)));
                            }
                            Err(error) if error.kind() == ErrorKind::Conflict => {}
                            Err(error) => return Err(error.into()),
                        }
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(written)
    }
}

/// Deletes a row as it was read; one that another has changed stays.
async fn forget(documents: &dyn Documents, key: &DocumentKey, revision: Revision) -> Result<(), BackendError> {
    match documents.delete(CONDEMNED, key, Expected::Revision(revision)).await {
        Err(error) if error.kind() != ErrorKind::Conflict => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_and_nothing_else_is_one() {
        for is_doomed in [false, true] {
            let row = Condemned { is_doomed, since: Timestamp(1_700_000_000_000) };
            let encoded = row.encode();
            assert_eq!(Condemned::parse(&encoded), Some(row));
            for end in 0..encoded.len() {
                assert_eq!(Condemned::parse(&encoded[..end]), None);
            }
            assert_eq!(Condemned::parse(&[&encoded[..], b"\0"].concat()), None);
        }
        for bad in [&b"\x83\x02\xf4\x01"[..], b"\x83\x01\xf4\x18\x01", b"\x82\x01\xf4", b"\x83\x01\x00\x01"] {
            assert_eq!(Condemned::parse(bad), None);
        }
    }
}
