//! Values that are held in memory are what the storage has, and never what may not be held.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use bulla_backend::{Clock, Documents, Expected, Filing, SystemClock, Write};
use bulla_store::{
    ExpectedVersion, GetOptions, Kept, Lifetime, Namespace, NamespaceSettings, PutOptions, Store, StoreOptions,
};
use pollster::block_on;

use crate::ground::{ENTRIES, Ground, assert_code, open_folder, pattern, read, value, write};
use crate::watched::Watched;

fn tiered() -> NamespaceSettings {
    NamespaceSettings { memory_tier: true, durability: Kept::Cache, ..NamespaceSettings::default() }
}

/// A store that reads from watched documents, and the namespace `cache` of it, of which values may be held.
fn watched(ground: &Ground) -> (Arc<Watched>, Store, Namespace) {
    block_on(ground.namespace("cache").set_settings(&tiered())).unwrap();
    let watched = Watched::new(&ground.documents);
    let store = ground.over(Arc::clone(&watched) as Arc<dyn Documents>, Arc::clone(&ground.blobs));
    let namespace = store.namespace("cache").unwrap();
    (watched, store, namespace)
}

/// How many values a store holds, as it shows itself.
fn held(store: &Store) -> (usize, usize) {
    let shown = format!("{store:?}");
    let number = |of: &str| {
        let from = shown.find("MemoryTier {").unwrap();
        let behind = &shown[from..][shown[from..].find(of).unwrap() + of.len()..];
        behind.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<usize>().unwrap()
    };
    (number("values: "), number("bytes: "))
}

#[test]
fn a_value_that_was_read_is_not_read_again() {
    for ground in [Ground::new(), Ground::in_folder()] {
        let (watched, store, namespace) = watched(&ground);
        for len in [0, 1_000, 65_536, 200_000] {
            write(&ground.namespace("cache"), b"n", &pattern(len, 1));
            let first = block_on(namespace.get(b"n", &GetOptions::default())).unwrap();
            assert_eq!(watched.entries_read(), if len == 0 { 1 } else { 2 }, "{len}");
            for _ in 0..3 {
                assert_eq!(block_on(namespace.get(b"n", &GetOptions::default())).unwrap(), first);
            }
            assert_eq!(watched.entries_read(), 0, "{len}");
            assert_eq!(first.bytes, pattern(len, 1));
        }
        assert_eq!(held(&store).0, 1);
    }
}

#[test]
fn what_another_store_did_is_seen_at_once() {
    for hides_marks in [false, true] {
        for ground in [Ground::new(), Ground::in_folder()] {
            let (watched, _, namespace) = watched(&ground);
            if hides_marks {
                watched.hide_marks();
            }
            let other = ground.namespace("cache");
            for round in 0..20_u8 {
                write(&other, b"n", &[round]);
                assert_eq!(read(&namespace, b"n").unwrap(), [round]);
                write(&other, b"unrelated", &[round]);
                watched.entries_read();
                assert_eq!(read(&namespace, b"n").unwrap(), [round]);
                assert_eq!(watched.entries_read(), 1, "its revision says that it stands");
                assert_eq!(read(&namespace, b"n").unwrap(), [round]);
                assert_eq!(watched.entries_read(), u64::from(hides_marks));
                // Large ones too.
                write(&other, b"l", &pattern(100_000, round));
                assert_eq!(read(&namespace, b"l").unwrap(), pattern(100_000, round));
                block_on(other.remove(b"n", ExpectedVersion::Any)).unwrap();
                assert_eq!(value(&namespace, b"n"), None);
                assert_eq!(value(&namespace, b"n"), None);
            }
        }
    }
}

#[test]
fn an_entry_that_was_removed_and_put_anew_is_another_one() {
    let ground = Ground::new();
    let (_, _, namespace) = watched(&ground);
    let other = ground.namespace("cache");
    for round in 0..3_u8 {
        write(&other, b"n", &[round]);
        let seen = block_on(namespace.get(b"n", &GetOptions::version(1))).unwrap();
        assert_eq!((seen.bytes, seen.stat.version), (vec![round], 1));
        block_on(other.remove(b"n", ExpectedVersion::Any)).unwrap();
    }
}

