//! What long walks over the store tell while they go.

use std::fmt;

use bulla_backend::{BlobId, DocumentKey};

use crate::{Place, StoreError};

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
    /// A blob of [`MIN_ORPHAN_AGE`](crate::MIN_ORPHAN_AGE) or more that no entry refers to that could be opened.
    OrphanBlob {
        /// Which blob.
        id: BlobId,
        /// Its stored length, in bytes.
        len: u64,
    },
}

impl Finding {
    /// Returns the stable code of what was found.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadKey(_) => "bad_key",
            Self::Entry { error, .. } => error.code(),
            Self::OrphanBlob { .. } => "orphan_blob",
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
            Self::Entry { error, .. } => error.fmt(f),
            Self::OrphanBlob { id, len } => write!(f, "no entry refers to the blob {id} of {len} bytes"),
        }
    }
}

/// What a walk tells its observer, who is called after every page and for every finding.
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
