//! Prepared key versions, kept for the next call.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bulla_backend::ChangeMark;
use bulla_seal::KeyVersionId;

use crate::{KeyName, KeyVersion};

/// Most versions, and most keys, that are kept prepared.
const MAX_PREPARED: usize = 1_024;
/// Most keys of which it is remembered how far they were; 18 MiB if all their names were as long as may be.
const MAX_SEEN: usize = 16_384;

/// The newest version of a key, as far as this process knows.
#[derive(Debug, Clone)]
pub(crate) struct Newest {
    /// The version.
    pub(crate) version: Arc<KeyVersion>,
    /// The state of the collection in which it was seen to be the newest; `None` if it has to be looked up again.
    pub(crate) mark: Option<ChangeMark>,
}

/// The newest version that a key was seen to have: what tells a key that has gone back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) number: u64,
    pub(crate) id: KeyVersionId,
}

/// Prepared versions by id, the newest version of each key, and, for more keys, which one that was.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    versions: Recent<KeyVersionId, Arc<KeyVersion>, MAX_PREPARED>,
    newest: Recent<KeyName, Newest, MAX_PREPARED>,
    seen: Recent<KeyName, Seen, MAX_SEEN>,
}

impl Cache {
    pub(crate) fn version(&self, id: KeyVersionId) -> Option<Arc<KeyVersion>> {
        self.kept().versions.find(&id).cloned()
    }

    pub(crate) fn keep_version(&self, version: Arc<KeyVersion>) {
        self.kept().versions.keep(version.id(), version);
    }

    pub(crate) fn newest(&self, name: &KeyName) -> Option<Newest> {
        self.kept().newest.find(name).cloned()
    }

    pub(crate) fn seen(&self, name: &KeyName) -> Option<Seen> {
        self.kept().seen.find(name).copied()
    }

    /// Keeps a version as the newest of its key, unless a newer one is known, and returns the one that is kept.
    pub(crate) fn keep_newest(&self, found: Newest) -> Arc<KeyVersion> {
        let mut kept = self.kept();
        let name = found.version.name().clone();
        if let Some(known) = kept.newest.find(&name)
            && known.version.number() > found.version.number()
        {
            return Arc::clone(&known.version);
        }
        let version = Arc::clone(&found.version);
        let seen = Seen { number: version.number(), id: version.id() };
        // Of two versions of one number the first one seen is remembered, so that the other is noticed.
        if kept.seen.find(&name).is_none_or(|before| before.number < seen.number) {
            kept.seen.keep(name.clone(), seen);
        }
        kept.newest.keep(name, found);
        version
    }

    /// Makes the next caller look up the newest version of a key.
    pub(crate) fn doubt(&self, name: &KeyName) {
        if let Some(known) = self.kept().newest.find(name) {
            known.mark = None;
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
            let oldest = self.entries.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| key.clone());
            oldest.and_then(|key| self.entries.remove(&key));
        }
        self.uses += 1;
        self.entries.insert(key, (value, self.uses));
    }
}

impl<K, V, const MAX: usize> Default for Recent<K, V, MAX> {
    fn default() -> Self {
        Self { entries: HashMap::new(), uses: 0 }
    }
}

#[cfg(test)]
mod tests {
    use bulla_seal::SealKey;

    use super::*;
    use crate::Algorithm;

    #[test]
    fn what_was_not_used_longest_is_forgotten() {
        const MAX: usize = 100;
        let mut recent = Recent::<usize, usize, MAX>::default();
        for key in 0..MAX {
            recent.keep(key, key);
        }
        assert!(recent.find(&0).is_some());
        recent.keep(MAX, MAX);
        assert_eq!(recent.entries.len(), MAX);
        assert!(recent.find(&0).is_some());
        assert!(recent.find(&1).is_none());
    }

    #[test]
    fn how_far_a_key_was_is_remembered_for_longer_than_it_is_prepared() {
        let cache = Cache::default();
        let version = |name: usize, id: u64| {
            let key = SealKey::new(KeyVersionId(id.to_be_bytes()), &[7; 32]).unwrap();
            let name = format!("k/{name}").parse().unwrap();
            Newest { version: KeyVersion::new(name, 2, Algorithm::default(), key).into(), mark: None }
        };
        for name in 0..=MAX_PREPARED {
            cache.keep_newest(version(name, 1));
        }
        let first = "k/0".parse().unwrap();
        assert!(cache.newest(&first).is_none());
        let seen = Seen { number: 2, id: KeyVersionId(1_u64.to_be_bytes()) };
        assert_eq!(cache.seen(&first), Some(seen));
        cache.keep_newest(version(0, 9));
        assert_eq!(cache.seen(&first), Some(seen), "another version of the same number");
    }
}
