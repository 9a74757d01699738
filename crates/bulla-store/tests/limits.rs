//! Limits that hold, and what goes for them, in which order.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bulla_backend::{Documents, Durability, JsonDocuments, MemoryBlobs, Usage};
use bulla_store::{
    BadSettings, Budget, Eviction, ExpectedVersion, GetOptions, Kept, Lifetime, Namespace, NamespaceSettings, NewEntry,
    PutOptions, Store, StoreError,
};
use pollster::block_on;

use crate::ground::{ENTRIES, Ground, assert_code, document_key, names, pattern, read, value, write};
use crate::watched::Watched;

const POLICIES: [Eviction; 3] =
    [Eviction::LeastRecentlyStored, Eviction::LeastRecentlyUsed, Eviction::LeastFrequentlyUsed];
pub(crate) const BRIEF: Lifetime = Lifetime::For(Duration::from_mins(1));

pub(crate) fn limited(
    max_entries: Option<u64>,
    max_bytes: Option<u64>,
    eviction: Option<Eviction>,
) -> NamespaceSettings {
    NamespaceSettings { max_entries, max_bytes, eviction, durability: Kept::Cache, ..NamespaceSettings::default() }
}

pub(crate) fn set(namespace: &Namespace, settings: &NamespaceSettings) {
    block_on(namespace.set_settings(settings)).unwrap();
}

pub(crate) fn usage(namespace: &Namespace) -> Usage {
    block_on(namespace.usage()).unwrap().unwrap()
}

pub(crate) fn put(namespace: &Namespace, name: &[u8], bytes: &[u8], lifetime: Lifetime) -> Result<u64, StoreError> {
    block_on(namespace.put(name, bytes, &PutOptions { lifetime, ..PutOptions::default() }))
}

pub(crate) fn all(namespace: &Namespace) -> Vec<String> {
    names(namespace, b"", 0).into_iter().map(|name| String::from_utf8(name).unwrap()).collect()
}

/// Puts `a` to `e` one second after the other into a namespace with room for five.
fn five(ground: &Ground, eviction: Eviction) -> Namespace {
    let namespace = ground.namespace("cache");
    set(&namespace, &limited(Some(5), None, Some(eviction)));
    for name in ["a", "b", "c", "d", "e"] {
        write(&namespace, name.as_bytes(), b"v");
        ground.clock.forward(Duration::from_secs(1));
    }
    namespace
}

#[test]
fn what_was_stored_longest_ago_goes_first_however_often_it_is_read() {
    for ground in [Ground::new(), Ground::in_folder()] {
        let namespace = five(&ground, Eviction::LeastRecentlyStored);
        for _ in 0..10 {
            read(&namespace, b"a").unwrap();
        }
        write(&namespace, b"b", b"anew");
        write(&namespace, b"f", b"v");
        assert_eq!(all(&namespace), ["b", "c", "d", "e", "f"]);
        write(&namespace, b"g", b"v");
        assert_eq!(all(&namespace), ["b", "d", "e", "f", "g"]);
    }
}

#[test]
fn what_was_used_longest_ago_goes_first() {
    for ground in [Ground::new(), Ground::in_folder()] {
        let namespace = five(&ground, Eviction::LeastRecentlyUsed);
        read(&namespace, b"a").unwrap();
        ground.clock.forward(Duration::from_secs(1));
        write(&namespace, b"f", b"v");
        ground.clock.forward(Duration::from_secs(1));
        assert_eq!(all(&namespace), ["a", "c", "d", "e", "f"]);
        // A look at an entry is no use of its value.
        block_on(namespace.stat(b"c", &GetOptions::default())).unwrap();
        block_on(namespace.reader(b"d", &GetOptions::default())).unwrap();
        write(&namespace, b"g", b"v");
        write(&namespace, b"h", b"v");
        assert_eq!(all(&namespace), ["a", "d", "f", "g", "h"]);
    }
}

