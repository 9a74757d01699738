//! What becomes of what fails verification.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use bulla_backend::{
    Clock, Collection, Document, DocumentKey, Documents, Durability, Event, Expected, ListQuery, MemoryDocuments,
    Recorder,
};
use bulla_store::{
    AuditScope, Budget, CheckOptions, ExpectedVersion, GetOptions, MAX_INLINE_LEN, Namespace, NamespaceSettings,
    OnTamper, PutOptions, Quarantined, Store, StoreOptions,
};
use pollster::block_on;

use crate::ground::{Ground, assert_code, document_key, pattern, read, value, write};
use crate::narrow::Narrow;

const QUARANTINE: Collection = Collection::new("quarantine", Durability::Durable);
const LARGE: usize = 2 * MAX_INLINE_LEN + 1_000;

/// Writes down what it is told.
#[derive(Debug, Default)]
pub(crate) struct Notes(Mutex<String>);

impl Recorder for Notes {
    fn record(&self, event: &Event<'_>) {
        writeln!(self.0.lock().unwrap(), "{event:?}").unwrap();
    }
}

impl Notes {
    pub(crate) fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// The same project over the same storage, as a process that writes down what happens.
pub(crate) fn noted(ground: &Ground) -> (Store, Arc<Notes>) {
    noted_over(ground, Arc::clone(&ground.documents))
}

fn noted_over(ground: &Ground, documents: Arc<dyn Documents>) -> (Store, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    let mut options = StoreOptions::default();
    options.recorder = Arc::clone(&notes) as Arc<dyn Recorder>;
    let clock = Arc::clone(&ground.clock) as Arc<dyn Clock>;
    let blobs = Arc::clone(&ground.blobs);
    (Store::with_options(Arc::clone(&ground.keyring), documents, blobs, clock, options), notes)
}

fn set(namespace: &Namespace, change: impl FnOnce(&mut NamespaceSettings)) {
    let mut settings = NamespaceSettings::default();
    change(&mut settings);
    block_on(namespace.set_settings(&settings)).unwrap();
}

fn damage(ground: &Ground, namespace: &str, name: &[u8]) -> Vec<u8> {
    let mut document = ground.document(namespace, name).value;
    *document.last_mut().unwrap() ^= 1;
    ground.plant(namespace, name, &document);
    document
}

fn records(namespace: &Namespace) -> Vec<Quarantined> {
    block_on(namespace.quarantine(None)).unwrap().records
}

fn stored_records(ground: &Ground) -> Vec<Document> {
    block_on(ground.documents.list(QUARANTINE, &ListQuery::default())).unwrap().documents
}

fn is_there(ground: &Ground, namespace: &str, name: &[u8]) -> bool {
    block_on(ground.documents.get(crate::ground::ENTRIES, &document_key(namespace, name))).unwrap().is_some()
}

#[test]
fn what_fails_verification_is_put_aside_and_reported_once() {
    let ground = Ground::new();
    let (store, notes) = noted(&ground);
    let namespace = store.namespace("a").unwrap();
    write(&namespace, b"n", b"v");
    write(&namespace, b"other", b"w");
    let bytes = damage(&ground, "a", b"n");
    notes.take();

    assert_code(read(&namespace, b"n"), "damaged");
    assert_eq!(
        notes.take(),
        "SecurityViolation(damaged: `n` in namespace `a`: put into quarantine)\n",
        "the recorder is told"
    );
    for _ in 0..2 {
        assert_code(read(&namespace, b"n"), "quarantined");
        assert_code(block_on(namespace.stat(b"n", &GetOptions::default())), "quarantined");
        assert_code(block_on(namespace.reader(b"n", &GetOptions::default())), "quarantined");
    }
    assert_eq!(notes.take(), "");
    assert!(!is_there(&ground, "a", b"n"));
    assert_eq!(read(&namespace, b"other").unwrap(), b"w");
    assert_code(read(&namespace, b"never was"), "not_found");

    let found = records(&namespace);
    let [Quarantined { record: Ok(record), place: Some(place), .. }] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(place.to_string(), "`n` in namespace `a`");
    assert_eq!((record.code.as_str(), record.found), ("damaged", ground.clock.now()));
    assert_eq!((&record.document, record.cut_from, record.blob), (&bytes, None, None));

    assert_eq!(write(&namespace, b"n", b"anew"), 1);
    assert_eq!(read(&namespace, b"n").unwrap(), b"anew");
    assert_eq!(records(&namespace).len(), 1, "until somebody sees to it");
}

#[test]
fn a_cache_is_told_of_a_miss() {
    let ground = Ground::new();
    let (store, notes) = noted(&ground);
    let namespace = store.namespace("a").unwrap();
    set(&namespace, |settings| settings.on_tamper = OnTamper::Miss);
    for (name, len) in [(&b"small"[..], 3), (b"large", LARGE)] {
        write(&namespace, name, &pattern(len, 1));
        damage(&ground, "a", name);
        notes.take();
        assert_eq!(value(&namespace, name), None);
        assert!(notes.take().starts_with("SecurityViolation(damaged"));
        assert_eq!(value(&namespace, name), None);
        assert_eq!(notes.take(), "");
    }
    assert_eq!(records(&namespace).len(), 2);
}

#[test]
fn a_put_over_damage_keeps_what_it_replaces() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    for len in [3, LARGE] {
        write(&namespace, b"n", b"v");
        let bytes = damage(&ground, "a", b"n");
        let absent = PutOptions { expected: ExpectedVersion::Absent, ..PutOptions::default() };
        assert_eq!(block_on(namespace.put(b"n", &pattern(len, 2), &absent)).unwrap(), 1);
        assert_eq!(read(&namespace, b"n").unwrap(), pattern(len, 2));
        let kept = records(&namespace).into_iter().map(|record| record.record.unwrap().document);
        assert!(kept.into_iter().any(|document| document == bytes));
        block_on(namespace.remove(b"n", ExpectedVersion::Any)).unwrap();
    }
    assert!(ground.check().0.is_clean());
}

