use bulla_backend::{DocumentKey, ListQuery};

use crate::name::prefix;
use crate::store::ENTRIES;
use crate::{EntryName, EntryStat, Namespace, Place, StoreError};

/// Which entries to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntryQuery {
    /// Only names that begin with these bytes.
    pub prefix: Vec<u8>,
    /// Only names behind this one: the `next` of the page before.
    pub after: Option<EntryName>,
    /// At most this many entries; more than [`MAX_PAGE_DOCUMENTS`](bulla_backend::MAX_PAGE_DOCUMENTS), or 0, means that
    /// many.
    pub limit: usize,
}

/// Some entries of a listing.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct EntryPage {
    /// The entries, in bytewise order of their names. There may be fewer than asked for, or none, on a page that is not
    /// the last.
    pub entries: Vec<ListedEntry>,
    /// Where the next page begins (`after`), or `None` if this was the last.
    pub next: Option<EntryName>,
}

/// One entry of a listing.
#[derive(Debug)]
#[non_exhaustive]
pub struct ListedEntry {
    /// Its name.
    pub name: EntryName,
    /// What it says about its value, or why it is refused: one that is damaged hides no other.
    pub stat: Result<EntryStat, StoreError>,
}

impl Namespace {
    /// Lists one page of the entries whose names begin with `query.prefix`. Expired ones are left out.
    ///
    /// A listing of several pages is no snapshot: what is written meanwhile may be seen or not. Values in blobs are not
    /// looked at.
    ///
    /// # Errors
    /// Fails if the storage cannot be read.
    pub async fn list(&self, query: &EntryQuery) -> Result<EntryPage, StoreError> {
        let after =
            query.after.as_ref().map(|name| DocumentKey::new(prefix(&self.name, name.as_bytes()))).transpose()?;
        let mut documents = ListQuery { prefix: prefix(&self.name, &query.prefix), after, limit: query.limit };
        let now = self.store.clock.now();
        let mut entries = Vec::new();
        loop {
            let page = self.store.entries.list(ENTRIES, &documents).await?;
            let mut last = None;
            for document in page.documents {
                // A key that begins as this namespace's do, and yet names no entry, is for `check` to report.
                let Some(Place { name, .. }) = Place::parse(document.key.as_bytes()) else { continue };
                last = Some(name.clone());
                let opened = self.store.open_entry(&self.name, name.as_bytes(), document.value).await;
                let stat = opened.map(|(entry, _)| entry.stat);
                if !stat.as_ref().is_ok_and(|stat| stat.is_expired(now)) {
                    entries.push(ListedEntry { name, stat });
                }
            }
            if page.next.is_none() || last.is_some() {
                return Ok(EntryPage { entries, next: page.next.and(last) });
            }
            documents.after = page.next;
        }
    }
}
