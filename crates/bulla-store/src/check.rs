//! Looking at everything (spec, "Check").

use std::time::Duration;

use bulla_backend::{BlobId, Collection, Document, DocumentKey};

use crate::blob::{BlobError, BlobOpener};
use crate::entry::Entry;
use crate::gc::{CONDEMNED, Condemned};
use crate::journal::{Allowance, JOURNALS, Journal, Step};
use crate::listed::shown;
use crate::name::prefix;
use crate::namespace::MAX_ROUNDS;
use crate::quarantine::QUARANTINE;
use crate::references::Slice;
use crate::settled::{NAMESPACES, Settled};
use crate::store::{DocumentPages, ENTRIES};
use crate::walk::{Finding, Observer, PROGRESS_CHUNKS, WalkEvent};
use crate::{Budget, EntryName, Namespace, NamespaceName, Place, Store, StoreError};

/// How old a blob is, at least, that [`Store::check`] reports as an orphan: the entry of a younger one may be about to be
/// written.
pub const MIN_ORPHAN_AGE: Duration = Duration::from_hours(1);

/// How to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckOptions {
    /// Whether to go on where the last check stopped, in this process or another, with its counts; else it begins anew. What the storage
    /// says of how far that came is not authentic: who distrusts the storage begins anew.
    pub resume: bool,
    /// Whether entries that fail verification are put into quarantine; else nothing is changed.
    pub quarantine: bool,
}

/// What a check has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CheckCounts {
    /// Entries that verified, with their blobs.
    pub ok: u64,
    /// Of those, entries that have expired.
    pub expired: u64,
    /// Entries, settings and records that are refused, or could not be looked at, entries with missing blobs included; and documents whose
    /// keys name nothing.
    pub damaged: u64,
    /// Entries whose blob is not there.
    pub missing_blobs: u64,
    /// Blobs of [`MIN_ORPHAN_AGE`] or more that nothing refers to.
    pub orphan_blobs: u64,
    /// Younger ones. They are no finding: most belong to an entry that is just being written, or was just replaced.
    pub recent_blobs: u64,
    /// Entries in quarantine whose records verified. They were reported when they were put there.
    pub quarantined: u64,
    /// Of what is damaged, entries that this check put into quarantine.
    pub moved: u64,
    /// Bytes of values that verified.
    pub bytes: u64,
    /// Bytes read, of documents and of blobs.
    pub read: u64,
    /// Whether the end was reached; else call again, with [`CheckOptions::resume`].
    pub finished: bool,
}

impl CheckCounts {
    /// Says whether there is nothing, so far, that somebody should look at.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.damaged == 0 && self.orphan_blobs == 0
    }

    fn to_step(self) -> Vec<u64> {
        let Self { ok, expired, damaged, missing_blobs, orphan_blobs, .. } = self;
        let Self { recent_blobs, quarantined, moved, bytes, read, .. } = self;
        vec![ok, expired, damaged, missing_blobs, orphan_blobs, recent_blobs, quarantined, moved, bytes, read]
    }

    fn of_step(step: &Step) -> Self {
        let [ok, expired, damaged, missing_blobs, orphan_blobs, recent_blobs, quarantined, moved, bytes, read] =
            step.counts[..]
        else {
            return Self::default();
        };
        Self {
            ok,
            expired,
            damaged,
            missing_blobs,
            orphan_blobs,
            recent_blobs,
            quarantined,
            moved,
            bytes,
            read,
            finished: false,
        }
    }
}

/// The documents that are looked at, in this order; then blobs are.
const PARTS: [Collection; 5] = [NAMESPACES, ENTRIES, QUARANTINE, CONDEMNED, JOURNALS];

impl Store {
    /// Verifies every entry of every namespace, every blob, chunk by chunk, settings and quarantine, and says what it found. Changes
    /// nothing but its journal, unless it is asked to quarantine.
    ///
    /// A finding never hides another. The blob of an entry that does not open is reported as an orphan, since only the
    /// entry knows of it; and so is one whose writer was stopped for [`MIN_ORPHAN_AGE`] before it wrote the entry, as a
    /// machine that sleeps does: do not delete a blob because of one report, let [`Store::gc`] do it.
    ///
    /// It may be stopped anywhere and gone on with, by another process too. Findings are told once, to whoever observes the call that finds
    /// them; the counts of a check that goes on include the earlier ones. The search for orphans does not stop in the middle of a walk over
    /// the entries, whatever the budget.
    ///
    /// # Errors
    /// Fails if documents or blobs cannot be listed, or if its budget ends where nothing can be written; what else goes wrong is a finding.
    pub async fn check(
        &self,
        options: &CheckOptions,
        budget: &Budget,
        observer: &mut Observer<'_, CheckCounts>,
    ) -> Result<CheckCounts, StoreError> {
        let (journal, step) = Journal::open(self, "check", None, &[]).await?;
        let step = step.filter(|_| options.resume).unwrap_or_default();
        let counts = CheckCounts::of_step(&step);
        let allowance = Allowance::new(budget);
        Work { store: self, options: *options, allowance, journal, step, counts, observer }.run().await
    }
}

