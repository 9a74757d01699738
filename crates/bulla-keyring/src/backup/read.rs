//! Reading a backup: nothing of it is handed on before all of it has been verified.

use std::fmt;
use std::io::Read;
use std::sync::Arc;

use bulla_backend::{Clock, DocumentKey, Documents as _, Expected, MemoryDocuments};
use bulla_seal::{OpenReader, Params, ProjectId, SealedStream, Signature};

use super::content_key::ContentKey;
use super::format::{Chain, MAX_BACKUP_ITEM_LEN, Order, STORE_COLLECTIONS, read_framed};
use super::{BackupError, BackupHeader, BackupInfo, BackupItem, StoreCounts};
use crate::format::{IdRow, KEY_IDS, SignedRecord, TRUST_LOG, position_key};
use crate::{Identity, KeyName, Keyring, KeyringError, VersionInfo};

/// A backup that was read and verified: its trust database in memory, and of a store that it holds, that it is whole.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use bulla_backend::{MemoryDocuments, SystemClock};
/// use bulla_keyring::{Algorithm, Backup, Identity, Keyring};
///
/// # pollster::block_on(async {
/// let (identity, clock) = (Arc::new(Identity::generate()?), Arc::new(SystemClock));
/// let documents = Arc::new(MemoryDocuments::new());
/// let keyring = Keyring::create(documents, identity.clone(), &"laptop".parse()?, clock.clone()).await?;
/// keyring.create_key(&"orders".parse()?, Algorithm::default()).await?;
/// let (file, info) = keyring.back_up(|| Ok(Vec::new()), |_| {}).await?;
///
/// // The database is lost. What is left: the file, the identity of one machine, and the project id.
/// let backup = Backup::read(file.as_slice(), identity.clone(), info.project, clock.clone()).await?;
/// let documents = Arc::new(MemoryDocuments::new());
/// backup.restore(&*documents, |progress| println!("{} of {}", progress.done, progress.total)).await?;
/// let keyring = Keyring::open(documents, identity, info.project, clock).await?;
/// assert_eq!(keyring.key(&"orders".parse()?).await?.newest, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Backup {
    header: BackupHeader,
    info: BackupInfo,
    documents: MemoryDocuments,
    keyring: Arc<Keyring>,
    damaged: Vec<KeyringError>,
}

impl Backup {
    /// Reads a backup of a project and verifies it: that it is whole, that a machine of the project made it, its trust log from the project
    /// id on, and each row of a key or version. It takes as much memory as its trust database has bytes.
    ///
    /// # Errors
    /// [`BackupError`], but none of those of [`Backup::restore`]; those of [`Keyring::open`] for what the backup holds.
    ///
    /// # Security
    /// Everything rests on the project id: take it from where the project was created, not from the backup. A backup proves that it is of this
    /// project, not that it is the newest one.
    pub async fn read(
        mut source: impl Read,
        identity: Arc<Identity>,
        project: ProjectId,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BackupError> {
        let header = BackupHeader::read(&mut source)?;
        if header.project != project {
            return Err(BackupError::OtherProject { pinned: project, found: header.project });
        }
        let documents = MemoryDocuments::new();
        let mut body = Body::open(source, &header, &identity)?;
        let (signature, count, store) = load(&mut body, &documents).await?;
        let chain = body.chain;
        let keyring = Keyring::open(Arc::new(documents.clone()), identity, project, clock).await?;
        let (pin, machines) = (keyring.pin(), keyring.machines());
        // Recipients can seal a body of their own, in another's name; only the author can sign it.
        let author = machines.get(&header.author).ok_or(BackupError::Author(header.author))?;
        if !author.public.signing().verifies(&chain.signed_bytes(), &signature) {
            return Err(BackupError::Author(header.author));
        }
        // With entries, which take time to copy, the log may have grown since the backup was begun.
        let is_named = if header.with_entries {
            has_record(&documents, &header).await?
        } else {
            (pin.length(), pin.head()) == (header.log_length, header.head)
        };
        if !is_named {
            return Err(BackupError::Damaged("its trust log is not the one that it names"));
        }
        let damaged = damaged_rows(&keyring, &documents).await?;
        let mut info = BackupInfo::new(&header, chain.id(), count, store);
        (info.log_length, info.head) = (pin.length(), pin.head());
        Ok(Self { header, info, documents, keyring: Arc::new(keyring), damaged })
    }

    /// Reads what the backup holds of a store, from the same file.
    ///
    /// # Errors
    /// [`BackupError::Damaged`] if it is not the file that was verified; [`BackupError::Io`].
    pub fn contents<R: Read>(&self, mut source: R) -> Result<BackupContents<R>, BackupError> {
        if BackupHeader::read(&mut source)? != self.header {
            return Err(ANOTHER);
        }
        let body = Body::open(source, &self.header, self.keyring.identity())?;
        Ok(BackupContents { body, verified: self.info.id.0, ended: false })
    }

    /// Returns what the backup says about itself.
    #[must_use]
    pub fn info(&self) -> &BackupInfo {
        &self.info
    }

    /// Returns what is wrong with single rows of keys and versions. They were so when the backup was made, are restored as they are, and hide no
    /// others.
    #[must_use]
    pub fn damaged(&self) -> &[KeyringError] {
        &self.damaged
    }

    /// Returns the same, and lets go of the backup.
    #[must_use]
    pub fn into_damaged(self) -> Vec<KeyringError> {
        self.damaged
    }

    /// Returns the keyring as it is in the backup: to look, for what is changed in it is lost.
    #[must_use]
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    pub(super) fn documents(&self) -> &MemoryDocuments {
        &self.documents
    }
}

impl fmt::Debug for Backup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backup").field("info", &self.info).finish_non_exhaustive()
    }
}

