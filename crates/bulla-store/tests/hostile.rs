//! What a hostile reader of the store tried: each of these must hold.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bulla_backend::{
    BlobId, Blobs, Clock, Collection, Document, DocumentKey, Documents, Durability, Expected, ListQuery, MemoryBlobs,
    MemoryDocuments,
};
use bulla_keyring::{Backup, SystemKey};
use bulla_seal::{Header, Suite};
use bulla_store::{
    Budget, ComputeOptions, Depth, EntryQuery, Eviction, ExpectedVersion, GcOptions, GetOptions, Lifetime, Mode,
    Namespace, NamespaceSettings, NewEntry, OnTamper, PutOptions, RestoreOptions, Store, StoreError, Waiter, WalkEvent,
};
use pollster::block_on;

use crate::ground::{Ground, assert_code, pattern, read, value, write};

const NAMESPACES: Collection = Collection::new("namespaces", Durability::Durable);
const CONDEMNED: Collection = Collection::new("condemned", Durability::Durable);
const LARGE: usize = 200_000;

fn set(namespace: &Namespace, change: impl FnOnce(&mut NamespaceSettings)) -> Result<u64, StoreError> {
    let mut settings = NamespaceSettings::default();
    change(&mut settings);
    block_on(namespace.set_settings(&settings))
}

fn settings_of(ground: &Ground, namespace: &str) -> Document {
    let key = DocumentKey::new(namespace.as_bytes()).unwrap();
    block_on(ground.documents.get(NAMESPACES, &key)).unwrap().unwrap()
}

fn plant_settings(ground: &Ground, namespace: &str, bytes: &[u8]) {
    let key = DocumentKey::new(namespace.as_bytes()).unwrap();
    block_on(ground.documents.put(NAMESPACES, &key, bytes, Expected::Any)).unwrap();
}

/// As another process would have it, that has seen nothing yet.
fn fresh(ground: &Ground) -> Store {
    ground.over(Arc::clone(&ground.documents), Arc::clone(&ground.blobs))
}

fn suite_of(ground: &Ground, namespace: &str, name: &[u8]) -> Suite {
    Header::parse(&ground.document(namespace, name).value).unwrap().params().suite
}

fn only_blob(ground: &Ground) -> BlobId {
    ground.blob_ids()[0]
}

fn back_up(ground: &Ground) -> Vec<u8> {
    block_on(async {
        let mut backup = ground.keyring.begin_backup(Vec::new()).await.unwrap();
        ground.store.back_up(&mut backup, &mut |_| {}).await.unwrap();
        backup.finish(&ground.keyring).await.unwrap().0
    })
}

/// Restores a backup to a store; returns how many entries were written.
fn restore(ground: &Ground, store: &Store, file: &[u8], options: &RestoreOptions) -> u64 {
    let clock = Arc::clone(&ground.clock) as Arc<dyn Clock>;
    let identity = Arc::clone(ground.keyring.identity());
    let backup = block_on(Backup::read(file, identity, ground.keyring.project(), clock)).unwrap();
    let mut contents = backup.contents(file).unwrap();
    block_on(store.restore(&mut contents, options, &mut |_| {})).unwrap().restored
}

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
fn a_transaction_says_that_a_value_is_missing_rather_than_begin_again() {
    for on_tamper in [OnTamper::Error, OnTamper::Miss] {
        let ground = Ground::new();
        let namespace = ground.namespace("a");
        set(&namespace, |settings| settings.on_tamper = on_tamper).unwrap();
        write(&namespace, b"n", &pattern(LARGE, 1));
        block_on(ground.blobs.delete(&only_blob(&ground))).unwrap();
        // Whoever gets a conflict begins again, as told: they never come to an end.
        let mut conflicts = 0;
        let got = loop {
            let mut transaction = ground.store.transaction().unwrap();
            match block_on(transaction.get(&namespace, b"n")) {
                Err(StoreError::TransactionConflict(_)) if conflicts < 20 => conflicts += 1,
                got => break got,
            }
        };
        match on_tamper {
            OnTamper::Error => assert!(got.is_err_and(|error| error.is_integrity_failure())),
            OnTamper::Miss => assert_eq!(got.unwrap(), None),
        }
    }
}

