//! Sealing entries anew, after a rotation or a change of mode (spec, "Re-sealing").

use std::time::Duration;

use bulla_backend::{
    BackendError, BlobId, Collection, Document, DocumentKey, Durability, ErrorKind, Expected, Filing, MAX_COMMIT_BYTES,
    MAX_COMMIT_WRITES, Revision, Timestamp, Write,
};
use bulla_keyring::KeyVersion;
use bulla_seal::{Header, KeyVersionId, Params};
use zeroize::Zeroizing;

use crate::blob::{BlobOpener, BlobSealer};
use crate::entry::Entry;
use crate::gc::CONDEMNED;
use crate::journal::{Allowance, Journal, Step};
use crate::listed::shown;
use crate::name::prefix;
use crate::namespace::{MAX_ROUNDS, Slot};
use crate::put::SEAL_LEN;
use crate::quarantine::QUARANTINE;
use crate::settled::Settled;
use crate::store::{DocumentPages, ENTRIES};
use crate::walk::{Finding, Observer, PROGRESS_CHUNKS, WalkEvent};
use crate::{Budget, Namespace, Place, StoreError};

/// How deep a re-sealing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    /// Entries, settings and quarantine: what the namespace's key seals. Blobs stay as they are, under keys that only their entries know.
    #[default]
    Entries,
    /// Blobs too, each under a fresh key and id: for when a blob's key may be known, as after somebody could read what an old version of the
    /// namespace's key opened. Reads and writes every value.
    Blobs,
}

/// What a re-sealing has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ResealCounts {
    /// Entries that were sealed as they should be already.
    pub current: u64,
    /// Entries that are now.
    pub resealed: u64,
    /// Entries that are refused, or could not be looked at, and were left as they are.
    pub failed: u64,
    /// Blobs that were sealed anew.
    pub blobs: u64,
    /// Records of the quarantine, and settings, that were sealed anew.
    pub records: u64,
    /// Bytes read, of documents and of blobs.
    pub read: u64,
    /// Whether the end was reached; else call again.
    pub finished: bool,
}

/// How long a step is gone on from. What was written since an older one may need to be sealed anew, blobs above all, which do not show
/// when they were.
const STEP_FRESH: Duration = Duration::from_hours(24);

impl ResealCounts {
    fn to_step(self, now: Timestamp) -> Vec<u64> {
        vec![self.current, self.resealed, self.failed, self.blobs, self.records, self.read, now.0]
    }

    /// Returns what was counted up to a step; `None` if it is none of a re-sealing, or an old one.
    fn of_step(step: &Step, now: Timestamp) -> Option<Self> {
        let [current, resealed, failed, blobs, records, read, written] = step.counts[..] else { return None };
        let written = Timestamp(written);
        let is_fresh = written <= now && now < written.saturating_add(STEP_FRESH);
        is_fresh.then_some(Self { current, resealed, failed, blobs, records, read, finished: false })
    }
}

/// What is walked over, in this order.
const PARTS: [Collection; 2] = [ENTRIES, QUARANTINE];

/// A document to write in place of the one that was read.
struct Rewrite {
    place: Place,
    key: DocumentKey,
    document: Vec<u8>,
    expected: Expected,
    filing: Option<Filing>,
    moved: Option<Moved>,
    basis: Basis,
}

/// By which key version, and which version of the settings, something was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Basis(KeyVersionId, u64);

/// A blob that was sealed anew.
struct Moved {
    from: BlobId,
    to: BlobId,
}

impl Rewrite {
    fn write(self) -> Write {
        let Self { key, document: value, expected, filing, .. } = self;
        match filing {
            Some(filing) => Write::PutFiled { collection: ENTRIES, key, value, expected, filing },
            None => Write::Put { collection: ENTRIES, key, value, expected },
        }
    }
}

/// What became of an entry.
enum Outcome {
    Current,
    Resealed,
    /// Somebody removed it meanwhile.
    Gone,
}

