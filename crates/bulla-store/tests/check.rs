//! `check` finds whatever is wrong, all of it, and nothing else.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bulla_backend::testing::{CallFaults, Failure, FaultyBlobs, FaultyDocuments};
use bulla_backend::{
    BlobId, Capabilities, Collection, Document, DocumentKey, Documents, Durability, ErrorKind, Expected, ListQuery,
    Page, Result, Revision,
};
use bulla_store::{
    Budget, CheckCounts, CheckOptions, Finding, Lifetime, MIN_ORPHAN_AGE, PutOptions, StoreError, WalkEvent,
};
use pollster::block_on;

use crate::ground::{ENTRIES, Ground, check, pattern, write};
use crate::narrow::Narrow;

#[test]
fn everything_wrong_is_named_and_hides_nothing() {
    let ground = Ground::new();
    for namespace in ["a", "b/c"] {
        let handle = ground.namespace(namespace);
        for n in 0..20 {
            write(&handle, format!("small-{n}").as_bytes(), &pattern(n, 1));
            write(&handle, format!("large-{n}").as_bytes(), &pattern(70_000 + n, 1));
        }
        let options = PutOptions { lifetime: Lifetime::For(Duration::from_secs(1)), ..PutOptions::default() };
        block_on(handle.put(b"brief", b"v", &options)).unwrap();
    }
    ground.clock.forward(Duration::from_secs(1));
    let (counts, findings) = ground.check();
    assert!(counts.is_clean() && findings.is_empty(), "{findings:?}");
    assert_eq!((counts.ok, counts.expired), (82, 2));

    // A flipped bit, a moved entry, a missing blob, a damaged one, an orphan, a strange key.
    let mut document = ground.document("a", b"small-3").value;
    document[80] ^= 1;
    ground.plant("a", b"small-3", &document);
    let moved = ground.document("a", b"small-4").value;
    ground.plant("a", b"zz", &moved);
    let missing = ground.entry("b/c", b"large-7").blob.unwrap().id;
    block_on(ground.blobs.delete(&missing)).unwrap();
    let damaged = ground.entry("b/c", b"large-8").blob.unwrap().id;
    let mut bytes = ground.blob(&damaged);
    bytes[1_000] ^= 1;
    ground.plant_blob(&damaged, &bytes);
    let orphan = BlobId([0x5a; 32]);
    ground.plant_blob(&orphan, b"nobody's");
    ground.plant("no..namespace", b"x", b"?");

    let (counts, findings) = ground.check();
    let mut named: Vec<_> = findings.iter().map(|finding| (finding.code(), finding.to_string())).collect();
    named.sort_unstable();
    let expected = [
        ("bad_key", "no..namespace\\x00x"),
        ("cannot_open", "`zz` in namespace `a`"),
        ("damaged", "`small-3` in namespace `a`"),
        ("damaged", "`large-8` in namespace `b/c`"),
        ("missing_blob", "`large-7` in namespace `b/c`"),
        ("orphan_blob", "5a5a5a5a"),
    ];
    assert_eq!(named.len(), expected.len(), "{named:?}");
    for ((code, message), (expected_code, part)) in named.iter().zip(expected) {
        assert_eq!(*code, expected_code, "{message}");
        assert!(message.contains(part), "{message}");
    }
    assert_eq!((counts.ok, counts.expired, counts.damaged), (79, 2, 5));
    assert_eq!((counts.missing_blobs, counts.orphan_blobs), (1, 1));
    assert!(!counts.is_clean());
}

#[test]
fn a_blob_whose_entry_does_not_open_is_reported_and_stays() {
    let ground = Ground::new();
    write(&ground.namespace("a"), b"n", &pattern(100_000, 1));
    let document = ground.document("a", b"n").value;
    let mut flipped = document.clone();
    flipped[100] ^= 1;
    ground.plant("a", b"n", &flipped);
    let (counts, _) = ground.check();
    assert_eq!((counts.damaged, counts.orphan_blobs), (1, 1));
    ground.plant("a", b"n", &document);
    assert!(ground.check().0.is_clean(), "mended from a backup, it is whole again");
}

