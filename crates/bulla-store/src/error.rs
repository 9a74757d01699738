use bulla_backend::{BackendError, BlobId};
use bulla_keyring::{KeyringError, NameError};
use bulla_seal::{OpenError, SealError};

use crate::name::MAX_NAME_LEN;
use crate::{BadEntry, ExpectedVersion, NamespaceName, Place};

/// What can go wrong in a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A namespace not of the form that namespaces have.
    #[error("`{}` cannot name a namespace (its key is `store/` and that name): {reason}", .name.escape_debug())]
    InvalidNamespace {
        /// The start of the name.
        name: String,
        /// What is wrong with it.
        reason: NameError,
    },
    /// An entry name that is empty or too long.
    #[error("an entry name has 1 to {MAX_NAME_LEN} bytes, this one {0}")]
    InvalidName(usize),
    /// A media type, or tags, out of bounds.
    #[error("the entry {place} cannot be written so: {reason}")]
    InvalidEntry {
        /// Which entry.
        place: Place,
        /// What is out of bounds.
        reason: BadEntry,
    },
    /// No entry, or one that has expired.
    #[error("there is no entry {0}")]
    NotFound(Place),
    /// Another version than the caller expects.
    #[error("the entry {place} is at {}, expected was {expected}; read it again", version(*found))]
    VersionMismatch {
        /// Which entry.
        place: Place,
        /// What the caller expects.
        expected: ExpectedVersion,
        /// Which version there is, if any.
        found: Option<u64>,
    },
    /// Others changed the entry each time that it was about to be written.
    #[error("the entry {0} was changed by others again and again; try again")]
    Conflict(Place),
    /// A value too large to be returned in one piece.
    #[error("the value of the entry {place} has {len} bytes, at most {limit} are returned at once; use a reader")]
    TooLarge {
        /// Which entry.
        place: Place,
        /// The length of its value, in bytes.
        len: u64,
        /// The most that is returned at once, in bytes.
        limit: u64,
    },
    /// The document of an entry does not open. It can be neither overwritten nor removed.
    #[error("the entry {place} is refused: {reason}{}", remedy_of_open(reason))]
    Open {
        /// Which entry.
        place: Place,
        /// Why it does not open.
        reason: OpenError,
    },
    /// The document of an entry opens, but holds no entry that this program can read. It can be neither overwritten nor
    /// removed.
    #[error("the entry {place} cannot be read: {reason}{}", remedy_of_bad_entry(reason))]
    BadEntry {
        /// Which entry.
        place: Place,
        /// What is wrong with it.
        reason: BadEntry,
    },
    /// The blob of an entry is not the one that was written.
    #[error(
        "the value of the entry {place} is refused: blob {blob} was altered, cut, extended or exchanged; \
         restore it from a backup"
    )]
    DamagedBlob {
        /// Which entry.
        place: Place,
        /// Its blob.
        blob: BlobId,
        /// What failed, if it was its opening.
        #[source]
        reason: Option<OpenError>,
    },
    /// The blob of an entry is not there.
    #[error("the value of the entry {place} is missing: there is no blob {blob}; restore it from a backup")]
    MissingBlob {
        /// Which entry.
        place: Place,
        /// Its blob.
        blob: BlobId,
    },
    /// A writer was used after one of its writes had failed.
    #[error("the entry {0} is not written: an earlier write of its value failed")]
    WriterFailed(Place),
    /// The key of a namespace could not be had.
    #[error("the key of namespace `{namespace}` cannot be used: {source}")]
    Keyring {
        /// Which namespace.
        namespace: NamespaceName,
        /// Why not.
        source: KeyringError,
    },
    /// The key of a namespace is gone, but not its entries.
    #[error("namespace `{0}` has entries but its key is gone; restore the trust database")]
    KeyMissing(NamespaceName),
    /// The key of a namespace was made for something else.
    #[error(
        "the key `{}` cannot seal entries: its algorithm is neither aes256-gcm nor chacha20-poly1305; use another namespace",
        .0.key()
    )]
    UnsuitableKey(NamespaceName),
    /// The storage failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// Sealing failed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl StoreError {
    /// Returns the stable code of the failure.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidNamespace { .. } => "invalid_namespace",
            Self::InvalidName(_) => "invalid_name",
            Self::InvalidEntry { .. } => "invalid_entry",
            Self::NotFound(_) => "not_found",
            Self::VersionMismatch { .. } => "version_mismatch",
            Self::Conflict(_) => "conflict",
            Self::TooLarge { .. } => "too_large",
            Self::Open { reason, .. } => reason.code(),
            Self::BadEntry { .. } => "bad_entry",
            Self::DamagedBlob { .. } => "damaged",
            Self::MissingBlob { .. } => "missing_blob",
            Self::WriterFailed(_) => "writer_failed",
            Self::Keyring { source, .. } => source.code(),
            Self::KeyMissing(_) => "key_missing",
            Self::UnsuitableKey(_) => "unsuitable_key",
            Self::Backend(_) => "backend",
            Self::Seal(_) => "seal",
        }
    }

    /// Says whether the entry itself is at fault: its bytes, or those of its blob, are not what was written, or the key
    /// that opens them is not at hand. Other failures say nothing about the entry.
    #[must_use]
    pub const fn is_integrity_failure(&self) -> bool {
        matches!(self, Self::Open { .. } | Self::BadEntry { .. } | Self::DamagedBlob { .. } | Self::MissingBlob { .. })
    }
}

fn version(found: Option<u64>) -> String {
    found.map_or_else(|| "no version, since it is absent".to_owned(), |version| format!("version {version}"))
}

/// Says how to go on after what cannot be mended through the store; where the reason says so itself, nothing.
const fn remedy_of_open(reason: &OpenError) -> &'static str {
    match reason {
        OpenError::UnsupportedVersion(_) | OpenError::UnsupportedSuite(_) => "",
        OpenError::UnknownVersion(_) => "; restore the key, or the entry, from a backup",
        _ => "; restore it from a backup",
    }
}

const fn remedy_of_bad_entry(reason: &BadEntry) -> &'static str {
    match reason {
        BadEntry::UnknownField(_) => "",
        _ => "; restore it from a backup",
    }
}
