//! The memory tier: opened values that are held for the next reader (spec, "Memory tier").

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bulla_backend::{ChangeMark, DocumentKey, Revision};
use bulla_seal::KeyVersionId;
use zeroize::Zeroizing;

use crate::entry::EntryStat;
use crate::store::ENTRIES;
use crate::{ExpectedVersion, GetOptions, Namespace, NamespaceSettings, Store, StoreError, Value};

/// What a held value takes beside its bytes, its key and its texts, at most.
const OVERHEAD: usize = 320;
/// Which part of all memory one value takes at most, so that it does not push out all others.
const SHARE: usize = 8;

/// Opened values, bounded in bytes. They are wiped when they go.
pub(crate) struct MemoryTier {
    most: usize,
    clock: Mutex<Clock>,
}

/// A value as it was opened.
pub(crate) struct Held {
    stat: EntryStat,
    value: Zeroizing<Vec<u8>>,
    pub(crate) origin: Origin,
}

/// Which document a value was opened from, and under what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) revision: Revision,
    pub(crate) key_version: KeyVersionId,
}

/// What looking into memory came to.
pub(crate) enum Recalled {
    /// A value that is what the storage has now.
    Value(Value),
    /// None. What is then read may be held, if there is a look.
    Nothing(Option<Look>),
}

/// A look into memory that found nothing.
pub(crate) struct Look {
    key: DocumentKey,
    /// The state of the entries before the value is read: what changes in between is noticed by the next look.
    mark: Option<ChangeMark>,
}

/// Whether values of a namespace may be in memory.
#[derive(Debug, Default)]
pub(crate) struct HoldsAny(AtomicBool);

impl Namespace {
    /// Looks for a value in memory, and makes sure that it is still what the storage has (spec, "Memory tier").
    pub(crate) async fn recall(&self, name: &[u8], options: &GetOptions) -> Result<Recalled, StoreError> {
        let settled = self.reading().await?;
        let Store { keyring, entries, clock, shared, .. } = &self.store;
        if !settled.settings.memory_tier {
            return Ok(Recalled::Nothing(None));
        }
        let slot = self.slot(&settled, name)?;
        let mark = entries.change_mark(ENTRIES).await?;
        let Some((held, seen)) = shared.memory.find(&slot.key) else {
            return Ok(Recalled::Nothing(Some(Look { key: slot.key, mark })));
        };
        let is_current = if mark.is_some() && mark == seen {
            true
        } else {
            let found = entries.get(ENTRIES, &slot.key).await?.map(|document| document.revision);
            found == Some(held.origin.revision) && {
                shared.memory.confirm(&slot.key, held.origin.revision, mark);
                true
            }
        };
        // The version of the key must still be allowed to open, as for a reader of the storage.
        if !is_current
            || held.stat.is_expired(clock.now())
            || keyring.version(self.name.key(), held.origin.key_version).await.is_err()
        {
            shared.memory.forget(&slot.key);
            return Ok(Recalled::Nothing(Some(Look { key: slot.key, mark })));
        }
        let found = held.stat.version;
        if let Some(expected) = options.expected.filter(|expected| *expected != found) {
            let (place, expected) = (self.place(name), ExpectedVersion::Version(expected));
            return Err(StoreError::VersionMismatch { place, expected, found: Some(found) });
        }
        self.used(&slot.key).await;
        self.was_read(&settled, name);
        Ok(Recalled::Value(Value { stat: held.stat.clone(), bytes: held.value.to_vec() }))
    }

    /// Forgets all values where the settings do not allow any more that they are held; called whenever settings were read.
    pub(crate) fn hold_by(&self, settings: &NamespaceSettings) {
        if !settings.memory_tier && self.state.holds_any.0.swap(false, Ordering::Relaxed) {
            self.store.shared.memory.forget_all(&self.group());
        }
    }

    /// Forgets a value that was replaced or removed. Nobody would get it any more; now it is wiped as well.
    pub(crate) async fn forget_held(&self, name: &[u8]) {
        if self.state.holds_any.0.load(Ordering::Relaxed)
            && let Ok(settled) = self.settled().await
            && let Ok(slot) = self.slot(&settled, name)
        {
            self.store.shared.memory.forget(&slot.key);
        }
    }

