//! After a rotation, nothing is lost, and re-sealing lets the old key version go.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use bulla_backend::testing::{CallFaults, Failure, FaultyBlobs, FaultyDocuments};
use bulla_backend::{
    BackendError, BlobId, BlobPage, BlobReader, BlobWriter, Blobs, Collection, DocumentKey, Durability, ErrorKind,
    Expected, ListQuery, Result as BackendResult,
};
use bulla_seal::{Header, Suite};
use bulla_store::{
    Budget, ClearScope, Depth, ExpectedVersion, Finding, GcOptions, GetOptions, Lifetime, Mode, Namespace,
    NamespaceSettings, PutOptions, ResealCounts, StoreError, WalkEvent,
};
use pollster::block_on;

use crate::ground::{Ground, check, open_folder, pattern, read, write};
use crate::narrow::Narrow;

fn reseal(namespace: &Namespace) -> (ResealCounts, Vec<Finding>) {
    let mut findings = Vec::new();
    let counts = block_on(namespace.reseal(Depth::Entries, &Budget::UNLIMITED, &mut |event| {
        if let WalkEvent::Found(finding) = event {
            findings.push(finding);
        }
    }));
    (counts.unwrap(), findings)
}

/// Seals anew in calls of so many entries each, until it is done; returns the last counts and how many calls there were.
fn reseal_by(namespace: &Namespace, depth: Depth, entries: u64) -> (ResealCounts, u64) {
    let budget = Budget { entries, bytes: u64::MAX };
    for calls in 1.. {
        let counts = block_on(namespace.reseal(depth, &budget, &mut |_| {})).unwrap();
        if counts.finished {
            return (counts, calls);
        }
    }
    unreachable!("it ends");
}

fn journals(ground: &Ground) -> usize {
    let journals = Collection::new("journals", Durability::Cache);
    block_on(ground.documents.list(journals, &ListQuery::default())).unwrap().documents.len()
}

fn fill(ground: &Ground) -> Vec<(Vec<u8>, Vec<u8>)> {
    let namespace = ground.namespace("a");
    let values: Vec<_> =
        (0_u8..100).map(|n| (vec![b'n', n], pattern(if n % 10 == 0 { 70_000 } else { 3_000 }, n))).collect();
    for (name, value) in &values {
        write(&namespace, name, value);
    }
    values
}

fn old(ground: &Ground) -> usize {
    let newest = ground.newest("a");
    let of_another = |value: &[u8]| Header::parse(value).unwrap().key_version() != newest;
    ground.documents().iter().filter(|document| of_another(&document.value)).count()
}

/// Blobs of which one may not be read.
#[derive(Debug)]
struct Locked {
    blobs: Arc<dyn Blobs>,
    id: BlobId,
}

#[async_trait]
impl Blobs for Locked {
    async fn create(&self, id: &BlobId, durability: Durability) -> BackendResult<Box<dyn BlobWriter>> {
        self.blobs.create(id, durability).await
    }

    async fn open(&self, id: &BlobId) -> BackendResult<Option<Box<dyn BlobReader>>> {
        if *id == self.id {
            return Err(BackendError::io("open a blob", id, io::ErrorKind::PermissionDenied.into()));
        }
        self.blobs.open(id).await
    }

    async fn delete(&self, id: &BlobId) -> BackendResult<bool> {
        self.blobs.delete(id).await
    }

    async fn list(&self, after: Option<&BlobId>, limit: usize) -> BackendResult<BlobPage> {
        self.blobs.list(after, limit).await
    }
}

