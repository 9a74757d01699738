//! Copying a store to a backup, while others go on writing.

use std::collections::HashSet;
use std::io::Write;

use bulla_backend::{BlobId, Document, DocumentKey, MAX_DOCUMENT_LEN};
use bulla_keyring::BackupWriter;

use super::StoreBackupError;
use crate::namespace::MAX_ROUNDS;
use crate::quarantine::QUARANTINE;
use crate::settled::{NAMESPACES, settings_key};
use crate::store::{DocumentPages, ENTRIES};
use crate::walk::{Finding, Observer, WalkEvent};
use crate::{NamespaceName, Place, Store, StoreError};

/// How many blobs are held against the entries in one walk, where that is needed: a bound on memory.
const SLICE_LEN: usize = 1 << 20;

/// What a backup has taken from a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BackupCounts {
    /// Entries, expired ones included.
    pub entries: u64,
    /// Of those, entries that are refused, or whose value is not there. They are copied as they are.
    pub refused: u64,
    /// Blobs.
    pub blobs: u64,
    /// Bytes of documents and blobs, as they are stored.
    pub bytes: u64,
}

impl Store {
    /// Copies all entries, with their settings, blobs and quarantine records, to a backup that was begun with
    /// [`Keyring::begin_backup`](bulla_keyring::Keyring::begin_backup). The trust database comes last, with
    /// [`BackupWriter::finish`], so that every key that an entry needs is there.
    ///
    /// Others may write meanwhile: each entry is copied as it was at some moment of the backup, together with its blob. It takes as much memory
    /// as a page of documents has. Values are not verified: [`Store::check`] does that.
    ///
    /// # Errors
    /// Fails if the storage cannot be read or the backup cannot be written. What is wrong with an entry is a finding.
    pub async fn back_up<W: Write>(
        &self,
        backup: &mut BackupWriter<W>,
        observer: &mut Observer<'_, BackupCounts>,
    ) -> Result<BackupCounts, StoreBackupError> {
        let (counts, settled) = (BackupCounts::default(), HashSet::new());
        let mut copy = Copy { store: self, backup, counts, observer, settled, has_unknown: false };
        copy.settings().await?;
        copy.entries().await?;
        copy.quarantine().await?;
        if copy.has_unknown {
            // Any blob may belong to what does not open.
            copy.unclaimed_blobs().await?;
        }
        (copy.observer)(WalkEvent::Progress(&copy.counts));
        Ok(copy.counts)
    }
}

struct Copy<'a, 'o, W: Write> {
    store: &'a Store,
    backup: &'a mut BackupWriter<W>,
    counts: BackupCounts,
    observer: &'a mut Observer<'o, BackupCounts>,
    /// Namespaces whose settings were looked for.
    settled: HashSet<NamespaceName>,
    /// Whether something was copied that may refer to a blob, and does not open.
    has_unknown: bool,
}

impl<W: Write> Copy<'_, '_, W> {
    async fn settings(&mut self) -> Result<(), StoreBackupError> {
        let store = self.store;
        let mut pages = DocumentPages::of(&*store.entries, NAMESPACES, Vec::new());
        while let Some(documents) = pages.next().await? {
            for Document { key, value, .. } in documents {
                let name = std::str::from_utf8(key.as_bytes()).ok().and_then(|name| name.parse().ok());
                self.settled.extend(name);
                self.counts.bytes += value.len() as u64;
                self.backup.document(NAMESPACES, key, value)?;
            }
        }
        Ok(())
    }

    /// Copies the settings of a namespace that was begun since the others were copied: without them nobody reads its entries.
    async fn late_settings(&mut self, namespace: &NamespaceName) -> Result<(), StoreBackupError> {
        if self.settled.insert(namespace.clone())
            && let Some(Document { key, value, .. }) =
                self.store.entries.get(NAMESPACES, &settings_key(namespace)?).await?
        {
            self.counts.bytes += value.len() as u64;
            self.backup.document(NAMESPACES, key, value)?;
        }
        Ok(())
    }

    async fn entries(&mut self) -> Result<(), StoreBackupError> {
        let store = self.store;
        let mut pages = DocumentPages::new(&*store.entries, Vec::new());
        while let Some(documents) = pages.next().await? {
            for document in documents {
                self.entry(document).await?;
            }
            (self.observer)(WalkEvent::Progress(&self.counts));
        }
        Ok(())
    }

