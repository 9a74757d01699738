//! Documents held in memory, in the order of their keys: what the memory driver is, and what the JSON driver reads and writes.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Bound::{Excluded, Included, Unbounded},
    sync::Arc,
};

mod groups;

use self::groups::Groups;
pub(crate) use self::groups::share_of;
use crate::{
    BackendError, Collection, Document, DocumentKey, ErrorKind, Filed, Filing, ListQuery, MAX_PAGE_BYTES, Page, Rerank,
    Result, Revision, Timestamp, Usage, Write,
};

/// The last revision: the largest integer that every JSON reader holds exactly (RFC 8259 §6).
pub(crate) const MAX_REVISION: u64 = (1 << 53) - 1;

/// A database of documents, of which every write has a revision higher than all before.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    newest: u64,
    collections: BTreeMap<String, BTreeMap<DocumentKey, Stored>>,
    groups: Groups,
}

/// A document without its key.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) revision: Revision,
    /// Shared, so that a table is copied without its bytes.
    pub(crate) value: Arc<[u8]>,
    /// How it is filed, if it is.
    pub(crate) filing: Option<Filing>,
}

impl Table {
    /// Begins an empty table, in which the revisions up to `newest` are used up.
    pub(crate) const fn new(newest: u64) -> Self {
        Self { newest, collections: BTreeMap::new(), groups: Groups::new() }
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
        self.groups.check_limits(operation, writes, |write| self.stored(write.collection(), write.key()))?;
        let changes_any = writes.iter().any(|write| match write {
            Write::Put { .. } | Write::PutFiled { .. } => true,
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
            let (collection, key) = (write.collection(), write.key());
            let documents = self.collections.entry(collection.name().to_owned()).or_default();
            let (before, after) = match write {
                Write::Put { value, .. } => {
                    let stored = Stored { revision, value: value.as_slice().into(), filing: None };
                    (documents.insert(key.clone(), stored), documents.get(key))
                }
                Write::PutFiled { value, filing, .. } => {
                    let stored = Stored { revision, value: value.as_slice().into(), filing: Some(filing.kept()) };
                    (documents.insert(key.clone(), stored), documents.get(key))
                }
                Write::Delete { .. } => (documents.remove(key), None),
                Write::Check { .. } => {
                    revisions.push(None);
                    continue;
                }
            };
            revisions.push(after.is_some().then_some(revision));
            self.groups.replace(collection, key, before.as_ref(), after);
        }
        self.newest = revision.0;
        Ok(revisions)
    }

    /// Lists what is due; see [`crate::Documents::due`].
    pub(crate) fn due(
        &self,
        of: Collection,
        group: Option<&[u8]>,
        moment: Timestamp,
        after: Option<(Timestamp, &[u8])>,
        limit: usize,
    ) -> Vec<Filed> {
        self.filed(of, self.groups.due(of, group, moment, after, limit))
    }

    /// Lists the lowest ranks of a group; see [`crate::Documents::lowest`].
    pub(crate) fn lowest(&self, of: Collection, group: &[u8], limit: usize) -> Vec<Filed> {
        self.filed(of, self.groups.lowest(of, group, limit))
    }

    /// Says how much there is of a group.
    pub(crate) fn usage(&self, of: Collection, group: &[u8]) -> Usage {
        self.groups.usage(of, group)
    }

    /// Changes ranks; see [`crate::Documents::rerank`].
    pub(crate) fn rerank(&mut self, of: Collection, changes: &[(DocumentKey, Rerank)]) {
        let Some(documents) = self.collections.get_mut(of.name()) else { return };
        for (key, change) in changes {
            let Some(stored) = documents.get_mut(key) else { continue };
            let Some(filing) = stored.filing.as_mut() else { continue };
            let Some(rank) = filing.rank else { continue };
            let changed = change.apply(rank);
            filing.rank = Some(changed);
            self.groups.rerank(of, key, filing, rank, changed);
        }
    }

    fn filed(&self, of: Collection, keys: Vec<DocumentKey>) -> Vec<Filed> {
        let filed = |key: DocumentKey| {
            let stored = self.stored(of, &key)?;
            Some(Filed { revision: stored.revision, filing: stored.filing?, key })
        };
        keys.into_iter().filter_map(filed).collect()
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