#[test]
fn where_nothing_can_be_written_resealing_and_clearing_end_at_once_and_call_nothing_damaged() {
    let ground = Ground::new();
    fill(&ground);
    ground.rotate("a");
    // Whoever writes sees to the settings.
    write(&ground.namespace("a"), b"new", b"v");
    let narrow = ground.over(Narrow::read_only(&ground.documents), Arc::clone(&ground.blobs)).namespace("a").unwrap();
    let quiet = |found: bool| assert!(!found, "the entries are in order");
    let refused = [
        block_on(narrow.reseal(Depth::Entries, &Budget::UNLIMITED, &mut |event| {
            quiet(matches!(event, WalkEvent::Found(_)));
        }))
        .unwrap_err(),
        block_on(narrow.reseal(Depth::Blobs, &Budget::UNLIMITED, &mut |event| {
            quiet(matches!(event, WalkEvent::Found(_)));
        }))
        .unwrap_err(),
        block_on(narrow.clear(&ClearScope::All, &Budget::UNLIMITED, &mut |event| {
            quiet(matches!(event, WalkEvent::Found(_)));
        }))
        .unwrap_err(),
    ];
    for refused in refused {
        assert!(matches!(&refused, StoreError::Backend(error) if error.kind() == ErrorKind::Permission), "{refused}");
    }
}

#[test]
fn what_could_not_be_written_for_a_moment_is_not_passed_over_for_good() {
    for error in [io::ErrorKind::ReadOnlyFilesystem, io::ErrorKind::PermissionDenied] {
        let ground = Ground::new();
        fill(&ground);
        ground.rotate("a");
        // Whoever writes sees to the settings.
        write(&ground.namespace("a"), b"zz", b"v");
        let (narrow, refuses) = Narrow::refusing(&ground.documents, Some("entries"), error);
        let namespace = ground.over(narrow, Arc::clone(&ground.blobs)).namespace("a").unwrap();
        // The budget ends where the batch is written.
        let budget = Budget { entries: 10, bytes: u64::MAX };
        let first = block_on(namespace.reseal(Depth::Entries, &budget, &mut |_| {}));
        refuses.store(false, Ordering::SeqCst);
        let (counts, _) = reseal_by(&namespace, Depth::Entries, 10);
        assert_eq!(counts.failed, old(&ground) as u64, "what is old is said to be");
        if error == io::ErrorKind::ReadOnlyFilesystem {
            assert!(matches!(&first, Err(StoreError::Backend(error)) if error.is_read_only()), "{first:?}");
            assert_eq!(old(&ground), 0, "no step was written behind what was not");
        } else {
            assert_eq!((first.unwrap().failed, old(&ground)), (10, 10));
        }
    }
}

#[test]
fn one_blob_that_may_not_be_read_keeps_no_other_from_being_sealed_anew() {
    let ground = Ground::new();
    fill(&ground);
    let id = ground.entry("a", b"n\x14").blob.unwrap().id;
    ground.rotate("a");
    let blobs = Arc::new(Locked { blobs: Arc::clone(&ground.blobs), id });
    let namespace = ground.over(Arc::clone(&ground.documents), blobs).namespace("a").unwrap();
    let mut findings = Vec::new();
    let counts = block_on(namespace.reseal(Depth::Blobs, &Budget::UNLIMITED, &mut |event| {
        if let WalkEvent::Found(Finding::Entry { place, error }) = event {
            findings.push((place.name.as_bytes().to_vec(), error));
        }
    }));
    let counts = counts.unwrap();
    assert_eq!((counts.resealed, counts.blobs, counts.failed, counts.finished), (99, 9, 1, true), "{findings:?}");
    assert!(
        matches!(&findings[..], [(name, StoreError::Backend(error))] if name == b"n\x14" && error.kind() == ErrorKind::Permission),
        "{findings:?}"
    );
    assert_eq!(old(&ground), 1);
}