#[test]
fn what_was_used_least_goes_first_and_old_use_counts_for_less() {
    for ground in [Ground::new(), Ground::in_folder()] {
        let namespace = five(&ground, Eviction::LeastFrequentlyUsed);
        for (name, uses) in [("a", 4), ("b", 1), ("d", 2), ("e", 3)] {
            for _ in 0..uses {
                read(&namespace, name.as_bytes()).unwrap();
            }
        }
        write(&namespace, b"f", b"v");
        assert_eq!(all(&namespace), ["a", "b", "d", "e", "f"], "`c` was never read");
        // What was read often once, and never again, is overtaken by what comes and is read now.
        for round in 0..12_u8 {
            let name = format!("n{round}");
            write(&namespace, name.as_bytes(), b"v");
            for _ in 0..2 {
                read(&namespace, name.as_bytes()).unwrap();
            }
            ground.clock.forward(Duration::from_secs(2));
        }
        assert!(all(&namespace).iter().all(|name| name.starts_with('n')), "{:?}", all(&namespace));
    }
}

#[test]
fn a_new_process_puts_no_entry_below_those_that_were_evicted() {
    let mut ground = Ground::in_folder();
    let namespace = five(&ground, Eviction::LeastFrequentlyUsed);
    for round in 0..30_u8 {
        write(&namespace, format!("{round}").as_bytes(), b"v");
        read(&namespace, format!("{round}").as_bytes()).unwrap();
        ground.clock.forward(Duration::from_secs(2));
    }
    ground.reopen();
    let namespace = ground.namespace("cache");
    write(&namespace, b"x", b"v");
    for _ in 0..3 {
        read(&namespace, b"x").unwrap();
    }
    for name in [&b"y"[..], b"z", b"zz"] {
        write(&namespace, name, b"v");
    }
    assert!(all(&namespace).contains(&"x".to_owned()), "{:?}", all(&namespace));
}

#[test]
fn uses_survive_the_process_and_change_no_revision() {
    for eviction in [Eviction::LeastRecentlyUsed, Eviction::LeastFrequentlyUsed] {
        let mut ground = Ground::in_folder();
        let namespace = five(&ground, eviction);
        let before = ground.documents();
        for _ in 0..3 {
            read(&namespace, b"a").unwrap();
            ground.clock.forward(Duration::from_secs(2));
        }
        ground.reopen();
        assert_eq!(ground.documents(), before, "bytes and revisions");
        let namespace = ground.namespace("cache");
        write(&namespace, b"f", b"v");
        assert_eq!(all(&namespace), ["a", "c", "d", "e", "f"]);
    }
}

#[test]
fn a_limit_in_bytes_holds_after_every_put_and_only_a_little_goes_at_once() {
    for (ground, puts) in [(Ground::new(), 1_500), (Ground::in_folder(), 400)] {
        for eviction in POLICIES {
            let namespace = ground.namespace(eviction.name());
            let limit = 200_000;
            set(&namespace, &limited(None, Some(limit), Some(eviction)));
            let mut before = Usage::default();
            let mut was_full = false;
            for number in 0..puts {
                let len = 200 + (number * 733) % 3_000;
                write(&namespace, format!("{number}").as_bytes(), &pattern(len, 1));
                let after = usage(&namespace);
                assert!(after.bytes <= limit, "{eviction:?}: {} bytes after {number}", after.bytes);
                assert!(before.documents <= after.documents + 63, "{eviction:?}: {before:?}, then {after:?}");
                was_full |= after.bytes > limit * 9 / 10;
                assert!(!was_full || after.bytes > limit * 7 / 10, "{eviction:?}: {after:?}");
                assert!(value(&namespace, format!("{number}").as_bytes()).is_some(), "the newest stays");
                before = after;
                ground.clock.forward(Duration::from_millis(10));
            }
            assert!(was_full);
        }
    }
}