#[test]
fn a_held_value_expires_when_it_says() {
    let ground = Ground::new();
    let (_, store, namespace) = watched(&ground);
    let options = PutOptions { lifetime: Lifetime::For(Duration::from_mins(1)), ..PutOptions::default() };
    block_on(namespace.put(b"n", b"v", &options)).unwrap();
    ground.clock.forward(Duration::from_millis(59_999));
    assert!(read(&namespace, b"n").is_ok() && read(&namespace, b"n").is_ok());
    ground.clock.forward(Duration::from_millis(1));
    assert_code(read(&namespace, b"n"), "not_found");
    assert_eq!(held(&store).0, 0);
}

#[test]
fn the_version_that_is_expected_is_held_against_what_is_in_memory() {
    let ground = Ground::new();
    let (watched, _, namespace) = watched(&ground);
    write(&namespace, b"n", b"one");
    write(&namespace, b"n", b"two");
    read(&namespace, b"n").unwrap();
    watched.entries_read();
    assert_eq!(block_on(namespace.get(b"n", &GetOptions::version(2))).unwrap().bytes, b"two");
    assert_code(block_on(namespace.get(b"n", &GetOptions::version(1))), "version_mismatch");
    assert_eq!(watched.entries_read(), 0);
}

#[test]
fn what_is_sensitive_or_not_allowed_is_never_held() {
    let ground = Ground::new();
    let (watched, store, namespace) = watched(&ground);
    let sensitive = PutOptions { sensitive: true, ..PutOptions::default() };
    for len in [100, 100_000] {
        block_on(namespace.put(b"s", &pattern(len, 1), &sensitive)).unwrap();
        for _ in 0..3 {
            watched.entries_read();
            assert_eq!(read(&namespace, b"s").unwrap(), pattern(len, 1));
            assert_eq!((watched.entries_read(), held(&store).0), (1, 0));
        }
    }
    // One that becomes sensitive is held no longer than until it does.
    write(&namespace, b"n", b"v");
    read(&namespace, b"n").unwrap();
    assert_eq!(held(&store).0, 1);
    block_on(namespace.put(b"n", b"v", &sensitive)).unwrap();
    assert_eq!(held(&store).0, 0);
    read(&namespace, b"n").unwrap();
    assert_eq!(held(&store).0, 0);
    let plain = store.namespace("plain").unwrap();
    write(&plain, b"n", b"v");
    read(&plain, b"n").unwrap();
    assert_eq!(held(&store).0, 0);
}

#[test]
fn a_namespace_that_is_taken_out_of_memory_is_wiped_from_it() {
    let ground = Ground::new();
    let (_, store, namespace) = watched(&ground);
    for number in 0..10_u8 {
        write(&namespace, &[number], b"v");
        read(&namespace, &[number]).unwrap();
    }
    assert_eq!(held(&store).0, 10);
    block_on(namespace.set_settings(&NamespaceSettings { memory_tier: false, ..tiered() })).unwrap();
    read(&namespace, &[0]).unwrap();
    assert_eq!(held(&store).0, 0);
    // Another store follows as it follows all settings: within a second.
    block_on(namespace.set_settings(&tiered())).unwrap();
    read(&namespace, &[0]).unwrap();
    block_on(ground.namespace("cache").set_settings(&NamespaceSettings { memory_tier: false, ..tiered() })).unwrap();
    ground.clock.forward(bulla_store::SETTINGS_FRESH);
    read(&namespace, &[0]).unwrap();
    assert_eq!(held(&store).0, 0);
}

#[test]
fn a_held_value_is_given_out_no_longer_than_its_key_may_open_it() {
    let ground = Ground::new();
    let (_, store, namespace) = watched(&ground);
    write(&namespace, b"n", b"v");
    read(&namespace, b"n").unwrap();
    ground.rotate("cache");
    assert!(read(&namespace, b"n").is_ok(), "an older version opens");
    assert_eq!(held(&store).0, 1);
    block_on(ground.keyring.disable_version(namespace.name().key(), 1)).unwrap();
    assert_code(read(&namespace, b"n"), "version_disabled");
    assert_eq!(held(&store).0, 0);
    block_on(ground.keyring.enable_version(namespace.name().key(), 1)).unwrap();
    assert_eq!(read(&namespace, b"n").unwrap(), b"v");
    block_on(ground.keyring.destroy_version(namespace.name().key(), 1, Duration::ZERO)).unwrap();
    assert_code(read(&namespace, b"n"), "version_destroyed");
    assert_eq!(held(&store).0, 0);
}

