//! The SQLite driver, on a disk of this machine.

mod doubt;
mod faults;
mod filing;
mod processes;
mod read_only;
mod vfs;

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::{FileExt, PermissionsExt},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use bulla_backend::{
    BackendError, Collection, DocumentKey, Documents, Durability, ErrorKind, Expected, ListQuery, MAX_DOCUMENT_LEN,
    Result, SqliteDocuments, SqliteOptions, Write, testing::conformance,
};
use pollster::block_on;
use rusqlite::Connection;

use crate::model;

pub(crate) const DURABLE: Collection = Collection::new("durable", Durability::Durable);
pub(crate) const CACHE: Collection = Collection::new("cache", Durability::Cache);

pub(crate) fn open(path: impl AsRef<Path>) -> Result<SqliteDocuments> {
    SqliteDocuments::open(path, SqliteOptions::default())
}

pub(crate) fn key(name: impl AsRef<[u8]>) -> DocumentKey {
    DocumentKey::new(name.as_ref()).unwrap()
}

pub(crate) fn put(documents: &dyn Documents, collection: Collection, name: &str, value: &[u8]) -> u64 {
    block_on(documents.put(collection, &key(name), value, Expected::Any)).unwrap().0
}

pub(crate) fn value(documents: &dyn Documents, collection: Collection, name: &str) -> Option<Vec<u8>> {
    block_on(documents.get(collection, &key(name))).unwrap().map(|found| found.value)
}

#[test]
fn passes_the_suite() {
    // The suite may let go of a place while it still uses what it opened there.
    let (folder, places) = (tempfile::tempdir().unwrap(), AtomicUsize::new(0));
    conformance::documents(|| {
        let path = folder.path().join(format!("{}/entries.db", places.fetch_add(1, Ordering::Relaxed)));
        move || Arc::new(open(&path).unwrap()) as Arc<dyn Documents>
    });
}

#[test]
fn does_what_a_map_would_do() {
    model::documents(12, || {
        let folder = tempfile::tempdir().unwrap();
        move || Arc::new(open(folder.path().join("entries.db")).unwrap()) as Arc<dyn Documents>
    });
}

#[test]
fn folders_and_files_are_for_their_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let documents = open(folder.path().join("a/b/entries.db")).unwrap();
    put(&documents, DURABLE, "k", b"v");
    let mode = |path: &str| fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777;
    for made in ["a", "a/b"] {
        assert_eq!(mode(made), 0o700, "{made}");
    }
    let files: Vec<_> =
        fs::read_dir(folder.path().join("a/b")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let file = format!("a/b/{}", file.to_str().unwrap());
        assert_eq!(mode(&file), 0o600, "{file}");
    }
}

#[test]
fn the_log_is_emptied_when_the_database_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("entries.db");
    let documents = open(&path).unwrap();
    put(&documents, DURABLE, "k", b"v");
    let log = folder.path().join("entries.db-wal");
    assert!(fs::metadata(&log).unwrap().len() > 0);
    drop(documents);
    assert_eq!(fs::metadata(&log).unwrap().len(), 0);
    // All of it is in the one file now.
    fs::remove_file(&log).unwrap();
    fs::remove_file(folder.path().join("entries.db-shm")).unwrap();
    assert_eq!(value(&open(&path).unwrap(), DURABLE, "k").unwrap(), b"v");
}

#[test]
fn the_log_stays_short() {
    let folder = tempfile::tempdir().unwrap();
    let documents = open(folder.path().join("entries.db")).unwrap();
    let value = vec![7; 100_000];
    for number in 0..600 {
        put(&documents, CACHE, &format!("k{}", number % 50), &value);
    }
    // 600 × 100 kB went through a log that is to be emptied every 8 MiB.
    let len = fs::metadata(folder.path().join("entries.db-wal")).unwrap().len();
    assert!(len < 12 * 1024 * 1024, "{len}");
    assert_eq!(documents.check().unwrap(), [""; 0]);
}

#[test]
fn what_is_missing_is_made_only_if_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none/entries.db");
    let refused = SqliteDocuments::open(&path, SqliteOptions::default().create(false)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsuitable, "{refused}");
    assert!(!path.parent().unwrap().exists());
    drop(open(&path).unwrap());
    SqliteDocuments::open(&path, SqliteOptions::default().create(false)).unwrap();
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("entries.db");
    put(&open(&path).unwrap(), DURABLE, "k", b"v");
    let version = |number: i32| Connection::open(&path).unwrap().pragma_update(None, "user_version", number).unwrap();
    let present: i32 =
        Connection::open(&path).unwrap().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    version(1_000);
    let refused = open(&path).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsuitable);
    assert!(
        refused.to_string().contains("schema is number 1000") && refused.to_string().contains("update"),
        "{refused}"
    );
    version(present);
    assert_eq!(value(&open(&path).unwrap(), DURABLE, "k").unwrap(), b"v");
}

