//! Adding, counting, lifetimes, many at once, going through entries, clearing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bulla_backend::testing::{CallFaults, Failure, FaultyDocuments};
use bulla_store::{
    Budget, ClearCounts, ClearScope, EntryQuery, ExpectedVersion, GetOptions, Lifetime, Namespace, NamespaceSettings,
    NewEntry, PutOptions, StoreError,
};
use pollster::block_on;

use crate::ground::{Ground, assert_code, names, pattern, read, value, write};

const LARGE: usize = 70_000;

fn tagged(tags: &[&str]) -> PutOptions {
    PutOptions { tags: tags.iter().map(|tag| (*tag).to_owned()).collect(), ..PutOptions::default() }
}

fn blinded(ground: &Ground, name: &str) -> Namespace {
    let namespace = ground.namespace(name);
    let settings = NamespaceSettings { blinded_names: true, ..NamespaceSettings::default() };
    block_on(namespace.set_settings(&settings)).unwrap();
    namespace
}

#[test]
fn an_entry_is_added_where_none_is() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let add = |value: &[u8], options: &PutOptions| block_on(namespace.add(b"n", value, options)).unwrap();
    let short = PutOptions { lifetime: Lifetime::For(Duration::from_secs(9)), ..PutOptions::default() };
    assert_eq!(add(b"one", &short), Some(1));
    assert_eq!(add(b"two", &PutOptions::default()), None);
    assert_eq!(add(&pattern(LARGE, 1), &PutOptions::default()), None);
    assert_eq!(value(&namespace, b"n").unwrap(), b"one");
    ground.clock.forward(Duration::from_secs(9));
    assert_eq!(add(&pattern(LARGE, 1), &PutOptions::default()), Some(2));
    assert_eq!(add(&pattern(LARGE, 2), &PutOptions::default()), None);
    assert_eq!(ground.blob_ids().len(), 1, "nothing was written that was not wanted");
}

#[test]
fn of_many_who_add_one_name_one_does() {
    let ground = Ground::in_folder();
    for round in 0..20_u8 {
        let won = AtomicUsize::new(0);
        thread::scope(|scope| {
            for who in 0..8_u8 {
                let (ground, won) = (&ground, &won);
                scope.spawn(move || {
                    let namespace = ground.namespace("shared");
                    if block_on(namespace.add(&[round], &[who], &PutOptions::default())).unwrap().is_some() {
                        won.fetch_add(1, Ordering::SeqCst);
                        assert_eq!(read(&namespace, &[round]).unwrap(), [who]);
                    }
                });
            }
        });
        assert_eq!(won.into_inner(), 1);
    }
}

#[test]
fn numbers_are_counted_in_decimal() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let add = |delta| block_on(namespace.increment(b"n", delta, 40));
    assert_eq!(add(2).unwrap(), 42);
    assert_eq!(value(&namespace, b"n").unwrap(), b"42");
    assert_eq!(add(-50).unwrap(), -8);
    let options = PutOptions {
        lifetime: Lifetime::For(Duration::from_mins(1)),
        media_type: Some("text/plain".to_owned()),
        ..tagged(&["t"])
    };
    block_on(namespace.put(b"n", b" 7\n", &options)).unwrap();
    let before = block_on(namespace.stat(b"n", &GetOptions::default())).unwrap();
    ground.clock.forward(Duration::from_secs(10));
    assert_eq!(add(1).unwrap(), 8);
    let after = block_on(namespace.stat(b"n", &GetOptions::default())).unwrap();
    assert_eq!((after.expires, &after.media_type, &after.tags), (before.expires, &before.media_type, &before.tags));
    assert_eq!(after.version, 4);
    ground.clock.forward(Duration::from_mins(1));
    assert_eq!(add(1).unwrap(), 41, "what has expired counts no more");
}

#[test]
fn what_is_no_number_is_left_alone() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let max = i64::MAX.to_string();
    for text in ["", "x", "1.5", "0x10", "9223372036854775808", "- 1", "1 2"] {
        write(&namespace, b"n", text.as_bytes());
        assert_code(block_on(namespace.increment(b"n", 1, 0)), "not_a_number");
        assert_eq!(value(&namespace, b"n").unwrap(), text.as_bytes());
    }
    write(&namespace, b"n", &pattern(LARGE, 1));
    assert_code(block_on(namespace.increment(b"n", 1, 0)), "not_a_number");
    write(&namespace, b"n", max.as_bytes());
    assert_code(block_on(namespace.increment(b"n", 1, 0)), "overflow");
    assert_eq!(value(&namespace, b"n").unwrap(), max.as_bytes());
    assert_code(block_on(namespace.increment(b"new", -1, i64::MIN)), "overflow");
    assert_eq!(value(&namespace, b"new"), None);
    assert_eq!(block_on(namespace.increment(b"n", -1, 0)).unwrap(), i64::MAX - 1);
}

