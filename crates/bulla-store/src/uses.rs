//! Uses of entries: noted in memory, and written down now and then as ranks (spec, "Limits").

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bulla_backend::{DocumentKey, Filing, Rerank, Timestamp};

use crate::namespace::Slot;
use crate::settings::Eviction;
use crate::settled::Settled;
use crate::store::ENTRIES;
use crate::{Namespace, StoreError};

/// Most entries whose uses are noted before they are written down: a fair sample of them where more are used. Writing down a use costs ten times
/// what reading the entry did, and so costs a busy process one or two hundredths of its time.
const MAX_NOTED: usize = 256;
/// How long uses are noted before they are written down.
const NOTED: Duration = Duration::from_secs(1);

/// Uses of entries that are not written down yet. They are lost with the process: a rank is a hint.
#[derive(Debug, Default)]
pub(crate) struct Uses(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    uses: HashMap<DocumentKey, Use>,
    /// The keys of `uses`, in no order.
    sample: Vec<DocumentKey>,
    /// How many uses there were of entries that were not among them.
    others: u64,
    /// Entries that were put when nobody knew yet with which rank one begins.
    put: Vec<DocumentKey>,
    /// When they were last written down; the first use of a process is at once.
    written: Timestamp,
}

/// How often an entry was used, and when last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Use {
    count: u64,
    last: Timestamp,
}

impl Uses {
    /// Notes a use; says whether it is time to write.
    fn note(&self, key: &DocumentKey, now: Timestamp) -> bool {
        let mut noted = self.noted();
        match noted.uses.get_mut(key) {
            Some(known) => *known = Use { count: known.count + 1, last: now },
            None => noted.note_other(key, now),
        }
        now < noted.written || now >= noted.written.saturating_add(NOTED)
    }

    /// Notes an entry that is put with a rank that is too low.
    fn note_put(&self, key: &DocumentKey) {
        let mut noted = self.noted();
        if noted.put.len() < MAX_NOTED {
            noted.put.push(key.clone());
        }
    }

    fn take(&self, now: Timestamp) -> HashMap<DocumentKey, Use> {
        let mut noted = self.noted();
        (noted.written, noted.others) = (now, 0);
        noted.sample.clear();
        std::mem::take(&mut noted.uses)
    }

