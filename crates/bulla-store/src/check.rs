//! Looking at everything (spec, "Check").

use std::collections::HashMap;
use std::time::Duration;

use bulla_backend::{BlobId, BlobStat, Document, Timestamp};

use crate::blob::{BlobError, BlobOpener};
use crate::entry::Entry;
use crate::namespace::MAX_ROUNDS;
use crate::store::{DocumentPages, ENTRIES};
use crate::walk::{Finding, Observer, WalkEvent};
use crate::{Place, Store, StoreError};

/// How old a blob is, at least, that [`Store::check`] reports as an orphan: the entry of a younger one may be about to be
/// written.
pub const MIN_ORPHAN_AGE: Duration = Duration::from_hours(1);

/// How many blobs are held against the entries in one walk; more take more walks. Bounds the memory of a check to about
/// 100 MiB.
const SLICE_LEN: usize = 1 << 20;

/// What a check has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CheckCounts {
    /// Entries that verified, with their blobs.
    pub ok: u64,
    /// Of those, entries that have expired.
    pub expired: u64,
    /// Entries that are refused, or could not be looked at, those with missing blobs included; and documents whose keys
    /// name no entry.
    pub damaged: u64,
    /// Entries whose blob is not there.
    pub missing_blobs: u64,
    /// Blobs of [`MIN_ORPHAN_AGE`] or more that no entry refers to.
    pub orphan_blobs: u64,
    /// Younger ones. They are no finding: most belong to an entry that is just being written, or was just replaced.
    pub recent_blobs: u64,
    /// Bytes of values that verified.
    pub bytes: u64,
}

impl CheckCounts {
    /// Says whether there is nothing that somebody should look at.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.damaged == 0 && self.orphan_blobs == 0
    }
}

impl Store {
    /// Verifies every entry of every namespace, and every blob, chunk by chunk, and says what it found. Changes
    /// nothing.
    ///
    /// A finding never hides another. The blob of an entry that does not open is reported as an orphan, since only the
    /// entry knows of it; and so is one whose writer was stopped for [`MIN_ORPHAN_AGE`] before it wrote the entry, as a
    /// machine that sleeps does: do not delete a blob because of one report.
    ///
    /// # Errors
    /// Fails if documents or blobs cannot be listed; what else goes wrong is a finding.
    pub async fn check(&self, observer: &mut Observer<'_, CheckCounts>) -> Result<CheckCounts, StoreError> {
        let mut counts = CheckCounts::default();
        let Slice { mut blobs, mut next, mut listed } = self.blob_slice(None).await?;
        self.verify_all(&mut blobs, &mut counts, observer).await?;
        loop {
            self.report_orphans(blobs, listed, &mut counts, observer).await?;
            observer(WalkEvent::Progress(&counts));
            let Some(after) = next else { return Ok(counts) };
            Slice { blobs, next, listed } = self.blob_slice(Some(after)).await?;
            self.strike_out(&mut blobs).await?;
        }
    }

    /// Lists the next blobs.
    async fn blob_slice(&self, mut after: Option<BlobId>) -> Result<Slice, StoreError> {
        let listed = self.clock.now();
        let mut blobs = Unclaimed::new();
        loop {
            let page = self.blobs.list(after.as_ref(), 0).await?;
            blobs.extend(page.blobs.into_iter().map(|BlobStat { id, len, finished }| (id, (len, finished))));
            after = page.next;
            if after.is_none() || blobs.len() >= SLICE_LEN {
                return Ok(Slice { blobs, next: after, listed });
            }
        }
    }

    /// Verifies every entry with its blob, and takes the blobs that are needed out of `blobs`.
    async fn verify_all(
        &self,
        blobs: &mut Unclaimed,
        counts: &mut CheckCounts,
        observer: &mut Observer<'_, CheckCounts>,
    ) -> Result<(), StoreError> {
        let mut pages = DocumentPages::new(&*self.entries, Vec::new());
        while let Some(documents) = pages.next().await? {
            for document in documents {
                let Some(place) = Place::parse(document.key.as_bytes()) else {
                    counts.damaged += 1;
                    observer(WalkEvent::Found(Finding::BadKey(document.key)));
                    continue;
                };
                match self.verify(&place, document, blobs).await {
                    Ok(None) => {}
                    Ok(Some(entry)) => {
                        counts.ok += 1;
                        counts.expired += u64::from(entry.stat.is_expired(self.clock.now()));
                        counts.bytes += entry.stat.len;
                    }
                    Err(error) => {
                        counts.damaged += 1;
                        counts.missing_blobs += u64::from(matches!(error, StoreError::MissingBlob { .. }));
                        observer(WalkEvent::Found(Finding::Entry { place, error }));
                    }
                }
            }
            observer(WalkEvent::Progress(counts));
        }
        Ok(())
    }