    /// Copies an entry, with its blob before it. One that is replaced meanwhile is copied as it is then.
    async fn entry(&mut self, mut document: Document) -> Result<(), StoreBackupError> {
        let place = Place::parse(document.key.as_bytes());
        if let Some(place) = &place {
            self.late_settings(&place.namespace).await?;
        }
        for _ in 0..MAX_ROUNDS {
            let Some(place) = &place else { break };
            let opened = self.store.open_entry(&place.namespace, place.name.as_bytes(), document.value.clone()).await;
            let entry = match opened {
                Ok((entry, _)) => entry,
                Err(error) if error.is_integrity_failure() || error.is_beyond_opening() => {
                    self.has_unknown = true;
                    self.refused(place.clone(), error);
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            let Some(reference) = &entry.blob else { break };
            if self.blob(&reference.id).await? {
                break;
            }
            match self.store.entries.get(ENTRIES, &document.key).await? {
                // Removed meanwhile.
                None => return Ok(()),
                Some(again) if again.revision == document.revision => {
                    self.refused(place.clone(), StoreError::MissingBlob { place: place.clone(), blob: reference.id });
                    break;
                }
                Some(again) => document = again,
            }
        }
        self.counts.entries += 1;
        self.counts.bytes += document.value.len() as u64;
        Ok(self.backup.document(ENTRIES, document.key, document.value)?)
    }

    async fn quarantine(&mut self) -> Result<(), StoreBackupError> {
        let store = self.store;
        let mut pages = DocumentPages::of(&*store.entries, QUARANTINE, Vec::new());
        while let Some(documents) = pages.next().await? {
            for Document { key, value, .. } in documents {
                match self.blob_of_record(&key, &value).await? {
                    Some(Some(blob)) => drop(self.blob(&blob).await?),
                    Some(None) => {}
                    None => self.has_unknown = true,
                }
                self.counts.bytes += value.len() as u64;
                self.backup.document(QUARANTINE, key, value)?;
            }
        }
        Ok(())
    }

    /// Returns the blob that a quarantine record keeps, if any; `None` if that cannot be known.
    async fn blob_of_record(
        &self,
        key: &DocumentKey,
        value: &[u8],
    ) -> Result<Option<Option<BlobId>>, StoreBackupError> {
        let Some(place) = Place::parse(key.as_bytes()) else { return Ok(None) };
        let namespace = self.store.namespace_of(place.namespace);
        let Some(id) = namespace.record_id(key) else { return Ok(None) };
        match namespace.open_record(&id, value.to_vec()).await {
            // What does not open may refer to any blob.
            Ok(record) if record.blob.is_none() => Ok(None),
            Ok(record) => Ok(Some(record.blob)),
            Err(error @ (StoreError::Backend(_) | StoreError::Keyring { .. })) => Err(error.into()),
            Err(_) => Ok(None),
        }
    }

    /// Copies the blobs that no entry refers to which opened.
    async fn unclaimed_blobs(&mut self) -> Result<(), StoreBackupError> {
        let store = self.store;
        let mut after = None;
        loop {
            let mut unclaimed = HashSet::new();
            loop {
                let page = store.blobs.list(after.as_ref(), 0).await?;
                unclaimed.extend(page.blobs.into_iter().map(|blob| blob.id));
                after = page.next;
                if after.is_none() || unclaimed.len() >= SLICE_LEN {
                    break;
                }
            }
            let mut pages = DocumentPages::new(&*store.entries, Vec::new());
            while let Some(documents) = pages.next().await? {
                for document in documents {
                    let Some(place) = Place::parse(document.key.as_bytes()) else { continue };
                    let opened = store.open_entry(&place.namespace, place.name.as_bytes(), document.value).await;
                    if let Some(reference) = opened.ok().and_then(|(entry, _)| entry.blob) {
                        unclaimed.remove(&reference.id);
                    }
                }
            }
            for id in unclaimed {
                self.blob(&id).await?;
            }
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Copies a blob; says whether it was there to its end.
    async fn blob(&mut self, id: &BlobId) -> Result<bool, StoreBackupError> {
        let Some(reader) = self.store.blobs.open(id).await? else { return Ok(false) };
        let len = reader.len();
        let mut offset = 0;
        while offset < len {
            let wanted = usize::try_from(len - offset).map_or(MAX_DOCUMENT_LEN, |left| left.min(MAX_DOCUMENT_LEN));
            let mut piece = vec![0; wanted];
            let read = match reader.read_at(offset, &mut piece).await {
                Ok(read) => read,
                // A storage that lets go of what is being read when it is deleted.
                Err(error) if self.store.blobs.open(id).await?.is_some() => return Err(error.into()),
                Err(_) => return Ok(false),
            };
            if read < wanted {
                return Ok(false);
            }
            self.backup.blob_piece(*id, offset, piece)?;
            offset += read as u64;
            self.counts.bytes += read as u64;
            (self.observer)(WalkEvent::Progress(&self.counts));
        }
        self.counts.blobs += 1;
        self.backup.blob_end(*id, len)?;
        Ok(true)
    }

    fn refused(&mut self, place: Place, error: StoreError) {
        self.counts.refused += 1;
        (self.observer)(WalkEvent::Found(Finding::Entry { place, error }));
    }
}
