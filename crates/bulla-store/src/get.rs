//! Reading entries (spec, "Reading").

use std::fmt;

use zeroize::Zeroizing;

use crate::blob::{BlobError, BlobOpener};
use crate::entry::{Entry, EntryStat};
use crate::memory::{Origin, Recalled};
use crate::namespace::{MAX_ROUNDS, Present, Slot};
use crate::{ExpectedVersion, GetOptions, Namespace, Place, StoreError};

/// Longest value that [`Namespace::get`] returns, in bytes. Larger ones are for [`Namespace::reader`].
pub const MAX_VALUE_LEN: u64 = 64 * 1_024 * 1_024;

/// A value, and what its entry says about it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Value {
    /// What the entry says.
    pub stat: EntryStat,
    /// The value itself. It is the caller's to wipe, if it is secret.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").field("stat", &self.stat).finish_non_exhaustive()
    }
}

impl Namespace {
    /// Reads a value of at most [`MAX_VALUE_LEN`] bytes. Nothing of it is returned before all of it has verified.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no entry, or an expired one; [`StoreError::VersionMismatch`];
    /// [`StoreError::TooLarge`]; [`StoreError::Open`], [`StoreError::BadEntry`] or [`StoreError::DamagedBlob`] if the value is not what was
    /// put there. It lies in quarantine then, and later reads are [`StoreError::Quarantined`]. [`StoreError::MissingBlob`] if the value is not
    /// there: the entry stays where it is, since it may only be this machine that does not see the blob. In a namespace that takes
    /// these for a miss ([`OnTamper::Miss`](crate::OnTamper::Miss)), this and later reads are [`StoreError::NotFound`].
    ///
    /// Where the settings of the namespace cannot be read, values are read all the same, and nothing is put into quarantine; but of an entry that is not
    /// found nobody knows whether it is there, and their failure is returned: [`StoreError::OpenSettings`], [`StoreError::BadSettings`] or
    /// [`StoreError::SettingsMissing`].
    ///
    /// # Security
    /// An old entry, put back whole where it was, opens. Who knows which version to expect says so in the options, and
    /// finds out.
    pub async fn get(&self, name: &[u8], options: &GetOptions) -> Result<Value, StoreError> {
        for _ in 0..MAX_ROUNDS {
            match self.get_once(name, options).await {
                Err(error) => self.tampered(name, error).await?,
                got => return got,
            }
        }
        Err(StoreError::Conflict(self.place(name)))
    }

    /// Reads what an entry says about its value. A value in a blob is not looked at.
    ///
    /// # Errors
    /// As [`Namespace::get`], less what concerns blobs.
    pub async fn stat(&self, name: &[u8], options: &GetOptions) -> Result<EntryStat, StoreError> {
        for _ in 0..MAX_ROUNDS {
            match self.live(name, options).await {
                Err(error) => self.tampered(name, error).await?,
                Ok((present, _)) => return Ok(present.entry.stat),
            }
        }
        Err(StoreError::Conflict(self.place(name)))
    }

    /// Opens a value of any length, to be read in pieces or in ranges.
    ///
    /// # Errors
    /// As [`Namespace::get`], less [`StoreError::TooLarge`].
    pub async fn reader(&self, name: &[u8], options: &GetOptions) -> Result<EntryReader, StoreError> {
        for _ in 0..MAX_ROUNDS {
            match self.source(name, options).await {
                Err(error) => self.tampered(name, error).await?,
                Ok((stat, source, _)) => return Ok(self.reader_of(name, stat, source)),
            }
        }
        Err(StoreError::Conflict(self.place(name)))
    }

    fn reader_of(&self, name: &[u8], stat: EntryStat, source: Source) -> EntryReader {
        let (opened, blob) = match source {
            Source::Inline(value) => (value, None),
            Source::Blob(blob) => (Zeroizing::new(Vec::new()), Some(blob)),
        };
        let opened = Opened { bytes: opened, index: blob.is_none().then_some(0), stored: Vec::new() };
        EntryReader { namespace: self.clone(), name: name.into(), stat, blob, opened, next: 0 }
    }

    async fn get_once(&self, name: &[u8], options: &GetOptions) -> Result<Value, StoreError> {
        let look = match self.recall(name, options).await? {
            Recalled::Value(value) => return Ok(value),
            Recalled::Nothing(look) => look,
        };
        let (stat, source, origin) = self.source(name, options).await?;
        let bytes = match source {
            Source::Inline(mut value) => std::mem::take(&mut *value),
            Source::Blob(blob) => {
                let too_large =
                    || StoreError::TooLarge { place: blob.place.clone(), len: stat.len, limit: MAX_VALUE_LEN };
                let len = usize::try_from(stat.len).ok().filter(|_| stat.len <= MAX_VALUE_LEN).ok_or_else(too_large)?;
                blob.opener.open_all(len).await.map_err(|error| blob.error(error))?
            }
        };
        let value = Value { stat, bytes };
        self.hold(look, &value, origin);
        Ok(value)
    }

    /// Reads an entry that has not expired, of the version that is expected.
    async fn live(&self, name: &[u8], options: &GetOptions) -> Result<(Present, Slot), StoreError> {
        let settled = self.reading().await?;
        let now = self.store.clock.now();
        let Some((present, slot)) = self.look_up(&settled, name).await? else {
            return Err(self.absence(&settled, name).await);
        };
        if present.entry.stat.is_expired(now) {
            return Err(StoreError::NotFound(self.place(name)));
        }
        let found = present.entry.stat.version;
        match options.expected {
            Some(expected) if expected != found => Err(StoreError::VersionMismatch {
                place: self.place(name),
                expected: ExpectedVersion::Version(expected),
                found: Some(found),
            }),
            _ => {
                self.was_read(&settled, name);
                Ok((present, slot))
            }
        }
    }

