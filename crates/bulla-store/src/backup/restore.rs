//! Restoring a store from a backup that was verified.

use std::io::Read;

use bulla_backend::{
    BlobId, Collection, Document, DocumentKey, ErrorKind, Expected, Filing, MAX_COMMIT_BYTES, MAX_COMMIT_WRITES, Write,
};
use bulla_keyring::{BackupContents, BackupItem};

use super::StoreBackupError;
use super::incoming::{Incoming, Replacement, Settled};
use crate::entry::Entry;
use crate::gc::CONDEMNED;
use crate::name::prefix;
use crate::namespace::{MAX_ROUNDS, Slot};
use crate::settled::{NAMESPACES, Restored};
use crate::store::ENTRIES;
use crate::walk::{Finding, Observer, WalkEvent};
use crate::{BadEntry, Namespace, NamespaceName, Place, Store, StoreError};

/// How to restore a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RestoreOptions {
    /// Whether what is there, and is not as in the backup, is replaced.
    pub overwrite: bool,
}

/// What the restoring of a store has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RestoreCounts {
    /// Entries that were written.
    pub restored: u64,
    /// Entries that were there as they are in the backup.
    pub equal: u64,
    /// Entries that are there otherwise, and stay.
    pub kept: u64,
    /// Entries that cannot lie where they lay, since the namespace blinds names otherwise now.
    pub refused: u64,
    /// Blobs that were written.
    pub blobs: u64,
    /// Bytes that were read, of documents and blobs.
    pub bytes: u64,
}

impl Store {
    /// Restores what a backup holds of a store: what is not there is written, each entry behind its blob; what is there as in the backup stays
    /// as it is, and so does what is there otherwise, unless the options say that it is replaced. A blob that is there and damaged is
    /// replaced in any case.
    ///
    /// A call that was interrupted is completed by the next one with the same backup. Limits of namespaces are not held meanwhile; the next puts
    /// will. Do not collect garbage meanwhile.
    ///
    /// # Errors
    /// [`BackupError`](bulla_keyring::BackupError) if the file is not what was verified before; [`StoreError`] if the storage fails.
    ///
    /// # Security
    /// Entries come back as they were: with an expiry that may have passed, and versions that readers may have seen replaced.
    pub async fn restore<R: Read>(
        &self,
        contents: &mut BackupContents<R>,
        options: &RestoreOptions,
        observer: &mut Observer<'_, RestoreCounts>,
    ) -> Result<RestoreCounts, StoreBackupError> {
        let counts = RestoreCounts::default();
        let (options, batch) = (*options, Batch::default());
        let mut work = Work { store: self, options, counts, observer, blob: None, other: None, batch, followed: None };
        while let Some(item) = contents.next_item()? {
            work.item(item).await?;
        }
        work.settle_other(None).await?;
        work.flush().await?;
        Ok(work.counts)
    }
}

struct Work<'a, 'o> {
    store: &'a Store,
    options: RestoreOptions,
    counts: RestoreCounts,
    observer: &'a mut Observer<'o, RestoreCounts>,
    /// The blob that is coming.
    blob: Option<Incoming>,
    /// A blob that is there otherwise, until its entry comes.
    other: Option<Replacement>,
    batch: Batch,
    /// The namespace whose settings were read since they were restored: what was known of them before may be older.
    followed: Option<NamespaceName>,
}

/// Documents that are to be written at once, where the backend can.
#[derive(Default)]
struct Batch {
    documents: Vec<Restoring>,
    writes: usize,
    bytes: usize,
}

struct Restoring {
    collection: Collection,
    key: DocumentKey,
    value: Vec<u8>,
    filing: Option<Filing>,
    blob: Option<BlobId>,
    expected: Expected,
}

impl Restoring {
    fn writes(&self) -> usize {
        1 + usize::from(self.blob.is_some())
    }
}