#[test]
fn eight_threads_count_exactly() {
    let ground = Ground::new();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let namespace = ground.namespace("shared");
                for _ in 0..1_000 {
                    block_on(namespace.increment(b"n", 1, 0)).unwrap();
                }
            });
        }
    });
    assert_eq!(read(&ground.namespace("shared"), b"n").unwrap(), b"8000");
}

#[test]
fn a_new_lifetime_leaves_the_value_where_it_is() {
    let ground = Ground::new();
    for len in [10, LARGE] {
        let namespace = ground.namespace("a");
        let options = PutOptions { lifetime: Lifetime::For(Duration::from_secs(60)), ..tagged(&["t"]) };
        block_on(namespace.put(b"n", &pattern(len, 1), &options)).unwrap();
        let before = block_on(namespace.stat(b"n", &GetOptions::default())).unwrap();
        let blobs: Vec<_> = ground.blob_ids().into_iter().map(|id| (id, ground.blob(&id))).collect();
        ground.clock.forward(Duration::from_secs(50));
        let lifetime = Lifetime::For(Duration::from_secs(60));
        let stale = ExpectedVersion::Version(before.version + 1);
        assert_code(block_on(namespace.set_lifetime(b"n", lifetime, stale)), "version_mismatch");
        let version =
            block_on(namespace.set_lifetime(b"n", lifetime, ExpectedVersion::Version(before.version))).unwrap();
        assert_eq!(version, before.version + 1);
        ground.clock.forward(Duration::from_secs(50));
        assert!(value(&namespace, b"n") == Some(pattern(len, 1)));
        let after = block_on(namespace.stat(b"n", &GetOptions::default())).unwrap();
        assert_eq!((after.created, &after.tags, after.len), (before.created, &before.tags, before.len));
        assert!(blobs == ground.blob_ids().into_iter().map(|id| (id, ground.blob(&id))).collect::<Vec<_>>());
        block_on(namespace.set_lifetime(b"n", Lifetime::Unlimited, ExpectedVersion::Any)).unwrap();
        assert_eq!(block_on(namespace.stat(b"n", &GetOptions::default())).unwrap().expires, None);
        block_on(namespace.set_lifetime(b"n", Lifetime::For(Duration::ZERO), ExpectedVersion::Any)).unwrap();
        assert_eq!(value(&namespace, b"n"), None);
        assert_code(block_on(namespace.set_lifetime(b"n", lifetime, ExpectedVersion::Any)), "not_found");
        let (counts, findings) = ground.check();
        assert!(counts.is_clean(), "{findings:?}");
        block_on(namespace.remove(b"n", ExpectedVersion::Any)).unwrap();
    }
    assert_eq!(ground.blob_ids(), []);
}

#[test]
fn each_of_many_has_its_own_outcome() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"there", b"old");
    let value_of = |n: u16| pattern(if n % 50 == 7 { LARGE } else { usize::from(n) }, 3);
    let named: Vec<(Vec<u8>, Vec<u8>)> = (0..200_u16).map(|n| (n.to_be_bytes().to_vec(), value_of(n))).collect();
    let mut entries: Vec<_> = named.iter().map(|(name, value)| NewEntry::new(name, value)).collect();
    let absent = PutOptions { expected: ExpectedVersion::Absent, ..PutOptions::default() };
    entries.insert(20, NewEntry { name: b"there", value: b"new", options: absent.clone() });
    entries.insert(30, NewEntry::new(b"", b"no name"));
    entries.insert(40, NewEntry { name: b"tagged", value: b"", options: tagged(&[""]) });
    // Twice in one batch: the later one replaces the earlier.
    entries.insert(50, NewEntry::new(&[0, 1], b"again"));
    let outcomes = block_on(namespace.put_many(&entries));
    assert_eq!(outcomes.len(), entries.len());
    for (at, outcome) in outcomes.into_iter().enumerate() {
        match at {
            20 => assert_code(outcome, "version_mismatch"),
            30 => assert_code(outcome, "invalid_name"),
            40 => assert_code(outcome, "invalid_entry"),
            50 => assert_eq!(outcome.unwrap(), 2),
            _ => assert_eq!(outcome.unwrap(), 1),
        }
    }
    assert_eq!(value(&namespace, b"there").unwrap(), b"old");
    let names: Vec<&[u8]> = named.iter().map(|(name, _)| name.as_slice()).chain([&b"missing"[..]]).collect();
    let values = block_on(namespace.get_many(&names));
    for ((n, value), (name, put)) in values.iter().enumerate().zip(&named) {
        let expected = if n == 1 { &b"again"[..] } else { put };
        assert!(value.as_ref().unwrap().bytes == expected, "{name:?}");
    }
    assert_code(values.into_iter().next_back().unwrap(), "not_found");
    let (counts, findings) = ground.check();
    assert!(counts.is_clean() && counts.ok == 201, "{findings:?}");
}

