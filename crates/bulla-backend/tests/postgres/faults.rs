//! Servers that die, hang, lie or are busy; callers that go away.

use std::{
    collections::HashMap,
    future::Future,
    io::{Read, Write as _},
    net::TcpListener,
    sync::mpsc::{self, Sender},
    task::{Context, Waker},
    thread,
    time::{Duration, Instant},
};

use bulla_backend::{
    Blobs, Collection, DocumentKey, Documents, Durability, ErrorKind, Expected, ListQuery, PostgresDocuments,
    PostgresServer, Revision, Write,
};
use pollster::block_on;
use rustix::process::Signal;

use super::{CACHE, DURABLE, Place, server::Server, with};

fn key(text: &str) -> DocumentKey {
    DocumentKey::new(text.as_bytes()).unwrap()
}

fn put(
    documents: &PostgresDocuments,
    collection: Collection,
    name: &str,
    value: &[u8],
) -> bulla_backend::Result<Revision> {
    block_on(documents.put(collection, &key(name), value, Expected::Any))
}

fn value(documents: &PostgresDocuments, name: &str) -> Option<Vec<u8>> {
    block_on(documents.get(DURABLE, &key(name))).unwrap().map(|document| document.value)
}

/// What one writer knows of what it wrote.
#[derive(Default)]
struct Written {
    /// Each name with the number that was written last, and answered.
    answered: HashMap<String, u64>,
    /// What was under way when the server died.
    open: Vec<String>,
}

/// Writes new documents, pairs of new documents, and one document again and again, until the server is gone.
fn write_until_cut(documents: &PostgresDocuments, writer: &str, answers: &Sender<()>) -> Written {
    let mut written = Written::default();
    let (counter, mut revision) = (format!("{writer}/counter"), Expected::Absent);
    for number in 0_u64.. {
        let value = number.to_be_bytes();
        let new = [0, 1].map(|half| format!("{writer}/{number}/{half}"));
        let (names, result) = match number % 3 {
            0 => {
                let put = block_on(documents.put(DURABLE, &key(&new[0]), &value, Expected::Absent));
                (vec![new[0].clone()], put.map(drop))
            }
            1 => {
                let writes = new.each_ref().map(|name| Write::Put {
                    collection: DURABLE,
                    key: key(name),
                    value: value.to_vec(),
                    expected: Expected::Absent,
                });
                (new.to_vec(), block_on(documents.commit(&writes)).map(drop))
            }
            _ => {
                let put = block_on(documents.put(DURABLE, &key(&counter), &value, revision));
                (vec![counter.clone()], put.map(|new| revision = Expected::Revision(new)))
            }
        };
        match result {
            Ok(()) => {
                written.answered.extend(names.into_iter().map(|name| (name, number)));
                let _ = answers.send(());
            }
            Err(error) => {
                // Nobody else writes these: a conflict could only be one with ourselves.
                assert!(matches!(error.kind(), ErrorKind::Io | ErrorKind::Unavailable), "{error}");
                written.open = names;
                break;
            }
        }
    }
    written
}