#[test]
fn a_blob_is_an_orphan_only_from_a_certain_age_on() {
    let ground = Ground::new();
    write(&ground.namespace("a"), b"n", &pattern(100_000, 1));
    let counted = || {
        let (counts, findings) = check(&ground.store);
        assert_eq!(counts.is_clean(), findings.is_empty());
        assert_eq!(findings.len() as u64, counts.orphan_blobs, "a recent blob is no finding");
        (counts.recent_blobs, counts.orphan_blobs)
    };
    ground.plant_blob(&BlobId([1; 32]), b"first");
    ground.clock.forward(Duration::from_millis(1));
    ground.plant_blob(&BlobId([2; 32]), b"second");
    assert_eq!(counted(), (2, 0));
    ground.clock.forward(MIN_ORPHAN_AGE - Duration::from_millis(2));
    assert_eq!(counted(), (2, 0));
    ground.clock.forward(Duration::from_millis(1));
    assert_eq!(counted(), (1, 1), "each by its own age");
    ground.clock.forward(Duration::from_millis(1));
    assert_eq!(counted(), (0, 2), "and never the one that an entry refers to");
}

/// Documents that let something happen just before one is written.
struct Interrupted {
    documents: Arc<dyn Documents>,
    before_put: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.documents.fmt(f)
    }
}

#[async_trait]
impl Documents for Interrupted {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn get(&self, collection: Collection, key: &DocumentKey) -> Result<Option<Document>> {
        self.documents.get(collection, key).await
    }

    async fn put(
        &self,
        collection: Collection,
        key: &DocumentKey,
        value: &[u8],
        expected: Expected,
    ) -> Result<Revision> {
        if collection == ENTRIES {
            (self.before_put)();
        }
        self.documents.put(collection, key, value, expected).await
    }

    async fn delete(&self, collection: Collection, key: &DocumentKey, expected: Expected) -> Result<bool> {
        self.documents.delete(collection, key, expected).await
    }

    async fn list(&self, collection: Collection, query: &ListQuery) -> Result<Page> {
        self.documents.list(collection, query).await
    }
}

#[test]
fn a_blob_whose_entry_is_just_being_written_is_no_orphan() {
    let ground = Ground::new();
    let store = ground.store.clone();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let counts = Arc::clone(&seen);
    let before_put = Box::new(move || counts.lock().unwrap().push(check(&store).0));
    let interrupted = Interrupted { documents: Arc::clone(&ground.documents), before_put };
    let writing = ground.over(Arc::new(interrupted), Arc::clone(&ground.blobs)).namespace("a").unwrap();
    write(&writing, b"n", &pattern(100_000, 1));
    write(&writing, b"n", &pattern(100_000, 2));
    let seen = seen.lock().unwrap();
    assert_eq!(seen.iter().map(|counts| (counts.ok, counts.recent_blobs)).collect::<Vec<_>>(), [(0, 1), (1, 1)]);
    assert!(seen.iter().all(CheckCounts::is_clean), "{seen:?}");
    assert_eq!(check(&ground.store).0.recent_blobs, 0);
}

#[test]
fn progress_is_told_and_does_not_run_ahead() {
    let ground = Ground::new();
    for n in 0_u32..2_500 {
        write(&ground.namespace("a"), &n.to_be_bytes(), b"v");
    }
    let mut seen = Vec::new();
    let counts = block_on(ground.store.check(&CheckOptions::default(), &Budget::UNLIMITED, &mut |event| {
        if let WalkEvent::Progress(counts) = event {
            seen.push(counts.ok);
        }
    }));
    assert_eq!(counts.unwrap().ok, 2_500);
    assert!(seen.len() >= 3 && seen.is_sorted() && seen.last() == Some(&2_500), "{seen:?}");
}

#[test]
fn an_empty_store_is_clean() {
    let (counts, findings) = Ground::new().check();
    assert!(counts.is_clean() && findings.is_empty());
    assert_eq!(counts.ok, 0);
}

