//! What the store promises to those who use it as intended.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bulla_backend::{
    BlobId, BlobPage, BlobReader, BlobWriter, Blobs, Clock, Durability, MemoryBlobs, MemoryDocuments, Result, Timestamp,
};
use bulla_store::{
    Budget, CheckOptions, Depth, EntryName, EntryQuery, ExpectedVersion, GcOptions, GetOptions, Lifetime,
    MAX_INLINE_LEN, MAX_NAME_LEN, MAX_VALUE_LEN, PutOptions, StoreError,
};
use pollster::block_on;

use crate::ground::{Ground, assert_code, names, pattern, read, value, write};

const LENGTHS: [usize; 9] =
    [0, 1, 1_000, MAX_INLINE_LEN - 1, MAX_INLINE_LEN, MAX_INLINE_LEN + 1, 131_072, 131_073, 300_000];

#[test]
fn values_of_every_length_come_back() {
    let ground = Ground::new();
    let namespace = ground.namespace("data");
    for (seed, len) in (0..).zip(LENGTHS) {
        let name = len.to_string();
        let bytes = pattern(len, seed);
        assert_eq!(write(&namespace, name.as_bytes(), &bytes), 1);
        let got = block_on(namespace.get(name.as_bytes(), &GetOptions::version(1))).unwrap();
        assert!(got.bytes == bytes, "{len} bytes come back");
        assert_eq!((got.stat.version, got.stat.len), (1, len as u64));
        assert_eq!(block_on(namespace.stat(name.as_bytes(), &GetOptions::default())).unwrap(), got.stat);
    }
    let large = LENGTHS.iter().filter(|len| **len > MAX_INLINE_LEN).count();
    assert_eq!(ground.blob_ids().len(), large);
    let (counts, findings) = ground.check();
    assert!(counts.is_clean() && findings.is_empty(), "{findings:?}");
    assert_eq!((counts.ok, counts.bytes), (LENGTHS.len() as u64, LENGTHS.iter().sum::<usize>() as u64));
}

#[test]
fn values_are_written_and_read_in_pieces() {
    let ground = Ground::new();
    let namespace = ground.namespace("data");
    for (seed, len) in (0..).zip(LENGTHS) {
        let bytes = pattern(len, seed);
        for piece in [1_000, MAX_INLINE_LEN, 100_001] {
            let mut writer = namespace.writer(b"x", &PutOptions::default()).unwrap();
            bytes.chunks(piece).for_each(|piece| block_on(writer.write(piece)).unwrap());
            block_on(writer.finish()).unwrap();

            let mut reader = block_on(namespace.reader(b"x", &GetOptions::default())).unwrap();
            assert_eq!(reader.message_len(), len as u64);
            let mut read = Vec::new();
            while let Some(chunk) = block_on(reader.read_chunk()).unwrap() {
                assert!(!chunk.is_empty());
                read.extend_from_slice(chunk);
            }
            assert!(read == bytes, "{len} bytes in pieces of {piece} come back");
            assert_eq!(block_on(reader.read_chunk()).unwrap(), None);
            for (offset, want) in [(0, 10), (len / 2, 70_000), (len.saturating_sub(5), 100), (len, 1), (len + 1, 1)] {
                let mut buffer = vec![0; want];
                let filled = block_on(reader.read_at(offset as u64, &mut buffer)).unwrap();
                let expected = &bytes[offset.min(len)..(offset + want).min(len).max(offset.min(len))];
                assert!(buffer[..filled] == *expected, "{want} bytes at {offset} of {len}");
            }
        }
    }
    assert_eq!(ground.blob_ids().len(), 1, "blobs of what was replaced are gone");
}

#[test]
fn what_is_said_about_a_value_is_kept() {
    let ground = Ground::new();
    let namespace = ground.namespace("data");
    let options = PutOptions {
        lifetime: Lifetime::For(Duration::from_secs(60)),
        media_type: Some("application/json".to_owned()),
        tags: ["b", "a", "b"].map(str::to_owned).to_vec(),
        expected: ExpectedVersion::Absent,
        ..PutOptions::default()
    };
    for (name, len) in [(&b"small"[..], 3), (b"large", 100_000)] {
        block_on(namespace.put(name, &pattern(len, 0), &options)).unwrap();
        let stat = block_on(namespace.stat(name, &GetOptions::default())).unwrap();
        assert_eq!(stat.media_type.as_deref(), Some("application/json"));
        assert_eq!(stat.tags, ["a", "b"]);
        assert_eq!((stat.version, stat.created, stat.len), (1, ground.clock.now(), len as u64));
        assert_eq!(stat.expires, Some(Timestamp(ground.clock.now().0 + 60_000)));
    }
}