#[test]
fn a_database_of_the_first_version_opens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("entries.db");
    let made = Connection::open(&path).unwrap();
    made.execute_batch(include_str!("fixtures/sqlite-schema-1.sql")).unwrap();
    made.pragma_update(None, "journal_mode", "WAL").unwrap();
    drop(made);
    let documents = open(&path).unwrap();
    let (entry, keys) = (Collection::new("entry", Durability::Cache), Collection::new("key", Durability::Durable));
    let found = block_on(documents.get(entry, &key("alpha"))).unwrap().unwrap();
    assert_eq!((found.revision.0, &*found.value), (2, &b"\0\xFF\0"[..]));
    assert_eq!(block_on(documents.get(keys, &key(b"\xFF\xFE"))).unwrap().unwrap().revision.0, 4);
    // It comes from another run of some machine: revisions go on behind all that it may have given out.
    assert!(put(&documents, entry, "beta", b"v") > 1_048_576);
    assert_eq!(documents.check().unwrap(), [""; 0]);
}

#[test]
fn files_of_others_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bookmarks.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE bookmarks (url TEXT);").unwrap();
    let before = fs::read(&path).unwrap();
    assert_eq!(open(&path).unwrap_err().kind(), ErrorKind::Unsuitable);
    assert_eq!(fs::read(&path).unwrap(), before);

    let text = folder.path().join("text.db");
    let before = b"not a database, whatever its name says\n".repeat(300);
    fs::write(&text, &before).unwrap();
    assert_eq!(open(&text).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(fs::read(&text).unwrap(), before);

    let empty = folder.path().join("empty.db");
    fs::write(&empty, "").unwrap();
    assert_eq!(open(&empty).unwrap_err().kind(), ErrorKind::Unsuitable);
    assert_eq!(open(folder.path()).unwrap_err().kind(), ErrorKind::Unsuitable);
    assert_eq!(open(text.join("entries.db")).unwrap_err().kind(), ErrorKind::Unsuitable);
}

#[test]
fn a_network_file_system_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/entries.db");
    let refused = SqliteDocuments::open(&path, SqliteOptions::default().on_network()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsuitable);
    assert!(refused.to_string().contains("NFS") && refused.to_string().contains("local disk"), "{refused}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn damage_is_reported_and_never_read_as_absence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("entries.db");
    let documents = open(&path).unwrap();
    for number in 0..200 {
        put(&documents, CACHE, &format!("k{number:03}"), &[9; 1_000]);
    }
    drop(documents);
    let roots = "SELECT max(rootpage) FROM sqlite_schema";
    let last: u32 = Connection::open(&path).unwrap().query_row(roots, [], |row| row.get(0)).unwrap();
    let behind = u64::from(last) * 8192;
    // Every page behind the roots of the tables turns into noise: the type bytes are none that SQLite knows.
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let len = file.metadata().unwrap().len();
    file.write_all_at(&vec![0xA5; usize::try_from(len - behind).unwrap()], behind).unwrap();
    let documents = open(&path).unwrap();
    assert!(!documents.check().unwrap_or_else(|error| vec![error.to_string()]).is_empty());
    for number in 0..200 {
        let read = block_on(documents.get(CACHE, &key(format!("k{number:03}"))));
        assert_eq!(read.unwrap_err().kind(), ErrorKind::Corrupt);
    }
    assert_eq!(block_on(documents.list(CACHE, &ListQuery::default())).unwrap_err().kind(), ErrorKind::Corrupt);
    let written = block_on(documents.put(CACHE, &key("k000"), b"v", Expected::Any));
    assert_eq!(written.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn a_document_longer_than_any_is_refused_and_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("entries.db");
    let documents = open(&path).unwrap();
    for name in ["a", "big", "c"] {
        put(&documents, DURABLE, name, &vec![7; MAX_DOCUMENT_LEN]);
    }
    let plant = |len: usize| {
        let len = i64::try_from(len).unwrap();
        let resize = "UPDATE document SET value = zeroblob(?1) WHERE key = CAST('big' AS BLOB)";
        assert_eq!(Connection::open(&path).unwrap().execute(resize, [len]).unwrap(), 1);
    };
    let refused = |error: BackendError| {
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains("`big`"), "{error}");
    };
    let list = |query| block_on(documents.list(DURABLE, &query));
    for len in [MAX_DOCUMENT_LEN + 1, 300 * 1024 * 1024] {
        plant(len);
        refused(block_on(documents.get(DURABLE, &key("big"))).unwrap_err());
        refused(list(ListQuery::default()).unwrap_err());
        refused(list(ListQuery { prefix: b"b".to_vec(), ..ListQuery::default() }).unwrap_err());
        assert_eq!(list(ListQuery { limit: 1, ..ListQuery::default() }).unwrap().documents.len(), 1, "those before it");
        assert_eq!(block_on(documents.get(DURABLE, &key("c"))).unwrap().unwrap().value.len(), MAX_DOCUMENT_LEN);
    }
    plant(MAX_DOCUMENT_LEN);
    assert_eq!(list(ListQuery::default()).unwrap().documents.len(), 3);
    plant(MAX_DOCUMENT_LEN + 1);
    put(&documents, DURABLE, "big", b"written over");
    assert_eq!(list(ListQuery::default()).unwrap().documents.len(), 3, "it can be mended");
}

