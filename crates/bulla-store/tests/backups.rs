//! A store comes back from a backup: all of it, and nothing that nobody wrote.

use std::sync::Arc;

use bulla_backend::testing::{CallFaults, Failure, FaultyBlobs, FaultyDocuments};
use bulla_backend::{Blobs, Clock, Documents, MemoryBlobs, MemoryDocuments};
use bulla_keyring::{Backup, BackupError};
use bulla_store::{
    BackupCounts, Eviction, Lifetime, Mode, NamespaceSettings, PutOptions, RestoreCounts, RestoreOptions, Store,
    StoreBackupError, WalkEvent,
};
use pollster::block_on;

use crate::ground::{Ground, pattern, read, value, write};

const LARGE: usize = 200_000;

fn back_up(ground: &Ground) -> (Vec<u8>, BackupCounts) {
    back_up_while(ground, &mut || {})
}

/// Makes a backup, and does something else with each progress of it.
fn back_up_while(ground: &Ground, meanwhile: &mut (dyn FnMut() + Send)) -> (Vec<u8>, BackupCounts) {
    block_on(async {
        let mut backup = ground.keyring.begin_backup(Vec::new()).await.unwrap();
        let mut observer = |event: WalkEvent<'_, _>| {
            if matches!(event, WalkEvent::Progress(_)) {
                meanwhile();
            }
        };
        let counts = ground.store.back_up(&mut backup, &mut observer).await.unwrap();
        (backup.finish(&ground.keyring).await.unwrap().0, counts)
    })
}

fn verify(ground: &Ground, file: &[u8]) -> Result<Backup, BackupError> {
    let clock = Arc::clone(&ground.clock) as Arc<dyn Clock>;
    block_on(Backup::read(file, Arc::clone(ground.keyring.identity()), ground.keyring.project(), clock))
}

fn restore(ground: &Ground, file: &[u8], store: &Store, overwrite: bool) -> Result<RestoreCounts, StoreBackupError> {
    let backup = verify(ground, file).unwrap();
    let mut contents = backup.contents(file).unwrap();
    block_on(store.restore(&mut contents, &RestoreOptions { overwrite }, &mut |_| {}))
}

fn empty() -> (Arc<dyn Documents>, Arc<dyn Blobs>) {
    (Arc::new(MemoryDocuments::new()), Arc::new(MemoryBlobs::new()))
}

/// The same project over a storage of its own.
fn other(ground: &Ground) -> Ground {
    let (documents, blobs) = empty();
    over(ground, documents, blobs)
}

fn over(ground: &Ground, documents: Arc<dyn Documents>, blobs: Arc<dyn Blobs>) -> Ground {
    let mut other = Ground::new();
    other.store = ground.over(Arc::clone(&documents), Arc::clone(&blobs));
    (other.documents, other.blobs) = (documents, blobs);
    (other.keyring, other.clock) = (Arc::clone(&ground.keyring), Arc::clone(&ground.clock));
    other
}