#[test]
fn versions_count_and_decide_races() {
    let ground = Ground::new();
    let namespace = ground.namespace("data");
    let put = |expected| block_on(namespace.put(b"n", b"v", &PutOptions { expected, ..PutOptions::default() }));
    let (absent, version) = (ExpectedVersion::Absent, ExpectedVersion::Version);
    assert_code(put(version(1)), "version_mismatch");
    assert_eq!(put(absent).unwrap(), 1);
    assert_code(put(absent), "version_mismatch");
    assert_eq!(put(version(1)).unwrap(), 2);
    assert_code(put(version(1)), "version_mismatch");
    assert_eq!(put(ExpectedVersion::Any).unwrap(), 3);

    assert_code(block_on(namespace.get(b"n", &GetOptions::version(2))), "version_mismatch");
    assert_code(block_on(namespace.stat(b"n", &GetOptions::version(4))), "version_mismatch");
    assert_code(block_on(namespace.reader(b"n", &GetOptions::version(4))), "version_mismatch");
    assert_eq!(block_on(namespace.get(b"n", &GetOptions::version(3))).unwrap().bytes, b"v");

    assert_code(block_on(namespace.remove(b"n", version(2))), "version_mismatch");
    assert_code(block_on(namespace.remove(b"n", absent)), "version_mismatch");
    assert!(block_on(namespace.remove(b"n", version(3))).unwrap());
    assert!(!block_on(namespace.remove(b"n", ExpectedVersion::Any)).unwrap());
    assert_code(block_on(namespace.remove(b"n", version(3))), "version_mismatch");
    assert_code(read(&namespace, b"n"), "not_found");
    assert_eq!(put(ExpectedVersion::Any).unwrap(), 1, "a removed name begins again");
}

#[test]
fn a_failed_expectation_leaves_no_blob() {
    let ground = Ground::new();
    let namespace = ground.namespace("data");
    let options = PutOptions { expected: ExpectedVersion::Version(9), ..PutOptions::default() };
    assert_code(block_on(namespace.put(b"n", &pattern(100_000, 0), &options)), "version_mismatch");
    assert_eq!(ground.blob_ids(), []);
}

#[test]
fn expired_entries_read_as_absent() {
    let ground = Ground::new();
    let namespace = ground.namespace("cache");
    let lifetime = Lifetime::For(Duration::from_millis(1_000));
    for (name, len) in [(&b"small"[..], 3), (b"large", 100_000)] {
        let options = PutOptions { lifetime, ..PutOptions::default() };
        block_on(namespace.put(name, &pattern(len, 0), &options)).unwrap();
    }
    write(&namespace, b"stays", b"v");
    ground.clock.forward(Duration::from_millis(999));
    assert_eq!(names(&namespace, b"", 0).len(), 3);
    ground.clock.forward(Duration::from_millis(1));
    for name in [&b"small"[..], b"large"] {
        assert_code(read(&namespace, name), "not_found");
        assert_code(block_on(namespace.stat(name, &GetOptions::version(1))), "not_found");
        assert_code(block_on(namespace.reader(name, &GetOptions::default())), "not_found");
    }
    assert_eq!(names(&namespace, b"", 0), [b"stays"]);
    assert_eq!((ground.check().0.ok, ground.check().0.expired), (3, 2));

    assert!(!block_on(namespace.remove(b"small", ExpectedVersion::Any)).unwrap(), "it was absent");
    assert_eq!(ground.check().0.expired, 1, "and is gone now");
    let add = PutOptions { expected: ExpectedVersion::Absent, ..PutOptions::default() };
    assert_eq!(block_on(namespace.put(b"large", b"new", &add)).unwrap(), 2, "versions go on");
    assert_eq!(read(&namespace, b"large").unwrap(), b"new");
    assert_eq!(ground.blob_ids(), []);
}

