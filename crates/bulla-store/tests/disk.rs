//! The store on the drivers of a machine: power cuts, several handles at once, flipped bits on the disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use bulla_backend::testing::{Fault, Loss, SimDisk};
use bulla_backend::{Blobs, Documents, Durability, FileBlobs, JsonDocuments};
use bulla_store::{Budget, Depth, ExpectedVersion, Lifetime, PutOptions, Store};
use pollster::block_on;

use crate::ground::{Ground, check, names, open_folder, pattern, read, value, write};

const LARGE: usize = 70_000;

/// What is there before, and what is then put (or, for `None`, removed).
const STEPS: [Step; 6] = [
    (None, Some(10)),
    (None, Some(LARGE)),
    (Some(10), Some(LARGE)),
    (Some(LARGE), Some(10)),
    (Some(LARGE), Some(LARGE)),
    (Some(LARGE), None),
];

/// Opens documents and blobs on one simulated disk; fails if that does.
fn on_disk(ground: &Ground, disk: &SimDisk) -> Option<Store> {
    let shared = || Arc::new(disk.clone());
    let documents: Arc<dyn Documents> = Arc::new(JsonDocuments::open_on(shared(), "/store/entries.json").ok()?);
    let blobs: Arc<dyn Blobs> = Arc::new(FileBlobs::open_on(shared(), "/store/blobs").ok()?);
    Some(ground.over(documents, blobs))
}

type Step = (Option<usize>, Option<usize>);