#[test]
fn everything_comes_back() {
    let ground = Ground::new();
    let settings = |change: fn(&mut NamespaceSettings)| {
        let mut settings = NamespaceSettings::default();
        change(&mut settings);
        settings
    };
    let kinds = [
        settings(|_| {}),
        settings(|settings| settings.mode = Mode::Authenticated),
        settings(|settings| settings.blinded_names = true),
        settings(|settings| {
            (settings.max_entries, settings.eviction) = (Some(1_000), Some(Eviction::LeastRecentlyStored));
        }),
    ];
    for (at, settings) in kinds.iter().enumerate() {
        let namespace = ground.namespace(&format!("n{at}"));
        block_on(namespace.set_settings(settings)).unwrap();
        for name in 0_u8..120 {
            let len = if name < 3 { LARGE + usize::from(name) } else { usize::from(name) * 3 };
            write(&namespace, &[b'a', b'/', name], &pattern(len, name));
        }
        let options = PutOptions { lifetime: Lifetime::For(std::time::Duration::from_mins(1)), ..Default::default() };
        block_on(namespace.put(b"brief", b"soon gone", &options)).unwrap();
        ground.rotate(&format!("n{at}"));
        write(&namespace, b"newest", b"under the newest version");
    }
    // One in quarantine, with its blob.
    let namespace = ground.namespace("n0");
    write(&namespace, b"tampered", &pattern(LARGE, 7));
    let blob = ground.entry("n0", b"tampered").blob.unwrap().id;
    let mut bytes = ground.blob(&blob);
    bytes[300] ^= 1;
    ground.plant_blob(&blob, &bytes);
    assert!(read(&namespace, b"tampered").is_err());

    let (file, counts) = back_up(&ground);
    let quarantined = block_on(namespace.quarantine(None)).unwrap().records.len();
    assert_eq!((counts.entries, counts.refused), (4 * 122, 0));
    assert_eq!(counts.blobs, 4 * 3 + u64::try_from(quarantined).unwrap());
    let info = verify(&ground, &file).unwrap().info().clone();
    let store = info.store.unwrap();
    assert_eq!((store.entries, store.blobs, store.bytes), (counts.entries, counts.blobs, counts.bytes));

    let restored = other(&ground);
    let counts = restore(&ground, &file, &restored.store, false).unwrap();
    assert_eq!((counts.restored, counts.equal, counts.kept, counts.refused), (4 * 122, 0, 0, 0));
    for (at, settings) in kinds.iter().enumerate() {
        let (before, after) = (ground.namespace(&format!("n{at}")), restored.namespace(&format!("n{at}")));
        assert_eq!(block_on(after.settings()).unwrap(), *settings);
        for name in 0_u8..120 {
            assert!(value(&after, &[b'a', b'/', name]) == value(&before, &[b'a', b'/', name]));
        }
        assert_eq!(value(&after, b"newest").unwrap(), b"under the newest version");
        assert_eq!(value(&after, b"brief").unwrap(), b"soon gone");
        if let (Ok(before), Ok(after)) = (block_on(before.usage()), block_on(after.usage())) {
            assert_eq!(before, after, "limits count what was restored");
        }
    }
    assert_eq!(block_on(restored.namespace("n0").quarantine(None)).unwrap().records.len(), quarantined);
    assert_eq!(restored.blob_ids(), ground.blob_ids());
    // What is there already is left as it is.
    let counts = restore(&ground, &file, &restored.store, false).unwrap();
    assert_eq!((counts.restored, counts.equal, counts.kept, counts.blobs), (0, 4 * 122, 0, 0));
}

#[test]
fn each_entry_of_a_backup_has_its_blob_though_others_write_meanwhile() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    for name in 0_u8..30 {
        write(&namespace, &[name], &pattern(LARGE, name));
    }
    let mut round = 0_u8;
    let writer = namespace.clone();
    let (file, counts) = back_up_while(&ground, &mut || {
        // Before and behind what is being copied, again and again: replaced, made small, removed, new.
        for step in 0_u8..6 {
            let name = [round.wrapping_mul(7).wrapping_add(step * 5) % 40];
            match step % 3 {
                0 => drop(write(&writer, &name, &pattern(LARGE + usize::from(round), round))),
                1 => drop(write(&writer, &name, &[round])),
                _ => drop(block_on(writer.remove(&name, bulla_store::ExpectedVersion::Any)).unwrap()),
            }
        }
        round = round.wrapping_add(1);
    });
    assert!(round > 5, "{round} rounds");
    assert_eq!(counts.refused, 0);
    let restored = other(&ground);
    restore(&ground, &file, &restored.store, false).unwrap();
    let (checked, findings) = restored.check();
    assert!(checked.is_clean(), "{findings:?}");
    assert_eq!(checked.ok, counts.entries);
}

