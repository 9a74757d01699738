//! Backups hold all, and what comes back is as it was.

use std::sync::Arc;
use std::time::Duration;

use bulla_backend::{Blobs, Clock, Collection, DocumentKey, Documents, Durability, MemoryBlobs, MemoryDocuments};
use bulla_keyring::Backup;
use bulla_store::{Eviction, NewEntry, RestoreOptions, Store, WalkEvent};
use pollster::block_on;

use super::{NAMESPACES, fresh, plant_settings, set, settings_of};
use crate::ground::{Ground, assert_code, read, write};

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