const ANOTHER: BackupError = BackupError::Damaged("it is not the one that was verified: it was changed meanwhile");

/// What a verified backup holds of a store, read a second time.
pub struct BackupContents<R: Read> {
    body: Body<R>,
    verified: [u8; 32],
    ended: bool,
}

impl<R: Read> BackupContents<R> {
    /// Returns the next document of the store, or the next part of a blob; `None` behind the last.
    ///
    /// # Errors
    /// [`BackupError::Damaged`] if it is not the body that was verified, which may be found out only at its end; [`BackupError::Io`].
    pub fn next_item(&mut self) -> Result<Option<BackupItem>, BackupError> {
        while !self.ended {
            match self.body.next_item()? {
                BackupItem::End(_) => {
                    self.ended = true;
                    if self.body.chain.id().0 != self.verified {
                        return Err(ANOTHER);
                    }
                }
                BackupItem::Document { collection, .. } if !STORE_COLLECTIONS.contains(&collection) => {}
                item => return Ok(Some(item)),
            }
        }
        Ok(None)
    }
}

impl<R: Read> fmt::Debug for BackupContents<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupContents").finish_non_exhaustive()
    }
}

/// The items of a body, in their order.
struct Body<R: Read> {
    reader: OpenReader<R>,
    chain: Chain,
    order: Order,
    with_entries: bool,
}

impl<R: Read> Body<R> {
    fn open(source: R, header: &BackupHeader, identity: &Identity) -> Result<Self, BackupError> {
        let me = identity.fingerprint();
        let recipient = header.recipients.iter().find(|recipient| recipient.machine == me);
        let recipient = recipient.ok_or(BackupError::NotForMachine(me))?;
        let content = ContentKey::unwrap(recipient, &header.project, identity);
        let content = content.ok_or(BackupError::Damaged("its key was not wrapped to this machine, or was altered"))?;
        let stream = SealedStream::new(source)?;
        if stream.header().params() != Params::default() {
            return Err(BackupError::Damaged("its body is not sealed as that of a backup"));
        }
        let opened = stream.open(&content.seal_key()?, &header.body_context()?);
        let reader = opened.map_err(|_| BackupError::Damaged("its header and its body do not belong together"))?;
        let (chain, order) = (Chain::begin(header), Order::default());
        Ok(Self { reader, chain, order, with_entries: header.with_entries })
    }