#[test]
fn removing_what_is_damaged_says_so_and_keeps_it() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", b"v");
    damage(&ground, "a", b"n");
    assert_code(block_on(namespace.remove(b"n", ExpectedVersion::Any)), "damaged");
    assert_eq!(records(&namespace).len(), 1);
    assert!(!block_on(namespace.remove(b"n", ExpectedVersion::Any)).unwrap());
}

#[test]
fn an_entry_whose_blob_fails_goes_with_it_and_comes_back_with_it() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", &pattern(LARGE, 1));
    let id = ground.blob_ids()[0];
    let blob = ground.blob(&id);
    for (altered, code) in [(Some(&blob[..blob.len() - 1]), "damaged"), (None, "missing_blob")] {
        match altered {
            Some(bytes) => ground.plant_blob(&id, bytes),
            None => block_on(ground.blobs.delete(&id)).map(drop).unwrap(),
        }
        assert_code(read(&namespace, b"n"), code);
        if altered.is_none() {
            // It may be that this machine alone does not see it: somebody has to ask.
            assert_code(read(&namespace, b"n"), code);
            assert!(block_on(namespace.set_aside(b"n")).unwrap());
        }
        assert_code(read(&namespace, b"n"), "quarantined");
        let found = records(&namespace);
        let record = found[0].record.as_ref().unwrap();
        assert_eq!((record.code.as_str(), record.blob), (code, Some(id)));
        let restored = block_on(namespace.restore_quarantined(&found[0].id));
        assert_code(restored, code);

        ground.plant_blob(&id, &blob);
        assert_eq!(block_on(namespace.restore_quarantined(&found[0].id)).unwrap(), found[0].place.clone().unwrap());
        assert_eq!(read(&namespace, b"n").unwrap(), pattern(LARGE, 1));
        assert_eq!(records(&namespace).len(), 0);
    }
    assert!(ground.check().0.is_clean());
}