#[test]
fn keys_that_are_rotated_meanwhile_are_in_the_backup() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    for name in 0_u8..3 {
        write(&namespace, &[name], &pattern(LARGE, name));
    }
    let mut rotations = 0;
    let (file, _) = back_up_while(&ground, &mut || {
        if rotations < 4 {
            ground.rotate("a");
            // Its old blob is gone when its turn comes.
            write(&namespace, &[2], &pattern(LARGE, 10 + rotations));
            rotations += 1;
        }
    });
    assert_eq!(rotations, 4);
    let backup = verify(&ground, &file).unwrap();
    let (documents, blobs) = empty();
    let clock = Arc::clone(&ground.clock) as Arc<dyn Clock>;
    // With the keys of the backup alone.
    let store = Store::new(Arc::clone(backup.keyring()), documents, blobs, clock);
    let mut contents = backup.contents(file.as_slice()).unwrap();
    block_on(store.restore(&mut contents, &RestoreOptions::default(), &mut |_| {})).unwrap();
    let restored = store.namespace("a").unwrap();
    assert!(value(&restored, &[1]).unwrap() == pattern(LARGE, 1));
    let newest = value(&restored, &[2]).unwrap();
    assert!((10..14).any(|round| newest == pattern(LARGE, round)), "sealed under a version made meanwhile");
}

#[test]
fn what_is_there_stays_unless_it_is_overwritten() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    for name in [&b"changed"[..], b"gone", b"large", b"same"] {
        write(&namespace, name, &pattern(if name == b"large" { LARGE } else { 20 }, 1));
    }
    let (file, _) = back_up(&ground);
    write(&namespace, b"changed", b"newer");
    write(&namespace, b"large", &pattern(LARGE, 2));
    block_on(namespace.remove(b"gone", bulla_store::ExpectedVersion::Any)).unwrap();
    write(&namespace, b"new", b"newer");

    let counts = restore(&ground, &file, &ground.store, false).unwrap();
    assert_eq!((counts.restored, counts.equal, counts.kept), (1, 1, 2));
    assert_eq!(value(&namespace, b"changed").unwrap(), b"newer");
    assert!(value(&namespace, b"large").unwrap() == pattern(LARGE, 2));
    assert_eq!(value(&namespace, b"gone").unwrap(), pattern(20, 1));

    let counts = restore(&ground, &file, &ground.store, true).unwrap();
    assert_eq!((counts.restored, counts.equal, counts.kept), (2, 2, 0));
    assert_eq!(value(&namespace, b"changed").unwrap(), pattern(20, 1));
    assert!(value(&namespace, b"large").unwrap() == pattern(LARGE, 1));
    assert_eq!(value(&namespace, b"new").unwrap(), b"newer");
    assert_eq!(ground.check().0.damaged, 0);
}

#[test]
fn damage_is_mended_and_a_damaged_copy_mends_nothing() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    for name in [&b"first"[..], b"middle", b"short", b"lost"] {
        write(&namespace, name, &pattern(LARGE, 1));
    }
    let (file, _) = back_up(&ground);
    let blob = |name: &[u8]| ground.entry("a", name).blob.unwrap().id;
    let spoil = |name: &[u8], change: fn(&mut Vec<u8>)| {
        let mut bytes = ground.blob(&blob(name));
        change(&mut bytes);
        ground.plant_blob(&blob(name), &bytes);
    };
    spoil(b"first", |bytes| bytes[0] ^= 1);
    spoil(b"middle", |bytes| bytes[140_000] ^= 1);
    spoil(b"short", |bytes| bytes.truncate(150_000));
    block_on(ground.blobs.delete(&blob(b"lost"))).unwrap();
    let (damaged, counts) = back_up(&ground);
    assert_eq!(counts.refused, 1, "a value that is not there");

    let counts = restore(&ground, &file, &ground.store, false).unwrap();
    assert_eq!((counts.restored, counts.equal, counts.blobs), (0, 4, 4));
    for name in [&b"first"[..], b"middle", b"short", b"lost"] {
        assert!(value(&namespace, name).unwrap() == pattern(LARGE, 1));
    }
    // The other way round: what is good stays.
    let counts = restore(&ground, &damaged, &ground.store, true).unwrap();
    assert_eq!((counts.restored, counts.equal, counts.blobs), (0, 4, 0));
    assert!(ground.check().0.is_clean());
}

