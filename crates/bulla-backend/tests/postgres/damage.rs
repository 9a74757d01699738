//! Schemas that are not as they should be, and users who may not.

use std::time::{Duration, Instant};

use bulla_backend::{
    BlobId, BlobReader, Blobs, DocumentKey, Documents, Durability, ErrorKind, Expected, ListQuery, MAX_DOCUMENT_LEN,
    PostgresBlobs, PostgresDocuments, PostgresServer,
};
use pollster::block_on;

use super::{DURABLE, Place, client::Client, server::Server, shared_server};

const ID: BlobId = BlobId([7; 32]);
/// The length of a chunk.
const CHUNK: usize = 256 * 1024;
/// By when a server has surely read its settings again.
const RELOADED: Duration = Duration::from_secs(30);

fn key(text: &str) -> DocumentKey {
    DocumentKey::new(text.as_bytes()).unwrap()
}

fn open(url: &str, create: bool) -> Result<PostgresDocuments, bulla_backend::BackendError> {
    block_on(PostgresDocuments::open(&PostgresServer::new(url.parse().unwrap()), "", create))
}

#[test]
fn a_schema_that_is_not_ours_or_newer_is_left_alone() {
    let refused = |place: &Place, create, kind, part: &str| {
        let error = open(&place.url, create).unwrap_err();
        assert!(error.kind() == kind && error.to_string().contains(part), "{error}");
    };
    let missing = Place::new();
    refused(&missing, false, ErrorKind::Unsuitable, "there is no schema");
    let client = Client::connect(&shared_server());
    assert_eq!(client.number(&format!("SELECT count(*) FROM pg_namespace WHERE nspname = '{}'", missing.schema)), 0);

    let empty = Place::new();
    client.run(&format!("CREATE SCHEMA {}", empty.schema));
    refused(&empty, false, ErrorKind::Unsuitable, "there is no schema");
    open(&empty.url, true).unwrap();
    open(&empty.url, false).unwrap();

    let foreign = Place::new();
    client.run(&format!("CREATE SCHEMA {0}; CREATE TABLE {0}.document (url text)", foreign.schema));
    refused(&foreign, true, ErrorKind::Unsuitable, "tables of another program");

    let newer = Place::new();
    block_on(newer.documents().put(DURABLE, &key("a"), b"1", Expected::Any)).unwrap();
    newer.client().run("UPDATE format SET version = 3");
    refused(&newer, true, ErrorKind::Unsuitable, "number 3, and this program knows up to 2");
    newer.client().run("UPDATE format SET version = 0");
    refused(&newer, true, ErrorKind::Corrupt, "number 0");
    newer.client().run("DELETE FROM format");
    refused(&newer, true, ErrorKind::Corrupt, "no number");
    assert_eq!(newer.client().number("SELECT count(*) FROM document"), 1);

    let absent = shared_server().replace("/postgres", "/nosuchdatabase");
    assert_eq!(open(&absent, true).unwrap_err().kind(), ErrorKind::Unsuitable);
}

#[test]
fn many_who_make_a_place_at_once_make_one() {
    let place = Place::new();
    std::thread::scope(|scope| {
        for number in 0..8_u8 {
            let place = &place;
            scope.spawn(move || {
                let documents = place.documents();
                block_on(documents.put(DURABLE, &key(&number.to_string()), &[number], Expected::Absent)).unwrap();
            });
        }
    });
    let page = block_on(place.documents().list(DURABLE, &ListQuery::default())).unwrap();
    assert_eq!(page.documents.len(), 8);
}

