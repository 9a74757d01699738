//! Limits that hold, and how room is made for what is put (spec, "Limits").

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bulla_backend::{DocumentKey, Filing, Usage};
use bulla_seal::{HEADER_LEN, Params, TAG_LEN};

use crate::entry::Entry;
use crate::namespace::{Slot, Standing};
use crate::settings::Eviction;
use crate::settled::Settled;
use crate::store::ENTRIES;
use crate::{Namespace, StoreError};

/// What files take room in, in bytes.
const BLOCK_LEN: u64 = 4_096;
/// Most entries that are evicted at once: as many as one commit takes.
pub(crate) const MAX_STEP: u64 = 64;
/// Most entries that a put evicts for those that come after it.
const SPARE_STEP: u64 = 32;
/// Which part of a limit these are at most.
const SPARES: u64 = 64;
/// Most steps in which room is made for one entry.
const MAX_STEPS: u64 = 1 << 16;
/// Which part of a limit is put by one process before it looks how full the namespace is.
const LOOKS: u64 = 256;

/// What a write asks of the limit of a namespace.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Demand {
    /// What the entries take that are written.
    pub(crate) needed: Usage,
    /// What those take that go with the same write.
    pub(crate) held: Usage,
}

impl Demand {
    /// Adds what another entry of the same write asks.
    pub(crate) fn add(&mut self, other: Self) {
        for (sum, more) in [(&mut self.needed, other.needed), (&mut self.held, other.held)] {
            sum.documents = sum.documents.saturating_add(more.documents);
            sum.bytes = sum.bytes.saturating_add(more.bytes);
        }
    }

    /// Returns how much there may be before the write, so that there is no more than `limit` after it.
    fn room(self, limit: Usage) -> Usage {
        let room = |limit: u64, needed: u64, held: u64| limit.saturating_add(held).saturating_sub(needed);
        Usage {
            documents: room(limit.documents, self.needed.documents, self.held.documents),
            bytes: room(limit.bytes, self.needed.bytes, self.held.bytes),
        }
    }
}

/// What a process knows of how full a namespace is.
#[derive(Debug)]
pub(crate) struct Room {
    /// Entries and bytes that were put since the last look.
    documents: AtomicU64,
    bytes: AtomicU64,
    /// Whether the soft limit was passed when last seen, as it may be before the first look.
    is_over: AtomicBool,
    is_looking: AtomicBool,
    /// The highest rank that was seen to go, and one more; 0 if none is known.
    floor: AtomicU64,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            documents: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            is_over: AtomicBool::new(true),
            is_looking: AtomicBool::new(false),
            floor: AtomicU64::new(0),
        }
    }
}

impl Room {
    /// Notes that entries were put; says whether it is time to look.
    fn put(&self, put: Usage, limit: Usage) -> bool {
        let documents = self.documents.fetch_add(put.documents, Ordering::Relaxed).saturating_add(put.documents);
        let bytes = self.bytes.fetch_add(put.bytes, Ordering::Relaxed).saturating_add(put.bytes);
        self.is_over.load(Ordering::Relaxed) || documents >= limit.documents / LOOKS || bytes >= limit.bytes / LOOKS
    }

    /// Begins a look, unless another thread is at one.
    fn look(&self) -> Option<Look<'_>> {
        let is_free = !self.is_looking.swap(true, Ordering::Acquire);
        is_free.then(|| {
            self.documents.store(0, Ordering::Relaxed);
            self.bytes.store(0, Ordering::Relaxed);
            Look(self)
        })
    }

    /// Returns the rank that a new entry begins with where uses are counted, if it is known.
    pub(crate) fn floor(&self) -> Option<u64> {
        Some(self.floor.load(Ordering::Relaxed)).filter(|floor| *floor > 0)
    }

    /// Learns of a rank that went, or of the lowest of those that stay.
    pub(crate) fn raise_floor(&self, floor: u64) {
        self.floor.fetch_max(floor.clamp(1, Filing::MAX_RANK), Ordering::Relaxed);
    }
}

/// A look of one thread, which ends when it is dropped.
struct Look<'a>(&'a Room);

impl Drop for Look<'_> {
    fn drop(&mut self) {
        self.0.is_looking.store(false, Ordering::Release);
    }
}

impl Namespace {
    /// Returns how much there is in the namespace, expired entries included; `None` where the backend does not count.
    ///
    /// # Errors
    /// Fails if the storage cannot be read.
    pub async fn usage(&self) -> Result<Option<Usage>, StoreError> {
        if !self.store.entries.capabilities().filing {
            return Ok(None);
        }
        Ok(Some(self.store.entries.usage(ENTRIES, &self.group()).await?))
    }