#[test]
fn everything_moves_to_the_newest_version_and_stays_what_it_was() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let values = fill(&ground);
    write(&ground.namespace("b"), b"n", b"elsewhere");
    let options = PutOptions { lifetime: Lifetime::For(Duration::from_secs(9)), ..PutOptions::default() };
    block_on(namespace.put(b"brief", b"v", &options)).unwrap();
    let stats: Vec<_> =
        values.iter().map(|(name, _)| block_on(namespace.stat(name, &GetOptions::default())).unwrap()).collect();
    let blobs: Vec<_> = ground.blob_ids().iter().map(|id| ground.blob(id)).collect();
    let elsewhere = ground.document("b", b"n");

    ground.rotate("a");
    ground.rotate("a");
    assert_eq!(old(&ground), 102);
    for (name, value) in &values {
        assert!(read(&namespace, name).unwrap() == *value, "what is under an old version still opens");
    }
    let (counts, findings) = reseal(&namespace);
    assert_eq!((counts.resealed, counts.current, counts.failed), (101, 0, 0), "{findings:?}");
    assert_eq!(old(&ground), 1, "the one of the other namespace");
    assert_eq!(ground.document("b", b"n"), elsewhere);
    for ((name, value), stat) in values.iter().zip(stats) {
        let got = block_on(namespace.get(name, &GetOptions::version(1))).unwrap();
        assert!(got.bytes == *value && got.stat == stat);
    }
    assert!(blobs.into_iter().eq(ground.blob_ids().iter().map(|id| ground.blob(id))), "blobs stay as they are");
    assert!(ground.check().0.is_clean());

    let (counts, _) = reseal(&namespace);
    assert_eq!((counts.resealed, counts.current, counts.failed), (0, 101, 0));
    ground.clock.forward(Duration::from_secs(9));
    assert_eq!(check(&ground.store).0.expired, 1, "no life was lengthened");
}

#[test]
fn what_does_not_open_is_named_and_left_as_it_is() {
    let ground = Ground::new();
    fill(&ground);
    let mut document = ground.document("a", b"n\x05").value;
    document[90] ^= 1;
    ground.plant("a", b"n\x05", &document);
    ground.rotate("a");
    let (counts, findings) = reseal(&ground.namespace("a"));
    assert_eq!((counts.resealed, counts.failed), (99, 1));
    assert_eq!(findings.iter().map(Finding::code).collect::<Vec<_>>(), ["damaged"]);
    assert_eq!(ground.document("a", b"n\x05").value, document);
}

#[test]
fn a_namespace_without_a_key_has_nothing_to_reseal() {
    let ground = Ground::new();
    let counts = reseal(&ground.namespace("a")).0;
    assert_eq!((counts.resealed, counts.current, counts.failed, counts.finished), (0, 0, 0, true));
}

#[test]
fn it_can_be_stopped_at_any_point_and_begun_again() {
    let mut points = 0;
    for failure in Failure::ALL {
        for at in 1.. {
            let ground = Ground::new();
            let values = fill(&ground);
            ground.rotate("a");
            let faults = CallFaults::new();
            let faulty = ground.over(
                Arc::new(FaultyDocuments::new(Arc::clone(&ground.documents), faults.clone())),
                Arc::new(FaultyBlobs::new(Arc::clone(&ground.blobs), faults.clone())),
            );
            faults.arm(at, failure);
            let stopped =
                block_on(faulty.namespace("a").unwrap().reseal(Depth::Entries, &Budget::UNLIMITED, &mut |_| {}));
            for (name, value) in &values {
                assert!(read(&ground.namespace("a"), name).unwrap() == *value);
            }
            let (counts, findings) = reseal(&ground.namespace("a"));
            assert_eq!(counts.failed, 0, "{findings:?}");
            assert_eq!(old(&ground), 0);
            assert!(ground.check().0.is_clean());
            if faults.calls() < at {
                assert_eq!(stopped.unwrap().resealed, 100);
                break;
            }
            points += 1;
        }
    }
    assert!(points >= 9, "{points} fault points");
}