#[test]
fn a_transaction_treats_a_damaged_value_as_a_read_does() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    set(&namespace, |settings| settings.on_tamper = OnTamper::Miss).unwrap();
    write(&namespace, b"n", &pattern(LARGE, 1));
    let id = only_blob(&ground);
    let mut blob = ground.blob(&id);
    blob[300] ^= 1;
    ground.plant_blob(&id, &blob);
    let mut transaction = ground.store.transaction().unwrap();
    let got = block_on(transaction.get(&namespace, b"n"));
    assert_eq!(got.map_err(|error| error.code()), Ok(None));
    assert_eq!(block_on(namespace.quarantine(None)).unwrap().records.len(), 1);
}

#[test]
fn a_transaction_over_two_stores_loses_no_value() {
    let (here, there) = (Ground::new(), Ground::new());
    let (a, b) = (here.namespace("a"), there.namespace("b"));
    let mut transaction = here.store.transaction().unwrap();
    let put = transaction
        .put(&a, b"n", b"v", &PutOptions::default())
        .and_then(|()| transaction.put(&b, b"n", b"w", &PutOptions::default()));
    // Refused at the one place or the other; but what is said to be written is there.
    if put.is_ok() && block_on(transaction.commit()).is_ok() {
        assert_eq!(value(&a, b"n").as_deref(), Some(&b"v"[..]));
        assert_eq!(value(&b, b"n").as_deref(), Some(&b"w"[..]));
    }
}

#[test]
fn a_namespace_that_is_not_full_keeps_no_transaction_out() {
    let ground = Ground::new();
    let (plain, cache) = (ground.namespace("plain"), ground.namespace("cache"));
    set(&plain, |settings| settings.max_entries = Some(100)).unwrap();
    set(&cache, |settings| {
        (settings.max_entries, settings.eviction) = (Some(5), Some(Eviction::LeastRecentlyStored));
    })
    .unwrap();
    for name in 0_u8..5 {
        write(&cache, &[name], b"v");
    }
    let mut transaction = ground.store.transaction().unwrap();
    transaction.put(&plain, b"n", b"v", &PutOptions::default()).unwrap();
    transaction.put(&cache, b"n", b"v", &PutOptions::default()).unwrap();
    block_on(transaction.commit()).unwrap();
}

#[test]
fn a_resealing_after_a_change_of_mode_begins_anew() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    for name in [&b"a"[..], b"b", b"c"] {
        write(&namespace, name, b"out of sight");
    }
    set(&namespace, |settings| settings.mode = Mode::Authenticated).unwrap();
    let two = Budget { entries: 2, bytes: u64::MAX };
    assert!(!block_on(namespace.reseal(Depth::Entries, &two, &mut |_| {})).unwrap().finished);
    assert_eq!(suite_of(&ground, "a", b"a"), Suite::Authenticated);
    set(&namespace, |settings| settings.mode = Mode::Sealed).unwrap();
    let counts = block_on(namespace.reseal(Depth::Entries, &Budget::UNLIMITED, &mut |_| {})).unwrap();
    assert!(counts.finished && counts.failed == 0);
    for name in [&b"a"[..], b"b", b"c"] {
        assert_ne!(suite_of(&ground, "a", name), Suite::Authenticated, "{}", name.escape_ascii());
    }
}

#[test]
fn a_value_put_long_after_the_namespace_was_sealed_is_encrypted() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    set(&namespace, |settings| settings.mode = Mode::Authenticated).unwrap();
    let bytes = pattern(LARGE, 1);
    let mut writer = namespace.writer(b"n", &PutOptions::default()).unwrap();
    block_on(writer.write(&bytes[..100_000])).unwrap();
    set(&namespace, |settings| settings.mode = Mode::Sealed).unwrap();
    ground.clock.forward(Duration::from_hours(1));
    let put = block_on(async {
        writer.write(&bytes[100_000..]).await?;
        writer.finish().await
    });
    assert_code(put, "mode_changed");
    assert_eq!(ground.blob_ids(), [], "what can be read does not stay");
    write(&namespace, b"n", &bytes);
    let (blob, secret) = (ground.blob(&only_blob(&ground)), &bytes[150_000..150_100]);
    assert!(!blob.windows(secret.len()).any(|window| window == secret), "it can be read in the storage");
}

