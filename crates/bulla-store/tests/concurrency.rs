//! Many at once: versions decide, nothing is lost, nothing is seen in part.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use bulla_backend::{Durability, SystemClock};
use bulla_store::{Budget, Depth, ExpectedVersion, GetOptions, PutOptions, Store, StoreError};
use pollster::block_on;

use crate::ground::{Ground, check, open_folder, pattern, read, write};

const WRITERS: u8 = 6;
const ROUNDS: u8 = 40;

/// A value whose every byte follows from the writer, and whose length says where it lies.
fn mark(writer: u8, round: u8) -> Vec<u8> {
    let len = if round.is_multiple_of(4) { 70_000 } else { 100 };
    let mut value = pattern(len, writer);
    value[0] = writer;
    value[1] = round;
    value
}

#[test]
fn writers_of_one_name_get_strictly_increasing_versions() {
    let ground = Ground::new();
    let done = AtomicBool::new(false);
    let versions = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let namespace = ground.namespace("shared");
            let mut newest = 0;
            while !done.load(Ordering::SeqCst) {
                match block_on(namespace.get(b"n", &GetOptions::default())) {
                    Ok(value) => {
                        assert!(value.bytes == mark(value.bytes[0], value.bytes[1]), "values are seen whole");
                        assert!(value.stat.version >= newest, "versions do not go back");
                        newest = value.stat.version;
                    }
                    Err(StoreError::NotFound(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let ground = &ground;
                scope.spawn(move || {
                    // The first use of the namespace, by all at once.
                    let namespace = ground.namespace("shared");
                    let mut versions = Vec::new();
                    for round in 0..ROUNDS {
                        match block_on(namespace.put(b"n", &mark(writer, round), &PutOptions::default())) {
                            Ok(version) => versions.push(version),
                            Err(StoreError::Conflict(_)) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                    versions
                })
            })
            .collect();
        let versions: Vec<Vec<u64>> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        done.store(true, Ordering::SeqCst);
        reader.join().unwrap();
        versions
    });
    assert!(versions.iter().all(|versions| versions.is_sorted_by(|a, b| a < b)));
    let all: BTreeSet<u64> = versions.iter().flatten().copied().collect();
    let count = versions.iter().map(Vec::len).sum::<usize>() as u64;
    assert!(all.iter().copied().eq(1..=count), "each version was given once, and none left out");
    let last = block_on(ground.namespace("shared").stat(b"n", &GetOptions::default())).unwrap();
    assert_eq!(last.version, count);
    let (counts, findings) = ground.check();
    assert!(counts.is_clean() && counts.ok == 1, "{findings:?}");
}

#[test]
fn counting_by_compare_and_swap_loses_nothing() {
    let ground = Ground::new();
    write(&ground.namespace("shared"), b"count", &0_u64.to_be_bytes());
    thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                let namespace = ground.namespace("shared");
                for _ in 0..ROUNDS {
                    loop {
                        let seen = block_on(namespace.get(b"count", &GetOptions::default())).unwrap();
                        let count = u64::from_be_bytes(seen.bytes.as_slice().try_into().unwrap());
                        let expected = ExpectedVersion::Version(seen.stat.version);
                        let options = PutOptions { expected, ..PutOptions::default() };
                        match block_on(namespace.put(b"count", &(count + 1).to_be_bytes(), &options)) {
                            Ok(_) => break,
                            Err(StoreError::VersionMismatch { .. } | StoreError::Conflict(_)) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            });
        }
    });
    let count = u64::from(WRITERS) * u64::from(ROUNDS);
    assert_eq!(read(&ground.namespace("shared"), b"count").unwrap(), count.to_be_bytes());
}

#[test]
fn resealing_goes_on_beside_readers_and_writers() {
    let ground = Ground::new();
    let namespace = ground.namespace("shared");
    for n in 0..50 {
        write(&namespace, &[n], &mark(n, 0));
    }
    thread::scope(|scope| {
        for writer in 0..2 {
            let ground = &ground;
            scope.spawn(move || {
                let namespace = ground.namespace("shared");
                for round in 0..ROUNDS {
                    write(&namespace, &[writer], &mark(writer, round));
                    let other = 2 + round % 48;
                    assert!(read(&namespace, &[other]).unwrap() == mark(other, 0));
                }
            });
        }
        for _ in 0..5 {
            ground.rotate("shared");
            let counts = block_on(namespace.reseal(Depth::Entries, &Budget::UNLIMITED, &mut |_| {})).unwrap();
            assert_eq!(counts.failed, 0);
        }
    });
    let (counts, findings) = ground.check();
    assert!(counts.is_clean() && counts.ok == 50, "{findings:?}");
    for writer in 0..2 {
        assert!(read(&namespace, &[writer]).unwrap() == mark(writer, ROUNDS - 1));
    }
}

#[test]
fn a_check_beside_writers_finds_nothing_damaged() {
    let ground = Ground::new();
    let namespace = ground.namespace("shared");
    write(&namespace, b"stays", &mark(0, 0));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 0..2 {
            let (ground, done) = (&ground, &done);
            scope.spawn(move || {
                let namespace = ground.namespace("shared");
                for round in (0..ROUNDS).cycle() {
                    write(&namespace, &[writer], &mark(writer, round));
                    block_on(namespace.remove(&[writer, 1], ExpectedVersion::Any)).unwrap();
                    write(&namespace, &[writer, 1], &mark(writer, 0));
                    if done.load(Ordering::SeqCst) {
                        break;
                    }
                }
            });
        }
        for _ in 0..30 {
            let (counts, findings) = check(&ground.store);
            assert!(counts.is_clean() && findings.is_empty(), "{findings:?}");
        }
        done.store(true, Ordering::SeqCst);
    });
    let (counts, findings) = ground.check();
    assert!(counts.is_clean() && counts.ok == 5, "{findings:?}");
}

/// As a machine does it: the storage of a project, opened by each, and the machine's clock.
#[test]
fn a_check_of_files_beside_writers_of_large_values_finds_nothing() {
    let ground = Ground::in_folder();
    let open = || {
        let (documents, blobs) = open_folder(ground.folder());
        Store::new(Arc::clone(&ground.keyring), documents, blobs, Arc::new(SystemClock))
    };
    let (done, written) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for writer in 0..2 {
            let (open, done, written) = (&open, &done, &written);
            scope.spawn(move || {
                let namespace = open().namespace("shared").unwrap().with_durability(Durability::Cache);
                for round in (0..4_u8).cycle() {
                    write(&namespace, &[writer, round], &pattern(100_000, round));
                    written.fetch_add(1, Ordering::SeqCst);
                    if done.load(Ordering::SeqCst) {
                        break;
                    }
                }
            });
        }
        let store = open();
        let mut checks = 0;
        while checks < 40 || written.load(Ordering::SeqCst) < 40 {
            let (counts, findings) = check(&store);
            if !findings.is_empty() {
                done.store(true, Ordering::SeqCst);
            }
            assert!(counts.is_clean() && findings.is_empty(), "after {checks} checks: {findings:?}");
            checks += 1;
        }
        done.store(true, Ordering::SeqCst);
    });
    let (counts, findings) = ground.check();
    assert!(counts.is_clean() && counts.recent_blobs == 0, "hours later too: {findings:?}");
}