#[test]
fn it_goes_on_call_by_call_and_counts_each_entry_once() {
    let mut ground = Ground::new();
    let values = fill(&ground);
    ground.rotate("a");
    let budget = Budget { entries: 30, bytes: u64::MAX };
    let counts = block_on(ground.namespace("a").reseal(Depth::Entries, &budget, &mut |_| {})).unwrap();
    assert_eq!((counts.resealed, counts.current, counts.finished), (30, 0, false));
    assert_eq!((old(&ground), journals(&ground)), (70, 1));

    // Another process goes on; it is told what the first has counted.
    ground.reopen();
    let (counts, calls) = reseal_by(&ground.namespace("a"), Depth::Entries, 30);
    assert_eq!((counts.resealed, counts.current, counts.failed, calls), (100, 0, 0, 3));
    assert_eq!((old(&ground), journals(&ground)), (0, 0));

    // By bytes, it stops behind the entry that passes them.
    ground.rotate("a");
    let budget = Budget { entries: u64::MAX, bytes: 3_000 };
    let counts = block_on(ground.namespace("a").reseal(Depth::Entries, &budget, &mut |_| {})).unwrap();
    assert!(!counts.finished && (1..=2).contains(&counts.resealed), "{counts:?}");

    // A journal of a version that is not the newest any more says nothing.
    ground.rotate("a");
    let (counts, _) = reseal(&ground.namespace("a"));
    assert_eq!((counts.resealed, counts.current, old(&ground)), (100, 0, 0));
    for (name, value) in &values {
        assert!(read(&ground.namespace("a"), name).unwrap() == *value);
    }
}

#[test]
fn a_journal_that_is_none_only_costs_time() {
    let ground = Ground::new();
    fill(&ground);
    ground.rotate("a");
    let journals = Collection::new("journals", Durability::Cache);
    let key = DocumentKey::new(b"reseal\0a".to_vec()).unwrap();
    block_on(ground.documents.put(journals, &key, b"nonsense", Expected::Any)).unwrap();
    let (counts, _) = reseal_by(&ground.namespace("a"), Depth::Entries, 30);
    assert_eq!((counts.resealed, old(&ground)), (100, 0));
}

#[test]
fn settings_and_quarantine_let_the_old_version_go_too() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", b"v");
    write(&namespace, b"damaged", b"v");
    let mut document = ground.document("a", b"damaged").value;
    document[90] ^= 1;
    ground.plant("a", b"damaged", &document);
    let first = ground.newest("a");
    assert!(read(&namespace, b"damaged").is_err());
    let used = |version| {
        let usage = block_on(ground.store.count_versions(&BTreeSet::from([version]), &mut |_| {})).unwrap();
        (usage.entries.get(&version).copied().unwrap_or(0), usage.records.get(&version).copied().unwrap_or(0))
    };
    assert_eq!(used(first), (1, 2));
    ground.rotate("a");
    let (counts, findings) = reseal(&namespace);
    assert_eq!((counts.resealed, counts.failed), (1, 0), "{findings:?}");
    // What the record keeps names the old version still, and may open once its bytes are mended.
    assert_eq!(used(first), (0, 1));
    assert_eq!(used(ground.newest("a")), (1, 2));
    let records = block_on(namespace.quarantine(None)).unwrap().records;
    assert_eq!(records[0].record.as_ref().unwrap().document, document);
    block_on(namespace.remove_quarantined(&records[0].id)).unwrap();
    assert_eq!(used(first), (0, 0));
    assert_eq!(block_on(namespace.settings()).unwrap(), NamespaceSettings::default());
}

#[test]
fn the_next_write_after_a_rotation_seals_the_settings_anew() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", b"v");
    let first = ground.newest("a");
    ground.rotate("a");
    write(&namespace, b"n", b"anew");
    let usage = block_on(ground.store.count_versions(&BTreeSet::from([first]), &mut |_| {})).unwrap();
    assert_eq!((usage.total(), usage.records.len()), (0, 0));
}