#[test]
fn many_at_once_beside_others_lose_nothing() {
    let ground = Ground::in_folder();
    thread::scope(|scope| {
        for who in 0..4_u8 {
            let ground = &ground;
            scope.spawn(move || {
                let namespace = ground.namespace("shared");
                for round in 0..10_u8 {
                    // Half of the names are everybody's.
                    let names: Vec<_> = (0..80_u8).map(|n| [if n % 2 == 0 { who } else { 99 }, n]).collect();
                    let value = [who, round];
                    let entries: Vec<_> = names.iter().map(|name| NewEntry::new(name, &value)).collect();
                    for outcome in block_on(namespace.put_many(&entries)) {
                        outcome.unwrap();
                    }
                }
            });
        }
    });
    let namespace = ground.namespace("shared");
    for n in (1..80).step_by(2) {
        let stat = block_on(namespace.stat(&[99, n], &GetOptions::default())).unwrap();
        assert_eq!(stat.version, 40, "each put counted once");
    }
    for who in 0..4 {
        assert_eq!(read(&namespace, &[who, 0]).unwrap(), [who, 9]);
    }
}

#[test]
fn a_failed_batch_says_so_of_each_entry() {
    for failure in Failure::ALL {
        for at in 1.. {
            let ground = Ground::new();
            write(&ground.namespace("a"), &[0], b"old");
            let faults = CallFaults::new();
            let documents = FaultyDocuments::new(Arc::clone(&ground.documents), faults.clone());
            let namespace = ground.over(Arc::new(documents), Arc::clone(&ground.blobs)).namespace("a").unwrap();
            faults.arm(at, failure);
            let names: Vec<_> = (0..5_u8).map(|n| [n]).collect();
            let entries: Vec<_> = names.iter().map(|name| NewEntry::new(name, b"new")).collect();
            let outcomes = block_on(namespace.put_many(&entries));
            let happened = faults.calls() >= at;
            faults.disarm();
            for (name, outcome) in names.iter().zip(outcomes) {
                let found = value(&ground.namespace("a"), name);
                match outcome {
                    Ok(_) => assert_eq!(found.unwrap(), b"new"),
                    Err(error) => {
                        assert_eq!(error.code(), "backend", "{error}");
                        assert!(matches!(found.as_deref(), None | Some(b"old" | b"new")));
                    }
                }
            }
            if !happened {
                break;
            }
        }
    }
}

/// An entry's name, and what there was of its value.
type Seen = (Vec<u8>, Result<Vec<u8>, StoreError>);

fn go_through(namespace: &Namespace, query: &EntryQuery) -> Vec<Seen> {
    let mut entries = block_on(namespace.entries(query)).unwrap();
    let next = || block_on(entries.next()).unwrap();
    std::iter::from_fn(next)
        .map(|entry| (entry.name.as_bytes().to_vec(), entry.value.map(|value| value.bytes)))
        .collect()
}