    /// Returns how an entry is filed, where the storage files.
    pub(crate) fn filing(&self, settled: &Settled, slot: &Slot, entry: &Entry) -> Option<Filing> {
        if !self.store.entries.capabilities().filing {
            return None;
        }
        let rank = settled.settings.eviction.map(|eviction| match eviction {
            Eviction::LeastRecentlyStored | Eviction::LeastRecentlyUsed => entry.stat.created.0,
            Eviction::LeastFrequentlyUsed => self.first_rank(slot),
        });
        Some(Filing {
            group_len: slot.group_len,
            due: entry.stat.expires,
            rank: rank.map(|rank| rank.min(Filing::MAX_RANK)),
            extra_bytes: extra_bytes(entry),
            limit: settled.settings.limit(),
        })
    }

    /// Returns what an entry is counted with that stands in a slot: no more than that, as it may have a rank or none.
    pub(crate) fn held(&self, slot: &Slot, standing: &Standing) -> Usage {
        if !self.store.entries.capabilities().filing {
            return Usage::default();
        }
        let Standing { document_len, extra_bytes, expires: due, .. } = *standing;
        let filing = Filing { group_len: slot.group_len, due, extra_bytes, ..Filing::default() };
        Usage { documents: 1, bytes: self.store.entries.share(&slot.key, document_len, &filing) }
    }

    /// Evicts enough for a write under those names, by small steps; says whether it is worth trying again. What is to be written anew does
    /// not go.
    ///
    /// # Errors
    /// [`StoreError::OverLimit`] for what there is no room for, however much goes: nothing goes then.
    pub(crate) async fn make_room(
        &self,
        settled: &Settled,
        demand: Demand,
        names: &[&[u8]],
    ) -> Result<bool, StoreError> {
        let Some(limit) = settled.settings.limit() else { return Ok(false) };
        let needed = demand.needed;
        if let Some(max_bytes) = settled.settings.max_bytes.filter(|max_bytes| needed.bytes > *max_bytes) {
            return Err(StoreError::OverLimit { namespace: self.name.clone(), len: needed.bytes, limit: max_bytes });
        }
        if needed.documents > limit.documents {
            return Ok(false);
        }
        let room = demand.room(limit);
        if settled.settings.eviction.is_none() {
            // Others may have made it meanwhile; or it is another namespace of a transaction that is full.
            let usage = self.store.entries.usage(ENTRIES, &self.group()).await?;
            return Ok(usage.is_within(room) || self.expire_some(MAX_STEP).await? > 0);
        }
        self.write_uses(settled).await;
        let spared = self.spared(settled, names);
        let spare = Usage {
            documents: room.documents.saturating_sub(limit.documents / SPARES),
            bytes: room.bytes.saturating_sub(limit.bytes / SPARES),
        };
        let mut has_gone = false;
        for _ in 0..MAX_STEPS {
            let usage = self.store.entries.usage(ENTRIES, &self.group()).await?;
            let needed = excess(usage, room);
            // Others may have made it meanwhile.
            if needed == 0 {
                return Ok(true);
            }
            let more = excess(usage, spare).saturating_sub(needed).min(SPARE_STEP);
            let step = self.evict_some(usage, room, (needed + more).min(MAX_STEP), &spared).await?;
            has_gone |= step.went() > 0 || step.is_contended;
            if step.went() == 0 && !step.is_contended {
                break;
            }
        }
        Ok(has_gone)
    }

    /// Evicts a little where the soft limit is passed, now that so much was put under those names.
    ///
    /// Most calls only count: it looks after each 256th part of the limit, and goes on at each put until the soft limit is kept.
    pub(crate) async fn keep_soft_limit(&self, settled: &Settled, put: Usage, names: &[&[u8]]) {
        let (Some(limit), Some(eviction)) = (settled.settings.limit(), settled.settings.eviction) else { return };
        let room = &self.state.room;
        if !room.put(put, limit) {
            return;
        }
        let Some(_look) = room.look() else { return };
        if eviction == Eviction::LeastFrequentlyUsed {
            self.learn_floor(settled).await;
        }
        // What was asked for is done already: whatever fails here is tried again at the next put.
        let Ok(usage) = self.store.entries.usage(ENTRIES, &self.group()).await else { return };
        let excess = excess(usage, soft(limit));
        let mut is_over = false;
        if excess > 0 {
            // What was just put does not go, be it the largest or the least used.
            let spared = self.spared(settled, names);
            let step = self.evict_some(usage, soft(limit), excess.min(SPARE_STEP), &spared).await;
            // Where nothing can go, the next look is due after as much as before this one.
            is_over = excess > SPARE_STEP && step.is_ok_and(|step| step.went() > 0 || step.is_contended);
        }
        room.is_over.store(is_over, Ordering::Relaxed);
    }