/// A store with something of everything, and the counts of its check.
fn mixed() -> (Ground, CheckCounts) {
    let ground = Ground::new();
    for namespace in ["a", "b"] {
        let handle = ground.namespace(namespace);
        for n in 0..6_u8 {
            write(&handle, &[n], &pattern(if n % 2 == 0 { 70_000 } else { 30 }, n));
        }
    }
    let mut document = ground.document("a", &[1]).value;
    document[80] ^= 1;
    ground.plant("a", &[1], &document);
    block_on(ground.blobs.delete(&ground.entry("b", &[2]).blob.unwrap().id)).unwrap();
    ground.plant_blob(&BlobId([9; 32]), b"nobody's");
    ground.clock.forward(MIN_ORPHAN_AGE);
    let counts = check(&ground.store).0;
    assert_eq!((counts.ok, counts.damaged, counts.missing_blobs, counts.orphan_blobs), (10, 2, 1, 1));
    (ground, counts)
}

fn but_read(mut counts: CheckCounts) -> CheckCounts {
    counts.read = 0;
    counts
}

#[test]
fn it_goes_on_call_by_call_to_the_same_end() {
    let (ground, whole) = mixed();
    for budget in [Budget { entries: 1, bytes: u64::MAX }, Budget { entries: u64::MAX, bytes: 1 }] {
        let mut findings = 0;
        let mut options = CheckOptions::default();
        let counts = loop {
            let counts = block_on(ground.store.check(&options, &budget, &mut |event| {
                findings += u64::from(matches!(event, WalkEvent::Found(_)));
            }))
            .unwrap();
            if counts.finished {
                break counts;
            }
            options.resume = true;
        };
        // Reading the journal's own row is not the same work each time.
        assert_eq!(but_read(counts), but_read(whole));
        assert_eq!(findings, 3);
    }
}

#[test]
fn where_nothing_can_be_written_it_does_without_a_journal() {
    let (ground, _) = mixed();
    // Enough for a step on the way.
    write(&ground.namespace("a"), b"huge", &pattern(17 << 20, 3));
    let whole = check(&ground.store).0;
    let options = CheckOptions { quarantine: true, resume: true };
    let forbidden = ground.over(Narrow::forbidden(&ground.documents), Arc::clone(&ground.blobs));
    assert_eq!(but_read(check(&forbidden).0), but_read(whole));
    let narrow = ground.over(Narrow::read_only(&ground.documents), Arc::clone(&ground.blobs));
    assert_eq!(but_read(check(&narrow).0), but_read(whole));
    let budget = Budget { entries: 1, bytes: u64::MAX };
    let refused = block_on(narrow.check(&options, &budget, &mut |_| {})).unwrap_err();
    assert!(matches!(&refused, StoreError::Backend(error) if error.kind() == ErrorKind::Permission), "{refused}");

    // Where another check was stopped, this one goes on to the end as well.
    block_on(ground.store.check(&CheckOptions::default(), &budget, &mut |_| {})).unwrap();
    let counts = block_on(narrow.check(&options, &Budget::UNLIMITED, &mut |_| {})).unwrap();
    assert_eq!((but_read(counts), counts.finished), (but_read(whole), true));
}

