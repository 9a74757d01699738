//! Putting entries (spec, "Writing").

use std::fmt;
use std::time::Duration;

use bulla_backend::{
    BackendError, BlobId, Collection, DocumentKey, Durability, ErrorKind, Expected, Filing, Timestamp, Usage, Write,
};
use bulla_keyring::KeyVersion;
use bulla_seal::{Params, Suite};
use zeroize::Zeroizing;

use crate::blob::BlobSealer;
use crate::entry::{BlobRef, Entry, EntryStat, MAX_INLINE_LEN};
use crate::gc::CONDEMNED;
use crate::limits::Demand;
use crate::name::document_key;
use crate::namespace::{MAX_ROUNDS, Present, Slot, Standing};
use crate::settled::Settled;
use crate::{ExpectedVersion, Lifetime, Namespace, PutOptions, StoreError};

/// What the seal adds to an entry, at most: a header, and the tags of an entry of two chunks.
pub(crate) const SEAL_LEN: usize = bulla_seal::HEADER_LEN + 2 * bulla_seal::TAG_LEN;
/// How often a put makes room before it gives up: each time for itself, but others may be faster.
const MAX_ROOMS: usize = 256;

const _: () = assert!(MAX_INLINE_LEN + 8 * 1_024 + SEAL_LEN <= bulla_backend::MAX_DOCUMENT_LEN, "every entry fits");

impl Namespace {
    /// Puts a value under a name, replacing what is there, and returns the version of the new entry.
    ///
    /// A value of more than [`MAX_INLINE_LEN`] bytes goes to a blob. What is put is there whole or not at all; once
    /// this returned, it is durable.
    ///
    /// # Errors
    /// [`StoreError::VersionMismatch`] if another version is there than the options expect;
    /// [`StoreError::InvalidEntry`] if media type or tags are out of bounds; [`StoreError::Conflict`];
    /// [`StoreError::ModeChanged`] if the namespace was sealed while the value was written in the clear;
    /// [`StoreError::LimitReached`] and [`StoreError::OverLimit`]; [`StoreError::KeyMissing`] and [`StoreError::UnsuitableKey`]; and, if what is there fails
    /// verification and cannot be put into quarantine, whatever [`Namespace::get`] says about it. After
    /// [`StoreError::Backend`] the value may be there or not.
    pub async fn put(&self, name: &[u8], value: &[u8], options: &PutOptions) -> Result<u64, StoreError> {
        let mut draft = Draft::new(self, name, options)?;
        if value.len() <= MAX_INLINE_LEN {
            return self.commit(name, &draft, Content::Inline(value)).await;
        }
        let mut blob = self.begin_blob(name, &mut draft).await?;
        blob.write(value).await?;
        self.commit_blob(name, &draft, blob).await
    }

    /// Begins to put a value that comes in pieces. Nothing is visible before [`EntryWriter::finish`].
    ///
    /// # Errors
    /// [`StoreError::InvalidEntry`] if media type or tags are out of bounds.
    pub fn writer(&self, name: &[u8], options: &PutOptions) -> Result<EntryWriter, StoreError> {
        let draft = Draft::new(self, name, options)?;
        let start = Zeroizing::new(Vec::new());
        Ok(EntryWriter { namespace: self.clone(), name: name.into(), draft, sink: Sink::Inline(start) })
    }

    /// Begins the blob of a draft, which remembers how that is sealed.
    pub(crate) async fn begin_blob(&self, name: &[u8], draft: &mut Draft) -> Result<BlobSealer, StoreError> {
        let store = &self.store;
        let (_, settled) = self.sealing().await?;
        let durability = self.blob_durability(&settled, name).await?;
        let params = settled.params(Params::default(), draft.sensitive);
        draft.blob_suite = Some(params.suite);
        let project = store.keyring.project();
        let blob = BlobSealer::begin(&*store.blobs, &project, &self.name, durability, params).await?;
        Ok(blob.with_limit(&self.name, settled.settings.max_bytes))
    }

    /// Returns how durable a blob has to be. One in place of another is durable in any case, as its document will be: a
    /// power cut must not take it when the other is deleted already. Where somebody puts the first blob meanwhile, the
    /// newest value is as safe as was asked for.
    async fn blob_durability(&self, settled: &Settled, name: &[u8]) -> Result<Durability, StoreError> {
        if self.durability(settled) == Durability::Durable {
            return Ok(Durability::Durable);
        }
        // What cannot be read goes to quarantine, with its blob.
        let present = self.present(&self.slot(settled, name)?).await.ok().flatten();
        let replaces_blob = present.is_some_and(|present| present.entry.blob.is_some());
        Ok(if replaces_blob { Durability::Durable } else { self.durability(settled) })
    }