/// Lets a check do without its journal where nothing can be written: it reads.
fn or_without(written: Result<(), StoreError>) -> Result<(), StoreError> {
    match written {
        Err(error) if error.is_forbidden() => Ok(()),
        written => written,
    }
}

/// A check under way.
struct Work<'a, 'o> {
    store: &'a Store,
    options: CheckOptions,
    allowance: Allowance,
    journal: Journal<'a>,
    step: Step,
    counts: CheckCounts,
    observer: &'a mut Observer<'o, CheckCounts>,
}

impl Work<'_, '_> {
    async fn run(mut self) -> Result<CheckCounts, StoreError> {
        (self.observer)(WalkEvent::Progress(&self.counts));
        let is_done = loop {
            let part = usize::try_from(self.step.phase).ok().and_then(|phase| PARTS.get(phase));
            let Some(part) = part else { break self.find_orphans().await? };
            if !self.walk(*part).await? {
                break false;
            }
            self.step.phase += 1;
            self.step.after.clear();
        };
        if is_done {
            or_without(self.journal.close().await)?;
            self.counts.finished = true;
        }
        (self.observer)(WalkEvent::Progress(&self.counts));
        Ok(self.counts)
    }

    /// Looks at the documents of a collection; says whether it came to the end.
    async fn walk(&mut self, part: Collection) -> Result<bool, StoreError> {
        let mut pages = DocumentPages::of(&*self.store.entries, part, Vec::new()).behind(self.step.after());
        let mut namespace = self.step.after().and_then(|key| Place::parse(key.as_bytes())).map(|place| place.namespace);
        while let Some(page) = pages.next_of(self.allowance.page_len()).await? {
            for document in page {
                let (key, read) = (document.key.clone(), self.counts.read);
                self.counts.read += document.value.len() as u64;
                match part {
                    NAMESPACES => self.look_at_settings(document).await,
                    ENTRIES => self.look_at_entry(document, &mut namespace).await,
                    QUARANTINE => self.look_at_record(document).await,
                    CONDEMNED => self.look_at_form(part, document.key, Condemned::parse(&document.value).is_some()),
                    _ => self.look_at_form(part, document.key, Step::parse(&document.value).is_some()),
                }
                let done = self.counts.read - read;
                self.step.after = key.as_bytes().to_vec();
                self.allowance.spend(1, done);
                let is_spent = self.allowance.is_spent();
                if self.journal.is_due(done) || is_spent {
                    self.write_step().await?;
                }
                if is_spent {
                    return Ok(false);
                }
            }
            if pages.has_more() {
                self.write_step().await?;
            }
            (self.observer)(WalkEvent::Progress(&self.counts));
        }
        Ok(true)
    }

    async fn write_step(&mut self) -> Result<(), StoreError> {
        self.step.counts = self.counts.to_step();
        let written = self.journal.write(&self.step).await;
        // Whoever is to go on needs to know where.
        if self.allowance.is_spent() { written } else { or_without(written) }
    }

    fn found(&mut self, finding: Finding) {
        self.counts.damaged += 1;
        (self.observer)(WalkEvent::Found(finding));
    }

    fn look_at_form(&mut self, collection: Collection, key: DocumentKey, is_well_formed: bool) {
        if !is_well_formed {
            self.found(Finding::BadDocument { collection: collection.name(), key });
        }
    }

    async fn look_at_settings(&mut self, document: Document) {
        let Document { key, revision, value } = document;
        let name = std::str::from_utf8(key.as_bytes()).ok().and_then(|name| name.parse::<NamespaceName>().ok());
        let Some(name) = name else { return self.look_at_form(NAMESPACES, key, false) };
        if let Err(error) = self.store.namespace_of(name.clone()).open_told(value, revision).await {
            self.found(Finding::Settings { namespace: name, error });
        }
    }

    async fn look_at_entry(&mut self, document: Document, namespace: &mut Option<NamespaceName>) {
        let Some(Place { namespace: name, .. }) = Place::parse(document.key.as_bytes()) else {
            return self.found(Finding::BadKey(document.key));
        };
        let handle = self.store.namespace_of(name.clone());
        let settled = handle.reading().await.ok();
        let in_doubt = settled.as_ref().is_none_or(|settled| settled.version == 0 || settled.doubt.is_some());
        if namespace.replace(name.clone()) != Some(name.clone()) && in_doubt {
            // Those that are there and do not open were reported.
            if let Some(error @ (StoreError::SettingsMissing(_) | StoreError::SettingsRolledBack { .. })) =
                handle.settings_failure().await
            {
                self.found(Finding::Settings { namespace: name, error });
            }
        }
        let key = document.key.clone();
        match self.verify(&handle, settled.as_deref(), document).await {
            Ok(None) => {}
            Ok(Some(entry)) => {
                self.counts.ok += 1;
                self.counts.expired += u64::from(entry.stat.is_expired(self.store.clock.now()));
                self.counts.bytes += entry.stat.len;
            }
            Err((place, error)) => {
                self.counts.missing_blobs += u64::from(matches!(error, StoreError::MissingBlob { .. }));
                if let Some(settled) = settled.filter(|_| self.options.quarantine && !in_doubt) {
                    self.counts.moved += u64::from(handle.set_aside_listed(&settled, &key, &error).await);
                }
                self.found(Finding::Entry { place, error });
            }
        }
    }