#[test]
fn it_can_be_stopped_at_any_call_and_another_goes_on() {
    let mut points = 0;
    for failure in [Failure::Before, Failure::Away] {
        for at in 1.. {
            let (ground, whole) = mixed();
            let faults = CallFaults::new();
            let faulty = ground.over(
                Arc::new(FaultyDocuments::new(Arc::clone(&ground.documents), faults.clone())),
                Arc::new(FaultyBlobs::new(Arc::clone(&ground.blobs), faults.clone())),
            );
            let budget = Budget { entries: 2, bytes: u64::MAX };
            faults.arm(at, failure);
            let mut options = CheckOptions::default();
            let stopped = loop {
                let counts = block_on(faulty.check(&options, &budget, &mut |_| {}));
                if counts.as_ref().map_or(true, |counts| counts.finished) {
                    break counts;
                }
                options.resume = true;
            };
            let options = CheckOptions { resume: true, ..CheckOptions::default() };
            let counts = block_on(ground.store.check(&options, &Budget::UNLIMITED, &mut |_| {})).unwrap();
            let seen = |counts: &CheckCounts| (counts.ok + counts.damaged, counts.orphan_blobs);
            // An entry that could not be looked at then is a finding of then.
            assert!(counts.damaged >= whole.damaged && counts.ok <= whole.ok, "{failure:?} at {at}: {counts:?}");
            assert_eq!(seen(&counts), seen(&whole), "{failure:?} at {at}");
            let again = check(&ground.store).0;
            assert_eq!(but_read(again), but_read(whole), "nothing was changed");
            if faults.calls() < at {
                assert!(stopped.is_ok());
                break;
            }
            points += 1;
        }
    }
    assert!(points > 50, "{points} fault points");
}

#[test]
fn damaged_settings_are_named_and_so_are_missing_ones() {
    let ground = Ground::new();
    let namespaces = Collection::new("namespaces", Durability::Durable);
    for name in ["a", "b"] {
        write(&ground.namespace(name), b"n", b"v");
    }
    let key = |name: &[u8]| DocumentKey::new(name.to_vec()).unwrap();
    let mut settings = block_on(ground.documents.get(namespaces, &key(b"a"))).unwrap().unwrap().value;
    settings[90] ^= 1;
    block_on(ground.documents.put(namespaces, &key(b"a"), &settings, Expected::Any)).unwrap();
    block_on(ground.documents.delete(namespaces, &key(b"b"), Expected::Any)).unwrap();
    block_on(ground.documents.put(namespaces, &key(b"no..name"), b"?", Expected::Any)).unwrap();
    let condemned = Collection::new("condemned", Durability::Durable);
    block_on(ground.documents.put(condemned, &key(b"x"), b"?", Expected::Any)).unwrap();
    let (counts, findings) = ground.check();
    let mut codes: Vec<_> = findings.iter().map(Finding::code).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["bad_document", "bad_document", "damaged", "settings_missing"], "{findings:?}");
    assert_eq!((counts.ok, counts.damaged), (2, 4));
    // Who knew them says that they are gone.
    ground.clock.forward(Duration::from_secs(2));
    let (counts, findings) = check(&ground.store);
    assert!(findings.iter().any(|finding| finding.code() == "settings_rolled_back"), "{findings:?}");
    assert_eq!((counts.ok, counts.damaged), (2, 4));
}

#[test]
fn asked_to_it_puts_what_is_damaged_into_quarantine() {
    let (ground, whole) = mixed();
    let options = CheckOptions { quarantine: true, ..CheckOptions::default() };
    let counts = block_on(ground.store.check(&options, &Budget::UNLIMITED, &mut |_| {})).unwrap();
    assert_eq!((counts.ok, counts.damaged, counts.moved), (whole.ok, 2, 2));
    let (counts, findings) = check(&ground.store);
    assert_eq!((counts.ok, counts.damaged, counts.quarantined, counts.moved), (10, 0, 2, 0), "{findings:?}");
    // An entry whose damaged blob is there is moved with it: the blob is no orphan.
    let ground = Ground::new();
    write(&ground.namespace("a"), b"n", &pattern(70_000, 1));
    let id = ground.entry("a", b"n").blob.unwrap().id;
    let mut bytes = ground.blob(&id);
    bytes[900] ^= 1;
    ground.plant_blob(&id, &bytes);
    let counts = block_on(ground.store.check(&options, &Budget::UNLIMITED, &mut |_| {})).unwrap();
    assert_eq!((counts.damaged, counts.moved), (1, 1));
    let (counts, findings) = ground.check();
    assert!(counts.is_clean() && counts.quarantined == 1 && counts.orphan_blobs == 0, "{findings:?}");
}
