//! Prepared key versions, kept for the next call.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bulla_backend::ChangeMark;
use bulla_seal::KeyVersionId;

use crate::{KeyName, KeyVersion};

/// Most versions, and most keys, that are kept prepared.
const MAX_PREPARED: usize = 1_024;

/// The newest version of a key, as far as this process knows.
#[derive(Debug, Clone)]
pub(crate) struct Newest {
    /// The version.
    pub(crate) version: Arc<KeyVersion>,
    /// The state of the collection in which it was seen to be the newest; `None` if it has to be looked up again.
    pub(crate) mark: Option<ChangeMark>,
}

/// Prepared versions by id, and the newest version of each key.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    versions: Recent<KeyVersionId, Arc<KeyVersion>>,
    newest: Recent<KeyName, Newest>,
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
struct Recent<K, V> {
    entries: HashMap<K, (V, u64)>,
    uses: u64,
}

impl<K: Eq + Hash + Clone, V> Recent<K, V> {
    fn find(&mut self, key: &K) -> Option<&mut V> {
        self.uses += 1;
        let (value, used) = self.entries.get_mut(key)?;
        *used = self.uses;
        Some(value)
    }

    fn keep(&mut self, key: K, value: V) {
        if self.entries.len() >= MAX_PREPARED && !self.entries.contains_key(&key) {
            let oldest = self.entries.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| key.clone());
            oldest.and_then(|key| self.entries.remove(&key));
        }
        self.uses += 1;
        self.entries.insert(key, (value, self.uses));
    }
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), uses: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_longest_is_forgotten() {
        let mut recent = Recent::default();
        for key in 0..MAX_PREPARED {
            recent.keep(key, key);
        }
        assert!(recent.find(&0).is_some());
        recent.keep(MAX_PREPARED, MAX_PREPARED);
        assert_eq!(recent.entries.len(), MAX_PREPARED);
        assert!(recent.find(&0).is_some());
        assert!(recent.find(&1).is_none());
    }
}