    async fn commit_blob(&self, name: &[u8], draft: &Draft, blob: BlobSealer) -> Result<u64, StoreError> {
        let id = blob.id();
        match blob.finish().await {
            Ok((reference, len)) => self.commit(name, draft, Content::Blob(reference, len)).await,
            Err(error) => {
                self.discard(&id).await;
                Err(error)
            }
        }
    }

    async fn commit(&self, name: &[u8], draft: &Draft, content: Content<'_>) -> Result<u64, StoreError> {
        let (value, blob, len) = match content {
            Content::Inline(value) => (value, None, value.len() as u64),
            Content::Blob(reference, len) => (&[][..], Some(reference), len),
        };
        let mut entry = Entry { stat: draft.stat(self.store.clock.now(), len), name: None, blob };
        let mut may_be_written = false;
        let committed = self.try_commit(name, draft, value, &mut entry, &mut may_be_written).await;
        if committed.is_err() && !may_be_written {
            self.discard_of(&entry).await;
        }
        committed
    }

    async fn try_commit(
        &self,
        name: &[u8],
        draft: &Draft,
        value: &[u8],
        entry: &mut Entry,
        may_be_written: &mut bool,
    ) -> Result<u64, StoreError> {
        let mut rooms = 0;
        let mut round = 0;
        while round < MAX_ROUNDS {
            let (version, settled) = self.sealing().await?;
            let slot = self.slot(&settled, name)?;
            let present = self.present_or_quarantine(&slot).await?;
            let present = present.as_ref();
            if let (Some(ours), Some(Present { entry: Entry { stat, blob: Some(theirs), .. }, .. })) =
                (&entry.blob, present)
                && ours.id == theirs.id
            {
                // A storage that breaks its word, and wrote what it called a lost race: nobody else knows this blob.
                return Ok(stat.version);
            }
            draft.meet(self, name, &settled, present, entry)?;
            let ready = self.ready(&version, &settled, slot, present.map(Present::standing), entry, value)?;
            let (demand, replaced) = (ready.demand, ready.replaced);
            *may_be_written = true;
            match self.write(ready).await {
                // A conflict says that nothing was written, and so does a limit.
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    *may_be_written = false;
                    round += 1;
                    if let Some(blob) = &entry.blob
                        && self.store.is_condemned(&blob.id).await?
                    {
                        return Err(StoreError::BlobCollected(self.place(name)));
                    }
                }
                Err(error) if error.kind() == ErrorKind::Limit => {
                    *may_be_written = false;
                    self.room(&settled, demand, &[name], &mut rooms).await?;
                }
                Err(error) => return Err(error.into()),
                Ok(()) => {
                    self.wrote("put", name, replaced).await;
                    self.keep_soft_limit(&settled, demand.needed, &[name]).await;
                    return Ok(entry.stat.version);
                }
            }
        }
        Err(StoreError::Conflict(self.place(name)))
    }

    /// Makes an entry ready to be written in place of what is there, as the next version of it.
    pub(crate) fn ready(
        &self,
        version: &KeyVersion,
        settled: &Settled,
        slot: Slot,
        standing: Option<Standing>,
        entry: &mut Entry,
        value: &[u8],
    ) -> Result<Ready, StoreError> {
        entry.stat.version = standing.map_or(1, |standing| standing.version.saturating_add(1));
        entry.name.clone_from(&slot.hidden);
        let params = settled.entry_params(version.params(), entry);
        let document = self.store.seal(version, params, &self.name, slot.stored(), entry.encode(value, SEAL_LEN))?;
        let blob = entry.blob.as_ref().map(|blob| blob.id);
        let replaced = standing.and_then(|standing| standing.blob).filter(|replaced| Some(*replaced) != blob);
        // What the entry refers to already no collection gives up, whatever row there is of it.
        let new_blob = blob.filter(|blob| standing.is_none_or(|standing| standing.blob != Some(*blob)));
        let filing = self.filing(settled, &slot, entry);
        let bytes = filing.map_or(0, |filing| self.store.entries.share(&slot.key, document.len(), &filing));
        Ok(Ready {
            collection: self.collection(settled, replaced.is_some()),
            demand: Demand {
                needed: Usage { documents: 1, bytes },
                held: standing.map(|standing| self.held(&slot, &standing)).unwrap_or_default(),
            },
            expected: standing.map_or(Expected::Absent, |standing| Expected::Revision(standing.revision)),
            key: slot.key,
            document,
            filing,
            new_blob: new_blob.map(|blob| DocumentKey::new(blob.0)).transpose()?,
            replaced,
        })
    }

    /// Writes the document of an entry, unless the new blob it refers to was given up meanwhile.
    pub(crate) async fn write(&self, ready: Ready) -> Result<(), BackendError> {
        let documents = &self.store.entries;
        if ready.filing.is_none() && (ready.new_blob.is_none() || !documents.capabilities().commit) {
            let Ready { collection, key, document, expected, .. } = ready;
            return documents.put(collection, &key, &document, expected).await.map(drop);
        }
        documents.commit(&ready.writes()).await.map(drop)
    }

    /// Makes room for a write under those names that would pass the limit; `rooms` counts how often.
    pub(crate) async fn room(
        &self,
        settled: &Settled,
        demand: Demand,
        names: &[&[u8]],
        rooms: &mut usize,
    ) -> Result<(), StoreError> {
        *rooms += 1;
        if *rooms > MAX_ROOMS || !self.make_room(settled, demand, names).await? {
            return Err(StoreError::LimitReached(self.name.clone()));
        }
        Ok(())
    }

    /// Does what is left to do once an entry is written: deletes the blob that nobody needs any more, and tells of the change.
    pub(crate) async fn wrote(&self, action: &'static str, name: &[u8], replaced: Option<BlobId>) {
        if let Some(blob) = replaced {
            self.discard(&blob).await;
        }
        self.forget_held(name).await;
        self.changed(action, name);
    }

    async fn discard_of(&self, entry: &Entry) {
        if let Some(blob) = &entry.blob {
            self.discard(&blob.id).await;
        }
    }
}