    /// Reads an item; behind the end there must be nothing.
    fn next_item(&mut self) -> Result<BackupItem, BackupError> {
        let encoded = read_framed(&mut self.reader, MAX_BACKUP_ITEM_LEN)?;
        let encoded = encoded.ok_or(BackupError::Damaged("it has no end"))?;
        let item = BackupItem::decode(&encoded).ok_or(BackupError::Damaged("an item of it is not well-formed"))?;
        self.order.check(&item, self.with_entries)?;
        if !matches!(item, BackupItem::End(_)) {
            self.chain.add(&encoded);
        } else if read_framed(&mut self.reader, MAX_BACKUP_ITEM_LEN)?.is_some() {
            return Err(BackupError::Damaged("something comes behind its end"));
        }
        Ok(item)
    }
}

/// Takes the trust database to memory; returns the author's signature, and how much there was.
async fn load(
    body: &mut Body<impl Read>,
    documents: &MemoryDocuments,
) -> Result<(Signature, u64, StoreCounts), BackupError> {
    let (mut count, mut store) = (0, StoreCounts::default());
    loop {
        match body.next_item()? {
            BackupItem::End(signature) => return Ok((signature, count, store)),
            BackupItem::Document { collection, key, value } if !STORE_COLLECTIONS.contains(&collection) => {
                documents.put(collection, &key, &value, Expected::Absent).await?;
                count += 1;
            }
            item => store.add(&item),
        }
    }
}

/// Says whether the log has the record that the header names, where it says.
async fn has_record(documents: &MemoryDocuments, header: &BackupHeader) -> Result<bool, BackupError> {
    let Some(position) = header.log_length.checked_sub(1) else { return Ok(false) };
    let found = documents.get(TRUST_LOG, &position_key(position)?).await?;
    let record = found.and_then(|found| SignedRecord::decode(&found.value));
    Ok(record.is_some_and(|record| record.hash() == header.head))
}

/// Verifies each row of each key, and finds those that do not open.
async fn damaged_rows(keyring: &Keyring, documents: &MemoryDocuments) -> Result<Vec<KeyringError>, BackupError> {
    let mut damaged = Vec::new();
    let mut after = None;
    loop {
        let page = keyring.keys(after, 0).await?;
        for key in page.keys {
            match key {
                Ok(key) => damaged_versions(keyring, documents, &key.name, &mut damaged).await?,
                Err(error) => damaged.push(error),
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(damaged);
        }
    }
}

async fn damaged_versions(
    keyring: &Keyring,
    documents: &MemoryDocuments,
    name: &KeyName,
    damaged: &mut Vec<KeyringError>,
) -> Result<(), BackupError> {
    let mut after = None;
    loop {
        let page = match keyring.versions(name, after, 0).await {
            Ok(page) => page,
            Err(KeyringError::Backend(error)) => return Err(error.into()),
            Err(error) => {
                damaged.push(error);
                return Ok(());
            }
        };
        for version in page.versions {
            match version {
                Ok(version) => damaged.extend(damaged_entry(documents, name, &version).await?),
                Err(error) => damaged.push(error),
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// Looks whether a version is found by its id. An entry that is missing follows from the version, and is put there: where keys were rotated
/// while the backup was made, a version may be in it that got its entry a moment later.
async fn damaged_entry(
    documents: &MemoryDocuments,
    name: &KeyName,
    version: &VersionInfo,
) -> Result<Option<KeyringError>, BackupError> {
    let place = DocumentKey::new(version.id.0)?;
    let entry = IdRow { name: name.clone(), number: version.number };
    let Some(found) = documents.get(KEY_IDS, &place).await? else {
        documents.put(KEY_IDS, &place, &entry.encode(), Expected::Absent).await?;
        return Ok(None);
    };
    if IdRow::decode(&found.value) == Some(entry) {
        return Ok(None);
    }
    let reason = "it does not lead to its version";
    Ok(Some(KeyringError::corrupt(format!("the entry of key version {}", version.id), reason)))
}
