//! Documents: small values with revisions, compare-and-swap and listing.

use std::{borrow::Borrow, collections::HashSet, fmt};

use async_trait::async_trait;

use crate::{BackendError, DiskUsage, Filed, Filing, Rerank, Result, Timestamp, Usage};

/// Longest document key, in bytes. The tightest remote engine (a PostgreSQL B-tree page) takes 2,704.
pub const MAX_KEY_LEN: usize = 2_304;
/// Largest document, in bytes: a 64 KiB value with its entry and seal, and room to spare.
pub const MAX_DOCUMENT_LEN: usize = 128 * 1024;
/// Most writes in one [`Documents::commit`].
pub const MAX_COMMIT_WRITES: usize = 64;
/// Most bytes of values in one [`Documents::commit`].
pub const MAX_COMMIT_BYTES: usize = 1024 * 1024;
/// Most documents in one [`Page`].
pub const MAX_PAGE_DOCUMENTS: usize = 1_000;
/// A page ends early once its values pass this many bytes.
pub const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;

/// One database of documents.
///
/// Every write is atomic. A write that returned `Ok` to a [`Durability::Durable`] collection survives a kill and a power cut; one that
/// returned an error may have happened or not, but never in part. Only [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) is certain:
/// this write did not happen, and will not. A driver that repeats a write whose answer was lost must not report a conflict with its
/// own first try.
///
/// Revisions decide races: a caller reads a document, and writes it back expecting the revision that it read.
#[async_trait]
pub trait Documents: Send + Sync + fmt::Debug {
    /// Reports what this driver can do beyond the required operations.
    fn capabilities(&self) -> Capabilities;

