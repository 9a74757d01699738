//! The parts of a backup file, as far as they can be read without a secret.

use std::io::{self, Read};

use bulla_backend::{Collection, DocumentKey, MAX_DOCUMENT_LEN, MAX_KEY_LEN, Timestamp};
use bulla_seal::{Context, ProjectId, SealError, Signature, sha256};

use super::{BackupError, BackupId};
use crate::Fingerprint;
use crate::cbor::{self, Malformed, Reader};
use crate::flows::KEY_STATES;
use crate::format::{KEY_IDS, KEY_USES, KEY_VERSIONS, KEYS, RecordHash, TRUST_LOG, WRAPPED_LEN, WRAPS};

/// Longest header of a backup, in bytes: room for 10,000 machines.
pub const MAX_BACKUP_HEADER_LEN: usize = 16 * 1024 * 1024;
/// Longest item of a backup's body, in bytes: a document of the greatest length, its key, and what frames them.
pub const MAX_BACKUP_ITEM_LEN: usize = MAX_DOCUMENT_LEN + MAX_KEY_LEN + 64;

/// What a backup is made of, in the order in which it is read and written: what names something comes before what it names.
pub(super) const COLLECTIONS: [Collection; 7] = [TRUST_LOG, KEYS, KEY_VERSIONS, KEY_IDS, KEY_USES, KEY_STATES, WRAPS];

const MAGIC: [u8; 3] = *b"BLB";
const VERSION: u8 = 1;
const FORMAT: u64 = 1;

const BODY_DOMAIN: &str = "bulla/backup/body";
const HEADER_LABEL: &[u8] = b"bulla/backup/header/v1\0";
const ITEM_LABEL: &[u8] = b"bulla/backup/item/v1\0";
const SIGNATURE_LABEL: &[u8] = b"bulla/backup/signature/v1\0";

/// What stands before the body of a backup. It says nothing that is authentic before the body has been opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupHeader {
    /// The project.
    pub project: ProjectId,
    /// Who made the backup.
    pub author: Fingerprint,
    /// When its author says it was made.
    pub time: Timestamp,
    /// How many records the trust log had.
    pub log_length: u64,
    /// The last of them.
    pub head: RecordHash,
    /// The machines that can open the body, by fingerprint.
    pub recipients: Vec<Recipient>,
}

/// A machine that can open the body of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The machine.
    pub machine: Fingerprint,
    /// The key of the body, wrapped to it.
    pub wrapped: Box<[u8; WRAPPED_LEN]>,
}

impl BackupHeader {
    /// Reads the header at the start of a backup, and leaves the reader at the body.
    ///
    /// # Errors
    /// [`BackupError::NotABackup`], [`BackupError::Newer`], [`BackupError::Damaged`] or [`BackupError::Io`].
    pub fn read(source: &mut impl Read) -> Result<Self, BackupError> {
        let mut start = [0; 4];
        let read = read_up_to(source, &mut start)?;
        if read < MAGIC.len() || start[..3] != MAGIC {
            return Err(BackupError::NotABackup);
        }
        if read == start.len() && start[3] != VERSION {
            return Err(BackupError::Newer);
        }
        let encoded = read_framed(source, MAX_BACKUP_HEADER_LEN)?.ok_or(CUT_OFF)?;
        Self::decode(&encoded).ok_or(BackupError::Damaged("its header is not well-formed"))
    }

    /// Reads the encoded header, or returns `None` if it is not exactly as the format says.
    #[must_use]
    pub fn decode(encoded: &[u8]) -> Option<Self> {
        if encoded.len() > MAX_BACKUP_HEADER_LEN {
            return None;
        }
        Self::parse(encoded).ok().filter(|header| header.encode() == encoded)
    }