impl Work<'_, '_> {
    async fn item(&mut self, item: BackupItem) -> Result<(), StoreBackupError> {
        let blobs = &*self.store.blobs;
        match item {
            BackupItem::BlobPiece { id, offset, bytes } => {
                if offset == 0 {
                    self.settle_other(None).await?;
                    self.blob = Some(Incoming::begin(blobs, id).await?);
                }
                if let Some(blob) = &mut self.blob {
                    blob.piece(blobs, &bytes).await?;
                }
                self.counts.bytes += bytes.len() as u64;
                (self.observer)(WalkEvent::Progress(&self.counts));
            }
            BackupItem::BlobEnd { id, len } => {
                let blob = match self.blob.take() {
                    Some(blob) if len > 0 => blob,
                    _ => Incoming::begin(blobs, id).await?,
                };
                match blob.end(blobs, len).await? {
                    Settled::Written => self.counts.blobs += 1,
                    Settled::There => {}
                    Settled::Other(replacement) => self.other = Some(replacement),
                }
            }
            BackupItem::Document { collection, key, value } => {
                // A blob that has not come to its end was given up.
                self.blob = None;
                self.counts.bytes += value.len() as u64;
                if let Some(document) = self.document(collection, key, value).await? {
                    self.add(document).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Prepares a document to be written; `None` if it cannot lie where it lay.
    async fn document(
        &mut self,
        collection: Collection,
        key: DocumentKey,
        value: Vec<u8>,
    ) -> Result<Option<Restoring>, StoreBackupError> {
        let plain = Restoring { collection, key, value, filing: None, blob: None, expected: Expected::Absent };
        let place = Place::parse(plain.key.as_bytes()).filter(|_| collection == ENTRIES);
        let Some(place) = place else {
            self.settle_other(None).await?;
            return Ok(Some(plain));
        };
        if self.batch.documents.last().is_some_and(|last| last.collection != ENTRIES) {
            // What opens an entry, and files it, is there first.
            self.flush().await?;
        }
        let namespace = self.store.namespace_of(place.namespace.clone());
        let settled = if self.followed.as_ref() == Some(&place.namespace) {
            namespace.reading().await
        } else {
            namespace.read_settled().await
        };
        self.followed = settled.is_ok().then(|| place.namespace.clone());
        let opened = match settled {
            Ok(settled) => {
                let opened = namespace.open_stored(&settled, place.name.as_bytes(), plain.value.clone()).await;
                opened.map(|(entry, _)| (settled, entry))
            }
            Err(error) => Err(error),
        };
        let (settled, entry) = match opened {
            Ok(opened) => opened,
            Err(error @ StoreError::BadEntry { reason: BadEntry::Name, .. }) => {
                self.counts.refused += 1;
                (self.observer)(WalkEvent::Found(Finding::Entry { place, error }));
                return Ok(None);
            }
            Err(error @ (StoreError::Backend(_) | StoreError::Keyring { .. })) if !error.is_beyond_opening() => {
                return Err(error.into());
            }
            // It was so when the backup was made, or is since its key was destroyed.
            Err(_) => {
                self.settle_other(None).await?;
                return Ok(Some(plain));
            }
        };
        self.settle_other(Some((&namespace, &entry))).await?;
        let group_len = prefix(&place.namespace, &[]).len();
        let slot = Slot { key: plain.key.clone(), group_len, hidden: entry.name.clone() };
        // What was there when the backup was made is not refused for a limit.
        let filing = namespace.filing(&settled, &slot, &entry).map(|filing| Filing { limit: None, ..filing });
        Ok(Some(Restoring { filing, blob: entry.blob.map(|blob| blob.id), ..plain }))
    }

    /// Decides what becomes of a blob that is there otherwise, now that its entry is known, or that it has none that opens.
    async fn settle_other(&mut self, entry: Option<(&Namespace, &Entry)>) -> Result<(), StoreBackupError> {
        let Some(other) = self.other.take() else { return Ok(()) };
        let entry = entry.filter(|(_, entry)| entry.blob.as_ref().is_some_and(|blob| blob.id == other.id));
        let is_damaged = match entry {
            Some((namespace, entry)) => match namespace.verify_blob(entry).await {
                Ok(()) => false,
                Err(crate::blob::BlobError::Backend(error)) => return Err(error.into()),
                Err(_) => true,
            },
            None => self.options.overwrite,
        };
        if is_damaged {
            other.replace(&*self.store.blobs).await?;
            self.counts.blobs += 1;
        }
        Ok(())
    }

    async fn add(&mut self, document: Restoring) -> Result<(), StoreBackupError> {
        let (writes, bytes) = (document.writes(), document.value.len());
        if self.batch.writes + writes > MAX_COMMIT_WRITES || self.batch.bytes + bytes > MAX_COMMIT_BYTES {
            self.flush().await?;
        }
        self.batch.writes += writes;
        self.batch.bytes += bytes;
        self.batch.documents.push(document);
        Ok(())
    }

    /// Writes what is waiting.
    async fn flush(&mut self) -> Result<(), StoreBackupError> {
        let Batch { mut documents, .. } = std::mem::take(&mut self.batch);
        let can_commit = self.store.entries.capabilities().commit;
        for _ in 0..MAX_ROUNDS {
            if documents.is_empty() {
                (self.observer)(WalkEvent::Progress(&self.counts));
                return Ok(());
            }
            let written = if can_commit { self.commit(&documents).await } else { self.put_all(&mut documents).await };
            match written {
                Ok(()) => {
                    self.written(&documents).await;
                    documents.clear();
                }
                Err(error) if error.kind() == ErrorKind::Conflict => documents = self.look(documents).await?,
                Err(error) => return Err(error.into()),
            }
        }
        match documents.first().and_then(|document| Place::parse(document.key.as_bytes())) {
            Some(place) => Err(StoreError::Conflict(place).into()),
            None => Ok(()),
        }
    }

    async fn commit(&self, documents: &[Restoring]) -> bulla_backend::Result<()> {
        let mut writes = Vec::with_capacity(MAX_COMMIT_WRITES);
        for document in documents {
            let Restoring { collection, key, value, filing, blob, expected } = document;
            let (collection, key, value, expected) = (*collection, key.clone(), value.clone(), *expected);
            writes.push(match filing {
                Some(filing) => Write::PutFiled { collection, key, value, expected, filing: *filing },
                None => Write::Put { collection, key, value, expected },
            });
            if let Some(blob) = blob {
                let key = DocumentKey::new(blob.0)?;
                writes.push(Write::Check { collection: CONDEMNED, key, expected: Expected::Absent });
            }
        }
        self.store.entries.commit(&writes).await.map(drop)
    }

    /// Writes documents one by one; those that were written are left out.
    async fn put_all(&mut self, documents: &mut Vec<Restoring>) -> bulla_backend::Result<()> {
        while let Some(Restoring { collection, key, value, expected, .. }) = documents.last() {
            self.store.entries.put(*collection, key, value, *expected).await?;
            if let Some(document) = documents.pop() {
                self.written(&[document]).await;
            }
        }
        Ok(())
    }

    /// Looks at what is there of documents that could not be written; returns those that are still to be.
    async fn look(&mut self, documents: Vec<Restoring>) -> Result<Vec<Restoring>, StoreBackupError> {
        let mut left = Vec::new();
        for document in documents {
            let is_entry = u64::from(document.collection == ENTRIES);
            if let Some(blob) = &document.blob {
                let key = DocumentKey::new(blob.0)?;
                if let Some(condemned) = self.store.entries.get(CONDEMNED, &key).await? {
                    // Its blob was collected since the backup was made. Now it is there again.
                    let expected = Expected::Revision(condemned.revision);
                    self.store.entries.delete(CONDEMNED, &key, expected).await?;
                }
            }
            match self.store.entries.get(document.collection, &document.key).await? {
                None => left.push(Restoring { expected: Expected::Absent, ..document }),
                Some(found) if found.value == document.value => self.counts.equal += is_entry,
                Some(found) if self.options.overwrite && document.collection == NAMESPACES => {
                    left.extend(self.settings(document, found).await?);
                }
                Some(found) if self.options.overwrite => {
                    left.push(Restoring { expected: Expected::Revision(found.revision), ..document });
                }
                Some(_) => self.counts.kept += is_entry,
            }
        }
        Ok(left)
    }

    /// Puts settings in the place of others, sealed anew as the newest: processes that run have seen those, and follow none that are older.
    /// Returns what is still to be written.
    async fn settings(&self, document: Restoring, found: Document) -> Result<Option<Restoring>, StoreBackupError> {
        let revision = found.revision;
        let name = std::str::from_utf8(document.key.as_bytes()).ok().and_then(|name| name.parse().ok());
        let restored = match name {
            Some(name) => self.store.namespace_of(name).restore_settings(document.value.clone(), found).await?,
            None => Restored::Unreadable,
        };
        Ok(match restored {
            Restored::Done => None,
            Restored::Changed => Some(document),
            Restored::Unreadable => Some(Restoring { expected: Expected::Revision(revision), ..document }),
        })
    }

    async fn written(&mut self, documents: &[Restoring]) {
        for document in documents.iter().filter(|document| document.collection == ENTRIES) {
            self.counts.restored += 1;
            if let Some(place) = Place::parse(document.key.as_bytes()) {
                self.store.namespace_of(place.namespace).changed("restore", place.name.as_bytes());
            }
        }
    }
}