impl Namespace {
    /// Seals everything of the namespace anew that is not sealed under the newest version of its key, or not as the mode of its settings
    /// says. The entries' versions, times and values stay.
    ///
    /// It may be stopped anywhere, and run while others read and write; whoever calls it next goes on. What it did is durable, whatever the
    /// durability of the namespace: once it finished with nothing failed, no entry needs a key version that was not the newest when it
    /// began, unless another process had not noticed the rotation yet.
    ///
    /// # Errors
    /// Fails if documents cannot be listed, if settings are missing or do not open, or if the key's newest version cannot be had, as with
    /// [`StoreError::KeyMissing`]; what else goes wrong is a finding.
    pub async fn reseal(
        &self,
        depth: Depth,
        budget: &Budget,
        observer: &mut Observer<'_, ResealCounts>,
    ) -> Result<ResealCounts, StoreError> {
        let store = &self.store;
        let newest = store.newest_version(&self.name).await?;
        if newest.is_none() && self.has_entries().await? {
            return Err(StoreError::KeyMissing(self.name.clone()));
        }
        let (settled, now) = (self.read_settled().await?, store.clock.now());
        // What was sealed anew for other settings may have to be once more.
        let mut aim = vec![u8::from(depth == Depth::Blobs), settled.settings.mode.number()];
        aim.extend(settled.version.to_be_bytes());
        aim.extend(newest.iter().flat_map(|version| version.id().0));
        let (journal, step) = Journal::open(store, "reseal", Some(&self.name), &aim).await?;
        let found = step.and_then(|step| ResealCounts::of_step(&step, now).map(|counts| (step, counts)));
        let (step, counts) = found.unwrap_or_else(|| (Step { aim, ..Step::default() }, ResealCounts::default()));
        let allowance = Allowance::new(budget);
        let work = Work { namespace: self, depth, allowance, journal, step, counts, batch: Vec::new(), observer };
        work.run().await
    }

    /// Seals a quarantine record anew, if need be; says whether it was.
    async fn reseal_document(
        &self,
        key: &DocumentKey,
        context: &bulla_seal::Context,
        refused: impl Fn(bulla_seal::OpenError) -> StoreError,
    ) -> Result<bool, StoreError> {
        for _ in 0..MAX_ROUNDS {
            let Some(document) = self.store.entries.get(QUARANTINE, key).await? else { return Ok(false) };
            let version = self.store.newest_version(&self.name).await?;
            let version = version.ok_or_else(|| StoreError::KeyMissing(self.name.clone()))?;
            if Header::parse(&document.value).is_ok_and(|header| header.key_version() == version.id()) {
                return Ok(false);
            }
            let opened = self.store.open_bytes(&self.name, context, document.value).await?.map_err(&refused)?;
            let sealed = version.seal_key().seal(version.params(), context, &opened)?;
            match self.store.entries.put(QUARANTINE, key, &sealed, Expected::Revision(document.revision)).await {
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                written => return Ok(written.map(|_| true)?),
            }
        }
        Err(StoreError::SettingsConflict(self.name.clone()))
    }
}

/// A re-sealing under way.
struct Work<'a, 'o> {
    namespace: &'a Namespace,
    depth: Depth,
    allowance: Allowance,
    journal: Journal<'a>,
    step: Step,
    counts: ResealCounts,
    /// Entries to be written in one commit, where the backend can.
    batch: Vec<Rewrite>,
    observer: &'a mut Observer<'o, ResealCounts>,
}

impl Work<'_, '_> {
    async fn run(mut self) -> Result<ResealCounts, StoreError> {
        (self.observer)(WalkEvent::Progress(&self.counts));
        self.counts.records += u64::from(self.namespace.reseal_settings().await?);
        let is_done = loop {
            let part = usize::try_from(self.step.phase).ok().and_then(|phase| PARTS.get(phase));
            let Some(part) = part else { break true };
            if !self.walk(*part).await? {
                break false;
            }
            self.step.phase += 1;
            self.step.after.clear();
        };
        if is_done {
            self.journal.close().await?;
            self.counts.finished = true;
        }
        (self.observer)(WalkEvent::Progress(&self.counts));
        Ok(self.counts)
    }