#[test]
fn names_are_any_bytes_and_namespaces_do_not_mix() {
    let ground = Ground::new();
    let all: Vec<Vec<u8>> = vec![
        b"\0".to_vec(),
        b"\0\0".to_vec(),
        b"../../etc/passwd".to_vec(),
        b"/".to_vec(),
        b"a".to_vec(),
        b"a\0b".to_vec(),
        b"ab".to_vec(),
        vec![0xff; MAX_NAME_LEN],
    ];
    for namespace in ["a", "a/b", "a.b", "a-b/c"] {
        for name in &all {
            write(&ground.namespace(namespace), name, &[namespace.as_bytes(), name].concat());
        }
    }
    for namespace in ["a", "a/b", "a.b", "a-b/c"] {
        let handle = ground.namespace(namespace);
        for name in &all {
            assert_eq!(read(&handle, name).unwrap(), [namespace.as_bytes(), name].concat());
        }
        for limit in [0, 1, 3] {
            assert_eq!(names(&handle, b"", limit), all);
            assert_eq!(names(&handle, b"a", limit), [&b"a"[..], b"a\0b", b"ab"]);
            assert_eq!(names(&handle, b"b", limit), Vec::<Vec<u8>>::new());
        }
    }
    let found = block_on(ground.store.namespaces()).unwrap();
    assert_eq!(found.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["a", "a-b/c", "a.b", "a/b"]);
    block_on(ground.namespace("a").remove(b"a", ExpectedVersion::Any)).unwrap();
    assert_eq!(names(&ground.namespace("a"), b"a", 0).len(), 2);
    assert_eq!(names(&ground.namespace("a/b"), b"a", 0).len(), 3);
}

#[test]
fn input_out_of_bounds_is_refused_before_anything_is_written() {
    let ground = Ground::new();
    let namespace = ground.namespace("data");
    let long = vec![0; MAX_NAME_LEN + 1];
    for name in [&b""[..], &long] {
        assert_code(block_on(namespace.put(name, b"v", &PutOptions::default())), "invalid_name");
        assert_code(namespace.writer(name, &PutOptions::default()), "invalid_name");
        assert_code(read(&namespace, name), "invalid_name");
        assert_code(block_on(namespace.remove(name, ExpectedVersion::Any)), "invalid_name");
        assert_code(EntryName::new(name), "invalid_name");
    }
    let with_tags = |tags: Vec<String>| PutOptions { tags, ..PutOptions::default() };
    let with_type = |text: &str| PutOptions { media_type: Some(text.to_owned()), ..PutOptions::default() };
    let bad = [
        with_tags(vec![String::new()]),
        with_tags(vec!["t".repeat(129)]),
        with_tags((0..33).map(|n| n.to_string()).collect()),
        with_type(""),
        with_type(" text/plain"),
        with_type("text/plain\r\nX: y"),
        with_type(&"x".repeat(256)),
    ];
    for options in bad {
        assert_code(block_on(namespace.put(b"n", &pattern(100_000, 0), &options)), "invalid_entry");
        assert_code(namespace.writer(b"n", &options), "invalid_entry");
    }
    assert_code(ground.store.namespace("../x"), "invalid_namespace");
    assert!(ground.documents().is_empty() && ground.blob_ids().is_empty());
}

#[test]
fn messages_name_the_entry_and_show_no_control_characters() {
    let ground = Ground::new();
    let namespace = ground.namespace("data");
    let error = read(&namespace, b"a\n\x1b[31m\xff").unwrap_err();
    assert_eq!(error.to_string(), r"there is no entry `a\n\x1b[31m\xff` in namespace `data`");
    let error = ground.store.namespace("a\u{1b}[31m").unwrap_err();
    assert!(!error.to_string().contains('\u{1b}'), "{error}");
}

#[test]
fn a_value_too_large_for_get_is_left_to_the_reader() {
    let ground = Ground::new();
    let namespace = ground.namespace("data");
    let piece = pattern(1 << 20, 3);
    for extra in [0, 1] {
        let mut writer = namespace.writer(b"big", &PutOptions::default()).unwrap();
        for _ in 0..MAX_VALUE_LEN >> 20 {
            block_on(writer.write(&piece)).unwrap();
        }
        block_on(writer.write(&piece[..extra])).unwrap();
        block_on(writer.finish()).unwrap();
        let got = block_on(namespace.get(b"big", &GetOptions::default()));
        match (extra, got) {
            (0, Ok(value)) => assert_eq!(value.bytes.len() as u64, MAX_VALUE_LEN),
            (_, got) => assert_code(got, "too_large"),
        }
    }
    let mut reader = block_on(namespace.reader(b"big", &GetOptions::default())).unwrap();
    let mut end = [0; 3];
    assert_eq!(block_on(reader.read_at(MAX_VALUE_LEN - 1, &mut end)).unwrap(), 2);
    assert_eq!(end[..2], [piece[piece.len() - 1], piece[0]]);
}

#[test]
fn a_writer_that_is_dropped_puts_nothing() {
    let ground = Ground::new();
    let namespace = ground.namespace("data");
    write(&namespace, b"n", b"old");
    let mut writer = namespace.writer(b"n", &PutOptions::default()).unwrap();
    block_on(writer.write(&pattern(200_000, 1))).unwrap();
    drop(writer);
    assert_eq!(read(&namespace, b"n").unwrap(), b"old");
    assert_eq!(ground.blob_ids(), []);
}