#[test]
fn a_resealing_in_depth_that_was_left_long_ago_begins_anew() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    for name in [&b"a"[..], b"b"] {
        write(&namespace, name, &pattern(LARGE, 1));
    }
    let one = Budget { entries: 1, bytes: u64::MAX };
    assert!(!block_on(namespace.reseal(Depth::Blobs, &one, &mut |_| {})).unwrap().finished);
    let before = ground.blob_ids();
    ground.clock.forward(Duration::from_hours(24));
    let counts = block_on(namespace.reseal(Depth::Blobs, &Budget::UNLIMITED, &mut |_| {})).unwrap();
    assert_eq!((counts.finished, counts.blobs), (true, 2));
    assert!(ground.blob_ids().iter().all(|id| !before.contains(id)));
}

#[test]
fn settings_that_were_lost_find_blinded_entries_again_after_a_rotation() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    set(&namespace, |settings| settings.blinded_names = true).unwrap();
    write(&namespace, b"n", b"v");
    block_on(ground.keyring.rotate_system_key(&SystemKey::index(&"a".parse().unwrap()).unwrap())).unwrap();
    let mut settings = settings_of(&ground, "a").value;
    *settings.last_mut().unwrap() ^= 1;
    plant_settings(&ground, "a", &settings);
    let namespace = fresh(&ground).namespace("a").unwrap();
    assert_code(block_on(namespace.put(b"n", b"w", &PutOptions::default())), "damaged");
    set(&namespace, |settings| settings.blinded_names = true).unwrap();
    assert_eq!(value(&namespace, b"n").as_deref(), Some(&b"v"[..]));
}

#[test]
fn settings_with_any_flipped_bit_can_be_set_anew() {
    let ground = Ground::new();
    write(&ground.namespace("a"), b"n", b"v");
    let good = settings_of(&ground, "a").value;
    let (mut stuck, mut refused) = (Vec::new(), std::collections::BTreeSet::new());
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        plant_settings(&ground, "a", &bad);
        let namespace = fresh(&ground).namespace("a").unwrap();
        refused.extend(set(&namespace, |_| {}).err().map(|error| error.code().to_owned()));
        plant_settings(&ground, "a", &bad);
        let namespace = fresh(&ground).namespace("a").unwrap();
        if let Err(error) = block_on(namespace.set_settings_anew(&NamespaceSettings::default())) {
            stuck.push((at, error.code()));
        }
    }
    assert_eq!(stuck, []);
    // What may be a newer program's, or of a key that is not at hand, is not replaced by chance.
    assert_eq!(Vec::from_iter(refused), ["unknown_version", "unsupported_suite", "unsupported_version"]);
}

#[test]
fn settings_that_went_back_are_not_sealed_anew() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    set(&namespace, |settings| settings.mode = Mode::Authenticated).unwrap();
    let old = settings_of(&ground, "a").value;
    set(&namespace, |settings| settings.mode = Mode::Sealed).unwrap();
    write(&namespace, b"n", b"v");
    plant_settings(&ground, "a", &old);
    ground.rotate("a");
    // This process has seen newer ones.
    drop(block_on(namespace.reseal(Depth::Entries, &Budget::UNLIMITED, &mut |_| {})));
    drop(block_on(namespace.put(b"m", b"v", &PutOptions::default())));
    assert!(settings_of(&ground, "a").value == old, "what was put back lives on under the newest key");
}

#[test]
fn a_lifetime_is_set_though_a_row_stands_of_the_blob_of_the_entry() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", &pattern(LARGE, 1));
    // As a collection leaves it that is killed between its steps, or whoever writes to the storage.
    let key = DocumentKey::new(only_blob(&ground).0).unwrap();
    block_on(ground.documents.put(CONDEMNED, &key, &[0x83, 1, 0xf4, 0], Expected::Absent)).unwrap();
    let set = block_on(namespace.set_lifetime(b"n", Lifetime::For(Duration::from_mins(1)), ExpectedVersion::Any));
    assert_eq!(set.map_err(|error| error.code()), Ok(2));
}