#[test]
fn all_entries_are_gone_through_with_their_values() {
    let ground = Ground::new();
    for namespace in [ground.namespace("plain"), blinded(&ground, "blind")] {
        let put: Vec<_> = (0..150_u8).map(|n| ([b"x/".as_slice(), &[n]].concat(), n)).collect();
        for (name, n) in &put {
            write(&namespace, name, &pattern(if *n == 70 { LARGE } else { 20 }, *n));
        }
        let gone = PutOptions { lifetime: Lifetime::For(Duration::ZERO), ..PutOptions::default() };
        block_on(namespace.put(b"x/gone", b"", &gone)).unwrap();
        write(&namespace, b"y", b"other");
        let mut found = go_through(&namespace, &EntryQuery { prefix: b"x/".to_vec(), ..EntryQuery::default() });
        found.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(found.len(), 150);
        for ((found, value), (name, n)) in found.into_iter().zip(&put) {
            assert_eq!(found, *name);
            assert!(value.unwrap() == pattern(if *n == 70 { LARGE } else { 20 }, *n));
        }
        assert_eq!(go_through(&namespace, &EntryQuery { limit: 7, ..EntryQuery::default() }).len(), 7);
        assert_eq!(go_through(&namespace, &EntryQuery::default()).len(), 151);
    }
    let middle = EntryQuery { prefix: b"x".to_vec(), ..EntryQuery::default() };
    assert_code(block_on(ground.namespace("blind").entries(&middle)), "blinded_prefix");
}

#[test]
fn a_damaged_entry_hides_no_other() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    for name in [b"1", b"2", b"3"] {
        write(&namespace, name, b"v");
    }
    ground.plant("a", b"2", b"damaged");
    let found = go_through(&namespace, &EntryQuery::default());
    assert!(found[0].1.is_ok() && found[1].1.is_err() && found[2].1.is_ok());
}

#[test]
fn what_stands_is_seen_exactly_once_while_others_write() {
    let ground = Ground::in_folder();
    let namespace = ground.namespace("shared");
    for n in 0..200_u8 {
        write(&namespace, &[n], &pattern(if n % 40 == 0 { LARGE } else { 10 }, n));
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for who in 0..2_u8 {
            let (ground, done) = (&ground, &done);
            scope.spawn(move || {
                let namespace = ground.namespace("shared");
                for n in (0..200_u8).cycle() {
                    // Between the others, and in place of half of them.
                    write(&namespace, &[n, who], &pattern(10, who));
                    if n % 2 == 1 {
                        write(&namespace, &[n], &pattern(if n % 9 == 0 { LARGE } else { 10 }, n));
                    }
                    block_on(namespace.remove(&[n, who], ExpectedVersion::Any)).unwrap();
                    if done.load(Ordering::SeqCst) {
                        break;
                    }
                }
            });
        }
        for _ in 0..10 {
            let mut seen = BTreeSet::new();
            for (name, value) in go_through(&namespace, &EntryQuery::default()) {
                if let [n] = name[..] {
                    let value = value.unwrap();
                    assert!(value == pattern(value.len(), n), "each value is whole");
                    assert!(seen.insert(n), "{n} was seen twice");
                }
            }
            assert_eq!(seen.len(), 200);
        }
        done.store(true, Ordering::SeqCst);
    });
}

#[test]
fn tags_are_counted() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    for (name, tags) in [(b"1", &["x", "y"][..]), (b"2", &["y"]), (b"3", &[])] {
        block_on(namespace.put(name, b"", &tagged(tags))).unwrap();
    }
    let gone = PutOptions { lifetime: Lifetime::For(Duration::ZERO), ..tagged(&["z"]) };
    block_on(namespace.put(b"4", b"", &gone)).unwrap();
    let tags = block_on(namespace.tags()).unwrap();
    assert_eq!(tags.into_iter().collect::<Vec<_>>(), [("x".to_owned(), 1), ("y".to_owned(), 2)]);
}

fn clear(namespace: &Namespace, scope: &ClearScope, budget: &Budget) -> ClearCounts {
    block_on(namespace.clear(scope, budget, &mut |_| {})).unwrap()
}

#[test]
fn clearing_touches_no_neighbour() {
    let ground = Ground::new();
    let (own, below, beside) = (ground.namespace("a"), ground.namespace("a/b"), ground.namespace("a.b"));
    let all: [&[u8]; 7] = [b"x", b"x\0", b"x\xff", b"x\xff\xff", b"y", b"w\xff", b"\xff"];
    for namespace in [&own, &below, &beside] {
        for name in all {
            write(namespace, name, &pattern(if name == b"x\0" { LARGE } else { 5 }, 1));
        }
    }
    let counts = clear(&own, &ClearScope::Prefix(b"x\xff".to_vec()), &Budget::UNLIMITED);
    assert_eq!((counts.removed, counts.kept, counts.failed, counts.finished), (2, 0, 0, true));
    assert_eq!(names(&own, b"", 0), [&b"w\xff"[..], b"x", b"x\0", b"y", b"\xff"]);
    assert_eq!(clear(&own, &ClearScope::Prefix(b"x".to_vec()), &Budget::UNLIMITED).removed, 2);
    assert_eq!(clear(&own, &ClearScope::Prefix(b"\xff".to_vec()), &Budget::UNLIMITED).removed, 1);
    assert_eq!(names(&own, b"", 0), [&b"w\xff"[..], b"y"]);
    assert_eq!(clear(&own, &ClearScope::All, &Budget::UNLIMITED).removed, 2);
    assert_eq!(names(&own, b"", 0), [&b""[..]; 0]);
    for namespace in [&below, &beside] {
        assert_eq!(names(namespace, b"", 0).len(), all.len());
    }
    assert_eq!(ground.blob_ids().len(), 2);
    let (counts, findings) = ground.check();
    assert!(counts.is_clean(), "{findings:?}");
}