#[test]
fn a_blob_folder_that_is_not_mounted_empties_no_store() {
    for on_tamper in [OnTamper::Error, OnTamper::Miss] {
        let ground = Ground::new();
        let namespace = ground.namespace("a");
        set(&namespace, |settings| settings.on_tamper = on_tamper);
        for name in [&b"read"[..], b"put", b"removed", b"moved"] {
            write(&namespace, name, &pattern(LARGE, 1));
        }
        // Another machine, that sees the documents and no blobs.
        let clock = Arc::clone(&ground.clock) as Arc<dyn Clock>;
        let notes = Arc::new(Notes::default());
        let mut options = StoreOptions::default();
        options.recorder = Arc::clone(&notes) as Arc<dyn Recorder>;
        let (keyring, documents) = (Arc::clone(&ground.keyring), Arc::clone(&ground.documents));
        let nothing = Arc::new(bulla_backend::MemoryBlobs::new());
        let store = Store::with_options(keyring, documents, nothing, clock, options);
        let there = store.namespace("a").unwrap();
        let code = if on_tamper == OnTamper::Miss { "not_found" } else { "missing_blob" };
        for name in [&b"read"[..], b"put", b"removed", b"moved"] {
            for _ in 0..2 {
                assert_code(read(&there, name), code);
                assert_code(block_on(there.reader(name, &GetOptions::default())), code);
                let told = notes.take();
                assert_eq!(told.matches("SecurityViolation(missing_blob").count(), 2, "{told}");
                assert_eq!(told.matches("left where it is: its blob is not there").count(), 2, "{told}");
            }
        }
        assert!(records(&namespace).is_empty());
        assert!(read(&namespace, b"read").unwrap() == pattern(LARGE, 1), "where the blobs are, all is as it was");
        // What is asked for is done.
        assert_eq!(write(&there, b"put", b"anew"), 2);
        assert!(block_on(there.remove(b"removed", ExpectedVersion::Any)).unwrap());
        assert!(records(&namespace).is_empty());
        assert!(block_on(there.set_aside(b"moved")).unwrap());
        assert_eq!(records(&namespace).len(), 1);
        let options = CheckOptions { quarantine: true, ..CheckOptions::default() };
        let counts = block_on(store.check(&options, &Budget::UNLIMITED, &mut |_| {})).unwrap();
        assert_eq!((counts.missing_blobs, counts.moved), (1, 1), "{counts:?}");
        assert_eq!(records(&namespace).len(), 2);
    }
}

#[test]
fn a_blob_of_a_newer_program_stays_until_somebody_asks() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", &pattern(LARGE, 1));
    let id = ground.blob_ids()[0];
    let blob = ground.blob(&id);
    // The format and the suite that its header names.
    for spot in [3, 4] {
        let mut newer = blob.clone();
        newer[spot] ^= 0x40;
        ground.plant_blob(&id, &newer);
        for _ in 0..2 {
            assert_code(read(&namespace, b"n"), "damaged");
        }
        assert!(records(&namespace).is_empty());
        let options = CheckOptions { quarantine: true, ..CheckOptions::default() };
        let counts = block_on(ground.store.check(&options, &Budget::UNLIMITED, &mut |_| {})).unwrap();
        assert_eq!((counts.damaged, counts.moved), (1, 0));
    }
    assert!(block_on(namespace.set_aside(b"n")).unwrap());
    assert_eq!(records(&namespace).len(), 1);
}

#[test]
fn a_reader_that_finds_damage_on_its_way_says_so() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    set(&namespace, |settings| settings.on_tamper = OnTamper::Miss);
    write(&namespace, b"n", &pattern(LARGE, 1));
    let id = ground.blob_ids()[0];
    let mut blob = ground.blob(&id);
    blob[70_000] ^= 1;
    ground.plant_blob(&id, &blob);
    let mut reader = block_on(namespace.reader(b"n", &GetOptions::default())).unwrap();
    assert!(block_on(reader.read_chunk()).unwrap().is_some());
    let second = block_on(reader.read_chunk()).map(|chunk| chunk.map(<[u8]>::len));
    assert_code(second, "damaged");
    assert_eq!(value(&namespace, b"n"), None);
    assert_eq!(records(&namespace).len(), 1);
}

