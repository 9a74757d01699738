//! Making a backup, while others go on writing.

use std::io::{self, Write};

use bulla_backend::{BlobId, Collection, Document, DocumentKey, Documents, ListQuery};
use bulla_seal::{Params, SealWriter, SigningKey};

use super::content_key::ContentKey;
use super::format::{COLLECTIONS, Chain, Order, framed};
use super::{BackupError, BackupHeader, BackupInfo, BackupItem, StoreCounts};
use crate::format::{RecordHash, SignedRecord, TRUST_LOG, WRAPS};
use crate::trust_log::{Problem, TrustPin};
use crate::{Fingerprint, Keyring, KeyringError};

/// How often a backup is begun anew because the trust log grew meanwhile. Each time means that somebody changed who may do what.
const MAX_ATTEMPTS: usize = 16;

impl Keyring {
    /// Writes a backup of the project's trust database: its machines, its log and its keys. With the entries of a store, see
    /// [`Keyring::begin_backup`].
    ///
    /// It is sealed to every machine in force, the recovery identity among them, and any one of them can restore it. Others may go on
    /// working: where the trust log grows meanwhile, the backup is begun anew, in a new writer from `begin`. `tell` hears how many documents were
    /// written.
    ///
    /// # Errors
    /// [`BackupError::Io`] if a writer fails; [`KeyringError::Conflict`] if the log grows again and again; otherwise as other operations.
    ///
    /// # Security
    /// Whoever holds the private keys of any one of its machines, later too, can read all keys of the project from the backup. What is revoked
    /// afterwards stays readable in it: rotate keys that mattered, and keep few backups.
    pub async fn back_up<W: Write>(
        &self,
        mut begin: impl FnMut() -> io::Result<W>,
        mut tell: impl FnMut(u64),
    ) -> Result<(W, BackupInfo), BackupError> {
        for _ in 0..MAX_ATTEMPTS {
            let pin = self.looked().await?.pin.clone();
            let mut backup = BackupWriter::begin(self, begin()?, false).await?;
            let sink = |item| {
                backup.item(&item)?;
                backup.documents += 1;
                tell(backup.documents);
                Ok(())
            };
            if self.copy_trust(sink).await? == Some(pin) {
                return backup.end(self.identity().signing());
            }
        }
        Err(KeyringError::Conflict("the trust log".to_owned()).into())
    }

    /// Begins a backup that holds the documents and blobs of a store beside the trust database. [`BackupWriter::finish`] adds the latter, and so
    /// all keys of what was added before. It is sealed as [`Keyring::back_up`] says, to the machines in force now.
    ///
    /// # Errors
    /// [`BackupError::Io`] if the writer fails; otherwise as other operations.
    pub async fn begin_backup<W: Write>(&self, out: W) -> Result<BackupWriter<W>, BackupError> {
        BackupWriter::begin(self, out, true).await
    }

    /// Copies the trust database; returns the log that the rows belong to, or `None` where it grew meanwhile.
    async fn copy_trust(
        &self,
        mut sink: impl FnMut(BackupItem) -> Result<(), BackupError>,
    ) -> Result<Option<TrustPin>, BackupError> {
        let trusted = self.looked().await?;
        let documents = self.documents();
        if !copy_log(&*documents, &trusted.pin, &mut sink).await? {
            return Ok(None);
        }
        for collection in COLLECTIONS.into_iter().filter(|collection| *collection != TRUST_LOG) {
            let mut query = ListQuery::default();
            loop {
                let page = documents.list(collection, &query).await?;
                for document in page.documents {
                    // Copies of data keys for machines that were put out, or never let in, open nothing worth having.
                    if collection != WRAPS || machine_of(&document).is_some_and(|it| trusted.machines.contains_key(&it))
                    {
                        sink(BackupItem::Document { collection, key: document.key, value: document.value })?;
                    }
                }
                match page.next {
                    Some(next) => query.after = Some(next),
                    None => break,
                }
            }
        }
        // What stood at the beginning stood to the end: the rows that were copied belong to this log.
        Ok((self.looked().await?.pin == trusted.pin).then(|| trusted.pin.clone()))
    }
}

/// A backup that is being written. Dropped before it is finished, what it wrote is none.
pub struct BackupWriter<W: Write> {
    header: BackupHeader,
    body: SealWriter<W>,
    chain: Chain,
    order: Order,
    documents: u64,
    store: StoreCounts,
}

impl<W: Write> BackupWriter<W> {
    async fn begin(keyring: &Keyring, mut out: W, with_entries: bool) -> Result<Self, BackupError> {
        let trusted = keyring.looked().await?;
        let content = ContentKey::draw()?;
        let mut header = BackupHeader {
            with_entries,
            project: keyring.project(),
            author: keyring.identity().fingerprint(),
            time: keyring.clock().now(),
            log_length: trusted.pin.length(),
            head: trusted.pin.head(),
            recipients: Vec::new(),
        };
        for machine in trusted.machines.values() {
            header.recipients.push(content.wrap(&header.project, &machine.public)?);
        }
        out.write_all(&header.to_file()?)?;
        let chain = Chain::begin(&header);
        let body = SealWriter::new(&content.seal_key()?, Params::default(), &header.body_context()?, out)?;
        let (order, store) = (Order::default(), StoreCounts::default());
        Ok(Self { header, body, chain, order, documents: 0, store })
    }