#[test]
fn a_limit_in_entries_holds_after_every_put_and_only_a_little_goes_at_once() {
    let ground = Ground::new();
    let namespace = ground.namespace("cache");
    set(&namespace, &limited(Some(2_000), None, Some(Eviction::LeastRecentlyStored)));
    let mut before = 0;
    for number in 0_u32..6_000 {
        write(&namespace, &number.to_be_bytes(), b"v");
        let after = usage(&namespace).documents;
        assert!(after <= 2_000 && before < after + 64, "{before}, then {after}");
        assert!(number < 2_000 || after >= 1_700, "{after}");
        before = after;
        ground.clock.forward(Duration::from_millis(1));
    }
    for gone in 0_u32..3_999 {
        assert!(value(&namespace, &gone.to_be_bytes()).is_none());
    }
    for kept in 4_400_u32..6_000 {
        assert!(value(&namespace, &kept.to_be_bytes()).is_some(), "{kept} is among the newest");
    }
}

#[test]
fn what_alone_passes_the_limit_is_refused_before_anything_goes() {
    for ground in [Ground::new(), Ground::in_folder()] {
        let namespace = ground.namespace("cache");
        set(&namespace, &limited(None, Some(60_000), Some(Eviction::LeastRecentlyUsed)));
        for number in 0..40_u8 {
            write(&namespace, &[number], &pattern(1_000, number));
        }
        let before = (usage(&namespace), ground.documents());
        for len in [60_000, 65_536, 65_537, 200_000, 3_000_000] {
            assert_code(put(&namespace, b"large", &pattern(len, 1), Lifetime::Inherited), "over_limit");
            let mut writer = namespace.writer(b"large", &PutOptions::default()).unwrap();
            let pieces = pattern(len, 1).chunks(10_000).try_for_each(|piece| block_on(writer.write(piece)));
            assert_code(pieces.and_then(|()| block_on(writer.finish())), "over_limit");
            assert_eq!((usage(&namespace), ground.documents()), before, "{len}");
            assert!(ground.blob_ids().is_empty());
        }
        // What has room by itself gets it, whatever has to go.
        let most = (1..60_000).rev().step_by(50).find(|len| put(&namespace, b"l", &pattern(*len, 1), BRIEF).is_ok());
        assert!(most.unwrap() > 40_000, "{most:?}");
        assert_eq!(all(&namespace), ["l"]);
    }
}

#[test]
fn a_large_value_takes_the_place_of_no_more_than_it_needs() {
    for ground in [Ground::new(), Ground::in_folder()] {
        let namespace = ground.namespace("cache");
        set(&namespace, &limited(None, Some(1_000_000), Some(Eviction::LeastRecentlyStored)));
        for number in 0..1_000_u32 {
            write(&namespace, &number.to_be_bytes(), &pattern(1_000, 1));
            ground.clock.forward(Duration::from_millis(1));
        }
        let before = usage(&namespace);
        write(&namespace, b"large", &pattern(300_000, 2));
        let after = usage(&namespace);
        assert!(after.bytes > 800_000 && after.bytes <= 1_000_000, "{before:?}, then {after:?}");
        assert_eq!(read(&namespace, b"large").unwrap(), pattern(300_000, 2));
        // Several large ones do not push each other out for the sake of a small one.
        for number in 0..2_u8 {
            write(&namespace, &[b'L', number], &pattern(300_000, number));
        }
        for number in 0..60_u32 {
            write(&namespace, &number.to_be_bytes(), &pattern(1_000, 1));
        }
        assert!(ground.blob_ids().len() >= 2, "{}", ground.blob_ids().len());
        let (counts, findings) = ground.check();
        assert!(counts.is_clean(), "blobs go with their entries: {findings:?}");
    }
}