#[test]
fn a_change_of_mode_takes_hold_of_what_is_there() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    fill(&ground);
    let options = PutOptions { sensitive: true, ..PutOptions::default() };
    block_on(namespace.put(b"sensitive", b"v", &options)).unwrap();
    let encrypted = || {
        let suites =
            ground.documents().into_iter().map(|document| Header::parse(&document.value).unwrap().params().suite);
        suites.filter(|suite| *suite != Suite::Authenticated).count()
    };
    assert_eq!(encrypted(), 101);
    let settings = NamespaceSettings { mode: Mode::Authenticated, ..NamespaceSettings::default() };
    block_on(namespace.set_settings(&settings)).unwrap();
    let (counts, findings) = reseal(&namespace);
    // What is sensitive, and the keys of the ten blobs, stay encrypted.
    assert_eq!((counts.resealed, counts.current, encrypted()), (90, 11, 11), "{findings:?}");
    let (counts, _) = reseal(&namespace);
    assert_eq!((counts.resealed, counts.current), (0, 101));
    block_on(namespace.set_settings(&NamespaceSettings::default())).unwrap();
    assert_eq!((reseal(&namespace).0.resealed, encrypted()), (90, 101));
    assert!(ground.check().0.is_clean());
}

#[test]
fn blinded_names_stay_blinded_and_open() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let settings = NamespaceSettings { blinded_names: true, ..NamespaceSettings::default() };
    block_on(namespace.set_settings(&settings)).unwrap();
    let values = fill(&ground);
    let keys: Vec<_> = ground.documents().into_iter().map(|document| document.key).collect();
    ground.rotate("a");
    let (counts, findings) = reseal(&namespace);
    assert_eq!((counts.resealed, counts.failed), (100, 0), "{findings:?}");
    ground.rotate("a");
    assert_eq!(reseal_by(&namespace, Depth::Blobs, 7).0.blobs, 10);
    assert!(ground.documents().into_iter().map(|document| document.key).eq(keys));
    for (name, value) in &values {
        assert!(read(&namespace, name).unwrap() == *value);
    }
    assert!(ground.check().0.is_clean());
}

#[test]
fn in_depth_every_blob_gets_another_key_and_id() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let values = fill(&ground);
    let before = ground.blob_ids();
    // Without a rotation too: what is small is as it should be.
    let (counts, _) = reseal_by(&namespace, Depth::Blobs, 1_000);
    assert_eq!((counts.resealed, counts.current, counts.blobs, counts.failed), (10, 90, 10, 0));
    let after = ground.blob_ids();
    assert!(after.len() == 10 && after.iter().all(|id| !before.contains(id)));
    for (name, value) in &values {
        let got = block_on(namespace.get(name, &GetOptions::version(1))).unwrap();
        assert!(got.bytes == *value);
    }
    assert!(ground.check().0.is_clean());

    let damaged = ground.entry("a", b"n\x0a").blob.unwrap().id;
    let mut bytes = ground.blob(&damaged);
    bytes[1_000] ^= 1;
    ground.plant_blob(&damaged, &bytes);
    let (counts, _) = reseal_by(&namespace, Depth::Blobs, 1_000);
    assert_eq!((counts.blobs, counts.failed), (9, 1), "what does not open is left as it is");
    assert_eq!(ground.blob(&damaged), bytes);
}