/// An entry that is ready to be written, for what stood in its place when it was made ready.
pub(crate) struct Ready {
    collection: Collection,
    key: DocumentKey,
    document: Vec<u8>,
    expected: Expected,
    filing: Option<Filing>,
    /// The blob that the entry refers to and the one before it did not, as its place among the condemned.
    new_blob: Option<DocumentKey>,
    /// The blob that nobody needs once the entry is written.
    pub(crate) replaced: Option<BlobId>,
    /// What the entry takes, and the one before it, their blobs included.
    pub(crate) demand: Demand,
}

impl Ready {
    /// Returns how long the document is, in bytes.
    pub(crate) fn document_len(&self) -> usize {
        self.document.len()
    }

    /// Returns the writes of a commit: the document, and that the new blob it refers to was not given up.
    pub(crate) fn writes(self) -> Vec<Write> {
        let Self { collection, key, document: value, expected, filing, new_blob, .. } = self;
        let mut writes = vec![match filing {
            Some(filing) => Write::PutFiled { collection, key, value, expected, filing },
            None => Write::Put { collection, key, value, expected },
        }];
        writes.extend(new_blob.map(|key| Write::Check { collection: CONDEMNED, key, expected: Expected::Absent }));
        writes
    }
}

/// What an entry will say, but for what is known only when it is put.
#[derive(Debug)]
pub(crate) struct Draft {
    lifetime: Lifetime,
    media_type: Option<String>,
    tags: Vec<String>,
    expected: ExpectedVersion,
    sensitive: bool,
    compute_time: Option<Duration>,
    /// How the value is sealed that lies in a blob.
    blob_suite: Option<Suite>,
}

impl Draft {
    pub(crate) fn new(namespace: &Namespace, name: &[u8], options: &PutOptions) -> Result<Self, StoreError> {
        document_key(&namespace.name, name)?;
        let PutOptions { lifetime, media_type, tags, expected, sensitive, compute_time } = options.clone();
        let mut draft = Self { lifetime, media_type, tags, expected, sensitive, compute_time, blob_suite: None };
        draft.tags.sort_unstable();
        draft.tags.dedup();
        let stat = EntryStat { version: 1, ..draft.stat(Timestamp(0), 0) };
        let trial = Entry { stat, name: None, blob: None };
        trial.check().map_err(|reason| StoreError::InvalidEntry { place: namespace.place(name), reason })?;
        Ok(draft)
    }