    /// Returns where entries lie that do not go.
    fn spared(&self, settled: &Settled, names: &[&[u8]]) -> Vec<DocumentKey> {
        names.iter().filter_map(|name| self.slot(settled, name).ok()).map(|slot| slot.key).collect()
    }

    /// Returns what the keys of the namespace's entries begin with: the group that they are counted in.
    pub(crate) fn group(&self) -> Vec<u8> {
        crate::name::prefix(&self.name, &[])
    }
}

/// Returns the soft limit that belongs to a hard one: what is kept by evicting a little beside the puts.
pub(crate) const fn soft(limit: Usage) -> Usage {
    Usage { documents: limit.documents - limit.documents / 10, bytes: limit.bytes - limit.bytes / 10 }
}

/// Returns how many entries have to go, as far as entries of middling length say.
pub(crate) fn excess(usage: Usage, keep: Usage) -> u64 {
    let mean = (usage.bytes / usage.documents.max(1)).max(1);
    let documents = usage.documents.saturating_sub(keep.documents);
    documents.max(usage.bytes.saturating_sub(keep.bytes).div_ceil(mean)).min(usage.documents)
}

/// Returns how many bytes an entry takes beside its document: the file of its blob.
pub(crate) fn extra_bytes(entry: &Entry) -> u64 {
    match &entry.blob {
        None => 0,
        Some(_) => {
            let chunks = entry.stat.len.div_ceil(Params::default().chunk_size.bytes() as u64).max(1);
            let stored = entry.stat.len + HEADER_LEN as u64 + chunks * TAG_LEN as u64;
            stored.next_multiple_of(BLOCK_LEN).min(Filing::MAX_EXTRA_BYTES)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Usage = Usage { documents: 1_000, bytes: u64::MAX };
    const ONE: Usage = Usage { documents: 1, bytes: 1 };

    #[test]
    fn a_process_looks_first_then_now_and_then_and_goes_on_while_the_limit_is_passed() {
        let room = Room::default();
        assert!(room.put(ONE, LIMIT), "nobody has looked yet");
        drop(room.look().unwrap());
        room.is_over.store(false, Ordering::Relaxed);
        assert_eq!([(); 4].map(|()| room.put(ONE, LIMIT)), [false, false, true, true]);
        let look = room.look();
        assert!(look.is_some() && room.look().is_none(), "one thread looks");
        drop(look);
        assert!(!room.put(ONE, LIMIT));
        room.is_over.store(true, Ordering::Relaxed);
        assert!(room.put(ONE, LIMIT));
    }

    #[test]
    fn bytes_are_looked_at_as_entries_are() {
        let room = Room::default();
        room.is_over.store(false, Ordering::Relaxed);
        let limit = Usage { documents: u64::MAX, bytes: 256_000 };
        assert!(!room.put(Usage { documents: 1, bytes: 999 }, limit));
        assert!(room.put(ONE, limit));
    }

    #[test]
    fn what_goes_with_a_write_makes_room_for_it() {
        let usage = |documents, bytes| Usage { documents, bytes };
        let mut demand = Demand { needed: usage(1, 10), held: usage(1, 7) };
        assert_eq!(demand.room(usage(5, 100)), usage(5, 97));
        demand.add(Demand { needed: usage(1, 200), held: Usage::default() });
        assert_eq!(demand.room(usage(5, 100)), usage(4, 0));
        assert_eq!(demand.room(usage(u64::MAX, u64::MAX)).bytes, u64::MAX - 210);
    }

    #[test]
    fn no_more_goes_than_there_is() {
        let usage = Usage { documents: 10, bytes: 1_000 };
        let keep = |documents, bytes| excess(usage, Usage { documents, bytes });
        assert_eq!([keep(10, 1_000), keep(8, 1_000), keep(10, 999), keep(8, 650), keep(0, 0)], [0, 2, 1, 4, 10]);
        assert_eq!(excess(Usage::default(), Usage { documents: 0, bytes: 0 }), 0);
        assert_eq!(excess(Usage { documents: 0, bytes: 5 }, Usage { documents: 0, bytes: 0 }), 0);
    }

    #[test]
    fn small_limits_are_soft_where_they_are_hard() {
        assert_eq!(soft(Usage { documents: 9, bytes: u64::MAX }).documents, 9);
        assert_eq!(soft(Usage { documents: 10, bytes: 100 }), Usage { documents: 9, bytes: 90 });
    }

    #[test]
    fn the_floor_only_rises() {
        let room = Room::default();
        assert_eq!(room.floor(), None);
        room.raise_floor(0);
        assert_eq!(room.floor(), Some(1));
        room.raise_floor(7);
        room.raise_floor(3);
        assert_eq!(room.floor(), Some(7));
    }
}