#[test]
fn a_full_namespace_without_a_policy_refuses_and_keeps_all() {
    for ground in [Ground::new(), Ground::in_folder()] {
        for settings in [limited(Some(10), None, None), limited(None, Some(20_000), None)] {
            let namespace = ground.namespace(if settings.max_bytes.is_some() { "bytes" } else { "entries" });
            set(&namespace, &settings);
            let fits = (0..50_u8).take_while(|number| {
                put(&namespace, &[*number], &pattern(1_500, *number), Lifetime::Inherited).is_ok()
            });
            let fits = u8::try_from(fits.count()).unwrap();
            assert!((8..=12).contains(&fits), "{fits}");
            for len in [1_500, 100_000] {
                let code = if settings.max_bytes.is_some() && len == 100_000 { "over_limit" } else { "limit_reached" };
                assert_code(put(&namespace, b"more", &pattern(len, 1), Lifetime::Inherited), code);
            }
            for number in 0..fits {
                assert_eq!(read(&namespace, &[number]).unwrap(), pattern(1_500, number));
            }
            assert!(ground.blob_ids().is_empty());
            // In place of another it is no more than before.
            write(&namespace, &[0], &pattern(1_500, 9));
            // Room is made by removing, and by time.
            block_on(namespace.remove(&[1], ExpectedVersion::Any)).unwrap();
            // That it is due takes room as well.
            put(&namespace, &[1], &pattern(1_400, 1), BRIEF).unwrap();
            assert_code(put(&namespace, b"more", &pattern(1_500, 1), Lifetime::Inherited), "limit_reached");
            ground.clock.forward(Duration::from_mins(2));
            put(&namespace, b"more", &pattern(1_300, 1), Lifetime::Inherited).unwrap();
            assert_eq!(names(&namespace, b"", 0).len(), usize::from(fits), "what had expired made room");
        }
    }
}

#[test]
fn what_has_expired_goes_before_what_has_not() {
    let ground = Ground::new();
    let namespace = ground.namespace("cache");
    set(&namespace, &limited(Some(5), None, Some(Eviction::LeastRecentlyStored)));
    for (name, lifetime) in
        [("a", Lifetime::Unlimited), ("b", BRIEF), ("c", Lifetime::Unlimited), ("d", BRIEF), ("e", Lifetime::Unlimited)]
    {
        put(&namespace, name.as_bytes(), b"v", lifetime).unwrap();
    }
    ground.clock.forward(Duration::from_mins(2));
    write(&namespace, b"f", b"v");
    assert_eq!(usage(&namespace).documents, 5);
    write(&namespace, b"g", b"v");
    assert_eq!(all(&namespace), ["a", "c", "e", "f", "g"]);
}