    /// Verifies one entry with its blob; `None` if it was removed meanwhile.
    async fn verify(
        &self,
        place: &Place,
        document: Document,
        blobs: &mut Unclaimed,
    ) -> Result<Option<Entry>, StoreError> {
        let Document { key, mut revision, mut value } = document;
        for _ in 0..MAX_ROUNDS {
            let (entry, _) = self.open_entry(&place.namespace, place.name.as_bytes(), value).await?;
            let Some(reference) = &entry.blob else { return Ok(Some(entry)) };
            blobs.remove(&reference.id);
            let Err(error) = self.verify_blob(place, &entry).await else { return Ok(Some(entry)) };
            match self.entries.get(ENTRIES, &key).await? {
                None => return Ok(None),
                Some(again) if again.revision != revision => (revision, value) = (again.revision, again.value),
                Some(_) => return Err(error.at(place.clone(), reference.id)),
            }
        }
        Err(StoreError::Conflict(place.clone()))
    }

    async fn verify_blob(&self, place: &Place, entry: &Entry) -> Result<(), BlobError> {
        let Some(reference) = &entry.blob else { return Ok(()) };
        let project = self.keyring.project();
        let blob = BlobOpener::open(&*self.blobs, &project, &place.namespace, reference, entry.stat.len).await?;
        let mut stored = Vec::new();
        let mut opened = zeroize::Zeroizing::new(vec![0; blob.chunk_len()]);
        let mut index = 0;
        while blob.open_chunk(index, &mut stored, &mut opened).await?.is_some() {
            index += 1;
        }
        Ok(())
    }

    /// Takes the blobs that are needed out of `blobs`.
    async fn strike_out(&self, blobs: &mut Unclaimed) -> Result<(), StoreError> {
        let mut pages = DocumentPages::new(&*self.entries, Vec::new());
        while let Some(documents) = pages.next().await? {
            for document in documents {
                let Some(Place { namespace, name }) = Place::parse(document.key.as_bytes()) else { continue };
                let opened = self.open_entry(&namespace, name.as_bytes(), document.value).await;
                if let Ok((Entry { blob: Some(reference), .. }, _)) = opened {
                    blobs.remove(&reference.id);
                }
            }
        }
        Ok(())
    }

    /// Reports those blobs, listed at a moment, that nobody needs. Entries are looked through once more, for those just
    /// written.
    async fn report_orphans(
        &self,
        mut blobs: Unclaimed,
        listed: Timestamp,
        counts: &mut CheckCounts,
        observer: &mut Observer<'_, CheckCounts>,
    ) -> Result<(), StoreError> {
        if !blobs.is_empty() {
            self.strike_out(&mut blobs).await?;
        }
        let mut unclaimed: Vec<_> = blobs.into_iter().collect();
        unclaimed.sort_unstable();
        for (id, (len, finished)) in unclaimed {
            if self.blobs.open(&id).await?.is_none() {
                continue;
            }
            if finished.saturating_add(MIN_ORPHAN_AGE) > listed {
                counts.recent_blobs += 1;
            } else {
                counts.orphan_blobs += 1;
                observer(WalkEvent::Found(Finding::OrphanBlob { id, len }));
            }
        }
        Ok(())
    }
}

/// Blobs that no entry is known to refer to: their stored lengths, and when they were finished.
type Unclaimed = HashMap<BlobId, (u64, Timestamp)>;

/// A part of all blobs.
struct Slice {
    blobs: Unclaimed,
    /// Behind which blob the next slice begins, if there is one.
    next: Option<BlobId>,
    /// The moment before they were listed.
    listed: Timestamp,
}