    /// Holds a value that was read after a look, unless it is sensitive.
    pub(crate) fn hold(&self, look: Option<Look>, value: &Value, origin: Origin) {
        if let Some(look) = look.filter(|_| !value.stat.sensitive) {
            self.state.holds_any.0.store(true, Ordering::Relaxed);
            self.store.shared.memory.hold(&look, value, origin);
        }
    }
}

impl MemoryTier {
    /// Makes an empty one, for at most so many bytes.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, clock: Mutex::default() }
    }

    /// Returns a held value, and the state of the entries in which it was last seen to be what the storage has.
    fn find(&self, key: &DocumentKey) -> Option<(Arc<Held>, Option<ChangeMark>)> {
        let mut clock = self.clock();
        let place = clock.place(key)?;
        place.is_used = true;
        Some((Arc::clone(&place.held), place.mark))
    }

    /// Notes that a value is still what the storage has.
    fn confirm(&self, key: &DocumentKey, revision: Revision, mark: Option<ChangeMark>) {
        if let Some(place) = self.clock().place(key)
            && place.held.origin.revision == revision
        {
            place.mark = mark;
        }
    }

    fn hold(&self, look: &Look, value: &Value, origin: Origin) {
        let Look { key, mark } = look;
        let texts = value.stat.tags.iter().chain(&value.stat.media_type).map(|text| text.len() + 32).sum::<usize>();
        let len = value.bytes.len() + 2 * key.as_bytes().len() + texts + OVERHEAD;
        if len > self.most / SHARE {
            self.forget(key);
            return;
        }
        // Copied before anybody has to wait.
        let held = Held { stat: value.stat.clone(), value: Zeroizing::new(value.bytes.clone()), origin };
        let place = Place { key: key.as_bytes().into(), held: Arc::new(held), mark: *mark, len, is_used: false };
        self.clock().put(place, self.most);
    }

    /// Forgets a value, if it is held.
    pub(crate) fn forget(&self, key: &DocumentKey) {
        let mut clock = self.clock();
        if let Some(at) = clock.by_key.get(key.as_bytes()).copied() {
            clock.remove(at);
        }
    }

    /// Forgets all values of which the keys begin so.
    fn forget_all(&self, prefix: &[u8]) {
        let mut clock = self.clock();
        let found = clock.by_key.iter().filter(|(key, _)| key.starts_with(prefix)).map(|(_, at)| *at);
        for at in found.collect::<Vec<_>>() {
            clock.remove(at);
        }
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        // Nothing in here panics half-way: it allocates, and moves what is whole.
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = self.clock();
        f.debug_struct("MemoryTier")
            .field("most", &self.most)
            .field("bytes", &clock.bytes)
            .field("values", &clock.by_key.len())
            .finish()
    }
}

/// Values in a ring, which a hand goes round to find one that goes: the first that was not used since it last came by. (Corbató, "A
/// Paging Experiment with the Multics System", 1968.)
#[derive(Default)]
struct Clock {
    by_key: HashMap<Arc<[u8]>, usize>,
    ring: Vec<Option<Place>>,
    free: Vec<usize>,
    hand: usize,
    bytes: usize,
}

/// A place in the ring.
struct Place {
    key: Arc<[u8]>,
    held: Arc<Held>,
    mark: Option<ChangeMark>,
    /// How many bytes it counts with.
    len: usize,
    is_used: bool,
}

impl Clock {
    fn place(&mut self, key: &DocumentKey) -> Option<&mut Place> {
        let at = *self.by_key.get(key.as_bytes())?;
        self.ring.get_mut(at)?.as_mut()
    }

    /// Puts a value in, and others out until there are no more than so many bytes.
    fn put(&mut self, place: Place, most: usize) {
        if let Some(at) = self.by_key.get(&*place.key).copied() {
            self.remove(at);
        }
        while self.bytes + place.len > most && !self.by_key.is_empty() {
            self.turn();
        }
        self.bytes += place.len;
        let at = self.free.pop().unwrap_or_else(|| {
            self.ring.push(None);
            self.ring.len() - 1
        });
        self.by_key.insert(Arc::clone(&place.key), at);
        self.ring[at] = Some(place);
    }

    /// Moves the hand one place on.
    fn turn(&mut self) {
        let at = self.hand;
        self.hand = if at + 1 < self.ring.len() { at + 1 } else { 0 };
        match self.ring.get_mut(at) {
            Some(Some(place)) if place.is_used => place.is_used = false,
            Some(Some(_)) => self.remove(at),
            _ => {}
        }
    }

