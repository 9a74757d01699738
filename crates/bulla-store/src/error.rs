use std::error::Error;
use std::sync::Arc;

use bulla_backend::{BackendError, BlobId, ErrorKind, MAX_COMMIT_BYTES, MAX_COMMIT_WRITES};
use bulla_keyring::{KeyringError, NameError};
use bulla_seal::{OpenError, SealError};

use crate::blinding::MAX_BLINDED_SEGMENTS;
use crate::name::MAX_NAME_LEN;
use crate::settings::BadSettings;
use crate::{BadEntry, ExpectedVersion, NamespaceName, Place, QuarantineId};

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
    /// The document of an entry does not open.
    #[error("the entry {place} is refused: {reason}{}", remedy_of_open(reason))]
    Open {
        /// Which entry.
        place: Place,
        /// Why it does not open.
        reason: OpenError,
    },
    /// The document of an entry opens, but holds no entry that this program can read.
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
    /// Settings that a namespace cannot have.
    #[error("namespace `{namespace}` cannot be kept so: {reason}")]
    InvalidSettings {
        /// Which namespace.
        namespace: NamespaceName,
        /// What is wrong with them.
        reason: BadSettings,
    },
    /// The settings of a namespace do not open.
    #[error(
        "the settings of namespace `{namespace}` are refused: {reason}; restore them from a backup, or set them anew"
    )]
    OpenSettings {
        /// Which namespace.
        namespace: NamespaceName,
        /// Why they do not open.
        reason: OpenError,
    },
    /// The settings of a namespace open, but cannot be read.
    #[error("the settings of namespace `{namespace}` cannot be read: {reason}")]
    BadSettings {
        /// Which namespace.
        namespace: NamespaceName,
        /// What is wrong with them.
        reason: BadSettings,
    },
    /// The settings of a namespace are gone, but not its entries or the key that blinds its names.
    #[error("the settings of namespace `{0}` are gone; restore them from a backup, or set them anew")]
    SettingsMissing(NamespaceName),
    /// Others changed the settings each time that they were about to be written.
    #[error("the settings of namespace `{0}` were changed by others again and again; try again")]
    SettingsConflict(NamespaceName),
    /// Blinded names were asked for by the start of a segment.
    #[error("the names are blinded: they are found by whole segments only; end the prefix with `/`")]
    BlindedPrefix,
    /// A name of too many segments to be blinded.
    #[error("a blinded name has at most {MAX_BLINDED_SEGMENTS} segments")]
    BlindedSegments,
    /// The settings of a namespace are older than those that this process has seen.
    #[error(
        "the settings of namespace `{namespace}` were put back: they are of version {found}, and were of version {known}; \
         restore the newest, or set them anew"
    )]
    SettingsRolledBack {
        /// Which namespace.
        namespace: NamespaceName,
        /// Which version was seen.
        known: u64,
        /// Which is there; 0 for none.
        found: u64,
    },
    /// What failed verification under this name lies in quarantine, and nothing was put in its place.
    #[error("the entry {0} failed verification and lies in quarantine; put it anew, or see to it with `quarantine`")]
    Quarantined(Place),
    /// No such quarantine record.
    #[error("there is no quarantine record {id} in namespace `{namespace}`")]
    NotQuarantined {
        /// Which namespace.
        namespace: NamespaceName,
        /// Which record.
        id: QuarantineId,
    },
    /// A quarantine record is not what was written.
    #[error("the quarantine record {id} of namespace `{namespace}` is refused; remove it")]
    BadQuarantineRecord {
        /// Which namespace.
        namespace: NamespaceName,
        /// Which record.
        id: QuarantineId,
        /// Why it does not open; `None` if it does, and holds no record.
        #[source]
        reason: Option<OpenError>,
    },
    /// There is an entry where one was to be put back.
    #[error("there is an entry {0} already; remove it first")]
    Occupied(Place),
    /// The limit of a namespace is reached, and nothing may be evicted.
    #[error("namespace `{0}` is full: the entry would pass its limit; remove entries, or raise the limit")]
    LimitReached(NamespaceName),
    /// An entry that takes more than all entries of its namespace may.
    #[error(
        "the entry takes {len} bytes or more, all of namespace `{namespace}` may take {limit}; raise the limit, or put less at once"
    )]
    OverLimit {
        /// Which namespace.
        namespace: NamespaceName,
        /// How much the entry takes, in bytes, its name and what the storage adds included.
        len: u64,
        /// The limit of the namespace, in bytes.
        limit: u64,
    },
    /// Something is to be evicted, and nothing says what.
    #[error("namespace `{0}` has no limit and eviction policy, so nothing is evicted; set both, or remove entries")]
    NoEviction(NamespaceName),
    /// A value to add to that is no number.
    #[error("the entry {0} holds no number; a number is the decimal text of a 64-bit integer")]
    NotANumber(Place),
    /// A sum that is too large, or too small, for a number.
    #[error("the number of the entry {0} would pass the bounds of a 64-bit integer; it stays as it is")]
    Overflow(Place),
    /// Others changed what a transaction had read.
    #[error("the entry {0} was changed by others since the transaction read it; nothing is written, begin it again")]
    TransactionConflict(Place),
    /// A namespace of another store than the transaction.
    #[error(
        "namespace `{0}` is of another store than the transaction, and would not be written with it; nothing is written"
    )]
    OtherStore(NamespaceName),
    /// More than a storage writes at once.
    #[error(
        "the transaction is too large: at most {MAX_COMMIT_WRITES} entries are read or written together, where a large value counts twice,          and {MAX_COMMIT_BYTES} bytes; nothing is written"
    )]
    TransactionTooLarge,
    /// A value that is not the one that its name says.
    #[error("the value of the entry {0} is not the content that it is named after; put the content again")]
    ContentMismatch(Place),
    /// Not the name of a content.
    #[error("that names no content: `content/`, the id of a key version and a digest, 80 hexadecimal digits")]
    InvalidContentName,
    /// The computation of a value failed.
    #[error("the value of the entry {place} could not be computed: {source}")]
    ComputationFailed {
        /// Which entry.
        place: Place,
        /// Why not, for all who waited for it.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// Others compute a value, and take longer than the caller waits.
    #[error("the value of the entry {0} is being computed by others, and it takes long; try again")]
    ComputationBusy(Place),
    /// The computation of a value waits for itself.
    #[error("the computation of the entry {0} needs its own result")]
    ComputationCycle(Place),
    /// The blob of an entry that was about to be written had lain there so long that it was taken for an orphan.
    #[error("the entry {0} is not written: it took so long that its value was collected as an orphan; put it again")]
    BlobCollected(Place),
    /// A value that was written in the clear before its namespace was sealed.
    #[error(
        "the entry {0} is not written: its value was stored in the clear, and the namespace was sealed meanwhile; put it again"
    )]
    ModeChanged(Place),
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
            Self::InvalidSettings { .. } => "invalid_settings",
            Self::OpenSettings { reason, .. } => reason.code(),
            Self::BadSettings { .. } => "bad_settings",
            Self::SettingsMissing(_) => "settings_missing",
            Self::SettingsConflict(_) => "conflict",
            Self::BlindedPrefix => "blinded_prefix",
            Self::BlindedSegments => "invalid_name",
            Self::SettingsRolledBack { .. } => "settings_rolled_back",
            Self::Quarantined(_) => "quarantined",
            Self::NotQuarantined { .. } => "not_found",
            Self::BadQuarantineRecord { .. } => "bad_record",
            Self::Occupied(_) => "occupied",
            Self::LimitReached(_) => "limit_reached",
            Self::BlobCollected(_) => "blob_collected",
            Self::ModeChanged(_) => "mode_changed",
            Self::OverLimit { .. } => "over_limit",
            Self::NoEviction(_) => "no_eviction",
            Self::NotANumber(_) => "not_a_number",
            Self::Overflow(_) => "overflow",
            Self::TransactionConflict(_) => "conflict",
            Self::OtherStore(_) => "other_store",
            Self::TransactionTooLarge => "transaction_too_large",
            Self::ContentMismatch(_) => "content_mismatch",
            Self::InvalidContentName => "invalid_content_name",
            Self::ComputationFailed { .. } => "computation_failed",
            Self::ComputationBusy(_) => "computation_busy",
            Self::ComputationCycle(_) => "computation_cycle",
            Self::Backend(_) => "backend",
            Self::Seal(_) => "seal",
        }
    }

    /// Says whether the entry itself is at fault: its bytes, or those of its blob, are not what was written, or the key
    /// that opens them is not at hand. Other failures say nothing about the entry.
    #[must_use]
    pub const fn is_integrity_failure(&self) -> bool {
        matches!(
            self,
            Self::Open { .. }
                | Self::BadEntry { .. }
                | Self::DamagedBlob { .. }
                | Self::MissingBlob { .. }
                | Self::Quarantined(_)
        )
    }

    /// Says whether this shows that the stored bytes are not what was written: not if the key is not at hand, or if a newer program may have
    /// written them.
    pub(crate) const fn is_tampering(&self) -> bool {
        match self {
            Self::Open { reason, .. } => !matches!(
                reason,
                OpenError::UnknownVersion(_) | OpenError::UnsupportedVersion(_) | OpenError::UnsupportedSuite(_)
            ),
            Self::BadEntry { reason, .. } => !matches!(reason, BadEntry::UnknownField(_)),
            Self::DamagedBlob { reason, .. } => {
                !matches!(reason, Some(OpenError::UnsupportedVersion(_) | OpenError::UnsupportedSuite(_)))
            }
            Self::MissingBlob { .. } => true,
            _ => false,
        }
    }

    /// Says whether the version of the key that opens an entry was destroyed, so that nothing opens it any more.
    pub(crate) const fn is_beyond_opening(&self) -> bool {
        matches!(self, Self::Keyring { source: KeyringError::VersionDestroyed { .. }, .. })
    }

    /// Says whether nothing can be written, as on a read-only disk: it is the same with every other entry. One file that may not be read or
    /// written says nothing about another.
    pub(crate) const fn is_unwritable(&self) -> bool {
        matches!(self, Self::Backend(error) if error.is_read_only())
    }

    /// Says whether a write was not permitted, on a read-only disk or for want of rights: whoever only reads can do without.
    pub(crate) fn is_forbidden(&self) -> bool {
        matches!(self, Self::Backend(error) if error.kind() == ErrorKind::Permission)
    }

    /// Says whether the settings of a namespace are gone, or are not what was written: they can be set anew.
    pub(crate) const fn is_lost_settings(&self) -> bool {
        match self {
            Self::SettingsMissing(_) => true,
            Self::OpenSettings { reason, .. } => !matches!(
                reason,
                OpenError::UnknownVersion(_) | OpenError::UnsupportedVersion(_) | OpenError::UnsupportedSuite(_)
            ),
            Self::BadSettings { reason, .. } => !matches!(reason, BadSettings::UnknownField(_)),
            Self::SettingsRolledBack { .. } => true,
            _ => false,
        }
    }

    /// Says whether this shows that the settings of a namespace cannot be read, for whatever reason that lies in them.
    pub(crate) const fn is_unreadable_settings(&self) -> bool {
        matches!(self, Self::OpenSettings { .. } | Self::BadSettings { .. } | Self::SettingsRolledBack { .. })
    }

    /// Says whether no more is wrong than that the settings of a namespace cannot be read, be it for what they are or for want of one key: what
    /// becomes of each entry, it shows itself. Not if the machine may not read, or the storage fails.
    pub(crate) const fn leaves_entries(&self) -> bool {
        match self {
            Self::SettingsMissing(_) => true,
            Self::Keyring { source, .. } => is_of_one_key(source),
            _ => self.is_unreadable_settings(),
        }
    }

    /// Returns the blob that failed.
    pub(crate) const fn blob(&self) -> Option<BlobId> {
        match self {
            Self::DamagedBlob { blob, .. } | Self::MissingBlob { blob, .. } => Some(*blob),
            _ => None,
        }
    }

    /// Names the entry that is refused as whoever asked for it does.
    pub(crate) fn at(self, place: Place) -> Self {
        match self {
            Self::Open { reason, .. } => Self::Open { place, reason },
            Self::BadEntry { reason, .. } => Self::BadEntry { place, reason },
            other => other,
        }
    }
}

/// Says whether a failure is that of one key, or of one version of it; others may be at hand.
pub(crate) const fn is_of_one_key(error: &KeyringError) -> bool {
    matches!(
        error,
        KeyringError::NoKey(_)
            | KeyringError::NoVersion { .. }
            | KeyringError::WrongUse { .. }
            | KeyringError::VersionDisabled { .. }
            | KeyringError::VersionDestroyed { .. }
            | KeyringError::BelowMinimum { .. }
            | KeyringError::KeyDeleted(_)
            | KeyringError::NoDataKey { .. }
            | KeyringError::KeyRollback { .. }
            | KeyringError::KeyForked { .. }
            | KeyringError::Corrupt { .. }
            | KeyringError::Open(_)
    )
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