    /// Reads one document, or `None` where there is none.
    ///
    /// # Errors
    /// Fails if the storage cannot be read; "not there" is never reported for "could not look".
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) if the document is longer than [`MAX_DOCUMENT_LEN`]: no driver wrote it, and
    /// none reads it to memory.
    async fn get(&self, collection: Collection, key: &DocumentKey) -> Result<Option<Document>>;

    /// Writes one document if `expected` holds, and returns its new revision.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if `expected` does not hold; [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput)
    /// if the value is longer than [`MAX_DOCUMENT_LEN`].
    async fn put(
        &self,
        collection: Collection,
        key: &DocumentKey,
        value: &[u8],
        expected: Expected,
    ) -> Result<Revision>;

    /// Deletes one document if `expected` holds; says whether there was one.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if `expected` does not hold.
    async fn delete(&self, collection: Collection, key: &DocumentKey, expected: Expected) -> Result<bool>;

    /// Lists one page of the documents whose key begins with `query.prefix`, in bytewise order of keys.
    ///
    /// A listing of several pages is no snapshot: what is written meanwhile may be seen or not; what stands throughout is
    /// seen exactly once.
    ///
    /// # Errors
    /// Fails if the storage cannot be read; as [`Self::get`] if a document of the page is too long.
    async fn list(&self, collection: Collection, query: &ListQuery) -> Result<Page>;

    /// Applies several writes, all or none, and returns the new revision of each put (`None` for other writes), in order.
    ///
    /// The commit is as durable as the most durable collection in it.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) unless [`Capabilities::commit`] is declared;
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if any expectation does not hold; [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput)
    /// if it is empty, names a document twice, or passes [`MAX_COMMIT_WRITES`], [`MAX_COMMIT_BYTES`] or, in one value,
    /// [`MAX_DOCUMENT_LEN`], or files a document as [`Filing::check`] refuses it; [`ErrorKind::Limit`](crate::ErrorKind::Limit) if a group
    /// would pass the limit of a [`Write::PutFiled`].
    async fn commit(&self, writes: &[Write]) -> Result<Vec<Option<Revision>>> {
        let _ = writes;
        Err(BackendError::unsupported("commit", "this backend changes one document at a time"))
    }

    /// Reads a mark that differs from an earlier one if the collection may have changed since, by whichever process.
    ///
    /// A hint that saves re-listing: different marks may stand for no change; equal marks stand for none that the driver has seen.
    /// `None` unless [`Capabilities::watch`] is declared.
    ///
    /// # Errors
    /// Fails if the storage cannot be read.
    async fn change_mark(&self, collection: Collection) -> Result<Option<ChangeMark>> {
        let _ = collection;
        Ok(None)
    }

    /// Lists documents that are due at `moment`, earliest first; of one group, or of all. At most `limit`, and [`MAX_PAGE_DOCUMENTS`].
    ///
    /// With `after`, a moment and the bytes of a key, only those behind it, in the order of moments and then of keys; no bytes stand before
    /// all keys of that moment. Without it, those of one moment come as they like, which costs less where many are due at once.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) unless [`Capabilities::filing`] is declared; fails if the storage cannot be read.
    async fn due(
        &self,
        collection: Collection,
        group: Option<&[u8]>,
        moment: Timestamp,
        after: Option<(Timestamp, &[u8])>,
        limit: usize,
    ) -> Result<Vec<Filed>> {
        let _ = (collection, group, moment, after, limit);
        Err(no_filing("find what is due"))
    }

    /// Lists the documents of a group that have the lowest ranks, lowest first. Those without a rank are left out. As many as [`Self::due`].
    ///
    /// # Errors
    /// As [`Self::due`].
    async fn lowest(&self, collection: Collection, group: &[u8], limit: usize) -> Result<Vec<Filed>> {
        let _ = (collection, group, limit);
        Err(no_filing("find the lowest ranks"))
    }

    /// Says how much there is of a group, by what its writers filed.
    ///
    /// # Errors
    /// As [`Self::due`].
    async fn usage(&self, collection: Collection, group: &[u8]) -> Result<Usage> {
        let _ = (collection, group);
        Err(no_filing("count a group"))
    }

    /// Says how many bytes a document would be counted with in its group; known without a look at the storage.
    fn share(&self, key: &DocumentKey, value_len: usize, filing: &Filing) -> u64 {
        (key.as_bytes().len() as u64).saturating_add(value_len as u64).saturating_add(filing.extra_bytes)
    }

    /// Changes ranks, and nothing else: revisions stay, and so does the mark of the collection. A document that is gone, or has no rank, is
    /// left as it is. A power cut may undo it, and a failure leave it done in part.
    ///
    /// # Errors
    /// As [`Self::due`]; [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for more than [`MAX_PAGE_DOCUMENTS`].
    async fn rerank(&self, collection: Collection, changes: &[(DocumentKey, Rerank)]) -> Result<()> {
        let _ = (collection, changes);
        Err(no_filing("change ranks"))
    }

    /// Gives room that is no longer used back to the system, a bounded piece of it, and returns how many bytes; `None` if there is nothing
    /// more to give back, or the storage does so by itself. Others read and write meanwhile; it may be stopped anywhere.
    ///
    /// # Errors
    /// Fails if the storage cannot be written.
    async fn compact(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Says how much room the database takes, where the driver can tell.
    ///
    /// # Errors
    /// Fails if the storage cannot be read.
    async fn disk_usage(&self) -> Result<Option<DiskUsage>> {
        Ok(None)
    }
}

/// Refuses more changes of ranks than one call takes.
pub(crate) fn check_reranks(changes: &[(DocumentKey, Rerank)]) -> Result<()> {
    if changes.len() > MAX_PAGE_DOCUMENTS {
        let detail = format!("at most {MAX_PAGE_DOCUMENTS} ranks are changed at a time, not {}", changes.len());
        return Err(BackendError::invalid_input("change ranks", detail));
    }
    Ok(())
}

/// Refuses a commit that files documents, for drivers that cannot.
pub(crate) fn check_unfiled(writes: &[Write]) -> Result<()> {
    if writes.iter().any(|write| matches!(write, Write::PutFiled { .. })) {
        return Err(no_filing("file a document"));
    }
    Ok(())
}

fn no_filing(operation: &'static str) -> BackendError {
    BackendError::unsupported(
        operation,
        "this backend files no documents; limits and eviction need one that does, as SQLite",
    )
}