    fn remove(&mut self, at: usize) {
        if let Some(place) = self.ring.get_mut(at).and_then(Option::take) {
            self.by_key.remove(&*place.key);
            self.bytes -= place.len;
            self.free.push(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use bulla_backend::Timestamp;

    use super::*;

    const ORIGIN: Origin = Origin { revision: Revision(1), key_version: KeyVersionId([7; 8]) };

    fn look(number: u32) -> Look {
        Look { key: DocumentKey::new(number.to_be_bytes()).unwrap(), mark: Some(ChangeMark(1)) }
    }

    fn value(len: usize) -> Value {
        let stat = EntryStat {
            version: 1,
            created: Timestamp(0),
            expires: None,
            media_type: None,
            tags: Vec::new(),
            compute_time: None,
            sensitive: false,
            len: len as u64,
        };
        Value { stat, bytes: vec![0x5a; len] }
    }

    fn counted(tier: &MemoryTier) -> (usize, usize) {
        let clock = tier.clock();
        let places = clock.ring.iter().flatten();
        assert_eq!(places.clone().map(|place| place.len).sum::<usize>(), clock.bytes);
        assert_eq!(places.count(), clock.by_key.len());
        assert_eq!(clock.ring.len(), clock.by_key.len() + clock.free.len());
        (clock.by_key.len(), clock.bytes)
    }

    #[test]
    fn it_is_bounded_in_bytes_whatever_is_held() {
        let tier = MemoryTier::new(100_000);
        for number in 0..10_000 {
            tier.hold(&look(number), &value((number as usize * 37) % 15_000), ORIGIN);
            let (_, bytes) = counted(&tier);
            assert!(bytes <= 100_000);
        }
        let (values, bytes) = counted(&tier);
        assert!(values > 5 && bytes > 80_000, "{values} values of {bytes} bytes");
        for number in 0..10_000 {
            tier.forget(&look(number).key);
        }
        assert_eq!(counted(&tier), (0, 0));
    }

    #[test]
    fn what_is_used_stays_longer_than_what_is_not() {
        let tier = MemoryTier::new(20 * 1_400);
        for number in 0..10 {
            tier.hold(&look(number), &value(1_000), ORIGIN);
        }
        for number in 10..1_000 {
            for used in 0..5 {
                assert!(tier.find(&look(used).key).is_some(), "{used} after {number}");
            }
            tier.hold(&look(number), &value(1_000), ORIGIN);
        }
        assert!((5..10).all(|unused| tier.find(&look(unused).key).is_none()));
    }

    #[test]
    fn a_value_that_takes_more_than_its_share_is_not_held_and_neither_is_its_predecessor() {
        let tier = MemoryTier::new(80_000);
        tier.hold(&look(1), &value(1_000), ORIGIN);
        tier.hold(&look(1), &value(10_000), ORIGIN);
        assert_eq!(counted(&tier), (0, 0));
        let none = MemoryTier::new(0);
        none.hold(&look(1), &value(0), ORIGIN);
        assert_eq!(counted(&none), (0, 0));
    }

    #[test]
    fn a_value_is_held_once_and_confirmed_only_as_what_it_is() {
        let tier = MemoryTier::new(80_000);
        tier.hold(&look(1), &value(10), ORIGIN);
        tier.hold(&look(1), &value(20), Origin { revision: Revision(2), ..ORIGIN });
        assert_eq!(counted(&tier).0, 1);
        tier.confirm(&look(1).key, Revision(1), Some(ChangeMark(9)));
        assert_eq!(tier.find(&look(1).key).unwrap().1, Some(ChangeMark(1)));
        tier.confirm(&look(1).key, Revision(2), Some(ChangeMark(9)));
        assert_eq!(tier.find(&look(1).key).unwrap().1, Some(ChangeMark(9)));
    }

    #[test]
    fn one_namespace_is_forgotten_without_its_neighbours() {
        let tier = MemoryTier::new(80_000);
        for key in [&b"a\0x"[..], b"a\0y", b"a/b\0x", b"ab\0x"] {
            tier.hold(&Look { key: DocumentKey::new(key).unwrap(), mark: None }, &value(10), ORIGIN);
        }
        tier.forget_all(b"a\0");
        assert_eq!(counted(&tier).0, 2);
        assert!(tier.find(&DocumentKey::new(&b"a/b\0x"[..]).unwrap()).is_some());
    }
}