#[test]
fn what_lacks_its_key_or_is_newer_stays_until_somebody_asks() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    // The format, the suite and the version of the key that a header names.
    for (spot, code) in [(3, "unsupported_version"), (4, "unsupported_suite"), (8, "unknown_version")] {
        write(&namespace, b"n", b"v");
        let mut document = ground.document("a", b"n").value;
        document[spot] ^= 0x40;
        ground.plant("a", b"n", &document);
        for _ in 0..2 {
            assert_code(read(&namespace, b"n"), code);
            assert_code(block_on(namespace.put(b"n", b"w", &PutOptions::default())), code);
            assert_code(block_on(namespace.remove(b"n", ExpectedVersion::Any)), code);
        }
        assert!(is_there(&ground, "a", b"n"));
        assert!(block_on(namespace.set_aside(b"n")).unwrap());
        assert!(!block_on(namespace.set_aside(b"n")).unwrap());
        assert_code(read(&namespace, b"n"), "quarantined");
        for record in records(&namespace) {
            assert_eq!(record.record.as_ref().unwrap().code, code);
            assert_code(block_on(namespace.restore_quarantined(&record.id)), code);
            assert!(block_on(namespace.remove_quarantined(&record.id)).unwrap());
            assert!(!block_on(namespace.remove_quarantined(&record.id)).unwrap());
        }
        assert_code(read(&namespace, b"n"), "not_found");
    }
    write(&namespace, b"n", b"v");
    assert!(!block_on(namespace.set_aside(b"n")).unwrap(), "what verifies stays");
    assert_eq!(read(&namespace, b"n").unwrap(), b"v");
}

#[test]
fn nothing_is_put_back_over_a_live_entry() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", &pattern(LARGE, 1));
    let id = ground.blob_ids()[0];
    let blob = ground.blob(&id);
    block_on(ground.blobs.delete(&id)).unwrap();
    assert!(block_on(namespace.set_aside(b"n")).unwrap());
    ground.plant_blob(&id, &blob);
    write(&namespace, b"n", b"newer");
    let found = records(&namespace);
    assert_code(block_on(namespace.restore_quarantined(&found[0].id)), "occupied");
    assert_eq!(read(&namespace, b"n").unwrap(), b"newer");
    block_on(namespace.remove(b"n", ExpectedVersion::Any)).unwrap();
    block_on(namespace.restore_quarantined(&found[0].id)).unwrap();
    assert_eq!(read(&namespace, b"n").unwrap(), pattern(LARGE, 1));
}

#[test]
fn planted_records_say_nothing_and_can_be_removed() {
    let ground = Ground::new();
    let (a, b) = (ground.namespace("a"), ground.namespace("b"));
    for namespace in [&a, &b] {
        write(namespace, b"n", b"v");
    }
    damage(&ground, "a", b"n");
    assert_code(read(&a, b"n"), "damaged");
    block_on(b.remove(b"n", ExpectedVersion::Any)).unwrap();
    let record = stored_records(&ground).remove(0);
    let put = |key: &[u8], bytes: &[u8]| {
        let key = DocumentKey::new(key).unwrap();
        block_on(ground.documents.put(QUARANTINE, &key, bytes, Expected::Any)).unwrap();
    };
    let id = &record.key.as_bytes()[2..];

    put(&[b"b\0", id].concat(), &record.value);
    assert_code(read(&b, b"n"), "not_found");
    let found = records(&b);
    assert!(found[0].place.is_none());
    assert_eq!(found[0].record.as_ref().unwrap_err().code(), "bad_record");
    assert_code(block_on(b.restore_quarantined(&found[0].id)), "bad_record");
    assert!(block_on(b.remove_quarantined(&found[0].id)).unwrap());

    let mut elsewhere = id.to_vec();
    *elsewhere.last_mut().unwrap() ^= 1;
    put(&[b"a\0", &elsewhere[..]].concat(), &record.value);
    put(b"a\0too short", b"x");
    let mut altered = record.value.clone();
    *altered.last_mut().unwrap() ^= 1;
    put(record.key.as_bytes(), &altered);
    let found = records(&a);
    assert_eq!(found.len(), 2, "what has no id is left out");
    assert!(found.iter().all(|found| found.record.is_err()));
    assert_code(read(&a, b"n"), "not_found");

    // Removed, and put back whole: it is heard again, and does no more.
    for found in found {
        block_on(a.remove_quarantined(&found.id)).unwrap();
    }
    put(record.key.as_bytes(), &record.value);
    assert_code(read(&a, b"n"), "quarantined");
    assert_code(block_on(a.restore_quarantined(&records(&a)[0].id)), "damaged");
    assert_eq!(write(&a, b"n", b"anew"), 1);
    assert_eq!(read(&a, b"n").unwrap(), b"anew");
}

