//! How much filed documents take, and how the file shrinks.

use std::{fs, path::Path, thread};

use bulla_backend::{
    Collection, DocumentKey, Documents, Durability, Expected, Filing, ListQuery, SqliteDocuments, Usage, Write,
    testing::Random,
};
use pollster::block_on;
use rusqlite::Connection;

use super::{CACHE, DURABLE, key, open, put, value};

const GROUP: &[u8] = b"ns\0";

/// A key of the group that comes in no order, as digests and random names do.
fn scattered(number: u64) -> DocumentKey {
    key([GROUP, &number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()].concat())
}

/// Files documents, ranked by their numbers.
fn file(documents: &SqliteDocuments, collection: Collection, numbers: &[u64], len: usize) {
    for numbers in numbers.chunks(8) {
        let write = |number: &u64| Write::PutFiled {
            collection,
            key: scattered(*number),
            value: Random::new(*number).bytes(len),
            expected: Expected::Any,
            filing: Filing { group_len: GROUP.len(), rank: Some(1_700_000_000_000 + *number), ..Filing::default() },
        };
        block_on(documents.commit(&numbers.iter().map(write).collect::<Vec<_>>())).unwrap();
    }
}

fn usage(documents: &SqliteDocuments) -> Usage {
    block_on(documents.usage(CACHE, GROUP)).unwrap()
}

/// Compacts until there is nothing more; returns how many steps that took.
fn compact(documents: &SqliteDocuments) -> usize {
    let steps = std::iter::from_fn(|| block_on(documents.compact()).unwrap()).take(10_000).count();
    assert!(steps < 10_000, "it comes to an end");
    steps
}

fn file_len(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

#[test]
fn a_group_is_counted_with_about_what_it_takes_of_the_file() {
    for (len, count) in [(20, 30_000), (300, 15_000), (1_200, 8_000), (5_000, 2_000), (20_000, 600), (100_000, 150)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("entries.db");
        let documents = open(&path).unwrap();
        file(&documents, CACHE, &(0..count).collect::<Vec<_>>(), len);
        let usage = usage(&documents);
        drop(documents);
        let ratio = usage.bytes as f64 / file_len(&path) as f64;
        println!("{count} documents of {len} bytes: counted {} of {} bytes, {ratio:.3}", usage.bytes, file_len(&path));
        assert_eq!(usage.documents, count);
        assert!((0.85..1.15).contains(&ratio), "{len}: {ratio}");
    }
}

#[test]
fn the_file_shrinks_while_others_read_and_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("entries.db");
    let (documents, other) = (open(&path).unwrap(), open(&path).unwrap());
    const COUNT: u64 = 12_000;
    file(&documents, CACHE, &(0..COUNT).collect::<Vec<_>>(), 1_100);
    put(&documents, DURABLE, "plain", &[1; 500]);
    // Two of three go, here and there: no page is left full, and few are left empty.
    let mut random = Random::new(1);
    let (kept, gone): (Vec<_>, Vec<_>) = (0..COUNT).partition(|_| random.below(3) == 0);
    for gone in gone.chunks(64) {
        let delete =
            |number: &u64| Write::Delete { collection: CACHE, key: scattered(*number), expected: Expected::Any };
        block_on(documents.commit(&gone.iter().map(delete).collect::<Vec<_>>())).unwrap();
    }
    let (before, payload) = (file_len(&path), usage(&documents));
    assert_eq!(payload.documents, kept.len() as u64);
    let mark = block_on(documents.change_mark(CACHE)).unwrap();
    let disk = block_on(documents.disk_usage()).unwrap().unwrap();
    assert!(disk.total > before && disk.free < disk.total, "{disk:?}");

    let steps = thread::scope(|scope| {
        let reading = scope.spawn(|| {
            for number in &kept {
                let found = block_on(other.get(CACHE, &scattered(*number))).unwrap().unwrap();
                assert_eq!(found.value, Random::new(*number).bytes(1_100));
            }
        });
        let writing = scope.spawn(|| {
            for number in 0..100 {
                assert!(put(&other, DURABLE, &format!("{number}"), b"v") > 0);
            }
        });
        let steps = compact(&documents);
        reading.join().unwrap();
        writing.join().unwrap();
        // Whoever read has perhaps kept the end of the file.
        steps + compact(&documents)
    });
    // A step that moved nothing may come before the one that says so.
    assert!(block_on(documents.compact()).unwrap().is_none_or(|moved| moved == 0));
    assert_eq!(documents.check().unwrap(), [""; 0]);
    assert_eq!(usage(&documents), payload);
    for number in &kept {
        let found = block_on(documents.get(CACHE, &scattered(*number))).unwrap().unwrap();
        assert_eq!(found.value, Random::new(*number).bytes(1_100));
    }
    drop((documents, other));
    let after = file_len(&path);
    println!(
        "{before} bytes became {after} in {steps} steps, beside a reader and a writer; the documents are counted with {}",
        payload.bytes
    );
    assert!(after < payload.bytes * 5 / 4, "{before} {after} {payload:?}");
    assert!(mark.is_some());
}