#[test]
fn what_the_storage_filed_anew_is_read_anew() {
    let ground = Ground::new();
    let (watched, _, namespace) = watched(&ground);
    write(&namespace, b"n", b"v");
    read(&namespace, b"n").unwrap();
    let found = ground.document("cache", b"n");
    let filing = Filing { group_len: 6, ..Filing::default() };
    let expected = Expected::Revision(found.revision);
    let write = Write::PutFiled { collection: ENTRIES, key: found.key, value: found.value, expected, filing };
    block_on(ground.documents.commit(&[write])).unwrap();
    watched.entries_read();
    assert_eq!(read(&namespace, b"n").unwrap(), b"v");
    assert_eq!(watched.entries_read(), 2, "a look at the revision, and the value");
}

#[test]
fn memory_is_bounded_as_the_store_was_told() {
    let ground = Ground::new();
    let mut options = StoreOptions::default();
    options.memory_bytes = 300_000;
    let clock = Arc::clone(&ground.clock) as Arc<dyn Clock>;
    let (documents, blobs) = (Arc::clone(&ground.documents), Arc::clone(&ground.blobs));
    let store = Store::with_options(Arc::clone(&ground.keyring), documents, blobs, clock, options);
    let namespace = store.namespace("cache").unwrap();
    block_on(namespace.set_settings(&tiered())).unwrap();
    for number in 0..500_u32 {
        let len = 100 + (number as usize * 997) % 30_000;
        write(&namespace, &number.to_be_bytes(), &pattern(len, 1));
        assert_eq!(read(&namespace, &number.to_be_bytes()).unwrap(), pattern(len, 1));
        let (values, bytes) = held(&store);
        assert!(bytes <= 300_000 && values < 500, "{values} values of {bytes} bytes");
    }
    assert!(held(&store).1 > 200_000);
    // What takes an eighth of it or more is not held.
    let (_, before) = held(&store);
    write(&namespace, b"large", &pattern(100_000, 1));
    read(&namespace, b"large").unwrap();
    assert_eq!(held(&store).1, before);
}

/// Whoever begins to read after a put returned gets that value or a newer one, in whichever handle on the database.
#[test]
fn no_reader_gets_an_older_value_than_the_last_that_was_put_before_it_asked() {
    let ground = Ground::in_folder();
    block_on(ground.namespace("cache").set_settings(&tiered())).unwrap();
    write(&ground.namespace("cache"), b"n", &0_u64.to_be_bytes());
    let (put, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let open = || {
        let (documents, blobs) = open_folder(ground.folder());
        Store::new(Arc::clone(&ground.keyring), documents, blobs, Arc::new(SystemClock)).namespace("cache").unwrap()
    };
    let reads = thread::scope(|scope| {
        let reader = || {
            let namespace = open();
            let mut reads = 0;
            while !done.load(Ordering::SeqCst) {
                let least = put.load(Ordering::SeqCst);
                let found = u64::from_be_bytes(read(&namespace, b"n").unwrap().try_into().unwrap());
                assert!(found >= least, "{found} after {least}");
                reads += 1;
            }
            reads
        };
        let readers = [scope.spawn(reader), scope.spawn(reader)];
        let namespace = open();
        for number in 1..=2_000_u64 {
            write(&namespace, b"n", &number.to_be_bytes());
            put.store(number, Ordering::SeqCst);
            assert_eq!(read(&namespace, b"n").unwrap(), number.to_be_bytes());
        }
        done.store(true, Ordering::SeqCst);
        readers.map(|reader| reader.join().unwrap()).iter().sum::<u64>()
    });
    println!("{reads} reads beside 2,000 puts");
    assert!(reads > 100);
}
