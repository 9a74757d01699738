//! Putting entries (spec, "Writing").

use std::fmt;

use bulla_backend::{Durability, ErrorKind, Expected, Timestamp};
use zeroize::Zeroizing;

use crate::blob::BlobSealer;
use crate::entry::{BlobRef, Entry, EntryStat, MAX_INLINE_LEN};
use crate::name::document_key;
use crate::namespace::MAX_ROUNDS;
use crate::{ExpectedVersion, Lifetime, Namespace, PutOptions, StoreError};

/// What the seal adds to an entry, at most: a header, and the tags of an entry of two chunks.
const SEAL_LEN: usize = bulla_seal::HEADER_LEN + 2 * bulla_seal::TAG_LEN;
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
    /// [`StoreError::KeyMissing`] and [`StoreError::UnsuitableKey`]; and, since what fails verification is never
    /// overwritten, whatever [`Namespace::get`] says about the entry that is there. After [`StoreError::Backend`] the
    /// value may be there or not.
    pub async fn put(&self, name: &[u8], value: &[u8], options: &PutOptions) -> Result<u64, StoreError> {
        let draft = Draft::new(self, name, options)?;
        if value.len() <= MAX_INLINE_LEN {
            return self.commit(name, &draft, Content::Inline(value)).await;
        }
        let mut blob = self.begin_blob(name).await?;
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

    async fn begin_blob(&self, name: &[u8]) -> Result<BlobSealer, StoreError> {
        let store = &self.store;
        let durability = self.blob_durability(name).await;
        BlobSealer::begin(&*store.blobs, &store.keyring.project(), &self.name, durability).await
    }

    /// Returns how durable a blob has to be. One in place of another is durable in any case, as its document will be: a
    /// power cut must not take it when the other is deleted already. Where somebody puts the first blob meanwhile, the
    /// newest value is as safe as was asked for.
    async fn blob_durability(&self, name: &[u8]) -> Durability {
        if self.durability == Durability::Durable {
            return Durability::Durable;
        }
        // What cannot be read is not going to be replaced either.
        let present = self.present(name).await.ok().flatten();
        let replaces_blob = present.is_some_and(|present| present.entry.blob.is_some());
        if replaces_blob { Durability::Durable } else { self.durability }
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
        let mut entry = Entry { stat: draft.stat(self.store.clock.now(), len), blob };
        let mut may_be_written = false;
        let committed = self.try_commit(name, draft.expected, value, &mut entry, &mut may_be_written).await;
        if committed.is_err() && !may_be_written {
            self.discard_of(&entry).await;
        }
        committed
    }

    async fn try_commit(
        &self,
        name: &[u8],
        expected: ExpectedVersion,
        value: &[u8],
        entry: &mut Entry,
        may_be_written: &mut bool,
    ) -> Result<u64, StoreError> {
        let key = document_key(&self.name, name)?;
        let now = entry.stat.created;
        for _ in 0..MAX_ROUNDS {
            let present = self.present(name).await?;
            let present = present.as_ref();
            let found = present.map(|present| present.entry.stat.version);
            if let (Some(ours), Some(theirs)) = (&entry.blob, present.and_then(|present| present.entry.blob.as_ref()))
                && ours.id == theirs.id
            {
                // A storage that breaks its word, and wrote what it called a lost race: nobody else knows this blob.
                return Ok(found.unwrap_or_default());
            }
            let live = present.filter(|present| !present.entry.stat.is_expired(now)).and(found);
            if !expected.holds(live) {
                return Err(StoreError::VersionMismatch { place: self.place(name), expected, found: live });
            }
            entry.stat.version = found.unwrap_or_default().saturating_add(1);
            let version = self.store.sealing_version(&self.name).await?;
            let document = self.store.seal(&version, &self.name, name, entry.encode(value, SEAL_LEN))?;
            let revision = present.map_or(Expected::Absent, |present| Expected::Revision(present.revision));
            let collection = self.collection(present.map(|present| &present.entry));
            *may_be_written = true;
            match self.store.entries.put(collection, &key, &document, revision).await {
                // A conflict says that nothing was written.
                Err(error) if error.kind() == ErrorKind::Conflict => *may_be_written = false,
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    if let Some(present) = present {
                        self.discard_of(&present.entry).await;
                    }
                    return Ok(entry.stat.version);
                }
            }
        }
        Err(StoreError::Conflict(self.place(name)))
    }

    async fn discard_of(&self, entry: &Entry) {
        if let Some(blob) = &entry.blob {
            self.discard(&blob.id).await;
        }
    }
}

/// What an entry will say, but for what is known only when it is put.
#[derive(Debug)]
struct Draft {
    lifetime: Lifetime,
    media_type: Option<String>,
    tags: Vec<String>,
    expected: ExpectedVersion,
}

impl Draft {
    fn new(namespace: &Namespace, name: &[u8], options: &PutOptions) -> Result<Self, StoreError> {
        document_key(&namespace.name, name)?;
        let PutOptions { lifetime, media_type, tags, expected } = options.clone();
        let mut draft = Self { lifetime, media_type, tags, expected };
        draft.tags.sort_unstable();
        draft.tags.dedup();
        let trial = Entry { stat: EntryStat { version: 1, ..draft.stat(Timestamp(0), 0) }, blob: None };
        trial.check().map_err(|reason| StoreError::InvalidEntry { place: namespace.place(name), reason })?;
        Ok(draft)
    }

    fn stat(&self, now: Timestamp, len: u64) -> EntryStat {
        EntryStat {
            version: 0,
            created: now,
            expires: self.lifetime.expires(now),
            media_type: self.media_type.clone(),
            tags: self.tags.clone(),
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
                let mut blob = self.namespace.begin_blob(&self.name).await?;
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

    fn failed(&self) -> StoreError {
        StoreError::WriterFailed(self.namespace.place(&self.name))
    }
}

impl fmt::Debug for EntryWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryWriter").field("place", &self.namespace.place(&self.name)).finish_non_exhaustive()
    }
}