    /// Checks what is there against what is expected, and the value against the mode, and says when the entry expires.
    pub(crate) fn meet(
        &self,
        namespace: &Namespace,
        name: &[u8],
        settled: &Settled,
        present: Option<&Present>,
        entry: &mut Entry,
    ) -> Result<(), StoreError> {
        let asked = settled.params(Params::default(), self.sensitive).suite;
        if self.blob_suite == Some(Suite::Authenticated) && asked != Suite::Authenticated {
            return Err(StoreError::ModeChanged(namespace.place(name)));
        }
        let now = entry.stat.created;
        let live = present.map(|present| &present.entry.stat).filter(|stat| !stat.is_expired(now));
        let (expected, found) = (self.expected, live.map(|stat| stat.version));
        if !expected.holds(found) {
            return Err(StoreError::VersionMismatch { place: namespace.place(name), expected, found });
        }
        entry.stat.expires = self.lifetime.expires(now, settled.settings.lifetime);
        Ok(())
    }

    pub(crate) fn stat(&self, now: Timestamp, len: u64) -> EntryStat {
        EntryStat {
            version: 0,
            created: now,
            expires: None,
            media_type: self.media_type.clone(),
            tags: self.tags.clone(),
            compute_time: self.compute_time,
            sensitive: self.sensitive,
            len,
        }
    }
}

enum Content<'a> {
    Inline(&'a [u8]),
    Blob(BlobRef, u64),
}

/// Puts a value that comes in pieces, holding at most two chunks of it in memory.
///
/// Dropping it before [`EntryWriter::finish`] puts nothing.
#[must_use = "nothing is put before `finish`"]
pub struct EntryWriter {
    namespace: Namespace,
    name: Box<[u8]>,
    draft: Draft,
    sink: Sink,
}

enum Sink {
    /// What may still lie in the entry.
    Inline(Zeroizing<Vec<u8>>),
    Blob(Box<BlobSealer>),
    /// A write failed, or was given up half-way.
    Failed,
}

impl EntryWriter {
    /// Appends to the value.
    ///
    /// # Errors
    /// Fails if the storage does; the writer is then of no further use ([`StoreError::WriterFailed`]).
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        // Whatever ends this early leaves a writer that refuses to go on.
        match std::mem::replace(&mut self.sink, Sink::Failed) {
            Sink::Inline(mut start) if start.len() + bytes.len() <= MAX_INLINE_LEN => {
                if start.capacity() == 0 && bytes.len() < MAX_INLINE_LEN {
                    // Growing would leave copies of the value behind.
                    start.reserve_exact(MAX_INLINE_LEN);
                }
                start.extend_from_slice(bytes);
                self.sink = Sink::Inline(start);
            }
            Sink::Inline(start) => {
                let mut blob = self.namespace.begin_blob(&self.name, &mut self.draft).await?;
                blob.write(&start).await?;
                blob.write(bytes).await?;
                self.sink = Sink::Blob(Box::new(blob));
            }
            Sink::Blob(mut blob) => {
                blob.write(bytes).await?;
                self.sink = Sink::Blob(blob);
            }
            Sink::Failed => return Err(self.failed()),
        }
        Ok(())
    }

    /// Puts the value, and returns the version of the new entry.
    ///
    /// # Errors
    /// As [`Namespace::put`]; [`StoreError::WriterFailed`] if a write failed before.
    pub async fn finish(self) -> Result<u64, StoreError> {
        let Self { namespace, name, draft, sink } = self;
        match sink {
            Sink::Inline(value) => namespace.commit(&name, &draft, Content::Inline(&value)).await,
            Sink::Blob(blob) => namespace.commit_blob(&name, &draft, *blob).await,
            Sink::Failed => Err(StoreError::WriterFailed(namespace.place(&name))),
        }
    }

    /// Puts the value under another name than the writer was begun with.
    pub(crate) async fn finish_as(mut self, name: &[u8]) -> Result<u64, StoreError> {
        self.name = name.into();
        self.finish().await
    }

    fn failed(&self) -> StoreError {
        StoreError::WriterFailed(self.namespace.place(&self.name))
    }
}

impl fmt::Debug for EntryWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryWriter").field("place", &self.namespace.place(&self.name)).finish_non_exhaustive()
    }
}
