use bulla_backend::{DocumentKey, ListQuery};

use crate::name::prefix;
use crate::store::ENTRIES;
use crate::{EntryName, EntryStat, Namespace, Place, StoreError};

/// Which entries to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntryQuery {
    /// Only names that begin with these bytes.
    pub prefix: Vec<u8>,
    /// Only names behind this one: the `next` of the page before. Where names are blinded, it is no entry's name, and means nothing else.
    pub after: Option<EntryName>,
    /// At most this many entries; more than [`MAX_PAGE_DOCUMENTS`](bulla_backend::MAX_PAGE_DOCUMENTS), or 0, means that
    /// many.
    pub limit: usize,
}

/// Some entries of a listing.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct EntryPage {
    /// The entries, in bytewise order of their names unless those are blinded. There may be fewer than asked for, or none, on a page that is not
    /// the last.
    pub entries: Vec<ListedEntry>,
    /// Where the next page begins (`after`), or `None` if this was the last.
    pub next: Option<EntryName>,
}

/// One entry of a listing.
#[derive(Debug)]
#[non_exhaustive]
pub struct ListedEntry {
    /// Its name; where names are blinded and the entry does not open, `blinded:` and its stored name in hex, or the SHA-256 digest of one of more
    /// than 508 bytes.
    pub name: EntryName,
    /// What it says about its value, or why it is refused: one that is damaged hides no other.
    pub stat: Result<EntryStat, StoreError>,
}

impl Namespace {
    /// Lists one page of the entries whose names begin with `query.prefix`. Expired ones are left out.
    ///
    /// A listing of several pages is no snapshot: what is written meanwhile may be seen or not. Values in blobs are not
    /// looked at. Where names are blinded, they come in no order, and `prefix` is empty or ends with `/`.
    ///
    /// # Errors
    /// Fails if the storage cannot be read; [`StoreError::BlindedPrefix`]. Where the settings of the namespace cannot be read, entries are listed all
    /// the same.
    pub async fn list(&self, query: &EntryQuery) -> Result<EntryPage, StoreError> {
        let settled = self.reading().await?;
        let after =
            query.after.as_ref().map(|name| DocumentKey::new(prefix(&self.name, name.as_bytes()))).transpose()?;
        let prefix = self.key_prefix(&settled, &query.prefix)?;
        let mut documents = ListQuery { prefix, after, limit: query.limit };
        let now = self.store.clock.now();
        let mut entries = Vec::new();
        loop {
            let page = self.store.entries.list(ENTRIES, &documents).await?;
            let mut last = None;
            for document in page.documents {
                let stored = Place::parse(document.key.as_bytes()).map(|place| place.name);
                // A key that begins as this namespace's do, and yet names no entry, is for `check` to report.
                let Some(listed) = self.open_listed(&settled, document).await else { continue };
                last = stored;
                if !listed.begins_with(&settled, &query.prefix) {
                    continue;
                }
                let stat = listed.opened.map(|(entry, _)| entry.stat);
                if !stat.as_ref().is_ok_and(|stat| stat.is_expired(now)) {
                    entries.push(ListedEntry { name: listed.place.name, stat });
                }
            }
            if page.next.is_none() || last.is_some() {
                self.was_listed(&settled);
                return Ok(EntryPage { entries, next: page.next.and(last) });
            }
            documents.after = page.next;
        }
    }
}