#[test]
fn limits_are_for_storages_that_count() {
    let folder = tempfile::tempdir().unwrap();
    let ground = on_json(folder.path());
    let namespace = ground.namespace("cache");
    for settings in [limited(Some(5), None, None), limited(None, Some(5), Some(Eviction::LeastRecentlyUsed))] {
        match block_on(namespace.set_settings(&settings)) {
            Err(StoreError::InvalidSettings { reason: BadSettings::NoCounting, .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(block_on(namespace.usage()).unwrap(), None);
}

pub(crate) fn on_json(folder: &Path) -> Ground {
    let documents = JsonDocuments::open(folder.join("entries.json")).unwrap();
    Ground::on(Arc::new(documents), Arc::new(MemoryBlobs::new()))
}

#[test]
fn a_lowered_limit_is_kept_by_eviction_and_by_the_puts_that_follow() {
    let ground = Ground::new();
    let namespace = ground.namespace("cache");
    assert_code(block_on(namespace.evict(None, &Budget::UNLIMITED)), "no_eviction");
    let settings = limited(Some(1_000), None, Some(Eviction::LeastRecentlyStored));
    set(&namespace, &settings);
    for number in 0..900_u32 {
        write(&namespace, &number.to_be_bytes(), b"v");
        ground.clock.forward(Duration::from_millis(1));
    }
    let nothing = block_on(namespace.evict(None, &Budget::UNLIMITED)).unwrap();
    assert_eq!((nothing.evicted, nothing.finished), (0, true));
    let hundred = Budget { entries: 100, ..Budget::UNLIMITED };
    let keep = Usage { documents: 650, bytes: u64::MAX };
    for (evicted, finished, left) in [(100, false, 800), (100, false, 700), (50, true, 650)] {
        let counts = block_on(namespace.evict(Some(keep), &hundred)).unwrap();
        assert_eq!((counts.evicted, counts.finished), (evicted, finished));
        assert_eq!(usage(&namespace).documents, left);
    }
    assert_eq!(names(&namespace, b"", 0)[0], 250_u32.to_be_bytes(), "the oldest went");
    set(&namespace, &NamespaceSettings { max_entries: Some(100), ..settings });
    write(&namespace, b"x", b"v");
    assert!(usage(&namespace).documents <= 100);
    block_on(namespace.evict(Some(Usage::default()), &Budget::UNLIMITED)).unwrap();
    assert_eq!(usage(&namespace), Usage::default());
}

#[test]
fn entries_from_before_a_policy_are_evicted_once_they_are_filed() {
    for ground in [Ground::new(), Ground::in_folder()] {
        let namespace = ground.namespace("cache");
        for number in 0..150_u32 {
            let len = if number % 50 == 0 { 70_000 } else { 100 };
            put(&namespace, &number.to_be_bytes(), &pattern(len, 1), Lifetime::Inherited).unwrap();
            ground.clock.forward(Duration::from_millis(1));
        }
        let before = usage(&namespace);
        set(&namespace, &limited(Some(1_000), None, Some(Eviction::LeastRecentlyStored)));
        let keep = Some(Usage { documents: 100, bytes: u64::MAX });
        let counts = block_on(namespace.evict(keep, &Budget::UNLIMITED)).unwrap();
        assert_eq!((counts.evicted, counts.finished), (0, true), "nobody said which go first");
        let mut calls = 0;
        let filed = loop {
            calls += 1;
            let budget = Budget { entries: 40, ..Budget::UNLIMITED };
            let counts = block_on(namespace.refile(&budget, &mut |_| {})).unwrap();
            if counts.finished {
                break counts;
            }
        };
        assert_eq!((calls, filed.filed, filed.refused), (4, 150, 0));
        assert_eq!(usage(&namespace).documents, before.documents);
        let counts = block_on(namespace.evict(keep, &Budget::UNLIMITED)).unwrap();
        assert_eq!((counts.evicted, counts.finished), (50, true));
        assert_eq!(names(&namespace, b"", 0)[0], 50_u32.to_be_bytes());
        for number in 50..150_u32 {
            let stat = block_on(namespace.stat(&number.to_be_bytes(), &GetOptions::default())).unwrap();
            assert_eq!(stat.version, 1, "filing is no new version");
        }
        let (counts, findings) = ground.check();
        assert!(counts.is_clean() && counts.ok == 100, "{findings:?}");
    }
}

#[test]
fn an_entry_that_is_replaced_between_look_and_eviction_stays() {
    let ground = Ground::new();
    let watched = Watched::new(&ground.documents);
    let store = ground.over(Arc::clone(&watched) as Arc<dyn Documents>, Arc::clone(&ground.blobs));
    let namespace = five(&ground, Eviction::LeastRecentlyStored);
    let other = namespace.clone();
    watched.before_delete(move || {
        write(&other, b"a", b"anew");
    });
    write(&store.namespace("cache").unwrap(), b"f", b"v");
    assert_eq!(all(&namespace), ["a", "c", "d", "e", "f"]);
    assert_eq!(read(&namespace, b"a").unwrap(), b"anew");
}

#[test]
fn what_is_accounted_is_what_the_disk_holds() {
    let mut ground = Ground::in_folder();
    let namespace = ground.namespace("cache").with_durability(Durability::Cache);
    set(&namespace, &limited(None, Some(30_000_000), Some(Eviction::LeastRecentlyUsed)));
    // Until much has come and gone.
    for number in 0..6_000_u32 {
        let len = match number % 100 {
            0 => 250_000,
            1..10 => 20_000,
            10..40 => 4_000,
            _ => 600,
        };
        put(&namespace, &number.wrapping_mul(0x9e37_79b9).to_be_bytes(), &pattern(len, 1), BRIEF).unwrap();
        ground.clock.forward(Duration::from_millis(1));
    }
    let accounted = usage(&namespace);
    drop(namespace);
    ground.reopen();
    while block_on(ground.documents.compact()).unwrap().is_some() {}
    let held = held(ground.folder().path());
    let ratio = held as f64 / accounted.bytes as f64;
    println!("accounted {} bytes in {} entries, held {held}: {ratio:.3}", accounted.bytes, accounted.documents);
    assert!((0.85..1.10).contains(&ratio), "{ratio}");
}

/// The room that all files below a folder take, as `du` has it.
fn held(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { held(&path) } else { std::fs::metadata(&path).unwrap().blocks() * 512 }).sum()
}

#[test]
fn blinded_entries_are_evicted_and_swept_like_others() {
    let ground = Ground::new();
    let namespace = ground.namespace("cache");
    let settings = limited(Some(5), None, Some(Eviction::LeastRecentlyUsed));
    set(&namespace, &NamespaceSettings { blinded_names: true, ..settings });
    for name in ["a/1", "a/2", "b/1", "b/2", "c"] {
        put(&namespace, name.as_bytes(), &pattern(70_000, 1), BRIEF).unwrap();
        ground.clock.forward(Duration::from_secs(1));
    }
    read(&namespace, b"a/1").unwrap();
    ground.clock.forward(Duration::from_secs(1));
    put(&namespace, b"d", b"v", Lifetime::Unlimited).unwrap();
    assert!(value(&namespace, b"a/1").is_some() && value(&namespace, b"a/2").is_none());
    ground.clock.forward(Duration::from_mins(2));
    let counts = block_on(namespace.expire_due(&Budget::UNLIMITED)).unwrap();
    assert_eq!((counts.expired, counts.refused, counts.misfiled), (4, 0, 0));
    assert!(ground.blob_ids().is_empty() && value(&namespace, b"d").is_some());
}

#[test]
fn puts_of_many_at_once_and_transactions_keep_limits_too() {
    for ground in [Ground::new(), Ground::in_folder()] {
        let [entries, bytes] = ["entries", "bytes"].map(|name| ground.namespace(name));
        set(&entries, &limited(Some(100), None, Some(Eviction::LeastRecentlyStored)));
        set(&bytes, &limited(None, Some(150_000), Some(Eviction::LeastRecentlyUsed)));
        for round in 0..8_u8 {
            let names: Vec<_> = (0..64_u8).map(|number| [round, number]).collect();
            let value = pattern(2_000, round);
            let many: Vec<_> = names.iter().map(|name| NewEntry::new(name, &value)).collect();
            for namespace in [&entries, &bytes] {
                let outcomes = block_on(namespace.put_many(&many));
                assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(1))), "{outcomes:?}");
                assert!(usage(namespace).documents > 30);
            }
            assert!(usage(&entries).documents <= 100 && usage(&bytes).bytes <= 150_000);
            ground.clock.forward(Duration::from_secs(1));
            let mut transaction = ground.store.transaction().unwrap();
            for number in 0..10_u8 {
                for namespace in [&entries, &bytes] {
                    transaction.put(namespace, &[round, 100 + number], b"v", &PutOptions::default()).unwrap();
                }
            }
            block_on(transaction.commit()).unwrap();
            assert!(usage(&entries).documents <= 100 && usage(&bytes).bytes <= 150_000);
            for namespace in [&entries, &bytes] {
                assert!((100..110_u8).all(|number| value_of(namespace, &[round, number]) == b"v"));
            }
            ground.clock.forward(Duration::from_secs(1));
        }
        // A batch that alone passes the limit is put one by one.
        let values: Vec<_> = (0..200_u8).map(|number| [number]).collect();
        let many: Vec<_> = values.iter().map(|value| NewEntry::new(value, value)).collect();
        assert!(block_on(entries.put_many(&many)).iter().all(Result::is_ok));
        assert!((90..=100).contains(&usage(&entries).documents));
    }
}