#[test]
fn what_no_key_opens_any_more_can_be_set_aside() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", b"v");
    ground.rotate("a");
    write(&namespace, b"other", b"v");
    block_on(ground.keyring.destroy_version(namespace.name().key(), 1, Duration::ZERO)).unwrap();
    ground.clock.forward(Duration::from_hours(24 * 400));
    let namespace = fresh(&ground).namespace("a").unwrap();
    assert!(read(&namespace, b"n").is_err());
    assert!(block_on(namespace.put(b"n", b"w", &PutOptions::default())).is_err());
    assert!(block_on(namespace.remove(b"n", ExpectedVersion::Any)).is_err());
    let aside = block_on(namespace.set_aside(b"n"));
    assert_eq!(aside.map_err(|error| error.code()), Ok(true), "else nothing frees the name");
}

#[test]
fn a_namespace_that_is_begun_during_a_backup_comes_back_with_its_settings() {
    let ground = Ground::new();
    let first = ground.namespace("a");
    let names: Vec<_> = (0..1_001_u32).map(u32::to_be_bytes).collect();
    let entries: Vec<_> = names.iter().map(|name| NewEntry::new(name, b"v")).collect();
    for put in block_on(first.put_many(&entries)) {
        put.unwrap();
    }
    let second = ground.namespace("b");
    let mut is_begun = false;
    let file = block_on(async {
        let mut backup = ground.keyring.begin_backup(Vec::new()).await.unwrap();
        let mut observer = |event: WalkEvent<'_, _>| {
            if matches!(event, WalkEvent::Progress(_)) && !std::mem::replace(&mut is_begun, true) {
                set(&second, |settings| settings.blinded_names = true).unwrap();
                write(&second, b"n", b"v");
            }
        };
        ground.store.back_up(&mut backup, &mut observer).await.unwrap();
        backup.finish(&ground.keyring).await.unwrap().0
    });
    let clock = Arc::clone(&ground.clock) as Arc<dyn Clock>;
    let identity = Arc::clone(ground.keyring.identity());
    let backup = block_on(Backup::read(&file[..], identity, ground.keyring.project(), clock)).unwrap();
    let (documents, blobs): (Arc<dyn Documents>, Arc<dyn Blobs>) =
        (Arc::new(MemoryDocuments::new()), Arc::new(MemoryBlobs::new()));
    let restored = ground.over(documents, blobs);
    let mut contents = backup.contents(&file[..]).unwrap();
    let counts = block_on(restored.restore(&mut contents, &RestoreOptions::default(), &mut |_| {})).unwrap();
    if counts.restored > 1_001 {
        let namespace = restored.namespace("b").unwrap();
        assert_eq!(read(&namespace, b"n").map_err(|error| error.code()), Ok(b"v".to_vec()));
    }
}

#[test]
fn late_settings_of_a_backup_stand_before_the_quarantine_and_in_order() {
    let ground = Ground::new();
    let entries = Collection::new("entries", Durability::Durable);
    let quarantine = Collection::new("quarantine", Durability::Durable);
    let in_order = |documents: &[(Collection, &[u8])]| {
        let mut backup = block_on(ground.keyring.begin_backup(Vec::new())).unwrap();
        documents.iter().all(|(collection, key)| {
            backup.document(*collection, DocumentKey::new(*key).unwrap(), b"v".to_vec()).is_ok()
        })
    };
    let (a, b, c) = ((NAMESPACES, &b"a"[..]), (NAMESPACES, &b"b"[..]), (NAMESPACES, &b"c"[..]));
    let (in_a, in_b, in_c) = ((entries, &b"a\0n"[..]), (entries, &b"b\0n"[..]), (entries, &b"c\0n"[..]));
    // Begun meanwhile: the first one, one in the middle, the last.
    assert!(in_order(&[b, a, in_a, in_b, c, in_c]));
    assert!(in_order(&[a, c, in_a, b, in_b, in_c]));
    assert!(in_order(&[a, b, in_a, in_b, c, in_c, (quarantine, b"a\0n")]));
    assert!(!in_order(&[b, in_b, c, in_c, a]));
    assert!(!in_order(&[b, a, a]));
    assert!(!in_order(&[a, in_a, b, in_a]));
    assert!(!in_order(&[a, in_a, (quarantine, b"a\0n"), b]));
}

/// Lets no time pass.
struct AtOnce;

impl Waiter for AtOnce {
    fn wait(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        if duration.is_zero() { Box::pin(std::future::ready(())) } else { Box::pin(std::future::pending()) }
    }
}

