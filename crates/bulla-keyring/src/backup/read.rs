//! Reading a backup: nothing of it is handed on before all of it has been verified.

use std::fmt;
use std::io::Read;
use std::sync::Arc;

use bulla_backend::{Clock, DocumentKey, Documents, Expected, MemoryDocuments};
use bulla_seal::{Params, ProjectId, SealedStream, Signature};

use super::content_key::ContentKey;
use super::format::{COLLECTIONS, Chain, MAX_BACKUP_ITEM_LEN, read_framed};
use super::{BackupError, BackupHeader, BackupInfo, BackupItem};
use crate::format::{IdRow, KEY_IDS};
use crate::{Identity, KeyName, Keyring, KeyringError, VersionInfo};

/// A backup that was read and verified, in memory.
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
    info: BackupInfo,
    documents: MemoryDocuments,
    keyring: Keyring,
    damaged: Vec<KeyringError>,
}

impl Backup {
    /// Reads a backup of a project and verifies it: that it is whole, that a machine of the project made it, its trust log from the project
    /// id on, and each row of a key or version. It takes as much memory as the file is long.
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
        let (chain, count, signature) = load(source, &header, &identity, &documents).await?;
        let keyring = Keyring::open(Arc::new(documents.clone()), identity, project, clock).await?;
        let (pin, machines) = (keyring.pin(), keyring.machines());
        // Recipients can seal a body of their own, in another's name; only the author can sign it.
        let author = machines.get(&header.author).ok_or(BackupError::Author(header.author))?;
        if !author.public.signing().verifies(&chain.signed_bytes(), &signature) {
            return Err(BackupError::Author(header.author));
        }
        if (pin.length(), pin.head()) != (header.log_length, header.head) {
            return Err(BackupError::Damaged("its trust log is not the one that it names"));
        }
        let damaged = damaged_rows(&keyring, &documents).await?;
        let info = BackupInfo::new(&header, chain.id(), count);
        Ok(Self { info, documents, keyring, damaged })
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
    pub fn keyring(&self) -> &Keyring {
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

/// Opens the body and takes its documents to memory; returns the digest of all, how many there were, and the author's signature.
async fn load(
    source: impl Read,
    header: &BackupHeader,
    identity: &Identity,
    documents: &MemoryDocuments,
) -> Result<(Chain, u64, Signature), BackupError> {
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
    let mut body = opened.map_err(|_| BackupError::Damaged("its header and its body do not belong together"))?;

    let mut chain = Chain::begin(header);
    let mut count = 0;
    let mut last: Option<(usize, DocumentKey)> = None;
    while let Some(encoded) = read_framed(&mut body, MAX_BACKUP_ITEM_LEN)? {
        let item = BackupItem::decode(&encoded).ok_or(BackupError::Damaged("an item of it is not well-formed"))?;
        let (collection, key, value) = match item {
            BackupItem::Document { collection, key, value } => (collection, key, value),
            BackupItem::End(signature) => {
                // The end of the body must verify as well.
                return match read_framed(&mut body, MAX_BACKUP_ITEM_LEN)? {
                    None => Ok((chain, count, signature)),
                    Some(_) => Err(BackupError::Damaged("something comes behind its end")),
                };
            }
        };
        let place = COLLECTIONS.iter().position(|known| *known == collection).unwrap_or(COLLECTIONS.len());
        if last.as_ref().is_some_and(|(before, last)| (*before, last) >= (place, &key)) {
            return Err(BackupError::Damaged("its documents are not in order"));
        }
        documents.put(collection, &key, &value, Expected::Absent).await?;
        last = Some((place, key));
        chain.add(&encoded);
        count += 1;
    }
    Err(BackupError::Damaged("it has no end"))
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