#[test]
fn blinded_names_are_cleared_by_whole_segments() {
    let ground = Ground::new();
    let namespace = blinded(&ground, "a");
    for name in [&b"x/1"[..], b"x/2/3", b"x", b"xy/1", b"y/x/1"] {
        write(&namespace, name, b"v");
    }
    assert_code(
        block_on(namespace.clear(&ClearScope::Prefix(b"x".to_vec()), &Budget::UNLIMITED, &mut |_| {})),
        "blinded_prefix",
    );
    assert_eq!(clear(&namespace, &ClearScope::Prefix(b"x/".to_vec()), &Budget::UNLIMITED).removed, 2);
    let mut left = names(&namespace, b"", 0);
    left.sort();
    assert_eq!(left, [&b"x"[..], b"xy/1", b"y/x/1"]);
}

#[test]
fn a_clearing_stops_and_goes_on() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    for n in 0..100_u8 {
        let tags: &[&str] = if n % 10 == 0 { &["red", "round"] } else { &["round"] };
        block_on(namespace.put(&[n], &pattern(if n % 20 == 0 { LARGE } else { 9 }, n), &tagged(tags))).unwrap();
    }
    ground.plant("a", &[1], b"damaged");
    let step = Budget { entries: 7, bytes: u64::MAX };
    let (mut removed, mut failed, mut calls) = (0, 0, 0);
    loop {
        let counts = clear(&namespace, &ClearScope::Tag("red".to_owned()), &step);
        assert!(counts.removed + counts.kept + counts.failed <= 7);
        (removed, failed, calls) = (removed + counts.removed, failed + counts.failed, calls + 1);
        if counts.finished {
            break;
        }
    }
    assert_eq!((removed, failed, calls), (10, 1, 15));
    assert_eq!(ground.blob_ids(), []);
    assert_eq!(names(&namespace, b"", 0).len(), 90);
    // One that was given up does not keep a later one from seeing all.
    assert!(!clear(&namespace, &ClearScope::All, &step).finished);
    write(&namespace, &[0], b"v");
    let counts = clear(&namespace, &ClearScope::All, &Budget::UNLIMITED);
    assert_eq!((counts.removed, counts.failed, counts.finished), (89 - 6 + 1, 1, true));
    assert_eq!(names(&namespace, b"", 0), [[1]]);
}

#[test]
fn a_clearing_that_fails_anywhere_is_finished_by_the_next() {
    let mut points = 0;
    for failure in Failure::ALL {
        for at in 1.. {
            let ground = Ground::new();
            let own = ground.namespace("a");
            for n in 0..6_u8 {
                write(&own, &[n], &pattern(if n == 3 { LARGE } else { 9 }, n));
            }
            write(&ground.namespace("b"), b"n", b"v");
            let faults = CallFaults::new();
            let documents = FaultyDocuments::new(Arc::clone(&ground.documents), faults.clone());
            let namespace = ground.over(Arc::new(documents), Arc::clone(&ground.blobs)).namespace("a").unwrap();
            faults.arm(at, failure);
            let _ = block_on(namespace.clear(&ClearScope::All, &Budget::UNLIMITED, &mut |_| {}));
            let happened = faults.calls() >= at;
            for name in names(&own, b"", 0) {
                assert!(read(&own, &name).is_ok(), "what stands is whole");
            }
            faults.disarm();
            clear(&own, &ClearScope::All, &Budget::UNLIMITED);
            assert_eq!(names(&own, b"", 0), [&b""[..]; 0]);
            assert_eq!(value(&ground.namespace("b"), b"n").unwrap(), b"v");
            if !happened {
                break;
            }
            points += 1;
        }
    }
    assert!(points > 5, "{points} fault points");
}