/// What a driver can do beyond the required operations. Callers are correct without any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Several documents in one atomic [`Documents::commit`].
    pub commit: bool,
    /// Meaningful [`Documents::change_mark`]s.
    pub watch: bool,
    /// What it holds outlives the process.
    pub persistent: bool,
    /// Several processes may use it at once.
    pub multi_process: bool,
    /// [`Write::PutFiled`], [`Documents::due`], [`Documents::lowest`], [`Documents::usage`] and [`Documents::rerank`]. Comes with `commit`.
    pub filing: bool,
}

/// When a write that returned is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// It survives the process; a power cut may undo the newest writes, in whole and in order. For what can be recomputed.
    Cache,
    /// It survives a power cut.
    Durable,
}

/// A named set of documents within a database, and how durably this caller writes to it.
///
/// The name alone identifies the set; two collections of one name and different durability see the same documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Collection {
    name: &'static str,
    durability: Durability,
}

impl Collection {
    /// Names a collection: 1 to 32 of `a`–`z`, `0`–`9` and `_`, beginning with a letter.
    ///
    /// # Panics
    /// Panics, at compile time where used for a constant, if the name is not of that form.
    #[must_use]
    pub const fn new(name: &'static str, durability: Durability) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty() && bytes.len() <= 32 && bytes[0].is_ascii_lowercase(), "collection name");
        let mut at = 0;
        while at < bytes.len() {
            assert!(
                bytes[at].is_ascii_lowercase() || bytes[at].is_ascii_digit() || bytes[at] == b'_',
                "collection name"
            );
            at += 1;
        }
        Self { name, durability }
    }

    /// Returns the same set of documents, written with another durability.
    #[must_use]
    pub const fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// Returns the name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns how durably writes are made.
    #[must_use]
    pub const fn durability(&self) -> Durability {
        self.durability
    }
}

/// Key of a document: 1 to [`MAX_KEY_LEN`] bytes of any value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentKey(Box<[u8]>);

impl DocumentKey {
    /// Takes bytes as a key.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if there are none, or more than [`MAX_KEY_LEN`].
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Result<Self> {
        let bytes = bytes.into();
        if bytes.is_empty() || bytes.len() > MAX_KEY_LEN {
            return Err(BackendError::invalid_input(
                "use a document key",
                format!("a key has 1 to {MAX_KEY_LEN} bytes, this one {}", bytes.len()),
            ));
        }
        Ok(Self(bytes))
    }

    /// Returns the bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for DocumentKey {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for DocumentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DocumentKey({})", self.0.escape_ascii())
    }
}

impl fmt::Display for DocumentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// A document as it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    /// Where it lies in its collection.
    pub key: DocumentKey,
    /// Which write of it this is.
    pub revision: Revision,
    /// Its bytes.
    pub value: Vec<u8>,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("key", &self.key)
            .field("revision", &self.revision)
            .field("len", &self.value.len())
            .finish()
    }
}

/// Names one write of one document. Never used twice for a document, not even after it was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revision(pub u64);

/// What a writer expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expected {
    /// Whatever there is: the last writer wins.
    Any,
    /// No document.
    Absent,
    /// The document as this revision left it.
    Revision(Revision),
}

impl Expected {
    /// Says whether this is what was found.
    #[must_use]
    pub fn holds(self, found: Option<Revision>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => found.is_none(),
            Self::Revision(revision) => found == Some(revision),
        }
    }
}

/// One write of a [`Documents::commit`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Writes a document. One that was filed is filed no more.
    Put {
        /// The set it belongs to.
        collection: Collection,
        /// Its key.
        key: DocumentKey,
        /// Its new bytes.
        value: Vec<u8>,
        /// What must be there.
        expected: Expected,
    },
    /// Writes a document and files it, unless its group would pass the limit: [`ErrorKind::Limit`](crate::ErrorKind::Limit), and nothing of
    /// the commit is written.
    PutFiled {
        /// The set it belongs to.
        collection: Collection,
        /// Its key.
        key: DocumentKey,
        /// Its new bytes.
        value: Vec<u8>,
        /// What must be there.
        expected: Expected,
        /// How it is filed.
        filing: Filing,
    },
    /// Deletes a document; one that is not there stays so.
    Delete {
        /// The set it belongs to.
        collection: Collection,
        /// Its key.
        key: DocumentKey,
        /// What must be there.
        expected: Expected,
    },
    /// Writes nothing, but lets the commit happen only if the expectation holds.
    Check {
        /// The set it belongs to.
        collection: Collection,
        /// Its key.
        key: DocumentKey,
        /// What must be there.
        expected: Expected,
    },
}