    fn take_put(&self) -> Vec<DocumentKey> {
        std::mem::take(&mut self.noted().put)
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        // Every change is a single one, so that what a panicking thread left behind is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
    /// Notes the use of an entry that is not among the noted ones. Where those are many, it takes the place of one of them with the chance that
    /// keeps the sample fair (Vitter, "Random sampling with a reservoir", 1985, algorithm R).
    fn note_other(&mut self, key: &DocumentKey, now: Timestamp) {
        self.others += 1;
        if self.sample.len() < MAX_NOTED {
            self.sample.push(key.clone());
        } else {
            // Nobody gains by guessing it: a rank is a hint.
            let drawn = mixed(self.others ^ now.0.rotate_left(32)) % self.others;
            let Some(place) = usize::try_from(drawn).ok().and_then(|at| self.sample.get_mut(at)) else { return };
            self.uses.remove(&std::mem::replace(place, key.clone()));
        }
        self.uses.insert(key.clone(), Use { count: 1, last: now });
    }
}

/// Returns a number that depends on all bits of another (Steele, Lea and Flood, `SplitMix64`, OOPSLA 2014).
const fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl Namespace {
    /// Notes that an entry was read, where that counts.
    pub(crate) async fn used(&self, key: &DocumentKey) {
        let Ok(settled) = self.reading().await else { return };
        let counts =
            matches!(settled.settings.eviction, Some(Eviction::LeastRecentlyUsed | Eviction::LeastFrequentlyUsed));
        if counts && self.state.uses.note(key, self.store.clock.now()) {
            self.write_uses(&settled).await;
        }
    }

    /// Writes down what uses were noted. Ranks only: no revision changes, and readers notice nothing.
    pub(crate) async fn write_uses(&self, settled: &Settled) {
        let rerank: fn(Use) -> Rerank = match settled.settings.eviction {
            Some(Eviction::LeastRecentlyUsed) => |used| Rerank::Raise(used.last.0.min(Filing::MAX_RANK)),
            Some(Eviction::LeastFrequentlyUsed) => |used| Rerank::Add(used.count),
            Some(Eviction::LeastRecentlyStored) | None => return,
        };
        let uses = self.state.uses.take(self.store.clock.now());
        let changes: Vec<_> = uses.into_iter().map(|(key, used)| (key, rerank(used))).collect();
        if !changes.is_empty() {
            // A rank is a hint: reading does not fail because it could not be written.
            let _ = self.store.entries.rerank(ENTRIES, &changes).await;
        }
    }

    /// Returns the rank with which an entry begins where uses are counted: one use more than what was evicted last.
    ///
    /// This is least frequently used with dynamic ageing (Arlitt, Cherkasova, Dilley, Friedrich and Jin, "Evaluating Content Management
    /// Techniques for Web Proxy Caches", 2000): ranks are uses on top of how far eviction had come, so that what was used often
    /// once, and is not any more, is overtaken.
    pub(crate) fn first_rank(&self, slot: &Slot) -> u64 {
        self.state.room.floor().unwrap_or_else(|| {
            self.state.uses.note_put(&slot.key);
            1
        })
    }

    /// Learns how far eviction has come, and raises what was put before that was known.
    pub(crate) async fn learn_floor(&self, settled: &Settled) {
        if self.try_learn_floor().await.is_ok() && settled.settings.eviction == Some(Eviction::LeastFrequentlyUsed) {
            let floor = self.state.room.floor().unwrap_or(1);
            let changes: Vec<_> =
                self.state.uses.take_put().into_iter().map(|key| (key, Rerank::Raise(floor))).collect();
            if !changes.is_empty() {
                let _ = self.store.entries.rerank(ENTRIES, &changes).await;
            }
        }
    }

    async fn try_learn_floor(&self) -> Result<(), StoreError> {
        // Other processes evict too. Among the lowest are those that this one put too low itself.
        let lowest = self.store.entries.lowest(ENTRIES, &self.group(), MAX_NOTED + 1).await?;
        let own = self.state.uses.noted().put.clone();
        let lowest = lowest.iter().filter(|filed| !own.contains(&filed.key)).find_map(|filed| filed.filing.rank);
        self.state.room.raise_floor(lowest.unwrap_or(1));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> DocumentKey {
        DocumentKey::new(number.to_be_bytes()).unwrap()
    }

    #[test]
    fn uses_are_written_at_first_and_after_a_second() {
        let uses = Uses::default();
        let now = Timestamp(1_000_000);
        assert!(uses.note(&key(0), now), "a process that reads one entry and ends counts too");
        assert_eq!(uses.take(now).len(), 1);
        for _ in 0..1_000 {
            assert!(!uses.note(&key(0), now), "one entry is noted once");
        }
        assert_eq!(uses.take(now)[&key(0)], Use { count: 1_000, last: now });
        assert!(!uses.note(&key(0), Timestamp(1_000_999)));
        assert!(uses.note(&key(0), Timestamp(1_001_000)));
        assert!(uses.note(&key(0), Timestamp(5)), "a clock that went back stops nothing");
    }

    #[test]
    fn of_many_entries_a_fair_sample_is_noted() {
        let uses = Uses::default();
        let entries = 10_000;
        let mut noted = vec![0_u32; 10];
        for round in 0..40 {
            for number in 0..entries {
                uses.note(&key(number), Timestamp(round));
                uses.note_put(&key(number));
            }
            let taken = uses.take(Timestamp(round));
            assert_eq!((taken.len(), uses.take_put().len()), (MAX_NOTED, MAX_NOTED));
            for number in taken.keys().map(|key| usize::from_be_bytes(key.as_bytes().try_into().unwrap())) {
                noted[number * 10 / entries] += 1;
            }
        }
        // 1,024 in each tenth, give or take four standard deviations.
        assert!(noted.iter().all(|count| (900..1_150).contains(count)), "{noted:?}");
    }
}