    /// Returns the encoded header.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.array(7)?.u64(FORMAT)?.bytes(&self.project.0)?.bytes(&self.author.0)?.u64(self.time.0)?;
            e.u64(self.log_length)?.bytes(&self.head.0)?.array(self.recipients.len() as u64)?;
            for recipient in &self.recipients {
                e.array(2)?.bytes(&recipient.machine.0)?.bytes(recipient.wrapped.as_slice())?;
            }
            Ok(())
        })
    }

    /// Returns what a backup begins with.
    pub(super) fn to_file(&self) -> Result<Vec<u8>, SealError> {
        let encoded = self.encode();
        if encoded.len() > MAX_BACKUP_HEADER_LEN {
            return Err(SealError::MessageLength);
        }
        Ok([&MAGIC[..], &[VERSION], &framed(&encoded)].concat())
    }

    /// Returns the digest by which the body names its header.
    pub(super) fn digest(&self) -> [u8; 32] {
        sha256(&[HEADER_LABEL, &self.encode()].concat())
    }

    /// Returns what the body is bound to.
    pub(super) fn body_context(&self) -> Result<Context, SealError> {
        Context::in_domain(BODY_DOMAIN, &self.project).bytes("header", &self.digest()).build()
    }

    fn parse(encoded: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(encoded);
        r.array(7)?;
        if r.uint()? != FORMAT {
            return Err(Malformed);
        }
        let (project, author, time) = (ProjectId(r.fixed()?), Fingerprint(r.fixed()?), Timestamp(r.uint()?));
        let (log_length, head) = (r.uint()?, RecordHash(r.fixed()?));
        let mut recipients: Vec<Recipient> = Vec::new();
        for _ in 0..r.array_len()? {
            r.array(2)?;
            let recipient = Recipient { machine: Fingerprint(r.fixed()?), wrapped: Box::new(r.fixed()?) };
            // In order, so that no machine comes twice.
            if recipients.last().is_some_and(|last| last.machine >= recipient.machine) {
                return Err(Malformed);
            }
            recipients.push(recipient);
        }
        Ok(Self { project, author, time, log_length, head, recipients })
    }
}

/// One item of the body of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackupItem {
    /// A document.
    Document {
        /// The set it belongs to.
        collection: Collection,
        /// Where it lies there.
        key: DocumentKey,
        /// Its bytes.
        value: Vec<u8>,
    },
    /// The end: the author's signature over all that came before.
    End(Signature),
}

impl BackupItem {
    /// Reads an encoded item, or returns `None` if it is not exactly as the format says.
    #[must_use]
    pub fn decode(encoded: &[u8]) -> Option<Self> {
        if encoded.len() > MAX_BACKUP_ITEM_LEN {
            return None;
        }
        Self::parse(encoded).ok().filter(|item| item.encode() == encoded)
    }

    /// Returns the encoded item.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(|e| match self {
            Self::Document { collection, key, value } => {
                e.array(3)?.str(collection.name())?.bytes(key.as_bytes())?.bytes(value).map(drop)
            }
            Self::End(signature) => e.array(1)?.bytes(&signature.0).map(drop),
        })
    }

    fn parse(encoded: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(encoded);
        if r.array_len()? == 1 {
            return Ok(Self::End(Signature(r.fixed()?)));
        }
        let mut r = Reader::new(encoded);
        r.array(3)?;
        let name = r.text()?;
        let collection = COLLECTIONS.into_iter().find(|known| known.name() == name).ok_or(Malformed)?;
        let key = DocumentKey::new(r.bytes()?).map_err(|_| Malformed)?;
        let value = r.bytes()?;
        if value.len() > MAX_DOCUMENT_LEN {
            return Err(Malformed);
        }
        Ok(Self::Document { collection, key, value: value.to_vec() })
    }
}

/// The digest of a header and the items behind it, one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chain([u8; 32]);

impl Chain {
    pub(super) fn begin(header: &BackupHeader) -> Self {
        Self(header.digest())
    }

    pub(super) fn add(&mut self, item: &[u8]) {
        self.0 = sha256(&[ITEM_LABEL, &self.0, item].concat());
    }

    /// Returns the digest as the name of the backup.
    pub(super) fn id(self) -> BackupId {
        BackupId(self.0)
    }

    /// Returns what the author signs at the end.
    pub(super) fn signed_bytes(self) -> Vec<u8> {
        [SIGNATURE_LABEL, &self.0].concat()
    }
}

/// Puts the length in front of encoded bytes.
pub(super) fn framed(encoded: &[u8]) -> Vec<u8> {
    // Headers and items have far less than 2^32 bytes; a longer one would not be read back.
    let len = u32::try_from(encoded.len()).unwrap_or(u32::MAX);
    [&len.to_be_bytes()[..], encoded].concat()
}

/// Reads bytes that come behind their length; `None` at the end.
pub(super) fn read_framed(source: &mut impl Read, max: usize) -> Result<Option<Vec<u8>>, BackupError> {
    let mut len = [0; 4];
    match read_up_to(source, &mut len)? {
        0 => return Ok(None),
        4 => {}
        _ => return Err(CUT_OFF),
    }
    let len = u32::from_be_bytes(len);
    if usize::try_from(len).map_or(true, |len| len > max) {
        return Err(BackupError::Damaged("a part of it is longer than it may be"));
    }
    // Grows with what comes, whatever the length says.
    let mut encoded = Vec::new();
    source.take(u64::from(len)).read_to_end(&mut encoded)?;
    if encoded.len() as u64 == u64::from(len) { Ok(Some(encoded)) } else { Err(CUT_OFF) }
}

const CUT_OFF: BackupError = BackupError::Damaged("it is cut off");

/// Fills a buffer as far as bytes come.
fn read_up_to(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
