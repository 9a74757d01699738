//! The parts of a backup file, as far as they can be read without a secret.

use std::io::{self, Read};

use bulla_backend::{BlobId, Collection, DocumentKey, Durability, MAX_DOCUMENT_LEN, MAX_KEY_LEN, Timestamp};
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

/// What the trust database is made of, in the order in which it is read and written: what names something comes before what it names.
pub(super) const COLLECTIONS: [Collection; 7] = [TRUST_LOG, KEYS, KEY_VERSIONS, KEY_IDS, KEY_USES, KEY_STATES, WRAPS];
/// What a backup holds of a store, in order; all of it before the trust database, which so has every key that an entry needs.
pub(super) const STORE_COLLECTIONS: [Collection; 3] = [
    Collection::new("namespaces", Durability::Durable),
    Collection::new("entries", Durability::Durable),
    Collection::new("quarantine", Durability::Durable),
];
/// Where settings and entries stand among them.
const NAMESPACES: usize = 0;
const ENTRIES: usize = 1;

const MAGIC: [u8; 3] = *b"BLB";
/// A backup of the trust database alone.
const TRUST_ONLY: u8 = 1;
/// A backup with entries.
const WITH_ENTRIES: u8 = 2;

const BODY_DOMAIN: &str = "bulla/backup/body";
const HEADER_LABEL: &[u8] = b"bulla/backup/header/v1\0";
const ITEM_LABEL: &[u8] = b"bulla/backup/item/v1\0";
const SIGNATURE_LABEL: &[u8] = b"bulla/backup/signature/v1\0";

/// What stands before the body of a backup. It says nothing that is authentic before the body has been opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupHeader {
    /// Whether the body holds entries beside the trust database.
    pub with_entries: bool,
    /// The project.
    pub project: ProjectId,
    /// Who made the backup.
    pub author: Fingerprint,
    /// When its author says it was made.
    pub time: Timestamp,
    /// How many records the trust log had when the backup was begun. Where it takes entries along, which takes time, the log in it may have more.
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
        if read == start.len() && !matches!(start[3], TRUST_ONLY | WITH_ENTRIES) {
            return Err(BackupError::Newer);
        }
        let encoded = read_framed(source, MAX_BACKUP_HEADER_LEN)?.ok_or(CUT_OFF)?;
        let header = Self::decode(&encoded).filter(|header| header.version() == start[3]);
        header.ok_or(BackupError::Damaged("its header is not well-formed"))
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
            e.array(7)?.u8(self.version())?.bytes(&self.project.0)?.bytes(&self.author.0)?.u64(self.time.0)?;
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
        Ok([&MAGIC[..], &[self.version()], &framed(&encoded)].concat())
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
        let with_entries = match u8::try_from(r.uint()?) {
            Ok(TRUST_ONLY) => false,
            Ok(WITH_ENTRIES) => true,
            _ => return Err(Malformed),
        };
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
        Ok(Self { with_entries, project, author, time, log_length, head, recipients })
    }

    fn version(&self) -> u8 {
        if self.with_entries { WITH_ENTRIES } else { TRUST_ONLY }
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
    /// A piece of a blob. Those of one blob follow each other, and then comes its end; a blob that has none was given up.
    BlobPiece {
        /// Which blob.
        id: BlobId,
        /// Where in it the piece lies.
        offset: u64,
        /// Its bytes, at least one.
        bytes: Vec<u8>,
    },
    /// The end of a blob.
    BlobEnd {
        /// Which blob.
        id: BlobId,
        /// How long it is, in bytes.
        len: u64,
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
            Self::BlobPiece { id, offset, bytes } => e.array(3)?.bytes(&id.0)?.u64(*offset)?.bytes(bytes).map(drop),
            Self::BlobEnd { id, len } => e.array(2)?.bytes(&id.0)?.u64(*len).map(drop),
            Self::End(signature) => e.array(1)?.bytes(&signature.0).map(drop),
        })
    }

    fn parse(encoded: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(encoded);
        match r.array_len()? {
            1 => return Ok(Self::End(Signature(r.fixed()?))),
            2 => return Ok(Self::BlobEnd { id: BlobId(r.fixed()?), len: r.uint()? }),
            3 => {}
            _ => return Err(Malformed),
        }
        // The first of three is text in a document, and bytes in a piece.
        let Ok(name) = r.peek_text() else {
            let (id, offset, bytes) = (BlobId(r.fixed()?), r.uint()?, r.bytes()?);
            return match bytes.len() {
                1..=MAX_DOCUMENT_LEN => Ok(Self::BlobPiece { id, offset, bytes: bytes.to_vec() }),
                _ => Err(Malformed),
            };
        };
        let known = STORE_COLLECTIONS.into_iter().chain(COLLECTIONS).find(|known| known.name() == name);
        let collection = known.ok_or(Malformed)?;
        let key = DocumentKey::new(r.bytes()?).map_err(|_| Malformed)?;
        let value = r.bytes()?;
        if value.len() > MAX_DOCUMENT_LEN {
            return Err(Malformed);
        }
        Ok(Self::Document { collection, key, value: value.to_vec() })
    }
}

