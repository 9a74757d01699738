//! What long walks over the store tell while they go.

use std::fmt;

use bulla_backend::{BlobId, DocumentKey};

use crate::{FlecheError, NamespaceName, Place, StoreError};

/// Something that is not as it should be.
#[derive(Debug)]
#[non_exhaustive]
pub enum Finding {
    /// A document among the entries whose key names none.
    BadKey(DocumentKey),
    /// An entry that is refused, or could not be looked at.
    Entry {
        /// Which entry.
        place: Place,
        /// Why.
        error: StoreError,
    },
    /// Settings that are refused, missing, or could not be looked at.
    Settings {
        /// Of which namespace.
        namespace: NamespaceName,
        /// Why.
        error: StoreError,
    },
    /// A quarantine record that is refused, or could not be looked at.
    Record {
        /// Of which namespace.
        namespace: NamespaceName,
        /// Why.
        error: StoreError,
    },
    /// A document, beside the entries, that is not of the form of its collection.
    BadDocument {
        /// The name of the collection.
        collection: &'static str,
        /// Its key.
        key: DocumentKey,
    },
    /// A blob of [`MIN_ORPHAN_AGE`](crate::MIN_ORPHAN_AGE) or more that nothing refers to that could be opened.
    OrphanBlob {
        /// Which blob.
        id: BlobId,
        /// Its stored length, in bytes.
        len: u64,
    },
    /// A file of a fleche directory that is refused, or whose entry holds something else.
    Fleche(FlecheError),
}

impl Finding {
    /// Returns the stable code of what was found.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadKey(_) => "bad_key",
            Self::Entry { error, .. } | Self::Settings { error, .. } | Self::Record { error, .. } => error.code(),
            Self::BadDocument { .. } => "bad_document",
            Self::OrphanBlob { .. } => "orphan_blob",
            Self::Fleche(error) => error.code(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadKey(key) => write!(f, "the document `{key}` lies among the entries, but its key names none"),
            // Most errors name the entry themselves; those of the storage and of the keyring do not.
            Self::Entry { place, error: error @ (StoreError::Backend(_) | StoreError::Keyring { .. }) } => {
                write!(f, "the entry {place} could not be looked at: {error}")
            }
            Self::Settings { namespace, error: error @ (StoreError::Backend(_) | StoreError::Keyring { .. }) } => {
                write!(f, "the settings of namespace `{namespace}` could not be looked at: {error}")
            }
            Self::Record { namespace, error: error @ (StoreError::Backend(_) | StoreError::Keyring { .. }) } => {
                write!(f, "a quarantine record of namespace `{namespace}` could not be looked at: {error}")
            }
            Self::Entry { error, .. } | Self::Settings { error, .. } | Self::Record { error, .. } => error.fmt(f),
            Self::BadDocument { collection, key } => {
                write!(f, "the document `{key}` in `{collection}` is not of the form that it must have; delete it")
            }
            Self::Fleche(error) => error.fmt(f),
            Self::OrphanBlob { id, len } => write!(f, "nothing refers to the blob {id} of {len} bytes"),
        }
    }
}

/// A walk tells how far it is at least once in so many chunks of a blob, that is in 4 MiB of most.
pub(crate) const PROGRESS_CHUNKS: u64 = 64;

/// What a walk tells its observer, who is called after every page, every few chunks of a large value, and for every finding. An observer who
/// takes its time holds the walk back by as much.
#[derive(Debug)]
#[non_exhaustive]
pub enum WalkEvent<'a, Counts> {
    /// How far it is.
    Progress(&'a Counts),
    /// What it found. Nothing keeps findings but the observer: there may be any number of them.
    Found(Finding),
}

/// Who is told what a walk finds.
pub type Observer<'a, Counts> = dyn FnMut(WalkEvent<'_, Counts>) + Send + 'a;
