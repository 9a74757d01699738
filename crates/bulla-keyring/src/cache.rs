//! Prepared key versions and descriptions of keys, kept for the next call.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bulla_backend::{ChangeMark, Timestamp};
use bulla_seal::KeyVersionId;

use crate::KeyName;
use crate::format::KeyBody;
use crate::key::Version;

/// Most versions, and most keys, that are kept prepared.
const MAX_PREPARED: usize = 1_024;
/// Most keys of which it is remembered how far they were; 18 MiB if all their names were as long as may be.
const MAX_SEEN: usize = 16_384;

/// The description of a key, as far as this process knows.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) body: KeyBody,
    /// Epoch of the data key that authenticates it.
    pub(crate) epoch: u64,
    /// The state of the collection in which it was seen; `None` if the backend has no marks.
    pub(crate) mark: Option<ChangeMark>,
    /// When it was last seen to stand.
    looked: AtomicU64,
    /// Its newest version, once somebody sealed under it.
    newest: OnceLock<Arc<Version>>,
    /// How many uses of the newest version this process still has, where they are counted.
    allowance: Option<Arc<Allowance>>,
}

impl Described {
    pub(crate) fn new(
        body: KeyBody,
        epoch: u64,
        mark: Option<ChangeMark>,
        looked: Timestamp,
        allowance: Option<Arc<Allowance>>,
    ) -> Self {
        Self { body, epoch, mark, looked: AtomicU64::new(looked.0), newest: OnceLock::new(), allowance }
    }

    /// Says whether it was seen to stand within the last `span`. A clock that went back makes it old.
    pub(crate) fn is_within(&self, span: Duration, now: Timestamp) -> bool {
        let looked = self.looked.load(Ordering::Relaxed);
        now.0.checked_sub(looked).is_some_and(|age| u128::from(age) <= span.as_millis())
    }

    /// Notes that it was seen to stand.
    pub(crate) fn stands(&self, now: Timestamp) {
        self.looked.store(now.0, Ordering::Relaxed);
    }

    pub(crate) fn newest(&self) -> Option<&Arc<Version>> {
        self.newest.get()
    }

    pub(crate) fn set_newest(&self, version: Arc<Version>) -> &Arc<Version> {
        self.newest.get_or_init(|| version)
    }

    pub(crate) fn allowance(&self) -> Option<&Arc<Allowance>> {
        self.allowance.as_ref()
    }
}

/// Uses of a version that were reserved, and not made yet.
#[derive(Debug, Default)]
pub(crate) struct Allowance(AtomicU64);

impl Allowance {
    /// Takes at most `wanted` uses; returns how many there were.
    pub(crate) fn take(&self, wanted: u64) -> u64 {
        let took = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(wanted)));
        took.unwrap_or(0).min(wanted)
    }

    pub(crate) fn add(&self, uses: u64) {
        self.0.fetch_add(uses, Ordering::Relaxed);
    }
}

/// What a key was seen to be: what tells a key that has gone back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) serial: u64,
    pub(crate) number: u64,
    pub(crate) id: KeyVersionId,
}

impl Seen {
    pub(crate) fn of(body: &KeyBody) -> Self {
        Self { serial: body.serial, number: body.newest, id: body.newest_id }
    }
}

/// Prepared versions by id, descriptions of keys, and, for more keys, how far they were.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    versions: Recent<KeyVersionId, Arc<Version>, MAX_PREPARED>,
    described: Recent<KeyName, Arc<Described>, MAX_PREPARED>,
    allowances: Recent<KeyVersionId, Arc<Allowance>, MAX_PREPARED>,
    seen: Recent<KeyName, Seen, MAX_SEEN>,
}

impl Cache {
    pub(crate) fn version(&self, id: KeyVersionId) -> Option<Arc<Version>> {
        self.kept().versions.find(&id).cloned()
    }

    /// Returns a version with the description of its key, as far as either is known.
    pub(crate) fn version_and_key(&self, id: KeyVersionId) -> Option<(Arc<Version>, Option<Arc<Described>>)> {
        let mut kept = self.kept();
        let version = kept.versions.find(&id).cloned()?;
        let described = kept.described.find(&version.name).cloned();
        Some((version, described))
    }

    pub(crate) fn keep_version(&self, version: Arc<Version>) {
        self.kept().versions.keep(version.id, version);
    }

    /// Forgets everything. Where an older copy of the database was accepted, what was seen before is no measure any more.
    pub(crate) fn forget_all(&self) {
        *self.kept() = Kept::default();
    }

    /// Forgets the material of a version.
    pub(crate) fn forget_version(&self, id: KeyVersionId) {
        let mut kept = self.kept();
        kept.versions.forget(&id);
        kept.allowances.forget(&id);
    }

