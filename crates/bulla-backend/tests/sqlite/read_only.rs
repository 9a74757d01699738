//! A disk that is mounted read-only, simulated. Real ones are in the tests of the program.

use std::sync::Arc;

use bulla_backend::{
    Disk, Documents, ErrorKind, Expected, Filing, ListQuery, Rerank, SqliteDocuments, SqliteOptions, Timestamp, Write,
    testing::SimDisk,
};
use pollster::block_on;

use super::{CACHE, DURABLE, faults::alone, key, put, vfs};

const DATABASE: &str = "/read-only/a/entries.db";

fn open(disk: &SimDisk) -> bulla_backend::Result<SqliteDocuments> {
    vfs::start("read-only", Arc::new(disk.clone()));
    SqliteDocuments::open(DATABASE, SqliteOptions::default().on_disk(Arc::new(disk.clone()), vfs::NAME, "0"))
}

fn filing(due: u64, rank: u64) -> Filing {
    Filing { group_len: 2, due: Some(Timestamp(due)), rank: Some(rank), extra_bytes: 7, limit: None }
}

#[test]
fn everything_is_read_and_nothing_written() {
    let _alone = alone();
    let disk = SimDisk::new();
    let documents = open(&disk).unwrap();
    for number in 0..40 {
        put(&documents, DURABLE, &format!("k{number:02}"), &[number; 3_000]);
    }
    for (name, due, rank) in [("g/a", 3, 1), ("g/b", 1, 2), ("g/c", 2, 3)] {
        let (value, filing) = (b"v".to_vec(), filing(due, rank));
        let write = Write::PutFiled { collection: CACHE, key: key(name), value, expected: Expected::Any, filing };
        block_on(documents.commit(&[write])).unwrap();
    }
    let look = |documents: &SqliteDocuments| {
        block_on(async {
            let due = documents.due(CACHE, None, Timestamp(2), None, 10).await.unwrap();
            let lowest = documents.lowest(CACHE, b"g/", 2).await.unwrap();
            let page = documents.list(DURABLE, &ListQuery::default()).await.unwrap().documents;
            let mark = documents.change_mark(DURABLE).await.unwrap();
            (due, lowest, documents.usage(CACHE, b"g/").await.unwrap(), page, mark)
        })
    };
    let before = look(&documents);
    // Killed: what it wrote is in the log.
    let disk = disk.reboot();
    drop(documents);

    let documents = open(&disk.read_only()).unwrap();
    for _ in 0..2 {
        assert!(look(&documents) == before);
        assert_eq!(documents.check().unwrap(), [""; 0]);
        assert!(block_on(documents.disk_usage()).unwrap().unwrap().total > 0);
        let operations = disk.operations();
        for refused in [
            block_on(documents.put(DURABLE, &key("k00"), b"v", Expected::Any)).map(drop),
            block_on(documents.delete(CACHE, &key("g/a"), Expected::Any)).map(drop),
            block_on(documents.rerank(CACHE, &[(key("g/a"), Rerank::Raise(9))])),
            block_on(documents.compact()).map(drop),
        ] {
            let refused = refused.unwrap_err();
            assert!(refused.kind() == ErrorKind::Permission && refused.is_read_only(), "{refused}");
            assert!(refused.to_string().contains("read-only"), "{refused}");
        }
        assert_eq!(disk.operations(), operations);
        documents.suspend();
    }
    drop(documents);
    assert!(look(&open(&disk).unwrap()) == before, "it is as it was left");
}

#[test]
fn what_is_not_there_is_not_made() {
    let _alone = alone();
    let refused = open(&SimDisk::new().read_only()).unwrap_err();
    assert!(refused.kind() == ErrorKind::Permission && refused.is_read_only(), "{refused}");
}

#[test]
fn a_database_that_is_replaced_by_another_is_read_anew() {
    let _alone = alone();
    let disk = SimDisk::new();
    vfs::start("read-only", Arc::new(disk.clone()));
    let at = |folder: &str| format!("/read-only/{folder}/entries.db");
    let make = |folder: &str| {
        let options = SqliteOptions::default().on_disk(Arc::new(disk.clone()), vfs::NAME, "0");
        SqliteDocuments::open(at(folder), options).unwrap()
    };
    let old = make("a");
    put(&old, DURABLE, "k", b"old");
    drop(old);
    // Collections come in another order there, and so have other numbers.
    let new = make("b");
    put(&new, CACHE, "k", b"of another collection");
    put(&new, DURABLE, "k", b"newer");
    put(&new, DURABLE, "k", b"new");
    drop(new);

    let look = |documents: &SqliteDocuments| {
        let document = block_on(documents.get(DURABLE, &key("k"))).unwrap().unwrap();
        (document.value, block_on(documents.change_mark(DURABLE)).unwrap())
    };
    let documents = open(&disk.read_only()).unwrap();
    let before = look(&documents);
    assert_eq!(before.0, b"old");
    for suffix in ["-wal", "-shm", "-turn", "-lock", ""] {
        let from = at("b") + suffix;
        if disk.stat(from.as_ref()).unwrap().is_some() {
            disk.rename(from.as_ref(), (at("a") + suffix).as_ref()).unwrap();
        }
    }
    let after = look(&documents);
    assert_eq!(after.0, b"new");
    assert_ne!(after.1, before.1);
    assert_eq!(after, look(&open(&disk.read_only()).unwrap()));
}