#[test]
fn rows_that_no_writer_of_ours_left_are_refused() {
    let place = Place::new();
    let documents = place.documents();
    block_on(documents.put(DURABLE, &key("fine"), b"1", Expected::Any)).unwrap();
    let client = place.client();
    let check = |name: &str, listed: bool| {
        let got = block_on(documents.get(DURABLE, &key(name)));
        assert_eq!(got.unwrap_err().kind(), ErrorKind::Corrupt);
        if listed {
            let page = block_on(documents.list(DURABLE, &ListQuery::default()));
            assert_eq!(page.unwrap_err().kind(), ErrorKind::Corrupt);
        }
        assert!(block_on(documents.get(DURABLE, &key("fine"))).unwrap().is_some(), "it hides no other");
    };
    let too_long = MAX_DOCUMENT_LEN + 1;
    client.run(&format!(
        "INSERT INTO document VALUES ('durable', 'long', 1, convert_to(repeat('v', {too_long}), 'UTF8'))"
    ));
    check("long", true);
    client.run("UPDATE document SET value = convert_to(repeat('v', 100000000), 'UTF8') WHERE key = 'long'");
    check("long", true);
    client.run("UPDATE document SET value = '', revision = -1 WHERE key = 'long'");
    check("long", true);
    client.run("UPDATE document SET revision = 1, key = '' WHERE key = 'long'");
    assert_eq!(block_on(documents.list(DURABLE, &ListQuery::default())).unwrap_err().kind(), ErrorKind::Corrupt);
    client.run("DELETE FROM document WHERE key = ''");
    assert_eq!(block_on(documents.list(DURABLE, &ListQuery::default())).unwrap().documents.len(), 1);

    client.run("ALTER TABLE document RENAME COLUMN value TO content");
    let error = block_on(documents.put(DURABLE, &key("fine"), b"2", Expected::Any)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    client.run("ALTER TABLE document RENAME COLUMN content TO value; ALTER TABLE document ALTER revision TYPE text");
    let error = block_on(documents.get(DURABLE, &key("fine"))).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unavailable), "{error}");
    client.run("DROP TABLE document");
    let error = block_on(documents.get(DURABLE, &key("fine"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

async fn write(blobs: &PostgresBlobs, len: usize) -> bulla_backend::Result<u64> {
    let mut writer = blobs.create(&ID, Durability::Durable).await?;
    for part in vec![7; len].chunks(100_000) {
        writer.write(part).await?;
    }
    writer.finish().await
}

#[test]
fn blobs_that_were_tampered_with_are_refused() {
    let place = Place::new();
    let blobs = place.blobs();
    let client = place.client();
    assert_eq!(block_on(write(&blobs, 3 * CHUNK + 5)).unwrap(), (3 * CHUNK + 5) as u64);
    let read = || {
        let reader: Box<dyn BlobReader> = block_on(blobs.open(&ID))?.unwrap();
        let mut buffer = vec![0; usize::try_from(reader.len().min(10_000_000)).unwrap()];
        block_on(reader.read_at(0, &mut buffer)).map(|len| (len, buffer.iter().all(|byte| *byte == 7)))
    };
    assert_eq!(read().unwrap(), (3 * CHUNK + 5, true));
    for (damage, repair) in [
        ("UPDATE blob SET len = len + 1", "UPDATE blob SET len = len - 1"),
        ("UPDATE blob SET len = 4000000000000000000", "UPDATE blob SET len = 786437"),
        ("UPDATE blob SET len = -1", "UPDATE blob SET len = 786437"),
        ("UPDATE chunk SET number = 9 WHERE number = 1", "UPDATE chunk SET number = 1 WHERE number = 9"),
        (
            "UPDATE chunk SET bytes = substring(bytes FOR 4) WHERE number = 3",
            "UPDATE chunk SET bytes = '\\x0707070707' WHERE number = 3",
        ),
    ] {
        client.run(damage);
        assert_eq!(read().unwrap_err().kind(), ErrorKind::Corrupt, "{damage}");
        client.run(repair);
        assert!(read().unwrap().1, "{repair}");
    }
    let reader = block_on(blobs.open(&ID)).unwrap().unwrap();
    assert!(block_on(blobs.delete(&ID)).unwrap());
    block_on(write(&blobs, 10)).unwrap();
    let error = block_on(reader.read_at(0, &mut [0; 10])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "another blob of the same id is not read: {error}");
    client.run("UPDATE blob SET id = 'short'");
    assert_eq!(block_on(blobs.list(None, 0)).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn nothing_is_left_of_blobs_that_are_gone() {
    let place = Place::new();
    let blobs = place.blobs();
    let client = place.client();
    let left = || {
        client
            .number("SELECT (SELECT count(*) FROM chunk) + (SELECT count(*) FROM upload) + (SELECT count(*) FROM blob)")
    };
    // More chunks than one statement deletes.
    block_on(write(&blobs, 130 * CHUNK)).unwrap();
    assert!(block_on(blobs.delete(&ID)).unwrap());
    assert_eq!(left(), 0);

    let mut dropped = block_on(blobs.create(&ID, Durability::Durable)).unwrap();
    block_on(dropped.write(&vec![7; 2 * CHUNK])).unwrap();
    assert_eq!(left(), 3);
    drop(dropped);
    while left() > 0 {
        std::thread::yield_now();
    }

    block_on(write(&blobs, 2 * CHUNK)).unwrap();
    let mut late = block_on(blobs.create(&ID, Durability::Durable)).unwrap();
    block_on(late.write(&vec![7; 2 * CHUNK])).unwrap();
    assert_eq!(block_on(late.finish()).unwrap_err().kind(), ErrorKind::Conflict);
    while left() > 4 {
        std::thread::yield_now();
    }
    assert!(block_on(blobs.delete(&ID)).unwrap());

    let mut slow = block_on(blobs.create(&ID, Durability::Durable)).unwrap();
    block_on(slow.write(&vec![7; 2 * CHUNK])).unwrap();
    drop(place.blobs());
    assert_eq!(left(), 3, "an opening leaves alone what may still be written");
    client.run("UPDATE upload SET touched = touched - interval '25 hours'");
    drop(place.blobs());
    assert_eq!(left(), 0, "but for a day only");
    assert_eq!(block_on(slow.write(&vec![7; CHUNK])).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(block_on(slow.finish()).unwrap_err().kind(), ErrorKind::Io);
    assert!(block_on(blobs.open(&ID)).unwrap().is_none());
}

#[test]
fn who_may_not_is_told_so() {
    let server = Server::start(&[]);
    let owner = Place::on(&server.url());
    let documents = owner.documents();
    block_on(documents.put(DURABLE, &key("a"), b"1", Expected::Any)).unwrap();
    let client = owner.client();
    client.run("CREATE ROLE reader LOGIN PASSWORD 'hunter2'");
    let url = |user: &str, password: &str| format!("{}?schema={}", server.url_of(user, password), owner.schema);
    let refused = |url: &str| {
        let error = open(url, true).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Permission, "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
    };
    refused(&url("reader", "hunter3"));
    refused(&url("nobody", "hunter3"));
    refused(&url("reader", "hunter3").replace(":hunter3", ""));
    refused(&url("reader", "hunter2"));
    refused(&format!("{}?schema=new", server.url_of("reader", "hunter2")));

    client.run(&format!(
        "GRANT USAGE ON SCHEMA {0} TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA {0} TO reader",
        owner.schema
    ));
    let reader = open(&url("reader", "hunter2"), false).unwrap();
    assert!(!format!("{reader:?}").contains("hunter"));
    assert!(block_on(reader.get(DURABLE, &key("a"))).unwrap().is_some());
    let error = block_on(reader.put(DURABLE, &key("a"), b"2", Expected::Any)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permission, "{error}");
    let only = PostgresServer::new(url("reader", "hunter2").parse().unwrap());
    block_on(PostgresBlobs::open(&only, "", false)).unwrap();

    client.run("ALTER TABLE document ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON document USING (false)");
    let error = block_on(reader.get(DURABLE, &key("a"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permission, "what a policy hides is not reported as absent: {error}");
    client.run("ALTER ROLE bulla SET default_transaction_read_only TO on");
    let error = block_on(owner.documents().put(DURABLE, &key("a"), b"2", Expected::Any)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permission, "{error}");
}

#[test]
fn settings_of_a_role_that_would_lose_writes_do_not_hold() {
    let server = Server::start(&["fsync=off"]);
    let place = Place::on(&server.url());
    let error = place.try_documents().unwrap_err();
    assert!(error.kind() == ErrorKind::Unsuitable && error.to_string().contains("fsync"), "{error}");
    drop(server);

    let server = Server::start(&["synchronous_commit=off"]);
    let place = Place::on(&crate::postgres::with(&server.url(), "statement_timeout=1"));
    let documents = place.documents();
    let client = place.client();
    // Who says `off` here is overruled: a durable write waits for a standby that does not exist.
    client.run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    client.run("SELECT pg_reload_conf()");
    // Commits wait from the moment the server's checkpointer has read that, which nothing shows. A commit that is `off` never would.
    let told = Instant::now();
    let error = loop {
        match block_on(documents.put(DURABLE, &key("a"), b"1", Expected::Any)) {
            Err(error) => break error,
            Ok(_) => assert!(told.elapsed() < RELOADED, "durable writes do not wait"),
        }
    };
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
}