fn value_of(namespace: &Namespace, name: &[u8]) -> Vec<u8> {
    read(namespace, name).unwrap()
}

#[test]
fn keys_of_other_namespaces_are_not_counted_in() {
    let ground = Ground::new();
    for name in ["a", "a/b", "ab"] {
        set(&ground.namespace(name), &limited(Some(3), None, Some(Eviction::LeastRecentlyStored)));
        for number in 0..3_u8 {
            write(&ground.namespace(name), &[number], b"v");
            ground.clock.forward(Duration::from_secs(1));
        }
    }
    write(&ground.namespace("a"), b"x", b"v");
    assert_eq!(["a", "a/b", "ab"].map(|name| usage(&ground.namespace(name)).documents), [3; 3]);
    assert!(block_on(ground.documents.get(ENTRIES, &document_key("a/b", &[0]))).unwrap().is_some());
}

#[test]
fn what_is_written_anew_in_a_full_namespace_stays_and_takes_room_once() {
    let renewals: [fn(&Store, &Namespace, &[u8]); 4] = [
        |_, namespace, _| {
            let expected = ExpectedVersion::Any;
            block_on(namespace.set_lifetime(b"big", Lifetime::For(Duration::from_hours(9)), expected)).unwrap();
        },
        |_, namespace, larger| assert_eq!(write(namespace, b"big", larger), 2),
        |_, namespace, larger| {
            let many = [NewEntry::new(b"big", larger), NewEntry::new(b"more", b"v")];
            assert!(block_on(namespace.put_many(&many)).iter().all(Result::is_ok));
        },
        |store, namespace, larger| {
            let mut transaction = store.transaction().unwrap();
            transaction.put(namespace, b"big", larger, &PutOptions::default()).unwrap();
            block_on(transaction.commit()).unwrap();
        },
    ];
    for (renew, len) in renewals.into_iter().flat_map(|renew| [(renew, 20_000), (renew, 200_000)]) {
        for ground in [Ground::new(), Ground::in_folder()] {
            let namespace = ground.namespace("cache");
            let eviction = Some(Eviction::LeastRecentlyStored);
            set(&namespace, &limited(None, Some(1 << 20), eviction));
            write(&namespace, b"big", &pattern(len, 1));
            for number in 0..10_u8 {
                ground.clock.forward(Duration::from_secs(2));
                write(&namespace, &[number], &pattern(len / 20, number));
            }
            set(&namespace, &limited(None, Some(usage(&namespace).bytes), eviction));
            ground.clock.forward(Duration::from_secs(2));
            renew(&ground.store, &namespace, &pattern(len + len / 20, 2));
            // The oldest of all was to go first; it stays, and little goes for what it has grown by.
            assert_eq!(block_on(namespace.stat(b"big", &GetOptions::default())).unwrap().version, 2);
            let left = (0..10_u8).filter(|number| value(&namespace, &[*number]).is_some()).count();
            assert!((4..10).contains(&left), "{len}: {left}");
        }
    }
}