#[test]
fn a_computation_without_a_lease_leaves_its_thread_to_others() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"other", b"v");
    let options = ComputeOptions { lease: Duration::ZERO, ..ComputeOptions::default() };
    let polls = AtomicU64::new(0);
    let compute = || {
        std::future::poll_fn(|_| match polls.fetch_add(1, Ordering::SeqCst) {
            // It waits for what runs on the same thread.
            0..10_000 => Poll::Pending,
            _ => Poll::Ready(Err::<Vec<u8>, _>("nobody else was let in")),
        })
    };
    let mut computing = Box::pin(namespace.get_or_compute(b"n", &options, &AtOnce, compute));
    let polled = computing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending(), "{polled:?}");
}

#[test]
fn what_replaces_a_value_without_end_is_seen_by_a_second_process() {
    // The memory tier of one process, while another removes and puts at the same version.
    let ground = Ground::new();
    let (here, there) = (ground.store.clone(), fresh(&ground));
    let (here, there) = (here.namespace("a").unwrap(), there.namespace("a").unwrap());
    set(&here, |settings| settings.memory_tier = true).unwrap();
    for round in 0_u8..20 {
        write(&there, b"n", &[round]);
        assert_eq!(read(&here, b"n").unwrap(), [round]);
        assert_eq!(read(&here, b"n").unwrap(), [round]);
        block_on(there.remove(b"n", ExpectedVersion::Any)).unwrap();
        let expected = GetOptions::version(1);
        assert_code(block_on(here.get(b"n", &expected)), "not_found");
    }
}

#[test]
fn blinded_names_stay_blinded_though_the_first_entries_do_not_open() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    set(&namespace, |settings| settings.blinded_names = true).unwrap();
    write(&namespace, b"n", b"v");
    // Whoever writes to the storage puts rubbish before all entries, and flips a bit of the settings.
    for number in 0_u8..64 {
        ground.plant("a", &[0, 0, 0, number], b"rubbish");
    }
    let mut settings = settings_of(&ground, "a").value;
    *settings.last_mut().unwrap() ^= 1;
    plant_settings(&ground, "a", &settings);
    let namespace = fresh(&ground).namespace("a").unwrap();
    assert_code(set(&namespace, |_| {}), "invalid_settings");
}

#[test]
fn what_is_restored_is_filed_as_the_restored_settings_say() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    set(&namespace, |settings| {
        settings.blinded_names = true;
        (settings.max_entries, settings.eviction) = (Some(100), Some(Eviction::LeastRecentlyStored));
    })
    .unwrap();
    for name in 0_u8..5 {
        write(&namespace, &[name], b"v");
    }
    let file = block_on(async {
        let mut backup = ground.keyring.begin_backup(Vec::new()).await.unwrap();
        ground.store.back_up(&mut backup, &mut |_| {}).await.unwrap();
        backup.finish(&ground.keyring).await.unwrap().0
    });
    let clock = Arc::clone(&ground.clock) as Arc<dyn Clock>;
    let identity = Arc::clone(ground.keyring.identity());
    let backup = block_on(Backup::read(&file[..], identity, ground.keyring.project(), clock)).unwrap();
    let (documents, blobs): (Arc<dyn Documents>, Arc<dyn Blobs>) =
        (Arc::new(MemoryDocuments::new()), Arc::new(MemoryBlobs::new()));
    let restored = ground.over(documents, blobs);
    let after = restored.namespace("a").unwrap();
    // Somebody has looked a moment before, and found nothing.
    assert_code(read(&after, &[0]), "not_found");
    let mut contents = backup.contents(&file[..]).unwrap();
    block_on(restored.restore(&mut contents, &RestoreOptions::default(), &mut |_| {})).unwrap();
    assert_eq!(block_on(after.usage()).unwrap(), block_on(namespace.usage()).unwrap());
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

#[test]
fn rows_that_are_no_records_hide_no_record() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", b"v");
    ground.plant("a", b"n", b"rubbish");
    assert!(read(&namespace, b"n").is_err());
    let quarantine = Collection::new("quarantine", Durability::Durable);
    for number in 0..1_000_u16 {
        let key = DocumentKey::new([&b"a\0\0"[..], &number.to_be_bytes()].concat()).unwrap();
        block_on(ground.documents.put(quarantine, &key, b"x", Expected::Absent)).unwrap();
    }
    let (mut after, mut found) = (None, 0);
    loop {
        let page = block_on(namespace.quarantine(after)).unwrap();
        found += page.records.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, 1);
}