/// Holds the items of a body against the order in which they must come.
#[derive(Debug, Default)]
pub(super) struct Order {
    last: Option<(usize, DocumentKey)>,
    /// The last settings that stand apart from the others.
    late: Option<DocumentKey>,
    /// A blob that was begun, and how much of it there was.
    blob: Option<(BlobId, u64)>,
}

impl Order {
    /// Refuses an item that is not in its place.
    pub(super) fn check(&mut self, item: &BackupItem, with_entries: bool) -> Result<(), BackupError> {
        let of_store = |collection| STORE_COLLECTIONS.iter().position(|known| *known == collection);
        match item {
            BackupItem::Document { collection, key, .. } => {
                let place = match of_store(*collection) {
                    Some(place) if with_entries => place,
                    Some(_) => return Err(BackupError::Damaged("it has entries, and says that it has none")),
                    None => {
                        STORE_COLLECTIONS.len()
                            + COLLECTIONS.iter().position(|known| known == collection).unwrap_or_default()
                    }
                };
                let is_behind = self.last.as_ref().is_some_and(|(before, last)| (*before, last) >= (place, key));
                if place == NAMESPACES && (is_behind || self.late.is_some()) {
                    // Those of namespaces that were begun since: before their entries, in an order of their own.
                    let is_in_place = self.last.as_ref().is_none_or(|(before, _)| *before <= ENTRIES);
                    if !is_in_place || self.late.as_ref().is_some_and(|last| last >= key) {
                        return Err(BackupError::Damaged("its documents are not in order"));
                    }
                    (self.late, self.blob) = (Some(key.clone()), None);
                    return Ok(());
                }
                if is_behind {
                    return Err(BackupError::Damaged("its documents are not in order"));
                }
                (self.last, self.blob) = (Some((place, key.clone())), None);
            }
            BackupItem::BlobPiece { .. } | BackupItem::BlobEnd { .. }
                if !with_entries || self.last.as_ref().is_some_and(|(place, _)| *place >= STORE_COLLECTIONS.len()) =>
            {
                return Err(BackupError::Damaged("a blob of it is not in its place"));
            }
            BackupItem::BlobPiece { id, offset, bytes } => {
                if *offset > 0 && self.blob != Some((*id, *offset)) {
                    return Err(PIECES);
                }
                self.blob = Some((*id, offset.checked_add(bytes.len() as u64).ok_or(PIECES)?));
            }
            BackupItem::BlobEnd { id, len } => {
                if *len > 0 && self.blob != Some((*id, *len)) {
                    return Err(PIECES);
                }
                self.blob = None;
            }
            BackupItem::End(_) => {}
        }
        Ok(())
    }
}

const PIECES: BackupError = BackupError::Damaged("the pieces of a blob do not fit together");

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