#[test]
fn a_transaction_over_a_full_namespace_takes_what_it_removes_for_room() {
    for ground in [Ground::new(), Ground::in_folder()] {
        let [plain, cache] = ["plain", "cache"].map(|name| ground.namespace(name));
        set(&plain, &limited(Some(2), None, None));
        set(&cache, &limited(Some(2), None, Some(Eviction::LeastRecentlyStored)));
        for name in [b"a", b"b"] {
            write(&plain, name, b"v");
            write(&cache, name, b"v");
            ground.clock.forward(Duration::from_secs(2));
        }
        let put = |names: &[&[u8]]| {
            let mut transaction = ground.store.transaction().unwrap();
            names.iter().for_each(|name| transaction.put(&plain, name, b"w", &PutOptions::default()).unwrap());
            transaction.put(&cache, b"c", b"w", &PutOptions::default()).unwrap();
            transaction
        };
        assert_code(block_on(put(&[b"a", b"c"]).commit()), "limit_reached");
        assert_eq!(all(&plain), ["a", "b"]);
        let mut transaction = put(&[b"b", b"c"]);
        transaction.remove(&plain, b"a").unwrap();
        block_on(transaction.commit()).unwrap();
        assert_eq!((all(&plain).join(""), all(&cache).contains(&"c".to_owned())), ("bc".to_owned(), true));
    }
}