    /// Walks over a collection; says whether it came to the end.
    async fn walk(&mut self, part: Collection) -> Result<bool, StoreError> {
        let documents = &*self.namespace.store.entries;
        let mut pages = DocumentPages::of(documents, part, prefix(&self.namespace.name, &[])).behind(self.step.after());
        while let Some(page) = pages.next_of(self.allowance.page_len()).await? {
            if page.is_empty() {
                continue;
            }
            for document in page {
                let (key, read) = (document.key.clone(), self.counts.read);
                self.counts.read += document.value.len() as u64;
                if part == ENTRIES {
                    // A page may take long, and settings change meanwhile.
                    let (version, settled) = self.namespace.sealing().await?;
                    self.reseal_entry(&version, &settled, document).await?;
                } else {
                    self.reseal_record(&document.key).await?;
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
            self.flush().await?;
            if pages.has_more() {
                self.write_step().await?;
            }
            (self.observer)(WalkEvent::Progress(&self.counts));
        }
        Ok(true)
    }

    /// Writes down that everything up to the entry that was seen last is done; it is not where nothing could be written.
    async fn write_step(&mut self) -> Result<(), StoreError> {
        self.flush().await?;
        self.step.counts = self.counts.to_step(self.namespace.store.clock.now());
        self.journal.write(&self.step).await
    }

    async fn reseal_entry(
        &mut self,
        version: &KeyVersion,
        settled: &Settled,
        document: Document,
    ) -> Result<(), StoreError> {
        let Some(Place { namespace, name }) = Place::parse(document.key.as_bytes()) else { return Ok(()) };
        let place = Place { namespace, name: shown(settled, name.as_bytes()) };
        let (key, revision) = (document.key.clone(), document.revision);
        match self.rewrite(version, settled, &place, document).await {
            // What needs no blob is written together with others.
            Ok(Some(rewrite)) if rewrite.moved.is_none() => {
                if !has_room(&self.batch, &rewrite) {
                    self.flush().await?;
                }
                self.batch.push(rewrite);
                Ok(())
            }
            attempt => {
                let outcome = self.settle(&place, &key, revision, attempt).await;
                self.count(place, outcome)
            }
        }
    }

    async fn reseal_record(&mut self, key: &DocumentKey) -> Result<(), StoreError> {
        let namespace = self.namespace;
        let Some(id) = namespace.record_id(key) else { return Ok(()) };
        let refused =
            |reason| StoreError::BadQuarantineRecord { namespace: namespace.name.clone(), id, reason: Some(reason) };
        let resealed = match namespace.record_context(&id) {
            Ok(context) => namespace.reseal_document(key, &context, refused).await,
            Err(error) => Err(error.into()),
        };
        match resealed {
            Ok(is_new) => self.counts.records += u64::from(is_new),
            Err(error) if error.is_unwritable() => return Err(error),
            Err(error) => {
                self.counts.failed += 1;
                let namespace = namespace.name.clone();
                (self.observer)(WalkEvent::Found(Finding::Record { namespace, error }));
            }
        }
        Ok(())
    }

    /// Writes the batch: in one commit where the backend can, else one by one. Fails only where nothing can be written.
    async fn flush(&mut self) -> Result<(), StoreError> {
        let batch = std::mem::take(&mut self.batch);
        let documents = &self.namespace.store.entries;
        let places: Vec<_> = batch.iter().map(|rewrite| (rewrite.place.clone(), rewrite.key.clone())).collect();
        if !batch.is_empty() && documents.capabilities().commit && is_current(self.namespace, &batch).await {
            let writes: Vec<_> = batch.into_iter().map(Rewrite::write).collect();
            if documents.commit(&writes).await.is_ok() {
                self.counts.resealed += writes.len() as u64;
                return Ok(());
            }
        }
        // One lost race or failure, or other settings, spoils a whole commit; by itself each entry shows what becomes of it.
        for (place, key) in places {
            let outcome = self.settle_anew(&place, &key).await;
            self.count(place, outcome)?;
        }
        Ok(())
    }

    /// Counts what became of an entry; returns the error if it is that nothing can be written.
    fn count(&mut self, place: Place, outcome: Result<Outcome, StoreError>) -> Result<(), StoreError> {
        match outcome {
            Ok(Outcome::Current) => self.counts.current += 1,
            Ok(Outcome::Resealed) => self.counts.resealed += 1,
            Ok(Outcome::Gone) => {}
            Err(error) if error.is_unwritable() => return Err(error),
            Err(error) => {
                self.counts.failed += 1;
                (self.observer)(WalkEvent::Found(Finding::Entry { place, error }));
            }
        }
        Ok(())
    }

    /// Seals one entry anew and writes it, whatever is there now.
    async fn settle_anew(&mut self, place: &Place, key: &DocumentKey) -> Result<Outcome, StoreError> {
        let Some(document) = self.namespace.store.entries.get(ENTRIES, key).await? else { return Ok(Outcome::Gone) };
        let revision = document.revision;
        let (version, settled) = self.namespace.sealing().await?;
        let attempt = self.rewrite(&version, &settled, place, document).await;
        self.settle(place, key, revision, attempt).await
    }

    /// Writes what became of an entry that was read at a revision, or begins again if it was replaced meanwhile.
    async fn settle(
        &mut self,
        place: &Place,
        key: &DocumentKey,
        mut revision: Revision,
        mut attempt: Result<Option<Rewrite>, StoreError>,
    ) -> Result<Outcome, StoreError> {
        for _ in 0..MAX_ROUNDS {
            let failed = match attempt {
                Ok(None) => return Ok(Outcome::Current),
                Ok(Some(rewrite)) => {
                    if self.write(rewrite).await? {
                        return Ok(Outcome::Resealed);
                    }
                    None
                }
                Err(error) => Some(error),
            };
            let found = self.namespace.store.entries.get(ENTRIES, key).await?;
            let Some(document) = found else { return Ok(Outcome::Gone) };
            // Perhaps somebody replaced it, and deleted the blob.
            if let Some(error) = failed
                && document.revision == revision
            {
                return Err(error);
            }
            revision = document.revision;
            let (version, settled) = self.namespace.sealing().await?;
            attempt = self.rewrite(&version, &settled, place, document).await;
        }
        Err(StoreError::Conflict(place.clone()))
    }

    /// Seals an entry anew, and in the depth its blob; `None` if it need not be.
    async fn rewrite(
        &mut self,
        version: &KeyVersion,
        settled: &Settled,
        place: &Place,
        document: Document,
    ) -> Result<Option<Rewrite>, StoreError> {
        let Document { key, revision, value } = document;
        let namespace = self.namespace;
        let header = Header::parse(&value).ok();
        let is_sealed_so = |params: Params| {
            header
                .as_ref()
                .is_some_and(|header| header.key_version() == version.id() && header.params().suite == params.suite)
        };
        if self.depth == Depth::Entries && is_sealed_so(settled.params(version.params(), false)) {
            return Ok(None);
        }
        let group_len = prefix(&namespace.name, &[]).len();
        let (mut entry, value) = namespace.open_stored(settled, &key.as_bytes()[group_len..], value).await?;
        let slot = Slot { key, group_len, hidden: entry.name.clone() };
        let params = settled.entry_params(version.params(), &entry);
        let mut moved = None;
        if self.depth == Depth::Blobs && entry.blob.is_some() {
            moved = self.reseal_blob(settled, place, &mut entry).await?;
        } else if is_sealed_so(params) {
            return Ok(None);
        }
        // What is there is not put: it may stay, though the limit was lowered meanwhile.
        let filing = namespace.filing(settled, &slot, &entry).map(|filing| Filing { limit: None, ..filing });
        let encoded = entry.encode(&value, SEAL_LEN);
        let document = namespace.store.seal(version, params, &namespace.name, slot.stored(), encoded)?;
        let expected = Expected::Revision(revision);
        let basis = Basis(version.id(), settled.version);
        Ok(Some(Rewrite { place: place.clone(), key: slot.key, document, expected, filing, moved, basis }))
    }

    /// Seals the blob of an entry anew, to another blob, which the entry then refers to.
    async fn reseal_blob(
        &mut self,
        settled: &Settled,
        place: &Place,
        entry: &mut Entry,
    ) -> Result<Option<Moved>, StoreError> {
        let Some(old) = &entry.blob else { return Ok(None) };
        let (store, name) = (&self.namespace.store, &self.namespace.name);
        let (project, from) = (store.keyring.project(), old.id);
        let opener = BlobOpener::open(&*store.blobs, &project, name, old, entry.stat.len).await;
        let opener = opener.map_err(|error| error.at(place.clone(), from))?;
        let params = settled.params(Params::default(), entry.stat.sensitive);
        let mut sealer = BlobSealer::begin(&*store.blobs, &project, name, Durability::Durable, params).await?;
        let (mut stored, mut opened) = (Vec::new(), Zeroizing::new(vec![0; opener.chunk_len()]));
        for index in 0.. {
            let len = opener.open_chunk(index, &mut stored, &mut opened).await;
            let Some(len) = len.map_err(|error| error.at(place.clone(), from))? else { break };
            sealer.write(&opened[..len]).await?;
            self.counts.read += len as u64;
            if index % PROGRESS_CHUNKS == PROGRESS_CHUNKS - 1 {
                (self.observer)(WalkEvent::Progress(&self.counts));
            }
        }
        let to = sealer.id();
        match sealer.finish().await {
            Ok((reference, _)) => entry.blob = Some(reference),
            Err(error) => {
                self.namespace.discard(&to).await;
                return Err(error);
            }
        }
        Ok(Some(Moved { from, to }))
    }

    /// Writes one entry, unless it or the settings were changed meanwhile; of its blobs the one stays that it refers to.
    async fn write(&mut self, mut rewrite: Rewrite) -> Result<bool, StoreError> {
        let is_current = is_current(self.namespace, std::slice::from_ref(&rewrite)).await;
        let moved = rewrite.moved.take();
        if !is_current {
            if let Some(Moved { to, .. }) = moved {
                self.namespace.discard(&to).await;
            }
            return Ok(false);
        }
        match self.write_document(rewrite, moved.as_ref()).await {
            // Nothing was written, so that nobody knows of the new blob.
            Err(error) if error.kind() == ErrorKind::Conflict => {
                if let Some(Moved { to, .. }) = moved {
                    self.namespace.discard(&to).await;
                }
                Ok(false)
            }
            Err(error) => Err(error.into()),
            Ok(()) => {
                if let Some(Moved { from, .. }) = moved {
                    self.namespace.discard(&from).await;
                    self.counts.blobs += 1;
                }
                Ok(true)
            }
        }
    }

    async fn write_document(&mut self, rewrite: Rewrite, moved: Option<&Moved>) -> Result<(), BackendError> {
        let documents = &self.namespace.store.entries;
        if !documents.capabilities().commit {
            return documents.put(ENTRIES, &rewrite.key, &rewrite.document, rewrite.expected).await.map(drop);
        }
        let mut writes = vec![rewrite.write()];
        if let Some(Moved { to, .. }) = moved {
            let key = DocumentKey::new(to.0)?;
            writes.push(Write::Check { collection: CONDEMNED, key, expected: Expected::Absent });
        }
        documents.commit(&writes).await.map(drop)
    }
}

/// Says whether these would be sealed alike now.
async fn is_current(namespace: &Namespace, rewrites: &[Rewrite]) -> bool {
    let sealing = namespace.sealing().await;
    sealing.is_ok_and(|(version, settled)| {
        let now = Basis(version.id(), settled.version);
        rewrites.iter().all(|rewrite| rewrite.basis == now)
    })
}

fn has_room(batch: &[Rewrite], next: &Rewrite) -> bool {
    let bytes: usize = batch.iter().map(|rewrite| rewrite.document.len()).sum();
    batch.len() < MAX_COMMIT_WRITES && bytes + next.document.len() <= MAX_COMMIT_BYTES
}