    /// Adds a document of a store. They come in the order of the collections `namespaces`, `entries` and `quarantine`, and of their keys;
    /// those of `namespaces` that were begun meanwhile may come before and among the entries, in the order of their keys.
    ///
    /// # Errors
    /// [`BackupError::Damaged`] if it is not in its place; [`BackupError::Io`].
    pub fn document(&mut self, collection: Collection, key: DocumentKey, value: Vec<u8>) -> Result<(), BackupError> {
        self.item(&BackupItem::Document { collection, key, value })
    }

    /// Adds a piece of a blob, the one at offset 0 first and the others in order; at most
    /// [`MAX_DOCUMENT_LEN`](bulla_backend::MAX_DOCUMENT_LEN) bytes, and at least one. A blob is given up by adding anything but its next piece.
    ///
    /// # Errors
    /// As [`Self::document`].
    pub fn blob_piece(&mut self, id: BlobId, offset: u64, bytes: Vec<u8>) -> Result<(), BackupError> {
        self.item(&BackupItem::BlobPiece { id, offset, bytes })
    }

    /// Ends a blob.
    ///
    /// # Errors
    /// As [`Self::document`].
    pub fn blob_end(&mut self, id: BlobId, len: u64) -> Result<(), BackupError> {
        self.item(&BackupItem::BlobEnd { id, len })
    }

    /// Returns what was added so far.
    #[must_use]
    pub fn store(&self) -> StoreCounts {
        self.store
    }

    /// Adds the trust database, and signs the backup. It takes as much memory as that database has documents, as reading the backup will.
    ///
    /// # Errors
    /// As [`Keyring::back_up`].
    pub async fn finish(mut self, keyring: &Keyring) -> Result<(W, BackupInfo), BackupError> {
        for _ in 0..MAX_ATTEMPTS {
            let mut items = Vec::new();
            let sink = |item| {
                items.push(item);
                Ok(())
            };
            let Some(pin) = keyring.copy_trust(sink).await? else { continue };
            for item in items {
                self.item(&item)?;
                self.documents += 1;
            }
            let (out, mut info) = self.end(keyring.identity().signing())?;
            (info.log_length, info.head) = (pin.length(), pin.head());
            return Ok((out, info));
        }
        Err(KeyringError::Conflict("the trust log".to_owned()).into())
    }

    fn item(&mut self, item: &BackupItem) -> Result<(), BackupError> {
        self.order.check(item, self.header.with_entries)?;
        let encoded = item.encode();
        self.body.write_all(&framed(&encoded))?;
        self.chain.add(&encoded);
        self.store.add(item);
        Ok(())
    }

    /// Writes the author's signature and ends the body.
    fn end(mut self, key: &SigningKey) -> Result<(W, BackupInfo), BackupError> {
        let end = BackupItem::End(key.sign(&self.chain.signed_bytes())?);
        self.body.write_all(&framed(&end.encode()))?;
        let info = BackupInfo::new(&self.header, self.chain.id(), self.documents, self.store);
        Ok((self.body.finish()?, info))
    }
}

impl<W: Write> std::fmt::Debug for BackupWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackupWriter").field("header", &self.header).field("store", &self.store).finish_non_exhaustive()
    }
}

/// Copies the trust log as it was verified; says whether it still is as long.
async fn copy_log(
    documents: &dyn Documents,
    pin: &TrustPin,
    mut sink: impl FnMut(BackupItem) -> Result<(), BackupError>,
) -> Result<bool, BackupError> {
    let mut query = ListQuery::default();
    let (mut position, mut head) = (0, RecordHash::NONE);
    loop {
        let page = documents.list(TRUST_LOG, &query).await?;
        for document in page.documents {
            if position == pin.length() {
                return Ok(false);
            }
            let damaged = || KeyringError::from(Problem::Malformed.at(position));
            let record = SignedRecord::decode(&document.value).ok_or_else(damaged)?;
            if record.record().position != position || record.record().previous != head {
                return Err(KeyringError::from(Problem::Previous.at(position)).into());
            }
            (position, head) = (position + 1, record.hash());
            sink(BackupItem::Document { collection: TRUST_LOG, key: document.key, value: document.value })?;
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    if (position, head) == (pin.length(), pin.head()) {
        Ok(true)
    } else {
        Err(KeyringError::Rollback { pinned: pin.length(), found: position }.into())
    }
}

/// Returns the machine that a wrap says it is for.
fn machine_of(wrap: &Document) -> Option<Fingerprint> {
    wrap.key.as_bytes().first_chunk().copied().map(Fingerprint)
}