    /// Verifies one entry with its blob; `None` if it was removed meanwhile.
    async fn verify(
        &mut self,
        namespace: &Namespace,
        settled: Option<&Settled>,
        mut document: Document,
    ) -> Result<Option<Entry>, (Place, StoreError)> {
        let stored = document.key.as_bytes()[prefix(namespace.name(), &[]).len()..].to_vec();
        let name = settled.map_or_else(|| EntryName::known(&stored), |settled| shown(settled, &stored));
        let place = Place { namespace: namespace.name().clone(), name };
        for _ in 0..MAX_ROUNDS {
            let (key, revision) = (document.key.clone(), document.revision);
            let opened = match settled {
                Some(settled) => namespace.open_stored(settled, &stored, document.value).await,
                None => self.store.open_entry(namespace.name(), &stored, document.value).await,
            };
            let (entry, _) = opened.map_err(|error| (place.clone(), error))?;
            let Some(reference) = &entry.blob else { return Ok(Some(entry)) };
            let Err(error) = self.verify_blob(&place, &entry).await else { return Ok(Some(entry)) };
            let place = Place { name: entry.name.clone().unwrap_or_else(|| place.name.clone()), ..place.clone() };
            match self.store.entries.get(ENTRIES, &key).await {
                Err(error) => return Err((place, error.into())),
                Ok(None) => return Ok(None),
                Ok(Some(again)) if again.revision != revision => document = again,
                Ok(Some(_)) => return Err((place.clone(), error.at(place, reference.id))),
            }
        }
        Err((place.clone(), StoreError::Conflict(place)))
    }

    async fn look_at_record(&mut self, document: Document) {
        let Document { key, value, .. } = document;
        let namespace = Place::parse(key.as_bytes()).map(|place| self.store.namespace_of(place.namespace));
        let named = namespace.and_then(|namespace| Some((namespace.record_id(&key)?, namespace)));
        let Some((id, namespace)) = named else { return self.look_at_form(QUARANTINE, key, false) };
        match namespace.open_record(&id, value).await {
            Ok(_) => self.counts.quarantined += 1,
            Err(error) => self.found(Finding::Record { namespace: namespace.name().clone(), error }),
        }
    }

    async fn verify_blob(&mut self, place: &Place, entry: &Entry) -> Result<(), BlobError> {
        let Some(reference) = &entry.blob else { return Ok(()) };
        let project = self.store.keyring.project();
        let blob = BlobOpener::open(&*self.store.blobs, &project, &place.namespace, reference, entry.stat.len).await?;
        let mut stored = Vec::new();
        let mut opened = zeroize::Zeroizing::new(vec![0; blob.chunk_len()]);
        let mut index = 0;
        while let Some(len) = blob.open_chunk(index, &mut stored, &mut opened).await? {
            index += 1;
            self.counts.read += len as u64;
            if index % PROGRESS_CHUNKS == 0 {
                (self.observer)(WalkEvent::Progress(&self.counts));
            }
        }
        Ok(())
    }

    /// Reports the blobs that nothing refers to; says whether it came to the end.
    async fn find_orphans(&mut self) -> Result<bool, StoreError> {
        loop {
            let after = self.step.after.as_slice().try_into().map(BlobId).ok();
            let Slice { mut blobs, next, listed } = self.store.blob_slice(after).await?;
            // Entries are looked through twice, the second time for those just written.
            for _ in 0..2 {
                if !blobs.is_empty() {
                    let (counts, observer) = (&mut self.counts, &mut *self.observer);
                    let mut tell = |read| {
                        counts.read += read;
                        observer(WalkEvent::Progress(counts));
                    };
                    self.store.strike_out(&mut blobs, &mut tell).await?;
                }
            }
            let mut unclaimed: Vec<_> = blobs.into_iter().collect();
            unclaimed.sort_unstable();
            for (id, (len, finished)) in unclaimed {
                if self.store.blobs.open(&id).await?.is_none() {
                    continue;
                }
                if finished.saturating_add(MIN_ORPHAN_AGE) > listed {
                    self.counts.recent_blobs += 1;
                } else {
                    self.counts.orphan_blobs += 1;
                    (self.observer)(WalkEvent::Found(Finding::OrphanBlob { id, len }));
                }
            }
            let Some(next) = next else { return Ok(true) };
            self.step.after = next.0.to_vec();
            self.write_step().await?;
            if self.allowance.is_spent() {
                return Ok(false);
            }
        }
    }
}
