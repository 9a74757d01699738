//! Single bits flipped in the files below the store: a wrong value never comes out, and what was not hit stays readable.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulla_backend::testing::Random;
use bulla_backend::{Documents, FileBlobs, SqliteDocuments, SqliteOptions};
use bulla_store::{Budget, CheckOptions, GetOptions, PutOptions, StoreError};
use pollster::block_on;
use tempfile::TempDir;

use crate::ground::{Ground, pattern};

const ENTRIES: u8 = 60;
/// Values that lie in their entry, and some that lie in blobs.
const LENGTHS: [usize; 4] = [10, 1_024, 9_000, 100_000];

/// What became of a flipped bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    /// Nothing that is read was hit: room that is not in use, or what the engine does not look at.
    Nowhere,
    /// Opening the database failed.
    Opening,
    /// The engine refused to read an entry.
    Engine,
    /// A seal refused an entry.
    Seal,
    /// An entry was not found any more, or not listed.
    Absence,
    /// Only a check of the whole store or of the database file saw it.
    Check,
}

/// What became of one flipped bit: the first sign of it, and how many entries were not as before.
struct Trial {
    found: Found,
    refused: usize,
}

/// Fills a storage so that it is as after a kill: half of the entries in the database file, half in its log, and blobs.
fn fill(ground: &mut Ground) {
    for number in 0..ENTRIES {
        let value = pattern(LENGTHS[usize::from(number) % LENGTHS.len()], number);
        block_on(ground.namespace("flips").put(&[number], &value, &PutOptions::default())).unwrap();
        if number == ENTRIES / 2 {
            // Whoever closes a database that nobody else uses moves its log into the file.
            ground.reopen();
        }
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Lists the files that hold something, with their lengths.
fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
            continue;
        }
        let len = fs::metadata(&path).unwrap().len();
        // The index of the log is made anew where nobody has the database open.
        if len > 0 && path.extension().is_none_or(|extension| extension != "db-shm") {
            found.push((path, len));
        }
    }
    found.sort();
    found
}

fn flip(file: &Path, bit: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, bit / 8).unwrap();
    byte[0] ^= 1 << (bit % 8);
    file.write_all_at(&byte, bit / 8).unwrap();
}

/// Reads everything from a storage in which a bit was flipped.
fn examine(ground: &Ground, folder: &TempDir) -> Trial {
    let all = usize::from(ENTRIES);
    let path = folder.path().join("entries.db");
    let Ok(documents) = SqliteDocuments::open(&path, SqliteOptions::default()) else {
        return Trial { found: Found::Opening, refused: all };
    };
    let documents = Arc::new(documents);
    let blobs = Arc::new(FileBlobs::open(folder.path().join("blobs")).unwrap());
    let store = ground.over(Arc::clone(&documents) as Arc<dyn Documents>, blobs);
    let namespace = store.namespace("flips").unwrap();
    let mut signs = Vec::new();
    for number in 0..ENTRIES {
        match block_on(namespace.get(&[number], &GetOptions::default())) {
            Ok(value) => {
                let put = pattern(LENGTHS[usize::from(number) % LENGTHS.len()], number);
                assert_eq!((value.bytes == put, value.stat.version), (true, 1), "a wrong value of entry {number}");
            }
            Err(StoreError::NotFound(_)) => signs.push(Found::Absence),
            Err(StoreError::Backend(_)) => signs.push(Found::Engine),
            Err(error) => {
                assert!(error.is_integrity_failure(), "{error}");
                signs.push(Found::Seal);
            }
        }
    }
    let refused = signs.len();
    let mut found = signs.into_iter().max();
    if found.is_none() {
        let whole = block_on(store.check(&CheckOptions::default(), &Budget::UNLIMITED, &mut |_| {}));
        let is_clean =
            whole.is_ok_and(|counts| counts.is_clean()) && documents.check().is_ok_and(|found| found.is_empty());
        found = (!is_clean).then_some(Found::Check);
    }
    Trial { found: found.unwrap_or(Found::Nowhere), refused }
}

/// `BULLA_TEST_ROUNDS` is how many bits are flipped, one at a time.
#[test]
fn a_flipped_bit_never_gives_a_wrong_value() {
    let rounds = std::env::var("BULLA_TEST_ROUNDS").map_or(60, |rounds| rounds.parse().unwrap());
    let mut ground = Ground::in_folder();
    fill(&mut ground);
    let files = files(ground.folder().path());
    let kinds = ["entries.db", "entries.db-wal", "blobs"];
    let mut random = Random::new(0x000b_17f1_1b5e_ed00);
    let mut outcomes = BTreeMap::<(&str, Found), (usize, usize)>::new();
    for round in 0..rounds {
        // Each kind of file in turn, so that large blobs do not draw all the bits.
        let kind = kinds[round % kinds.len()];
        let of_kind: Vec<_> = files
            .iter()
            .filter(|(path, _)| match kind {
                "blobs" => path.parent().unwrap().parent().unwrap().ends_with("blobs"),
                _ => path.ends_with(kind),
            })
            .collect();
        let (path, len) = of_kind[usize::try_from(random.below(of_kind.len() as u64)).unwrap()];
        let copy = TempDir::new().unwrap();
        copy_folder(ground.folder().path(), copy.path());
        flip(&copy.path().join(path.strip_prefix(ground.folder().path()).unwrap()), random.below(len * 8));
        let trial = examine(&ground, &copy);
        if kind == "blobs" {
            assert!(trial.refused <= 1, "one blob is one value");
            assert_ne!(trial.found, Found::Nowhere, "a check reads every bit of a blob");
        }
        let outcome = outcomes.entry((kind, trial.found)).or_default();
        *outcome = (outcome.0 + 1, outcome.1.max(trial.refused));
    }
    for ((kind, found), (times, refused)) in outcomes {
        println!("{kind}: {found:?} {times} times, at most {refused} of {ENTRIES} entries refused");
    }
}