#[test]
fn values_are_silent_in_debug_output() {
    let ground = Ground::new();
    let namespace = ground.namespace("data");
    write(&namespace, b"n", b"SECRET");
    let shown = format!("{:?}", block_on(namespace.get(b"n", &GetOptions::default())).unwrap());
    let reader = format!("{:?}", block_on(namespace.reader(b"n", &GetOptions::default())).unwrap());
    assert!(!(shown + &reader).contains(&format!("{:?}", b"SECRET")));
}

#[test]
fn work_may_move_between_threads() {
    fn is_sendable(_: &impl Send) {}
    let ground = Ground::new();
    let namespace = ground.namespace("data");
    let options = PutOptions::default();
    let mut writer = namespace.writer(b"n", &options).unwrap();
    is_sendable(&writer.write(b"v"));
    is_sendable(&writer.finish());
    is_sendable(&namespace.put(b"n", b"v", &options));
    is_sendable(&namespace.get(b"n", &GetOptions::default()));
    is_sendable(&namespace.reader(b"n", &GetOptions::default()));
    is_sendable(&namespace.list(&EntryQuery::default()));
    is_sendable(&namespace.remove(b"n", ExpectedVersion::Any));
    is_sendable(&namespace.reseal(Depth::Entries, &Budget::UNLIMITED, &mut |_| {}));
    is_sendable(&ground.store.gc(&GcOptions::default(), &Budget::UNLIMITED, &mut |_| {}));
    is_sendable(&ground.store.check(&CheckOptions::default(), &Budget::UNLIMITED, &mut |_| {}));
    write(&namespace, b"n", b"v");
    let mut reader = block_on(namespace.reader(b"n", &GetOptions::default())).unwrap();
    is_sendable(&reader.read_chunk());
    is_sendable(&reader);
}

/// Blobs that let something happen just before one is opened.
struct Interrupted {
    blobs: MemoryBlobs,
    before_open: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
}

impl fmt::Debug for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.blobs.fmt(f)
    }
}

#[async_trait]
impl Blobs for Interrupted {
    async fn create(&self, id: &BlobId, durability: Durability) -> Result<Box<dyn BlobWriter>> {
        self.blobs.create(id, durability).await
    }

    async fn open(&self, id: &BlobId) -> Result<Option<Box<dyn BlobReader>>> {
        let happens = self.before_open.lock().unwrap().pop();
        if let Some(happens) = happens {
            happens();
        }
        self.blobs.open(id).await
    }

    async fn delete(&self, id: &BlobId) -> Result<bool> {
        self.blobs.delete(id).await
    }

    async fn list(&self, after: Option<&BlobId>, limit: usize) -> Result<BlobPage> {
        self.blobs.list(after, limit).await
    }
}

#[test]
fn a_reader_overtaken_by_a_writer_reads_the_new_value() {
    let (documents, blobs) = (Arc::new(MemoryDocuments::new()), MemoryBlobs::new());
    let interrupted = Arc::new(Interrupted { blobs, before_open: Mutex::default() });
    let ground = Ground::on(documents, Arc::clone(&interrupted) as Arc<dyn Blobs>);
    let namespace = ground.namespace("data");
    let overwrite = |seed| {
        let namespace = namespace.clone();
        Box::new(move || {
            write(&namespace, b"n", &pattern(100_000, seed));
        }) as Box<dyn FnOnce() + Send>
    };
    write(&namespace, b"n", &pattern(100_000, 1));

    interrupted.before_open.lock().unwrap().push(overwrite(2));
    assert_eq!(value(&namespace, b"n"), Some(pattern(100_000, 2)));
    interrupted.before_open.lock().unwrap().push(overwrite(3));
    let mut reader = block_on(namespace.reader(b"n", &GetOptions::default())).unwrap();
    write(&namespace, b"n", b"newer");
    let mut all = vec![0; 100_000];
    assert_eq!(block_on(reader.read_at(0, &mut all)).unwrap(), 100_000, "it reads what it began with");
    assert!(all == pattern(100_000, 3));

    let namespace_again = namespace.clone();
    write(&namespace, b"n", &pattern(100_000, 4));
    interrupted.before_open.lock().unwrap().push(Box::new(move || {
        block_on(namespace_again.remove(b"n", ExpectedVersion::Any)).unwrap();
    }));
    assert!(matches!(read(&namespace, b"n"), Err(StoreError::NotFound(_))), "removed meanwhile");
}