impl Write {
    /// Returns the set that the document belongs to.
    #[must_use]
    pub const fn collection(&self) -> Collection {
        match self {
            Self::Put { collection, .. }
            | Self::PutFiled { collection, .. }
            | Self::Delete { collection, .. }
            | Self::Check { collection, .. } => *collection,
        }
    }

    /// Returns the key of the document.
    #[must_use]
    pub const fn key(&self) -> &DocumentKey {
        match self {
            Self::Put { key, .. } | Self::PutFiled { key, .. } | Self::Delete { key, .. } | Self::Check { key, .. } => {
                key
            }
        }
    }

    /// Returns what must be there.
    #[must_use]
    pub const fn expected(&self) -> Expected {
        match self {
            Self::Put { expected, .. }
            | Self::PutFiled { expected, .. }
            | Self::Delete { expected, .. }
            | Self::Check { expected, .. } => *expected,
        }
    }

    /// Refuses a value that is too long.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if it is longer than [`MAX_DOCUMENT_LEN`].
    pub fn check_value(value: &[u8]) -> Result<()> {
        if value.len() > MAX_DOCUMENT_LEN {
            return Err(BackendError::invalid_input(
                "write a document",
                format!("a document has at most {MAX_DOCUMENT_LEN} bytes, this one {}", value.len()),
            ));
        }
        Ok(())
    }

    /// Refuses writes that no [`Documents::commit`] takes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) as stated there.
    pub fn check_commit(writes: &[Self]) -> Result<()> {
        let refuse = |detail: String| Err(BackendError::invalid_input("commit", detail));
        if writes.is_empty() || writes.len() > MAX_COMMIT_WRITES {
            return refuse(format!("a commit has 1 to {MAX_COMMIT_WRITES} writes, this one {}", writes.len()));
        }
        let mut bytes = 0;
        for write in writes {
            if let Self::Put { value, .. } | Self::PutFiled { value, .. } = write {
                Self::check_value(value)?;
                bytes += value.len();
            }
            if let Self::PutFiled { key, filing, .. } = write {
                filing.check(key)?;
            }
        }
        if writes.len() > 1 {
            let mut named = HashSet::with_capacity(writes.len());
            let twice = writes.iter().find(|write| !named.insert((write.collection().name(), write.key())));
            if let Some(twice) = twice {
                return refuse(format!("`{}` is named twice", twice.key()));
            }
        }
        if bytes > MAX_COMMIT_BYTES {
            return refuse(format!("a commit has at most {MAX_COMMIT_BYTES} bytes of values, this one {bytes}"));
        }
        Ok(())
    }
}

/// What to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListQuery {
    /// Only keys that begin with these bytes.
    pub prefix: Vec<u8>,
    /// Only keys behind this one: the `next` of the page before.
    pub after: Option<DocumentKey>,
    /// At most this many documents; more than [`MAX_PAGE_DOCUMENTS`], or 0, means that many.
    pub limit: usize,
}

impl ListQuery {
    /// Returns the most documents that a page of this listing has.
    #[must_use]
    pub const fn page_len(&self) -> usize {
        if self.limit == 0 || self.limit > MAX_PAGE_DOCUMENTS { MAX_PAGE_DOCUMENTS } else { self.limit }
    }
}

/// Some documents of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The documents, in order of their keys.
    pub documents: Vec<Document>,
    /// Where the next page begins (`after`), or `None` if this was the last.
    pub next: Option<DocumentKey>,
}

/// Stands for the state of a collection at some moment; see [`Documents::change_mark`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChangeMark(pub u64);
