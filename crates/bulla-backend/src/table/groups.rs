//! Groups of filed documents in memory: how much there is of each, and what is due or lowest.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::Stored;
use crate::{Collection, DocumentKey, Filing, MAX_PAGE_DOCUMENTS, Result, Timestamp, Usage, Write};

/// What a document takes beside its key and value: its places in three trees, and the head of its value.
const OVERHEAD: u64 = 160;

/// The groups of all collections.
#[derive(Debug, Clone, Default)]
pub(super) struct Groups {
    by_name: BTreeMap<(&'static str, Box<[u8]>), Group>,
}

#[derive(Debug, Clone, Default)]
struct Group {
    usage: Usage,
    due: BTreeSet<(Timestamp, DocumentKey)>,
    ranks: BTreeSet<(u64, DocumentKey)>,
}

impl Groups {
    pub(super) const fn new() -> Self {
        Self { by_name: BTreeMap::new() }
    }

    /// Refuses writes by which a group would pass a limit that one of them states.
    pub(super) fn check_limits<'t>(
        &self,
        operation: &'static str,
        writes: &[Write],
        found: impl Fn(&Write) -> Option<&'t Stored>,
    ) -> Result<()> {
        for write in writes {
            let Write::PutFiled { collection, key, filing, .. } = write else { continue };
            let Some(limit) = filing.limit else { continue };
            let group = filing.group(key);
            let mut after = self.usage(*collection, group);
            for write in writes.iter().filter(|write| write.collection().name() == collection.name()) {
                if matches!(write, Write::Check { .. }) {
                    continue;
                }
                let before =
                    found(write).filter(|found| found.filing.is_some_and(|old| old.group(write.key()) == group));
                if let Some((found, old)) = before.and_then(|found| Some((found, found.filing?))) {
                    subtract(&mut after, share(write.key(), &found.value, &old));
                }
                if let Write::PutFiled { key, value, filing, .. } = write
                    && filing.group(key) == group
                {
                    add(&mut after, share(key, value, filing));
                }
            }
            if !after.is_within(limit) {
                return Err(after.refused(operation, group, limit));
            }
        }
        Ok(())
    }

    /// Takes note that a document was written, deleted or replaced.
    pub(super) fn replace(
        &mut self,
        collection: Collection,
        key: &DocumentKey,
        before: Option<&Stored>,
        after: Option<&Stored>,
    ) {
        if let Some((stored, filing)) = before.and_then(|stored| Some((stored, stored.filing?)))
            && let Some(group) = self.by_name.get_mut(&place(collection, filing.group(key)))
        {
            subtract(&mut group.usage, share(key, &stored.value, &filing));
            if let Some(due) = filing.due {
                group.due.remove(&(due, key.clone()));
            }
            if let Some(rank) = filing.rank {
                group.ranks.remove(&(rank, key.clone()));
            }
        }
        if let Some((stored, filing)) = after.and_then(|stored| Some((stored, stored.filing?))) {
            let group = self.by_name.entry(place(collection, filing.group(key))).or_default();
            add(&mut group.usage, share(key, &stored.value, &filing));
            group.due.extend(filing.due.map(|due| (due, key.clone())));
            group.ranks.extend(filing.rank.map(|rank| (rank, key.clone())));
        }
    }

    /// Takes note that a document has another rank.
    pub(super) fn rerank(
        &mut self,
        collection: Collection,
        key: &DocumentKey,
        filing: &Filing,
        before: u64,
        after: u64,
    ) {
        if let Some(group) = self.by_name.get_mut(&place(collection, filing.group(key))) {
            group.ranks.remove(&(before, key.clone()));
            group.ranks.insert((after, key.clone()));
        }
    }

    pub(super) fn due(
        &self,
        of: Collection,
        group: Option<&[u8]>,
        moment: Timestamp,
        after: Option<(Timestamp, &[u8])>,
        limit: usize,
    ) -> Vec<DocumentKey> {
        let limit = limit.min(MAX_PAGE_DOCUMENTS);
        let is_asked_for = |name: &[u8]| group.is_none_or(|group| group == name);
        let groups =
            self.by_name.iter().filter(|((collection, name), _)| *collection == of.name() && is_asked_for(name));
        // No bytes are no key: that place lies before all keys of its moment.
        let begin = after.and_then(|(at, key)| Some((at, DocumentKey::new(key).ok()?)));
        let begin = begin.map_or(Bound::Unbounded, Bound::Excluded);
        let mut due: Vec<_> = groups
            .flat_map(|(_, group)| {
                let behind = group.due.range((begin.clone(), Bound::Unbounded));
                let behind = behind.skip_while(|(due, _)| after.is_some_and(|(at, _)| *due < at));
                behind.take_while(|(due, _)| *due <= moment).take(limit)
            })
            .collect();
        due.sort();
        due.into_iter().take(limit).map(|(_, key)| key.clone()).collect()
    }

    pub(super) fn lowest(&self, of: Collection, group: &[u8], limit: usize) -> Vec<DocumentKey> {
        let group = self.by_name.get(&place(of, group));
        let ranks = group.into_iter().flat_map(|group| &group.ranks);
        ranks.take(limit.min(MAX_PAGE_DOCUMENTS)).map(|(_, key)| key.clone()).collect()
    }

    pub(super) fn usage(&self, of: Collection, group: &[u8]) -> Usage {
        self.by_name.get(&place(of, group)).map(|group| group.usage).unwrap_or_default()
    }
}

fn place(collection: Collection, group: &[u8]) -> (&'static str, Box<[u8]>) {
    (collection.name(), group.into())
}

/// What a filed document is counted with.
fn share(key: &DocumentKey, value: &[u8], filing: &Filing) -> u64 {
    share_of(key, value.len(), filing)
}

/// What a filed document with a value of that length is counted with.
pub(crate) fn share_of(key: &DocumentKey, value_len: usize, filing: &Filing) -> u64 {
    // Kept once in the table, and once more for each of the orders that it has a place in.
    let keys = 1 + u64::from(filing.due.is_some()) + u64::from(filing.rank.is_some());
    key.as_bytes().len() as u64 * keys + value_len as u64 + OVERHEAD + filing.extra_bytes
}

fn add(usage: &mut Usage, bytes: u64) {
    usage.documents = usage.documents.saturating_add(1);
    usage.bytes = usage.bytes.saturating_add(bytes);
}

fn subtract(usage: &mut Usage, bytes: u64) {
    usage.documents = usage.documents.saturating_sub(1);
    usage.bytes = usage.bytes.saturating_sub(bytes);
}