#[test]
fn the_same_bytes_are_kept_once_and_others_beside_them() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", b"v");
    let good = ground.document("a", b"n").value;
    for round in 0..3 {
        for byte in [0, good.len() - 1] {
            let mut bad = good.clone();
            bad[byte] ^= 1;
            ground.plant("a", b"n", &bad);
            let error = read(&namespace, b"n").unwrap_err();
            assert!(error.is_integrity_failure(), "round {round}: {error}");
        }
    }
    assert_eq!(records(&namespace).len(), 2);
    // As long as a document can be.
    let long = vec![7; bulla_backend::MAX_DOCUMENT_LEN];
    ground.plant("a", b"n", &long);
    assert_code(read(&namespace, b"n"), "not_sealed");
    let cut =
        records(&namespace).into_iter().map(|record| record.record.unwrap()).find(|record| record.cut_from.is_some());
    let cut = cut.unwrap();
    assert_eq!((cut.cut_from, cut.document.len()), (Some(long.len() as u64), bulla_store::MAX_QUARANTINED_LEN));
}

#[test]
fn listings_and_checks_move_nothing() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", b"v");
    damage(&ground, "a", b"n");
    let page = block_on(namespace.list(&bulla_store::EntryQuery::default())).unwrap();
    assert_eq!(page.entries[0].stat.as_ref().unwrap_err().code(), "damaged");
    assert_eq!(ground.check().0.damaged, 1);
    assert!(is_there(&ground, "a", b"n") && records(&namespace).is_empty());
}

#[test]
fn what_cannot_be_moved_stays_and_is_reported_each_time() {
    let ground = Ground::new();
    write(&ground.namespace("a"), b"n", b"v");
    damage(&ground, "a", b"n");
    let documents = Narrow::read_only(&ground.documents);
    let (store, notes) = noted_over(&ground, documents);
    let namespace = store.namespace("a").unwrap();
    for _ in 0..2 {
        assert_code(read(&namespace, b"n"), "damaged");
        assert!(notes.take().contains("could not be put into quarantine"));
    }
    assert!(is_there(&ground, "a", b"n"));
}

#[test]
fn reads_are_told_where_they_are_to_be() {
    let ground = Ground::new();
    let (store, notes) = noted(&ground);
    let (quiet, watched) = (store.namespace("quiet").unwrap(), store.namespace("watched").unwrap());
    set(&watched, |settings| (settings.audit, settings.memory_tier) = (AuditScope::All, true));
    for namespace in [&quiet, &watched] {
        write(namespace, b"n", b"v");
        notes.take();
        for _ in 0..2 {
            read(namespace, b"n").unwrap();
        }
        block_on(namespace.stat(b"n", &GetOptions::default())).unwrap();
        block_on(namespace.reader(b"n", &GetOptions::default())).unwrap();
        block_on(namespace.list(&bulla_store::EntryQuery::default())).unwrap();
        assert_code(read(namespace, b"none"), "not_found");
        let mut entries = block_on(namespace.entries(&bulla_store::EntryQuery::default())).unwrap();
        block_on(entries.next()).unwrap().unwrap();
        block_on(store.transaction().unwrap().get(namespace, b"n")).unwrap();
        let told = notes.take();
        let reads = if namespace.name().as_str() == "watched" { 7 } else { 0 };
        assert_eq!(told.matches("Read(").count(), reads, "{told}");
    }
}

#[test]
fn a_backend_that_changes_one_document_at_a_time_loses_nothing() {
    let documents: Arc<dyn Documents> = Arc::new(MemoryDocuments::new());
    let ground = Ground::on(Narrow::one_at_a_time(&documents), Arc::new(bulla_backend::MemoryBlobs::new()));
    let namespace = ground.namespace("a");
    write(&namespace, b"n", b"v");
    damage(&ground, "a", b"n");
    assert_code(read(&namespace, b"n"), "damaged");
    assert_code(read(&namespace, b"n"), "quarantined");
    assert_eq!(records(&namespace).len(), 1);
    assert_eq!(write(&namespace, b"n", b"anew"), 1);
}
