//! Filing: what a driver keeps beside a document so that old, idle and excess ones are found without reading all.

use crate::{BackendError, DocumentKey, ErrorKind, Result, Revision, Timestamp};

/// How a document is filed beside its key, for [`Documents::due`](crate::Documents::due), [`Documents::lowest`](crate::Documents::lowest) and
/// [`Documents::usage`](crate::Documents::usage).
///
/// # Security
/// What a writer said, and what the storage may have changed: a hint where to look. Whoever deletes because of it what cannot be had again
/// reads the document first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filing {
    /// The group that the document is counted in: it is named by that many leading bytes of the key, at least one.
    pub group_len: usize,
    /// When it is due. Later than [`Filing::MAX_DUE`] is taken for that.
    pub due: Option<Timestamp>,
    /// Its place in the order in which documents of the group are to go, lowest first; `None` for one that stays. At most [`Filing::MAX_RANK`].
    pub rank: Option<u64>,
    /// Bytes that it is counted with beside its own: those of what it refers to. At most [`Filing::MAX_EXTRA_BYTES`].
    pub extra_bytes: u64,
    /// The most that the group may come to by the commit that this write is part of, with all that the commit adds to the group and takes from it.
    pub limit: Option<Usage>,
}

impl Filing {
    /// The highest rank: the largest integer that every engine holds.
    pub const MAX_RANK: u64 = i64::MAX as u64;
    /// The latest moment at which something is due.
    pub const MAX_DUE: Timestamp = Timestamp(i64::MAX as u64);
    /// The most bytes that a document is counted with beside its own: so few that no sum of them is too large for an engine.
    pub const MAX_EXTRA_BYTES: u64 = 1 << 48;

    /// Refuses what cannot be said of a document with this key.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if the group is not named by bytes of the key, or a bound is passed.
    pub fn check(&self, key: &DocumentKey) -> Result<()> {
        let refuse = |detail: String| Err(BackendError::invalid_input("file a document", detail));
        if self.group_len == 0 || self.group_len > key.as_bytes().len() {
            return refuse(format!(
                "a group is named by 1 or more leading bytes of the key, not by {} of {}",
                self.group_len,
                key.as_bytes().len()
            ));
        }
        if let Some(rank) = self.rank.filter(|rank| *rank > Self::MAX_RANK) {
            return refuse(format!("a rank is at most {}, this one {rank}", Self::MAX_RANK));
        }
        if self.extra_bytes > Self::MAX_EXTRA_BYTES {
            return refuse(format!(
                "a document is counted with at most {} bytes beside its own, not {}",
                Self::MAX_EXTRA_BYTES,
                self.extra_bytes
            ));
        }
        Ok(())
    }

    /// Returns the name of the group of a document with this key.
    pub(crate) fn group<'k>(&self, key: &'k DocumentKey) -> &'k [u8] {
        // `check` has refused a name longer than the key.
        key.as_bytes().get(..self.group_len).unwrap_or(key.as_bytes())
    }

    /// Returns it as it is kept: with a moment that every engine holds, and without the limit.
    pub(crate) fn kept(self) -> Self {
        Self { due: self.due.map(|due| due.min(Self::MAX_DUE)), limit: None, ..self }
    }
}

/// How much there is of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// How many documents.
    pub documents: u64,
    /// How many bytes they take on their storage, keys and what the driver adds for each included, as near as it can say; and the
    /// [`Filing::extra_bytes`] of each.
    pub bytes: u64,
}

impl Usage {
    /// Says whether it is no more than a limit, in documents and in bytes.
    #[must_use]
    pub const fn is_within(self, limit: Self) -> bool {
        self.documents <= limit.documents && self.bytes <= limit.bytes
    }

    /// Describes that a group would pass its limit.
    pub(crate) fn refused(self, operation: &'static str, group: &[u8], limit: Self) -> BackendError {
        let detail = format!(
            "the group `{}` would come to {} documents and {} bytes, its limit is {} and {}; delete some, or raise the limit",
            group.escape_ascii(),
            self.documents,
            self.bytes,
            limit.documents,
            limit.bytes
        );
        BackendError::new(ErrorKind::Limit, operation, detail)
    }
}

/// How a rank changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rerank {
    /// To that much, [`Filing::MAX_RANK`] at most, unless it is higher already.
    Raise(u64),
    /// By so much, to [`Filing::MAX_RANK`] at most.
    Add(u64),
}

impl Rerank {
    /// Returns what becomes of a rank.
    pub(crate) fn apply(self, rank: u64) -> u64 {
        let changed = match self {
            Self::Raise(least) => rank.max(least),
            Self::Add(more) => rank.saturating_add(more),
        };
        changed.min(Filing::MAX_RANK)
    }
}

/// A document as it is filed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filed {
    /// Its key.
    pub key: DocumentKey,
    /// Which write of it this is.
    pub revision: Revision,
    /// How it is filed; without a limit.
    pub filing: Filing,
}

/// How much room a database takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskUsage {
    /// All its files, in bytes.
    pub total: u64,
    /// How much of that could be given back by [`Documents::compact`](crate::Documents::compact), as near as the driver can say.
    pub free: u64,
}
