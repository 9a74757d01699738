//! Going through entries and their values.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use bulla_backend::{Document, DocumentKey, ListQuery, Timestamp};

use crate::entry::Entry;
use crate::listed::Listed;
use crate::name::prefix;
use crate::store::ENTRIES;
use crate::{EntryName, EntryQuery, GetOptions, Namespace, StoreError, Value};

/// Most documents that are held in memory while they are gone through.
const PAGE_DOCUMENTS: usize = 64;

/// One entry of an iteration.
#[derive(Debug)]
#[non_exhaustive]
pub struct IteratedEntry {
    /// Its name; where names are blinded and the entry does not open, as a listing shows it.
    pub name: EntryName,
    /// Its value, or why it is refused: one that is damaged hides no other.
    pub value: Result<Value, StoreError>,
}

/// Goes through entries and their values, holding few of them in memory.
///
/// It is no snapshot: what is put or removed meanwhile may be seen or not. An entry that stands throughout is seen exactly once, and each
/// value is as it was when it was seen.
pub struct Entries {
    namespace: Namespace,
    query: ListQuery,
    /// What the names begin with.
    start: Vec<u8>,
    /// How many more there are to be, at most.
    left: usize,
    now: Timestamp,
    page: VecDeque<Document>,
    ended: bool,
}

impl Namespace {
    /// Goes through the entries of a query, with their values; `query.limit` is how many there are to be at most, and 0 stands for all.
    /// Expired ones are left out.
    ///
    /// # Errors
    /// [`StoreError::BlindedPrefix`]; fails if the storage cannot be read. Where the settings of the namespace cannot, it goes through the entries
    /// all the same.
    pub async fn entries(&self, query: &EntryQuery) -> Result<Entries, StoreError> {
        let prefixed = self.key_prefix(&*self.reading().await?, &query.prefix)?;
        let after =
            query.after.as_ref().map(|name| DocumentKey::new(prefix(&self.name, name.as_bytes()))).transpose()?;
        let left = if query.limit == 0 { usize::MAX } else { query.limit };
        let start = query.prefix.clone();
        let query = ListQuery { prefix: prefixed, after, limit: left.min(PAGE_DOCUMENTS) };
        let now = self.store.clock.now();
        Ok(Entries { namespace: self.clone(), query, start, left, now, page: VecDeque::new(), ended: false })
    }

    /// Counts the entries of each tag, by a walk over all. Expired and refused entries are left out.
    ///
    /// # Errors
    /// Fails if the storage cannot be read.
    pub async fn tags(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut tags = BTreeMap::new();
        let mut entries = self.entries(&EntryQuery::default()).await?;
        while let Some(listed) = entries.advance().await? {
            for tag in listed.opened.into_iter().flat_map(|(entry, _)| entry.stat.tags) {
                *tags.entry(tag).or_default() += 1;
            }
        }
        Ok(tags)
    }
}

impl Entries {
    /// Returns the next entry, or `None` behind the last.
    ///
    /// A value is as [`Namespace::get`] returns it; one that is larger is [`StoreError::TooLarge`].
    ///
    /// # Errors
    /// Fails if the storage cannot be listed; the same step may be tried again.
    pub async fn next(&mut self) -> Result<Option<IteratedEntry>, StoreError> {
        loop {
            let Some(Listed { place, opened, .. }) = self.advance().await? else { return Ok(None) };
            let value = match opened {
                Ok((Entry { stat, blob: None, .. }, mut bytes)) => {
                    self.namespace.was_read(&*self.namespace.reading().await?, place.name.as_bytes());
                    Ok(Value { stat, bytes: std::mem::take(&mut bytes) })
                }
                // The entry may have been replaced or removed since it was listed, and its blob deleted.
                Ok(_) => match self.namespace.get(place.name.as_bytes(), &GetOptions::default()).await {
                    Err(StoreError::NotFound(_)) => continue,
                    value => value,
                },
                Err(error) => Err(error),
            };
            self.left -= 1;
            return Ok(Some(IteratedEntry { name: place.name, value }));
        }
    }

    /// Opens the next entry that has not expired.
    async fn advance(&mut self) -> Result<Option<Listed>, StoreError> {
        while self.left > 0 {
            let Some(document) = self.page.pop_front() else {
                if self.ended {
                    break;
                }
                let page = self.namespace.store.entries.list(ENTRIES, &self.query).await?;
                self.ended = page.next.is_none();
                self.query.after = page.next;
                self.page = page.documents.into();
                continue;
            };
            let settled = self.namespace.reading().await?;
            // A key that begins as this namespace's do, and yet names no entry, is for `check` to report.
            let Some(listed) = self.namespace.open_listed(&settled, document).await else { continue };
            if listed.begins_with(&settled, &self.start)
                && !listed.opened.as_ref().is_ok_and(|(entry, _)| entry.stat.is_expired(self.now))
            {
                return Ok(Some(listed));
            }
        }
        Ok(None)
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").field("namespace", &self.namespace.name).finish_non_exhaustive()
    }
}