#[test]
fn in_depth_it_can_be_stopped_at_any_call_and_another_goes_on() {
    let mut points = 0;
    for failure in Failure::ALL {
        for at in (1..).step_by(3) {
            let ground = Ground::new();
            let namespace = ground.namespace("a");
            let values: Vec<_> =
                (0_u8..8).map(|n| (vec![n], pattern(if n % 2 == 0 { 70_000 } else { 300 }, n))).collect();
            for (name, value) in &values {
                write(&namespace, name, value);
            }
            ground.rotate("a");
            let faults = CallFaults::new();
            let faulty = ground.over(
                Arc::new(FaultyDocuments::new(Arc::clone(&ground.documents), faults.clone())),
                Arc::new(FaultyBlobs::new(Arc::clone(&ground.blobs), faults.clone())),
            );
            faults.arm(at, failure);
            let budget = Budget { entries: 3, bytes: u64::MAX };
            let faulty = faulty.namespace("a").unwrap();
            let mut stopped = block_on(faulty.reseal(Depth::Blobs, &budget, &mut |_| {}));
            while stopped.as_ref().is_ok_and(|counts| !counts.finished) {
                stopped = block_on(faulty.reseal(Depth::Blobs, &budget, &mut |_| {}));
            }
            for (name, value) in &values {
                assert!(read(&namespace, name).unwrap() == *value, "{failure:?} at {at}");
            }
            let (counts, _) = reseal_by(&namespace, Depth::Blobs, 3);
            assert_eq!(counts.current + counts.resealed + counts.failed, 8, "{failure:?} at {at}: {counts:?}");
            // What failed, since the storage did, is done by calling again.
            assert_eq!(reseal(&namespace).0.failed, 0);
            assert_eq!(old(&ground), 0);
            let options = GcOptions { min_age: Duration::ZERO };
            block_on(ground.store.gc(&options, &Budget::UNLIMITED, &mut |_| {})).unwrap();
            assert_eq!((ground.blob_ids().len(), journals(&ground)), (4, 0), "{failure:?} at {at}");
            for (name, value) in &values {
                assert!(read(&namespace, name).unwrap() == *value, "{failure:?} at {at}");
            }
            assert!(ground.check().0.is_clean());
            if faults.calls() < at {
                break;
            }
            points += 1;
        }
    }
    println!("{points} fault points");
    assert!(points > 40, "{points} fault points");
}

#[test]
fn in_depth_beside_readers_writers_and_removers_no_value_is_wrong_or_missing() {
    let ground = Ground::in_folder();
    let open = || {
        let (documents, blobs) = open_folder(ground.folder());
        ground.over(documents, blobs).namespace("a").unwrap()
    };
    let namespace = open();
    for n in 0..12_u8 {
        write(&namespace, &[n], &pattern(70_000, n));
    }
    let done = AtomicBool::new(false);
    let (reads, writes) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        // Names 0 to 3 stay as they are; 4 to 7 are replaced; 8 to 11 come and go.
        for reader in 0..2_u8 {
            let (open, done, reads) = (&open, &done, &reads);
            scope.spawn(move || {
                let namespace = open();
                for n in (reader..12).cycle() {
                    match read(&namespace, &[n]) {
                        Ok(value) => assert!(value == pattern(70_000, n) || (n >= 4 && value == pattern(80_000, n))),
                        Err(error) => assert!(n >= 8 && error.code() == "not_found", "{n}: {error}"),
                    }
                    reads.fetch_add(1, Ordering::SeqCst);
                    if done.load(Ordering::SeqCst) {
                        break;
                    }
                }
            });
        }
        let (open, done, writes) = (&open, &done, &writes);
        scope.spawn(move || {
            let namespace = open();
            for n in (4..12_u8).cycle() {
                if n >= 8 {
                    block_on(namespace.remove(&[n], ExpectedVersion::Any)).unwrap();
                }
                write(&namespace, &[n], &pattern(80_000, n));
                writes.fetch_add(1, Ordering::SeqCst);
                if done.load(Ordering::SeqCst) {
                    break;
                }
            }
        });
        let mut rounds = 0;
        while rounds < 5 || reads.load(Ordering::SeqCst) < 200 || writes.load(Ordering::SeqCst) < 20 {
            ground.rotate("a");
            let (counts, _) = reseal_by(&namespace, Depth::Blobs, 5);
            if counts.failed > 0 {
                done.store(true, Ordering::SeqCst);
            }
            assert_eq!(counts.failed, 0, "{counts:?}");
            rounds += 1;
        }
        done.store(true, Ordering::SeqCst);
    });
    let (counts, findings) = ground.check();
    assert!(counts.is_clean() && counts.ok == 12, "{findings:?}");
    assert_eq!(ground.blob_ids().len(), 12, "no blob is left behind");
}
