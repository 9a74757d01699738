//! Collecting and sweeping end, whatever lies in their way.

use std::time::Duration;

use bulla_backend::{Collection, DocumentKey, Durability, Expected};
use bulla_store::{Budget, GcOptions, Lifetime, NewEntry, PutOptions};
use pollster::block_on;

use super::LARGE;
use crate::ground::{Ground, pattern, write};

/// Puts many entries that expire in a minute, and then lets nothing open them.
fn due_and_locked(ground: &Ground, count: u32) {
    let namespace = ground.namespace("locked");
    let options = PutOptions { lifetime: Lifetime::For(Duration::from_mins(1)), ..PutOptions::default() };
    let names: Vec<_> = (0..count).map(u32::to_be_bytes).collect();
    let entries: Vec<_> = names.iter().map(|name| NewEntry { name, value: b"v", options: options.clone() }).collect();
    for put in block_on(namespace.put_many(&entries)) {
        put.unwrap();
    }
    ground.rotate("locked");
    block_on(ground.keyring.disable_version(namespace.name().key(), 1)).unwrap();
}

#[test]
fn a_collection_ends_though_many_expired_entries_do_not_open() {
    let ground = Ground::new();
    due_and_locked(&ground, 1_000);
    ground.clock.forward(Duration::from_hours(2));
    let mut told = 0;
    let counts = block_on(ground.store.gc(&GcOptions::default(), &Budget::UNLIMITED, &mut |_| {
        told += 1;
        assert!(told < 200, "it goes round and round");
    }));
    assert!(counts.unwrap().finished);
}

#[test]
fn expired_entries_behind_many_that_do_not_open_are_swept() {
    let ground = Ground::new();
    due_and_locked(&ground, 1_001);
    let options = PutOptions { lifetime: Lifetime::For(Duration::from_mins(2)), ..PutOptions::default() };
    block_on(ground.namespace("open").put(b"n", b"v", &options)).unwrap();
    ground.clock.forward(Duration::from_hours(2));
    let counts = block_on(ground.store.expire_due(&Budget::UNLIMITED)).unwrap();
    assert!(counts.finished);
    assert_eq!(counts.expired, 1, "{counts:?}");
}

#[test]
fn no_count_of_a_planted_journal_is_too_large() {
    let ground = Ground::new();
    write(&ground.namespace("a"), b"n", &pattern(LARGE, 1));
    let journals = Collection::new("journals", Durability::Cache);
    let key = DocumentKey::new(&b"gc\0"[..]).unwrap();
    let most = [&[0x1b][..], &u64::MAX.to_be_bytes()].concat();
    // Format 1, no aim, the second part, from its beginning.
    let step = [&[0x85, 1, 0x40, 1, 0x40, 0x87][..], &most.repeat(7)].concat();
    block_on(ground.documents.put(journals, &key, &step, Expected::Absent)).unwrap();
    let counts = block_on(ground.store.gc(&GcOptions::default(), &Budget::UNLIMITED, &mut |_| {}));
    assert!(counts.unwrap().finished);
}

#[test]
fn each_call_of_a_sweep_does_something_however_small_its_budget() {
    for bytes in [0, u64::MAX] {
        let ground = Ground::new();
        let options = PutOptions { lifetime: Lifetime::For(Duration::from_mins(1)), ..PutOptions::default() };
        block_on(ground.namespace("a").put(b"n", b"v", &options)).unwrap();
        ground.clock.forward(Duration::from_hours(1));
        let least = Budget { entries: 0, bytes };
        let calls = (0..100).take_while(|_| !block_on(ground.store.expire_due(&least)).unwrap().finished).count();
        assert!(calls < 100);
    }
}

#[test]
fn a_sweep_in_small_steps_gets_past_what_does_not_open() {
    let ground = Ground::new();
    due_and_locked(&ground, 3);
    let options = PutOptions { lifetime: Lifetime::For(Duration::from_mins(2)), ..PutOptions::default() };
    block_on(ground.namespace("open").put(b"n", b"v", &options)).unwrap();
    ground.clock.forward(Duration::from_hours(1));
    let two = Budget { entries: 2, bytes: u64::MAX };
    let mut expired = 0;
    for _ in 0..100 {
        expired += block_on(ground.store.expire_due(&two)).unwrap().expired;
    }
    assert_eq!(expired, 1);
}