#[test]
fn compacting_and_changing_ranks_leaves_the_mark_alone() {
    let folder = tempfile::tempdir().unwrap();
    let documents = open(folder.path().join("entries.db")).unwrap();
    file(&documents, CACHE, &(0..500).collect::<Vec<_>>(), 1_000);
    for number in (0..500).filter(|number| number % 3 != 0) {
        assert!(block_on(documents.delete(CACHE, &scattered(number), Expected::Any)).unwrap());
    }
    let mark = || block_on(documents.change_mark(CACHE)).unwrap();
    let before = mark();
    assert!(compact(&documents) > 0);
    block_on(documents.rerank(CACHE, &[(scattered(0), bulla_backend::Rerank::Add(9))])).unwrap();
    assert_eq!(mark(), before);
    assert_eq!(compact(&documents), 0, "there is nothing more to give back");
}

#[test]
fn a_database_of_the_first_version_is_written_anew_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("entries.db");
    let made = Connection::open(&path).unwrap();
    made.pragma_update(None, "page_size", 8192).unwrap();
    made.execute_batch(include_str!("../fixtures/sqlite-schema-1.sql")).unwrap();
    made.pragma_update(None, "journal_mode", "WAL").unwrap();
    drop(made);
    let documents = open(&path).unwrap();
    assert_eq!(block_on(documents.compact()).unwrap(), None, "it is not worth it");
    file(&documents, CACHE, &(0..2_000).collect::<Vec<_>>(), 1_000);
    for number in (0..2_000).filter(|number| number % 8 != 0) {
        assert!(block_on(documents.delete(CACHE, &scattered(number), Expected::Any)).unwrap());
    }
    let (mark, before) = (block_on(documents.change_mark(CACHE)).unwrap(), file_len(&path));
    let freed = block_on(documents.compact()).unwrap().unwrap();
    assert!(freed > 1_000_000, "{freed}");
    assert!(file_len(&path) * 3 < before, "{} of {before}", file_len(&path));
    assert_eq!(block_on(documents.change_mark(CACHE)).unwrap(), mark);
    assert_eq!(documents.check().unwrap(), [""; 0]);
    assert_eq!(usage(&documents).documents, 250);
    let entry = Collection::new("entry", Durability::Cache);
    assert_eq!(value(&documents, entry, "alpha").unwrap(), b"\0\xFF\0");
    // From now on it shrinks step by step.
    for number in (0..2_000).filter(|number| number % 16 != 0) {
        block_on(documents.delete(CACHE, &scattered(number), Expected::Any)).unwrap();
    }
    assert!(compact(&documents) > 0);
    assert_eq!(usage(&documents).documents, 125);
    assert_eq!(documents.check().unwrap(), [""; 0]);
}

#[test]
fn totals_that_were_tampered_with_are_noticed_by_a_check() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("entries.db");
    let documents = open(&path).unwrap();
    file(&documents, CACHE, &[1, 2, 3], 100);
    let plant = |statement: &str| assert!(Connection::open(&path).unwrap().execute(statement, []).unwrap() > 0);
    plant("UPDATE state SET documents = -7, bytes = 9223372036854775807 WHERE id = 1");
    assert_eq!(documents.check().unwrap().len(), 1);
    assert_eq!(usage(&documents).documents, 0);
    // Whatever it says, writing goes on.
    file(&documents, CACHE, &[1, 4], 100);
    plant("UPDATE state SET documents = 4 WHERE id = 1");
    plant("UPDATE document SET rank = -1, due = -1, extra = -1, group_id = group_id + 0");
    let lowest = block_on(documents.lowest(CACHE, GROUP, 10)).unwrap();
    assert!(lowest.len() == 4 && lowest.iter().all(|filed| filed.filing.rank == Some(0)), "{lowest:?}");
    plant("DELETE FROM state WHERE id = 1");
    assert_eq!(usage(&documents), Usage::default());
    file(&documents, CACHE, &[5], 100);
    assert_eq!(usage(&documents).documents, 1);
    plant("UPDATE document SET group_id = 99");
    assert!(documents.check().unwrap().iter().any(|problem| problem.contains("a group that is not its own")));
    assert_eq!(block_on(documents.list(CACHE, &ListQuery::default())).unwrap().documents.len(), 5);
}
