//! A bounded table of what is known about many, and what it forgets when it is full.
//!
//! # Security
//! Whoever has many addresses can make a table full. What must not follow is that the table forgets those it is there to hold back.
//! The argument that it does not:
//!
//! 1. What weighs nothing (a full bucket, a source that was quiet for long enough) is the same as what is not there. A full table drops
//!    all of it first, and nobody gains or loses by that.
//! 2. If everything weighs something, the lightest go, and of two that weigh the same the older: buckets from which least was taken, sources
//!    that guessed wrong least often. What is forgotten is a credit of at most that weight.
//! 3. A newcomer begins as the lightest of all. To have an entry of weight *w* forgotten, an attacker therefore has to bring all others of its part
//!    of the table to *w* or more, each under an address of its own: to be let off one emptied bucket it has to empty thousands. With so many
//!    addresses it could send those requests without the table being full; it gains one burst for thousands of bursts.
//! 4. Peers and verified principals have tables of their own: no stranger can have a principal forgotten.
//! 5. Which part of a table a key belongs to depends on a secret of this process (`SipHash`), so that one part cannot be aimed at.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Parts that are locked on their own, at most.
const MOST_PARTS: usize = 64;
/// Entries that make a part worth while.
const PART: usize = 1_024;
/// One of so many entries is dropped at once, so that a full table is looked through seldom.
const DROPPED_AT_ONCE: usize = 8;

/// What a table holds of one key.
pub(super) trait Value: Default {
    /// Says how much it would matter to forget this.
    fn weight(&self, now: u64) -> Weight;
}

/// Orders entries: the smallest is forgotten first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Weight {
    /// Zero means that there is nothing to forget.
    pub(super) load: u32,
    pub(super) since: u64,
}

/// A key, hashed under a secret of this process. Entries of two keys are one with a chance of 2^-64 a pair, which nobody can influence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key(u64);

type Part<V> = HashMap<Key, V, BuildHasherDefault<Hashed>>;

/// A table with room for a number of entries, and no more.
#[derive(Debug)]
pub(super) struct Table<V> {
    parts: Box<[Mutex<Part<V>>]>,
    room: usize,
    secret: RandomState,
}

impl<V: Value> Table<V> {
    /// Makes a table for so many entries, rounded up to what its parts hold.
    pub(super) fn new(entries: usize) -> Self {
        let parts = (entries / PART).clamp(1, MOST_PARTS);
        let room = entries.div_ceil(parts).max(1);
        Self { parts: (0..parts).map(|_| Mutex::default()).collect(), room, secret: RandomState::new() }
    }

    /// Makes a key of texts. No two lists of texts make the same one.
    pub(super) fn key(&self, texts: [&[u8]; 2]) -> Key {
        let mut hasher = self.secret.build_hasher();
        for text in texts {
            hasher.write_usize(text.len());
            hasher.write(text);
        }
        Key(hasher.finish())
    }

    /// Changes the entry of a key, and makes one if there is none.
    pub(super) fn change<R>(&self, key: Key, now: u64, change: impl FnOnce(&mut V) -> R) -> R {
        let mut part = self.part(key);
        if let Some(value) = part.get_mut(&key) {
            return change(value);
        }
        if part.len() >= self.room {
            make_room(&mut part, self.room, now);
        }
        change(part.entry(key).or_default())
    }

    /// Changes the entry of a key if there is one.
    pub(super) fn change_present<R>(&self, key: Key, change: impl FnOnce(&mut V) -> R) -> Option<R> {
        self.part(key).get_mut(&key).map(change)
    }

    /// Forgets a key.
    pub(super) fn remove(&self, key: Key) -> bool {
        self.part(key).remove(&key).is_some()
    }

    /// Drops what weighs nothing, and gives memory back that an attack made it take.
    pub(super) fn sweep(&self, now: u64) {
        for part in &self.parts {
            let mut part = lock(part);
            part.retain(|_, value| value.weight(now).load > 0);
            if part.capacity() / 4 > part.len() {
                part.shrink_to_fit();
            }
        }
    }

    /// Counts the entries.
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|part| lock(part).len()).sum()
    }

    fn part(&self, key: Key) -> MutexGuard<'_, Part<V>> {
        // The map finds its places by the lowest and highest bits; these are others.
        let index = usize::try_from(key.0 >> 24 & 0xffff).unwrap_or_default() % self.parts.len();
        lock(&self.parts[index])
    }
}

fn make_room<V: Value>(part: &mut Part<V>, room: usize, now: u64) {
    let wanted = room - (room / DROPPED_AT_ONCE).max(1);
    part.retain(|_, value| value.weight(now).load > 0);
    if part.len() <= wanted {
        return;
    }
    let excess = part.len() - wanted;
    let mut weights: Vec<(Weight, Key)> = part.iter().map(|(key, value)| (value.weight(now), *key)).collect();
    weights.select_nth_unstable_by_key(excess - 1, |(weight, _)| *weight);
    for (_, key) in &weights[..excess] {
        part.remove(key);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keys are hashes already.
#[derive(Debug, Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