/// Takes a step on a fresh disk with a fault at operation `at` of it, and then cuts the power. Says whether the fault
/// happened, and how many operations there were.
fn survives(step: Step, durability: Durability, fault: Fault, at: u64, loss: Loss) -> (bool, u64) {
    let ground = Ground::new();
    let disk = SimDisk::new();
    let store = on_disk(&ground, &disk).unwrap();
    let (before, after) = (step.0.map(|len| pattern(len, 1)), step.1.map(|len| pattern(len, 2)));
    let durable = store.namespace("a").unwrap();
    write(&durable, b"other", &pattern(LARGE, 9));
    if let Some(before) = &before {
        write(&durable, b"n", before);
    }

    let operations = disk.operations();
    disk.arm(operations + at, fault);
    let namespace = durable.with_durability(durability);
    let acknowledged = match &after {
        Some(after) => block_on(namespace.put(b"n", after, &PutOptions::default())).map(drop),
        None => block_on(namespace.remove(b"n", ExpectedVersion::Any)).map(drop),
    }
    .is_ok();
    let outcome = (disk.fired(), disk.operations() - operations);
    drop((namespace, store));

    let store = on_disk(&ground, &disk.power_cut(loss)).unwrap();
    let namespace = store.namespace("a").unwrap();
    let context = || format!("{step:?}, {fault:?} at {at}, {loss:?}");
    assert!(value(&namespace, b"other") == Some(pattern(LARGE, 9)), "{}", context());
    let (counts, findings) = check(&store);
    // A blob that is not durable may be lost with its entry found. Nothing else may, and one in place of another is durable.
    let is_durable = durability == Durability::Durable || step == (Some(LARGE), Some(LARGE));
    if is_durable || step.1 != Some(LARGE) {
        let found = value(&namespace, b"n");
        let kept = acknowledged && is_durable;
        assert!(if kept { found == after } else { found == before || found == after }, "{}", context());
        assert_eq!(counts.damaged, 0, "{}: {findings:?}", context());
    } else if let Ok(found) = read(&namespace, b"n") {
        assert!(Some(&found) == before.as_ref() || Some(&found) == after.as_ref(), "{}", context());
    }
    // Whatever was found, the name can be used again.
    write(&namespace, b"n", b"again");
    assert_eq!(value(&namespace, b"n").unwrap(), b"again");
    outcome
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_that_was_acknowledged() {
    let mut points = 0;
    for step in STEPS {
        for fault in Fault::ALL {
            for at in 1.. {
                let losses = [Loss::Nothing, Loss::Everything, Loss::Seeded(at)];
                let outcomes = losses.map(|loss| survives(step, Durability::Durable, fault, at, loss));
                points += outcomes.iter().filter(|(fired, _)| *fired).count();
                if outcomes.iter().all(|(_, operations)| at > *operations) {
                    break;
                }
            }
        }
    }
    println!("{points} power cuts");
    assert!(points > 200, "{points} power cuts");
}

#[test]
fn in_a_cache_a_power_cut_may_lose_values_but_never_alters_one() {
    for step in STEPS {
        for at in 1.. {
            let losses = [Loss::Everything, Loss::Seeded(at)];
            let outcomes = losses.map(|loss| survives(step, Durability::Cache, Fault::Kill, at, loss));
            if outcomes.iter().all(|(_, operations)| at > *operations) {
                break;
            }
        }
    }
}

#[test]
fn the_store_lasts_in_sqlite_and_files() {
    let mut ground = Ground::in_folder();
    let lengths = [0, 100, 65_536, 65_537, 1_000_000];
    for (seed, len) in (0..).zip(lengths) {
        write(&ground.namespace("a/b"), len.to_string().as_bytes(), &pattern(len, seed));
    }
    let options = PutOptions { lifetime: Lifetime::Unlimited, tags: vec!["t".to_owned()], ..PutOptions::default() };
    block_on(ground.namespace("a").put(b"\0\xff", b"v", &options)).unwrap();
    ground.reopen();
    ground.rotate("a/b");
    let counts = block_on(ground.namespace("a/b").reseal(Depth::Entries, &Budget::UNLIMITED, &mut |_| {})).unwrap();
    assert_eq!((counts.resealed, counts.failed), (5, 0));
    ground.reopen();
    for (seed, len) in (0..).zip(lengths) {
        assert!(read(&ground.namespace("a/b"), len.to_string().as_bytes()).unwrap() == pattern(len, seed));
    }
    assert_eq!(names(&ground.namespace("a"), b"", 0), [b"\0\xff"]);
    assert!(block_on(ground.namespace("a/b").remove(b"1000000", ExpectedVersion::Version(1))).unwrap());
    let (counts, findings) = ground.check();
    assert!(counts.is_clean() && counts.ok == 5, "{findings:?}");
    assert_eq!(ground.blob_ids().len(), 1);
}

#[test]
fn several_handles_on_one_folder_lose_nothing() {
    let ground = Ground::in_folder();
    thread::scope(|scope| {
        for writer in 0..3_u8 {
            let ground = &ground;
            scope.spawn(move || {
                let (documents, blobs) = open_folder(ground.folder());
                let namespace = ground.over(documents, blobs).namespace("shared").unwrap();
                for round in 0..10 {
                    write(&namespace, b"n", &pattern(if round % 3 == 0 { 70_000 } else { 50 }, writer));
                    write(&namespace, &[writer, round], &[writer]);
                }
            });
        }
    });
    let (counts, findings) = ground.check();
    assert!(counts.is_clean() && counts.ok == 31, "{findings:?}");
    let stat = block_on(ground.namespace("shared").stat(b"n", &bulla_store::GetOptions::default())).unwrap();
    assert_eq!(stat.version, 30);
}

#[test]
fn bits_flipped_in_files_of_blobs_are_found() {
    let ground = Ground::in_folder();
    let namespace = ground.namespace("a");
    for n in 0..4 {
        write(&namespace, &[n], &pattern(LARGE, n));
    }
    let mut files = Vec::new();
    collect_files(&ground.folder().path().join("blobs"), &mut files);
    let blobs: Vec<_> = files.into_iter().filter(|file| fs::metadata(file).unwrap().len() > LARGE as u64).collect();
    assert_eq!(blobs.len(), 4);
    let mut bytes = fs::read(&blobs[2]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(&blobs[2], bytes).unwrap();
    let (counts, findings) = ground.check();
    assert_eq!((counts.ok, counts.damaged), (3, 1), "{findings:?}");
    let readable = (0..4).filter(|n| read(&namespace, &[*n]).is_ok_and(|value| value == pattern(LARGE, *n))).count();
    assert_eq!(readable, 3);
}

fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_files(&path, files);
        } else {
            files.push(path);
        }
    }
}