    pub(crate) fn described(&self, name: &KeyName) -> Option<Arc<Described>> {
        self.kept().described.find(name).cloned()
    }

    pub(crate) fn keep_described(&self, name: &KeyName, described: &Arc<Described>) {
        self.kept().described.keep(name.clone(), Arc::clone(described));
    }

    /// Makes the next caller look at a key again.
    pub(crate) fn doubt(&self, name: &KeyName) {
        self.kept().described.forget(name);
    }

    /// Returns the uses of a version that this process still has.
    pub(crate) fn allowance(&self, id: KeyVersionId) -> Arc<Allowance> {
        let mut kept = self.kept();
        if let Some(known) = kept.allowances.find(&id) {
            return Arc::clone(known);
        }
        let allowance = Arc::new(Allowance::default());
        kept.allowances.keep(id, Arc::clone(&allowance));
        allowance
    }

    pub(crate) fn seen(&self, name: &KeyName) -> Option<Seen> {
        self.kept().seen.find(name).copied()
    }

    /// Remembers how far a key is, unless it was further before.
    pub(crate) fn saw(&self, name: &KeyName, seen: Seen) {
        let mut kept = self.kept();
        // Of two descriptions of one serial number the first one seen is remembered, so that the other is noticed.
        if kept.seen.find(name).is_none_or(|before| before.serial < seen.serial) {
            kept.seen.keep(name.clone(), seen);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Every change is a single insertion, so that what a panicking thread left behind is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A bounded map that forgets what was not asked for longest.
#[derive(Debug)]
struct Recent<K, V, const MAX: usize> {
    entries: HashMap<K, (V, u64)>,
    uses: u64,
}

impl<K: Eq + Hash + Clone, V, const MAX: usize> Recent<K, V, MAX> {
    fn find(&mut self, key: &K) -> Option<&mut V> {
        self.uses += 1;
        let (value, used) = self.entries.get_mut(key)?;
        *used = self.uses;
        Some(value)
    }

    fn keep(&mut self, key: K, value: V) {
        if self.entries.len() >= MAX && !self.entries.contains_key(&key) {
            self.forget_oldest();
        }
        self.uses += 1;
        self.entries.insert(key, (value, self.uses));
    }

    fn forget(&mut self, key: &K) {
        self.entries.remove(key);
    }

    /// Forgets an eighth of the entries at once, so that going through all of them is paid for by as many insertions.
    fn forget_oldest(&mut self) {
        let mut used: Vec<u64> = self.entries.values().map(|(_, used)| *used).collect();
        let (_, limit, _) = used.select_nth_unstable(MAX / 8);
        let limit = *limit;
        self.entries.retain(|_, (_, used)| *used >= limit);
    }
}

impl<K, V, const MAX: usize> Default for Recent<K, V, MAX> {
    fn default() -> Self {
        Self { entries: HashMap::new(), uses: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_longest_is_forgotten() {
        const MAX: usize = 100;
        let mut recent = Recent::<usize, usize, MAX>::default();
        for key in 0..MAX {
            recent.keep(key, key);
        }
        assert!(recent.find(&0).is_some());
        for key in MAX..MAX + 50 {
            recent.keep(key, key);
            assert!(recent.entries.len() <= MAX);
            assert!(recent.find(&0).is_some());
        }
        assert!(recent.find(&1).is_none());
        assert!(recent.find(&(MAX + 49)).is_some());
    }

    #[test]
    fn how_far_a_key_was_is_remembered_for_longer_than_it_is_prepared() {
        let cache = Cache::default();
        let name = |number: usize| format!("k/{number}").parse::<KeyName>().unwrap();
        let seen = |serial, id| Seen { serial, number: 2, id: KeyVersionId([id; 8]) };
        for number in 0..=MAX_PREPARED {
            cache.saw(&name(number), seen(2, 1));
        }
        assert_eq!(cache.seen(&name(0)), Some(seen(2, 1)));
        cache.saw(&name(0), seen(2, 9));
        cache.saw(&name(0), seen(1, 9));
        assert_eq!(cache.seen(&name(0)), Some(seen(2, 1)), "another description of the same serial number");
        cache.saw(&name(0), seen(3, 9));
        assert_eq!(cache.seen(&name(0)), Some(seen(3, 9)));
    }

    #[test]
    fn no_use_is_given_out_twice() {
        let allowance = Allowance::default();
        assert_eq!(allowance.take(1), 0);
        allowance.add(1_000);
        let taken: u64 = std::thread::scope(|scope| {
            let takers = [(); 4].map(|()| scope.spawn(|| (0..200).map(|_| allowance.take(2)).sum::<u64>()));
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(taken, 1_000);
    }
}