#[test]
fn planted_rows_do_not_hide_that_an_entry_lies_in_quarantine() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", b"v");
    ground.plant("a", b"n", b"rubbish");
    assert!(read(&namespace, b"n").is_err());
    assert_code(read(&namespace, b"n"), "quarantined");
    // Beside the record, and before it.
    let quarantine = Collection::new("quarantine", Durability::Durable);
    let record = block_on(ground.documents.list(quarantine, &ListQuery::default())).unwrap().documents.remove(0);
    let beside = &record.key.as_bytes()[..b"a\0".len() + 8];
    for number in 0..1_100_u64 {
        let key = DocumentKey::new([beside, &number.to_be_bytes()[..]].concat()).unwrap();
        block_on(ground.documents.put(quarantine, &key, &record.value, Expected::Any)).unwrap();
    }
    assert_code(read(&namespace, b"n"), "quarantined");
}

#[test]
fn settings_that_are_restored_over_others_are_newer_once() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    set(&namespace, |settings| settings.max_entries = Some(7)).unwrap();
    let file = back_up(&ground);
    for hours in 1..4 {
        set(&namespace, |settings| settings.lifetime = Some(Duration::from_hours(hours))).unwrap();
    }
    let over = RestoreOptions { overwrite: true };
    restore(&ground, &fresh(&ground), &file, &over);
    ground.clock.forward(Duration::from_secs(2));
    let settings = block_on(namespace.settings()).unwrap();
    assert_eq!((settings.max_entries, settings.lifetime), (Some(7), None));
    let stored = settings_of(&ground, "a").value;
    restore(&ground, &fresh(&ground), &file, &over);
    assert!(settings_of(&ground, "a").value == stored, "they say so already");
    // A damaged copy in place of good ones is no help; good ones in place of damaged ones are.
    plant_settings(&ground, "a", b"rubbish");
    let damaged = back_up(&ground);
    restore(&ground, &fresh(&ground), &file, &over);
    ground.clock.forward(Duration::from_secs(2));
    assert_eq!(block_on(namespace.settings()).unwrap().max_entries, Some(7));
    restore(&ground, &fresh(&ground), &damaged, &over);
    ground.clock.forward(Duration::from_secs(2));
    assert_eq!(block_on(namespace.settings()).unwrap().max_entries, Some(7));
}

#[test]
fn what_no_key_opens_any_more_is_backed_up_and_restored() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"gone", b"v");
    ground.rotate("a");
    write(&namespace, b"there", b"v");
    block_on(ground.keyring.destroy_version(namespace.name().key(), 1, Duration::ZERO)).unwrap();
    ground.clock.forward(Duration::from_hours(24 * 400));
    let file = back_up(&ground);
    let (documents, blobs): (Arc<dyn Documents>, Arc<dyn Blobs>) =
        (Arc::new(MemoryDocuments::new()), Arc::new(MemoryBlobs::new()));
    let restored = ground.over(documents, blobs);
    assert_eq!(restore(&ground, &restored, &file, &RestoreOptions::default()), 2);
    assert_eq!(read(&restored.namespace("a").unwrap(), b"there").unwrap(), b"v");
}

#[test]
fn a_value_that_was_counted_in_the_storage_is_counted_after_any_journal() {
    // A re-sealing goes by its journal: whatever that says, it neither panics nor stops.
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", b"v");
    let journals = Collection::new("journals", Durability::Cache);
    let key = DocumentKey::new(&b"reseal\0a"[..]).unwrap();
    let most = [&[0x1b][..], &(u64::MAX / 2).to_be_bytes()].concat();
    // Entries, sealed, by the first settings; and written now.
    let aim = [&[0x52, 0, 0][..], &1_u64.to_be_bytes(), &ground.newest("a").0].concat();
    let now = [&[0x1b][..], &ground.clock.now().0.to_be_bytes()].concat();
    let step = [&[0x85, 1][..], &aim, &[0, 0x40, 0x87], &most.repeat(6), &now].concat();
    block_on(ground.documents.put(journals, &key, &step, Expected::Absent)).unwrap();
    let counts = block_on(namespace.reseal(Depth::Entries, &Budget::UNLIMITED, &mut |_| {}));
    assert!(counts.unwrap().finished);
}