#[test]
fn what_does_not_open_is_copied_with_any_blob_that_may_be_its_own() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"good", &pattern(LARGE, 1));
    write(&namespace, b"torn", &pattern(LARGE, 2));
    let whole = ground.document("a", b"torn").value;
    let mut torn = whole.clone();
    torn[60] ^= 1;
    ground.plant("a", b"torn", &torn);
    let (file, counts) = back_up(&ground);
    assert_eq!((counts.entries, counts.refused, counts.blobs), (2, 1, 2));
    let restored = other(&ground);
    restore(&ground, &file, &restored.store, false).unwrap();
    assert_eq!(restored.document("a", b"torn").value, torn);
    // Should somebody find the document as it was, its value is there.
    restored.plant("a", b"torn", &whole);
    assert!(value(&restored.namespace("a"), b"torn").unwrap() == pattern(LARGE, 2));
}

#[test]
fn a_restore_that_fails_anywhere_is_completed_by_the_next() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    for name in 0_u8..70 {
        write(&namespace, &[name], &pattern(if name % 35 == 0 { LARGE } else { 30 }, name));
    }
    let (file, _) = back_up(&ground);
    let mut points = 0;
    for failure in Failure::ALL {
        for at in 1.. {
            let (documents, blobs) = empty();
            let faults = CallFaults::new();
            let faulty = ground.over(
                Arc::new(FaultyDocuments::new(Arc::clone(&documents), faults.clone())),
                Arc::new(FaultyBlobs::new(Arc::clone(&blobs), faults.clone())),
            );
            faults.arm(at, failure);
            let result = restore(&ground, &file, &faulty, false);
            let happened = faults.calls() >= at;
            if let Err(error) = result {
                assert_eq!(error.code(), "backend", "{failure:?} at {at}: {error}");
            }
            let restored = over(&ground, documents, blobs);
            // What is there is whole at every moment.
            assert_eq!(restored.check().0.damaged, 0, "{failure:?} at {at}");
            restore(&ground, &file, &restored.store, false).unwrap();
            for name in 0_u8..70 {
                assert!(value(&restored.namespace("a"), &[name]) == value(&namespace, &[name]), "{failure:?} at {at}");
            }
            assert!(restored.check().0.is_clean(), "{failure:?} at {at}");
            if !happened {
                break;
            }
            points += 1;
        }
    }
    println!("{points} fault points");
    assert!(points >= 3 * 10, "{points} fault points");
}

#[test]
fn an_altered_or_cut_file_is_refused_as_a_whole() {
    let ground = Ground::new();
    write(&ground.namespace("a"), b"n", b"value");
    write(&ground.namespace("a"), b"large", &pattern(70_000, 1));
    let (file, _) = back_up(&ground);
    for at in (0..file.len()).step_by(211).chain([file.len() - 1]) {
        let mut altered = file.clone();
        altered[at] ^= 1 << (at % 8);
        assert!(verify(&ground, &altered).is_err(), "byte {at}");
        assert!(verify(&ground, &file[..at]).is_err(), "cut at {at}");
    }
    assert!(verify(&ground, &[&file[..], b"\0"].concat()).is_err());
    // A file that is changed after it was verified: nothing is read from another.
    let backup = verify(&ground, &file).unwrap();
    let (later, _) = back_up(&ground);
    assert_eq!(backup.contents(later.as_slice()).unwrap_err().code(), "damaged_backup");
}