    async fn source(&self, name: &[u8], options: &GetOptions) -> Result<(EntryStat, Source, Origin), StoreError> {
        let mut missing = None;
        for _ in 0..MAX_ROUNDS {
            let (Present { revision, key_version, entry, value, .. }, slot) = self.live(name, options).await?;
            self.used(&slot.key).await;
            let origin = Origin { revision, key_version };
            let Entry { stat, blob: Some(reference), .. } = entry else {
                return Ok((entry.stat, Source::Inline(value), origin));
            };
            let store = &self.store;
            let project = store.keyring.project();
            match BlobOpener::open(&*store.blobs, &project, &self.name, &reference, stat.len).await {
                // The entry may have been replaced between the two reads, and its blob deleted. Then it names another
                // blob now.
                Err(BlobError::Missing) if missing != Some(reference.id) => missing = Some(reference.id),
                Err(error) => return Err(error.at(self.place(name), reference.id)),
                Ok(opener) => {
                    let blob = BlobSource { place: self.place(name), id: reference.id, opener };
                    return Ok((stat, Source::Blob(blob), origin));
                }
            }
        }
        Err(StoreError::Conflict(self.place(name)))
    }
}

enum Source {
    Inline(Zeroizing<Vec<u8>>),
    Blob(BlobSource),
}

struct BlobSource {
    place: Place,
    id: bulla_backend::BlobId,
    opener: BlobOpener,
}

impl BlobSource {
    fn error(&self, error: BlobError) -> StoreError {
        error.at(self.place.clone(), self.id)
    }
}

/// Reads a value of any length, holding one chunk of it in memory.
///
/// The length is authentic: the end of the value has verified before there is a reader. Each chunk is released once it
/// has verified. A reader goes on reading the value that it began with, even if the entry is replaced meanwhile; at
/// worst the storage says that the value is gone.
pub struct EntryReader {
    namespace: Namespace,
    name: Box<[u8]>,
    stat: EntryStat,
    /// Where the value lies; `None` if it lies in `opened`, whole.
    blob: Option<BlobSource>,
    opened: Opened,
    /// The chunk that [`EntryReader::read_chunk`] reads next.
    next: u64,
}

/// The chunk that was opened last.
struct Opened {
    bytes: Zeroizing<Vec<u8>>,
    /// Its number; `None` if `bytes` holds nothing that verified.
    index: Option<u64>,
    stored: Vec<u8>,
}

impl EntryReader {
    /// Returns what the entry says about its value.
    #[must_use]
    pub fn stat(&self) -> &EntryStat {
        &self.stat
    }

    /// Returns the length of the value, in bytes.
    #[must_use]
    pub fn message_len(&self) -> u64 {
        self.stat.len
    }

    /// Returns the next piece of the value, or `None` behind its end. A piece has at least one byte.
    ///
    /// # Errors
    /// [`StoreError::DamagedBlob`] if the piece does not verify, and the entry lies in quarantine then; [`StoreError::Backend`]. The same
    /// piece may be tried again.
    pub async fn read_chunk(&mut self) -> Result<Option<&[u8]>, StoreError> {
        let index = self.next;
        if !self.load(index).await? {
            return Ok(None);
        }
        self.next = index + 1;
        Ok(Some(&self.opened.bytes))
    }

    /// Lets [`EntryReader::read_chunk`] begin again.
    pub(crate) fn rewind(&mut self) {
        self.next = 0;
    }

    /// Fills `buffer` with the value from `offset` on, and returns how many bytes there were: fewer than `buffer` holds
    /// only at the end of the value.
    ///
    /// # Errors
    /// As [`EntryReader::read_chunk`].
    pub async fn read_at(&mut self, mut offset: u64, buffer: &mut [u8]) -> Result<usize, StoreError> {
        let chunk_len = self.blob.as_ref().map_or(u64::MAX, |blob| blob.opener.chunk_len() as u64);
        let mut filled = 0;
        while filled < buffer.len() && offset < self.stat.len {
            if !self.load(offset / chunk_len).await? {
                break;
            }
            // Less than a chunk, which is in memory.
            let at = usize::try_from(offset % chunk_len).unwrap_or(usize::MAX);
            let released = self.opened.bytes.get(at..).unwrap_or_default();
            let taken = released.len().min(buffer.len() - filled);
            buffer[filled..filled + taken].copy_from_slice(&released[..taken]);
            filled += taken;
            offset += taken as u64;
        }
        Ok(filled)
    }

    /// Opens a chunk; says whether there is one of that number, and with any byte in it.
    async fn load(&mut self, index: u64) -> Result<bool, StoreError> {
        let Opened { bytes, index: loaded, stored } = &mut self.opened;
        if *loaded == Some(index) {
            return Ok(!bytes.is_empty());
        }
        let Some(blob) = &self.blob else { return Ok(false) };
        *loaded = None;
        bytes.resize(blob.opener.chunk_len(), 0);
        let opened = match blob.opener.open_chunk(index, stored, bytes).await {
            Ok(opened) => opened,
            Err(error) => {
                bytes.clear();
                let error = blob.error(error);
                // Whoever has read a part of this value is told so, even where others would be told of a miss.
                self.namespace.report(&self.name, &error).await;
                return Err(error);
            }
        };
        bytes.truncate(opened.unwrap_or_default());
        *loaded = opened.and(Some(index));
        Ok(!bytes.is_empty())
    }
}

impl fmt::Debug for EntryReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryReader").field("stat", &self.stat).finish_non_exhaustive()
    }
}