#[test]
fn a_long_resealing_follows_the_settings() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"a", &pattern(5 * 1_024 * 1_024, 1));
    write(&namespace, b"z", b"out of sight");
    set(&namespace, |settings| settings.mode = Mode::Authenticated).unwrap();
    let mut is_changed = false;
    let counts = block_on(namespace.reseal(Depth::Blobs, &Budget::UNLIMITED, &mut |event| {
        if let WalkEvent::Progress(counts) = event
            && counts.read > 1_024 * 1_024
            && !std::mem::replace(&mut is_changed, true)
        {
            set(&namespace, |settings| settings.mode = Mode::Sealed).unwrap();
            ground.clock.forward(Duration::from_hours(1));
        }
    }));
    assert!(counts.unwrap().finished && is_changed);
    assert_ne!(suite_of(&ground, "a", b"z"), Suite::Authenticated);
}

#[test]
fn what_is_held_in_memory_goes_with_the_settings_that_allow_it() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    set(&namespace, |settings| settings.memory_tier = true).unwrap();
    write(&namespace, b"n", b"v");
    for _ in 0..2 {
        read(&namespace, b"n").unwrap();
    }
    set(&namespace, |settings| settings.memory_tier = false).unwrap();
    ground.clock.forward(Duration::from_secs(5));
    // Anything that looks at the settings notices it.
    write(&namespace, b"m", b"w");
    block_on(namespace.stat(b"n", &GetOptions::default())).unwrap();
    let told = format!("{:?}", ground.store);
    let held = told.split("MemoryTier").nth(1).unwrap().split('}').next().unwrap();
    assert!(held.contains("values: 0"), "{held}");
}

#[test]
fn a_restored_store_keeps_its_running_processes() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", b"v");
    let file = block_on(async {
        let mut backup = ground.keyring.begin_backup(Vec::new()).await.unwrap();
        ground.store.back_up(&mut backup, &mut |_| {}).await.unwrap();
        backup.finish(&ground.keyring).await.unwrap().0
    });
    set(&namespace, |settings| settings.lifetime = Some(Duration::from_hours(9))).unwrap();
    let clock = Arc::clone(&ground.clock) as Arc<dyn Clock>;
    let identity = Arc::clone(ground.keyring.identity());
    let backup = block_on(Backup::read(&file[..], identity, ground.keyring.project(), clock)).unwrap();
    let mut contents = backup.contents(&file[..]).unwrap();
    let options = RestoreOptions { overwrite: true };
    block_on(fresh(&ground).restore(&mut contents, &options, &mut |_| {})).unwrap();
    ground.clock.forward(Duration::from_secs(2));
    assert_eq!(read(&namespace, b"n").map_err(|error| error.code()), Ok(b"v".to_vec()));
}

#[test]
fn a_long_stored_name_that_does_not_open_is_listed() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    set(&namespace, |settings| settings.blinded_names = true).unwrap();
    write(&namespace, b"n", b"v");
    ground.plant("a", &[0xff; 1_024], b"rubbish");
    let page = block_on(namespace.list(&EntryQuery::default())).unwrap();
    assert_eq!(page.entries.len(), 2);
    assert!(page.entries.iter().all(|entry| entry.name.as_bytes() == b"n" || entry.name.as_bytes().len() == 72));
    assert_eq!(ground.check().0.damaged, 1);
}

#[test]
fn an_entry_that_is_renewed_does_not_make_room_for_itself() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let limited = |max_bytes| {
        set(&namespace, |settings| {
            (settings.max_bytes, settings.eviction) = (Some(max_bytes), Some(Eviction::LeastRecentlyStored));
        })
        .unwrap();
    };
    limited(1 << 20);
    for name in [&b"a"[..], b"b", b"c", b"d"] {
        write(&namespace, name, &pattern(1_000, 1));
        ground.clock.forward(Duration::from_secs(2));
    }
    limited(block_on(namespace.usage()).unwrap().unwrap().bytes);
    let renewed = block_on(namespace.set_lifetime(b"a", Lifetime::For(Duration::from_hours(9)), ExpectedVersion::Any));
    assert_eq!(renewed.map_err(|error| error.code()), Ok(2));
    assert!(value(&namespace, b"a").is_some());
}