#[test]
fn what_was_answered_outlives_a_killed_server() {
    const WRITERS: usize = 8;
    let mut server = Server::start(&[]);
    let place = Place::on(&server.url());
    let documents = place.documents();
    let mut expected: HashMap<String, u64> = HashMap::new();
    for round in 0..4 {
        let (sender, answers) = mpsc::channel();
        let written: Vec<Written> = thread::scope(|scope| {
            let start = |writer: usize| {
                let (documents, sender) = (&documents, sender.clone());
                scope.spawn(move || write_until_cut(documents, &format!("{round}/{writer}"), &sender))
            };
            let writers: Vec<_> = (0..WRITERS).map(start).collect();
            for _ in 0..150 {
                answers.recv().unwrap();
            }
            server.kill();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        let refused = put(&documents, DURABLE, "while it is away", b"1").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
        server.start_again();

        for written in written {
            let halves: Vec<_> = written.open.iter().map(|name| value(&documents, name).is_some()).collect();
            assert!(halves.windows(2).all(|pair| pair[0] == pair[1]), "a commit is there whole or not at all");
            for (name, number) in written.answered {
                if written.open.contains(&name) {
                    let found = value(&documents, &name).unwrap();
                    assert!(u64::from_be_bytes(found.try_into().unwrap()) >= number, "{name} went back");
                } else {
                    expected.insert(name, number);
                }
            }
        }
        for (name, number) in &expected {
            assert_eq!(value(&documents, name), Some(number.to_be_bytes().to_vec()), "{name}, round {round}");
        }
    }
    println!("{} answered documents outlived four kills", expected.len());
}

#[test]
fn durable_writes_wait_and_relaxed_ones_do_not() {
    let server = Server::start(&[]);
    let place = Place::on(&with(&server.url(), "statement_timeout=1"));
    let (documents, blobs) = (place.documents(), place.blobs());
    for collection in [DURABLE, CACHE] {
        put(&documents, collection, "there", b"1").unwrap();
    }
    // A standby that does not exist: what is to be durable waits for it, for ever.
    place.client().run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    place.client().run("SELECT pg_reload_conf()");
    place.client().run("SELECT pg_sleep(0)");

    let put_of = |collection, name: &str| Write::Put {
        collection,
        key: key(name),
        value: b"2".to_vec(),
        expected: Expected::Any,
    };
    let finish = |durability, len: usize| {
        block_on(async {
            let mut id = [7; 32];
            aws_lc_rs::rand::fill(&mut id).unwrap();
            let mut writer = blobs.create(&bulla_backend::BlobId(id), durability).await?;
            writer.write(&vec![1; len]).await?;
            writer.finish().await
        })
    };
    type Step<'a> = Box<dyn Fn(Collection, Durability) -> bulla_backend::Result<()> + Send + Sync + 'a>;
    let steps: [(&str, Step<'_>); 7] = [
        ("put", Box::new(|collection, _| put(&documents, collection, "a", b"1").map(drop))),
        (
            "delete",
            Box::new(|collection, _| block_on(documents.delete(collection, &key("there"), Expected::Any)).map(drop)),
        ),
        (
            "delete nothing",
            Box::new(|collection, _| block_on(documents.delete(collection, &key("no"), Expected::Any)).map(drop)),
        ),
        (
            "expect nothing",
            Box::new(|collection, _| block_on(documents.delete(collection, &key("n"), Expected::Absent)).map(drop)),
        ),
        (
            "commit",
            Box::new(|collection, _| {
                block_on(documents.commit(&[put_of(CACHE, "b"), put_of(collection, "c")])).map(drop)
            }),
        ),
        ("small blob", Box::new(|_, durability| finish(durability, 10).map(drop))),
        ("large blob", Box::new(|_, durability| finish(durability, 600_000).map(drop))),
    ];
    for (name, step) in &steps {
        step(CACHE, Durability::Cache).unwrap_or_else(|error| panic!("a relaxed {name} does not wait: {error}"));
    }
    thread::scope(|scope| {
        for (name, step) in &steps {
            scope.spawn(move || {
                let error = step(DURABLE, Durability::Durable).expect_err(name);
                assert_eq!(error.kind(), ErrorKind::Io, "{name}: {error}");
                assert!(
                    error.to_string().contains("within 3 s; try again; whether the write happened is open"),
                    "{error}"
                );
            });
        }
    });
    place.client().run("ALTER SYSTEM RESET synchronous_standby_names");
    place.client().run("SELECT pg_reload_conf()");
    // The server tells those who wait in its own time, and shows what they wrote from then on.
    let until = Instant::now() + Duration::from_secs(20);
    while value(&documents, "a").is_none() {
        assert!(Instant::now() < until, "it was written, only not known to be safe");
        thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn a_server_that_hangs_is_given_up() {
    let server = Server::start(&[]);
    let place = Place::on(&with(&server.url(), "statement_timeout=1&connect_timeout=1&connections=2"));
    let documents = place.documents();
    put(&documents, DURABLE, "a", b"1").unwrap();
    server.signal(Signal::STOP);
    let error = put(&documents, DURABLE, "a", b"2").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "what was sent may have happened: {error}");
    let error = block_on(documents.get(DURABLE, &key("a"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let error = put(&documents, DURABLE, "a", b"3").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "what was not sent did not happen: {error}");
    server.signal(Signal::CONT);
    put(&documents, DURABLE, "a", b"4").unwrap();
    assert_eq!(value(&documents, "a"), Some(b"4".to_vec()));
}

#[test]
fn a_cut_connection_is_replaced_and_its_write_left_open() {
    let server = Server::start(&[]);
    let place = Place::on(&server.url());
    let documents = place.documents();
    let cut = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name = 'bulla'";
    for round in 0..5_u8 {
        put(&documents, DURABLE, "a", &[round]).unwrap();
        assert_eq!(place.client().number(cut), 1);
        assert_eq!(value(&documents, "a"), Some(vec![round]), "a read finds another connection");
    }
    let holder = place.client();
    holder.run("BEGIN; SELECT FROM document FOR UPDATE");
    let error = thread::scope(|scope| {
        let write = scope.spawn(|| put(&documents, DURABLE, "a", b"x").unwrap_err());
        let other = place.client();
        while other.number(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bulla' AND wait_event_type = 'Lock'",
        ) == 0
        {
            thread::yield_now();
        }
        other.number(cut);
        write.join().unwrap()
    });
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    holder.run("COMMIT");
    put(&documents, DURABLE, "a", b"y").unwrap();
    assert_eq!(value(&documents, "a"), Some(b"y".to_vec()));
}

#[test]
fn a_full_pool_and_a_slow_statement_say_so() {
    let place = Place::new();
    let documents = place.documents();
    put(&documents, DURABLE, "a", b"1").unwrap();
    let narrow = |parameters: &str| {
        let server = PostgresServer::new(with(&place.url, parameters).parse().unwrap());
        block_on(PostgresDocuments::open(&server, "", false)).unwrap()
    };
    let one = narrow("connections=1&connect_timeout=1");
    let slow = narrow("statement_timeout=1");
    let holder = place.client();
    holder.run("BEGIN; SELECT FROM document FOR UPDATE");
    thread::scope(|scope| {
        let blocked = scope.spawn(|| put(&one, DURABLE, "a", b"2"));
        let other = place.client();
        let waiting = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%{}%'",
            holder.schema()
        );
        while other.number(&waiting) == 0 {
            thread::yield_now();
        }
        let error = block_on(one.get(DURABLE, &key("a"))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("all 1 connections were in use for 1 s"), "{error}");
        let error = put(&slow, DURABLE, "a", b"3").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("57014"), "{error}");
        holder.run("COMMIT");
        blocked.join().unwrap().unwrap();
    });
    assert_eq!(value(&slow, "a"), Some(b"2".to_vec()));
}

#[test]
fn callers_that_go_away_leave_nothing_half_done() {
    let place = Place::new();
    let server = PostgresServer::new(with(&place.url, "connections=2").parse().unwrap());
    let documents = block_on(PostgresDocuments::open(&server, "", true)).unwrap();
    let mut context = Context::from_waker(Waker::noop());
    for number in 0..200_u32 {
        let writes = ["x", "y", "z"].map(|name| Write::Put {
            collection: DURABLE,
            key: key(name),
            value: number.to_be_bytes().to_vec(),
            expected: Expected::Any,
        });
        let mut commit = Box::pin(documents.commit(&writes));
        for _ in 0..number % 3 {
            if commit.as_mut().poll(&mut context).is_ready() {
                break;
            }
        }
        drop(commit);
    }
    // As many at once as there are connections: whatever is left on one of them is met.
    let writes = |name: &str| {
        [Write::Put { collection: DURABLE, key: key(name), value: Vec::new(), expected: Expected::Absent }]
    };
    let (one, two) = (writes("last"), writes("other"));
    thread::scope(|scope| {
        scope.spawn(|| block_on(documents.commit(&one)).unwrap());
        scope.spawn(|| block_on(documents.commit(&two)).unwrap());
    });
    let client = place.client();
    let open = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND query LIKE '%{}%'",
        client.schema()
    );
    // Those that are under way end by themselves.
    while client.number(&open) > 0 {
        thread::yield_now();
    }
    // In one look: a commit that nobody waits for may still come between two.
    let page = block_on(documents.list(DURABLE, &ListQuery::default())).unwrap();
    let values: Vec<_> =
        page.documents.into_iter().map(|document| document.value).filter(|value| !value.is_empty()).collect();
    assert!(values.len() == 3 && values[0] == values[1] && values[1] == values[2], "{values:?}");
}

#[test]
fn what_answers_but_is_no_server_is_found_out() {
    let answer = |bytes: &'static [u8], parameters: &str| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgres://u:hunter2@{}/?connect_timeout=1&{parameters}", listener.local_addr().unwrap());
        // Ends with the test program.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || {
                    let mut stream = stream;
                    let _ = stream.read(&mut [0; 1024]).and_then(|_| stream.write_all(bytes));
                    let _ = stream.read(&mut [0; 1024]);
                });
            }
        });
        let opened = block_on(PostgresDocuments::open(&PostgresServer::new(url.parse().unwrap()), "", true));
        let error = opened.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        (error.kind(), error.to_string())
    };
    for (bytes, parameters, kind, part) in [
        (&b""[..], "", ErrorKind::Unavailable, "did not take a connection within 1 s"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "", ErrorKind::Unavailable, ""),
        (b"R\0\0\0\x03", "", ErrorKind::Unavailable, "protocol"),
        (b"Z\0\0\0\x05I", "", ErrorKind::Unavailable, "protocol"),
        (b"N", "sslmode=require", ErrorKind::Unsuitable, "does not support TLS"),
        (b"S\x15\x03\x03\0\x02\x02\x28", "sslmode=require", ErrorKind::Unsuitable, "sslmode"),
    ] {
        let (found, text) = answer(bytes, parameters);
        assert!(found == kind && text.contains(part), "{found:?} {text}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = PostgresServer::new(format!("postgres://u@{nobody}/").parse().unwrap());
    let error = block_on(PostgresDocuments::open(&server, "", true)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[test]
fn a_mark_changes_when_a_commit_becomes_visible_however_early_it_began() {
    let place = Place::new();
    let documents = place.documents();
    put(&documents, DURABLE, "z", b"1").unwrap();
    let mark = || block_on(documents.change_mark(DURABLE)).unwrap().unwrap();
    let holder = place.client();
    holder.run("BEGIN; SELECT FROM document FOR UPDATE");
    thread::scope(|scope| {
        let early = scope.spawn(|| {
            let writes = ["a", "z"].map(|name| Write::Put {
                collection: DURABLE,
                key: key(name),
                value: b"2".to_vec(),
                expected: Expected::Any,
            });
            block_on(documents.commit(&writes)).unwrap()
        });
        let other = place.client();
        let waiting = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%{}%'",
            other.schema()
        );
        while other.number(&waiting) == 0 {
            thread::yield_now();
        }
        let before = mark();
        put(&documents, DURABLE, "b", b"1").unwrap();
        let between = mark();
        assert_ne!(before, between, "a later commit that was faster");
        assert_eq!(value(&documents, "a"), None);
        let elsewhere = block_on(documents.change_mark(CACHE)).unwrap();
        holder.run("COMMIT");
        early.join().unwrap();
        assert_ne!(mark(), between, "the one that began before it");
        assert_eq!(block_on(documents.change_mark(CACHE)).unwrap(), elsewhere, "other collections have their own");
    });
}