#[test]
fn a_schema_that_runs_code_is_not_obeyed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("entries.db");
    drop(open(&path).unwrap());
    let trigger = "CREATE TRIGGER spy AFTER INSERT ON document BEGIN UPDATE sequence SET revision = 0; END;";
    Connection::open(&path).unwrap().execute_batch(trigger).unwrap();
    let documents = open(&path).unwrap();
    let first = put(&documents, DURABLE, "a", b"v");
    assert!(put(&documents, DURABLE, "b", b"v") > first);
}

#[test]
fn sixty_four_threads_write_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let documents = open(folder.path().join("entries.db")).unwrap();
    let revisions: Vec<u64> = thread::scope(|scope| {
        let write = |writer: usize| {
            let documents = &documents;
            move || {
                (0..25)
                    .map(|number| put(documents, DURABLE, &format!("{writer}/{number}"), &[1; 100]))
                    .collect::<Vec<_>>()
            }
        };
        let writers: Vec<_> = (0..64).map(|writer| scope.spawn(write(writer))).collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    assert_eq!(revisions.iter().collect::<HashSet<_>>().len(), 64 * 25, "a revision is given out once");
    let page = block_on(documents.list(DURABLE, &ListQuery { limit: 1_000, ..ListQuery::default() })).unwrap();
    let rest = block_on(documents.list(DURABLE, &ListQuery { after: page.next, ..ListQuery::default() })).unwrap();
    assert_eq!(page.documents.len() + rest.documents.len(), 64 * 25);
    assert_eq!(documents.check().unwrap(), [""; 0]);
}

#[test]
fn dropping_a_call_does_no_harm_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let documents = open(folder.path().join("entries.db")).unwrap();
    let names: Vec<_> = (0..100).map(|number| key(format!("k{number}"))).collect();
    let mut calls: Vec<_> = names.iter().map(|name| documents.put(DURABLE, name, b"v", Expected::Absent)).collect();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for call in &mut calls {
        // Queues the write; whether it is done at once does not matter here.
        let _ = call.as_mut().poll(&mut context);
    }
    // Those in between are dropped here.
    for call in calls.into_iter().step_by(2) {
        block_on(call).unwrap();
    }
    // A write that began is done, whether or not anybody waits for it, and later ones are not hindered.
    put(&documents, DURABLE, "last", b"v");
    for name in &names {
        assert!(block_on(documents.get(DURABLE, name)).unwrap().is_some());
    }
}

#[test]
fn dropping_the_database_writes_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("entries.db");
    let documents = open(&path).unwrap();
    let names: Vec<_> = (0..100).map(|number| key(format!("k{number}"))).collect();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for name in &names {
        let _ = documents.put(CACHE, name, b"v", Expected::Absent).as_mut().poll(&mut context);
    }
    drop(documents);
    let documents = open(&path).unwrap();
    for name in &names {
        assert!(block_on(documents.get(CACHE, name)).unwrap().is_some());
    }
}

#[test]
fn a_suspended_database_opens_again_when_it_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("entries.db");
    let documents = open(&path).unwrap();
    put(&documents, DURABLE, "k", b"v");
    for _ in 0..3 {
        documents.suspend();
        documents.suspend();
        let open_files =
            fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        assert_eq!(open_files.filter(|file| file.starts_with(folder.path())).count(), 0);
        assert_eq!(value(&documents, DURABLE, "k").unwrap(), b"v");
        put(&documents, DURABLE, "k", b"v");
    }
}

#[test]
fn marks_differ_exactly_after_a_change_and_are_the_same_in_every_handle() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("entries.db");
    let (first, second) = (open(&path).unwrap(), open(&path).unwrap());
    let mark = |documents: &SqliteDocuments| block_on(documents.change_mark(DURABLE)).unwrap().unwrap();
    let before = mark(&first);
    assert_eq!(mark(&second), before);
    put(&second, DURABLE, "k", b"v");
    let after = mark(&first);
    assert_ne!(after, before);
    block_on(second.put(DURABLE, &key("k"), b"w", Expected::Absent)).unwrap_err();
    assert_eq!(mark(&first), after);
    assert!(block_on(second.delete(DURABLE, &key("k"), Expected::Any)).unwrap());
    assert_ne!(mark(&first), after);
}

#[test]
fn a_lost_race_leaves_the_rest_of_the_batch_alone() {
    let folder = tempfile::tempdir().unwrap();
    let documents = open(folder.path().join("entries.db")).unwrap();
    let outcomes: Vec<bool> = thread::scope(|scope| {
        let race = |_| {
            let documents = &documents;
            scope.spawn(move || block_on(documents.put(DURABLE, &key("one"), b"v", Expected::Absent)).is_ok())
        };
        let racers: Vec<_> = (0..32).map(race).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|won| **won).count(), 1);
    let put = |name: &str, expected| Write::Put { collection: DURABLE, key: key(name), value: b"w".to_vec(), expected };
    let refused =
        block_on(documents.commit(&[put("two", Expected::Absent), put("one", Expected::Absent)])).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert_eq!(value(&documents, DURABLE, "two"), None);
}
