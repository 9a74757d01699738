//! Documents held in memory, in the order of their keys: what the memory driver is, and what the JSON driver reads and writes.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Bound::{Excluded, Included, Unbounded},
    sync::Arc,
};

use crate::{
    BackendError, Collection, Document, DocumentKey, ErrorKind, ListQuery, MAX_PAGE_BYTES, Page, Result, Revision,
    Write,
};

/// The last revision: the largest integer that every JSON reader holds exactly (RFC 8259 §6).
pub(crate) const MAX_REVISION: u64 = (1 << 53) - 1;

/// A database of documents, of which every write has a revision higher than all before.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    newest: u64,
    collections: BTreeMap<String, BTreeMap<DocumentKey, Stored>>,
}

/// A document without its key.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) revision: Revision,
    /// Shared, so that a table is copied without its bytes.
    pub(crate) value: Arc<[u8]>,
}

impl Table {
    /// Begins an empty table, in which the revisions up to `newest` are used up.
    pub(crate) const fn new(newest: u64) -> Self {
        Self { newest, collections: BTreeMap::new() }
    }

    /// Returns the revision of the newest write, deletions included.
    pub(crate) const fn newest(&self) -> u64 {
        self.newest
    }

    /// Puts a document where it was before; says whether the place was free.
    pub(crate) fn restore(&mut self, collection: String, key: DocumentKey, stored: Stored) -> bool {
        self.collections.entry(collection).or_default().insert(key, stored).is_none()
    }

    /// Returns all documents, in the order of collections and keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &DocumentKey, &Stored)> {
        self.collections.iter().flat_map(|(collection, documents)| {
            documents.iter().map(|(key, stored)| (collection.as_str(), key, stored))
        })
    }

    pub(crate) fn get(&self, collection: Collection, key: &DocumentKey) -> Option<Document> {
        self.stored(collection, key).map(|stored| stored.document(key))
    }

    pub(crate) fn contains(&self, collection: Collection, key: &DocumentKey) -> bool {
        self.stored(collection, key).is_some()
    }

    pub(crate) fn list(&self, collection: Collection, query: &ListQuery) -> Page {
        let Some(documents) = self.collections.get(collection.name()) else {
            return Page::default();
        };
        let start = match &query.after {
            Some(after) if *after.as_bytes() >= *query.prefix => Excluded(after.as_bytes()),
            _ => Included(&*query.prefix),
        };
        let mut inside = documents
            .range::<[u8], _>((start, Unbounded))
            .take_while(|(key, _)| key.as_bytes().starts_with(&query.prefix))
            .peekable();
        let mut page = Page::default();
        let mut bytes = 0;
        while page.documents.len() < query.page_len() && bytes <= MAX_PAGE_BYTES {
            let Some((key, stored)) = inside.next() else { break };
            bytes += stored.value.len();
            page.documents.push(stored.document(key));
        }
        if inside.peek().is_some() {
            page.next = page.documents.last().map(|last| last.key.clone());
        }
        page
    }

    /// Applies writes that are within the bounds, all or none. If they change nothing, [`Self::newest`] stays as it is.
    pub(crate) fn apply(&mut self, operation: &'static str, writes: &[Write]) -> Result<Vec<Option<Revision>>> {
        for write in writes {
            let found = self.stored(write.collection(), write.key()).map(|stored| stored.revision);
            if !write.expected().holds(found) {
                return Err(BackendError::conflict(operation, write.key()));
            }
        }
        let changes_any = writes.iter().any(|write| match write {
            Write::Put { .. } => true,
            Write::Delete { collection, key, .. } => self.contains(*collection, key),
            Write::Check { .. } => false,
        });
        if !changes_any {
            return Ok(vec![None; writes.len()]);
        }
        if self.newest >= MAX_REVISION {
            return Err(BackendError::new(ErrorKind::Unsuitable, operation, "the revisions are used up"));
        }
        let revision = Revision(self.newest + 1);
        let mut revisions = Vec::with_capacity(writes.len());
        for write in writes {
            let documents = self.collections.entry(write.collection().name().to_owned()).or_default();
            revisions.push(match write {
                Write::Put { key, value, .. } => {
                    documents.insert(key.clone(), Stored { revision, value: value.as_slice().into() });
                    Some(revision)
                }
                Write::Delete { key, .. } => {
                    documents.remove(key);
                    None
                }
                Write::Check { .. } => None,
            });
        }
        self.newest = revision.0;
        Ok(revisions)
    }

    fn stored(&self, collection: Collection, key: &DocumentKey) -> Option<&Stored> {
        self.collections.get(collection.name())?.get(key)
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored").field("revision", &self.revision).field("len", &self.value.len()).finish()
    }
}

impl Stored {
    fn document(&self, key: &DocumentKey) -> Document {
        Document { key: key.clone(), revision: self.revision, value: self.value.to_vec() }
    }
}
