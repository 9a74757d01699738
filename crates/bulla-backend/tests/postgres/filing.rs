//! Filed documents on a real server: totals that hold against many, and places that knew no filing.

use std::thread;

use bulla_backend::{
    DocumentKey, Documents, ErrorKind, Expected, Filed, Filing, PostgresDocuments, Rerank, Usage, Write,
    testing::Random,
};
use pollster::block_on;

use super::{CACHE, DURABLE, Place};

const GROUPS: [&str; 3] = ["a/", "b/", "c/"];

fn key(text: &str) -> DocumentKey {
    DocumentKey::new(text.as_bytes()).unwrap()
}

fn lowest(documents: &PostgresDocuments, group: &str) -> Vec<Filed> {
    block_on(documents.lowest(CACHE, group.as_bytes(), 1_000)).unwrap()
}

/// Counts a group anew.
fn counted(documents: &PostgresDocuments, group: &str) -> Usage {
    let filed = lowest(documents, group);
    let share = |filed: &Filed| {
        let found = block_on(documents.get(CACHE, &filed.key)).unwrap().unwrap();
        documents.share(&filed.key, found.value.len(), &filed.filing)
    };
    Usage { documents: filed.len() as u64, bytes: filed.iter().map(share).sum() }
}

/// Commits random writes of several groups, in no order.
fn write(documents: &PostgresDocuments, seed: u64) {
    let mut random = Random::new(seed);
    for _ in 0..30 {
        let mut names: Vec<String> = (0..5)
            .map(|_| format!("{}{}", GROUPS[usize::try_from(random.below(3)).unwrap()], random.below(20)))
            .collect();
        names.sort();
        names.dedup();
        if random.below(2) == 0 {
            names.reverse();
        }
        let limit = (random.below(2) == 0).then_some(Usage { documents: 15, bytes: u64::MAX });
        let filing = Filing { group_len: 2, rank: Some(random.below(100)), limit, ..Filing::default() };
        let write = |name: &String| match random.below(4) {
            0 => Write::Delete { collection: CACHE, key: key(name), expected: Expected::Any },
            1 => Write::Put { collection: CACHE, key: key(name), value: b"plain".to_vec(), expected: Expected::Any },
            _ => {
                let value = vec![7; usize::try_from(random.below(5_000)).unwrap()];
                Write::PutFiled { collection: CACHE, key: key(name), value, expected: Expected::Any, filing }
            }
        };
        let writes: Vec<_> = names.iter().map(write).collect();
        match block_on(documents.commit(&writes)) {
            Ok(_) => {}
            Err(error) => assert!(
                error.kind() == ErrorKind::Limit || error.kind().is_temporary(),
                "only limits and races: {error}"
            ),
        }
        let changes: Vec<_> = names.iter().map(|name| (key(name), Rerank::Add(random.below(50)))).collect();
        block_on(documents.rerank(CACHE, &changes)).unwrap();
        // Deletions and puts alone are counted too.
        block_on(documents.delete(CACHE, &key(&names[0]), Expected::Any)).unwrap();
    }
}

#[test]
fn totals_are_what_is_there_however_many_write() {
    let place = Place::new();
    let (documents, other) = (place.documents(), place.documents());
    thread::scope(|scope| {
        for number in 0..6 {
            let documents = if number % 2 == 0 { &documents } else { &other };
            scope.spawn(move || write(documents, number));
        }
    });
    for group in GROUPS {
        let usage = block_on(documents.usage(CACHE, group.as_bytes())).unwrap();
        assert_eq!(usage, counted(&documents, group));
        assert!(usage.documents > 0);
    }
}

#[test]
fn a_place_of_the_first_version_is_brought_up_to_date() {
    let place = Place::new();
    let revision = block_on(place.documents().put(DURABLE, &key("a/1"), b"1", Expected::Any)).unwrap();
    place.client().run(
        "DROP FUNCTION count_filed CASCADE; DROP TABLE total;
         ALTER TABLE document DROP COLUMN group_name, DROP COLUMN due, DROP COLUMN rank, DROP COLUMN extra;
         UPDATE format SET version = 1",
    );
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| drop(place.documents()));
        }
    });
    assert_eq!(place.client().number("SELECT version::bigint FROM format"), 2);
    let documents = place.documents();
    assert_eq!(block_on(documents.get(DURABLE, &key("a/1"))).unwrap().unwrap().revision, revision);
    let filing = Filing { group_len: 2, rank: Some(1), ..Filing::default() };
    for name in ["a/1", "a/2"] {
        let put = Write::PutFiled {
            collection: CACHE,
            key: key(name),
            value: b"2".to_vec(),
            expected: Expected::Any,
            filing,
        };
        block_on(documents.commit(&[put])).unwrap();
    }
    assert_eq!(block_on(documents.usage(CACHE, b"a/")).unwrap(), counted(&documents, "a/"));
    let room = block_on(documents.disk_usage()).unwrap().unwrap();
    assert!(room.total > 8_192, "{room:?}");
    assert_eq!(block_on(documents.compact()).unwrap(), None, "the server does so by itself");
}

#[test]
fn totals_that_were_tampered_with_do_no_more_harm_than_that() {
    let place = Place::new();
    let documents = place.documents();
    write(&documents, 1);
    place.client().run("UPDATE total SET documents = 0, bytes = -5; UPDATE document SET rank = -1, extra = -1");
    assert_eq!(block_on(documents.usage(CACHE, b"a/")).unwrap(), Usage::default());
    for filed in lowest(&documents, "a/") {
        assert_eq!(filed.filing.rank, Some(0));
        assert!(block_on(documents.delete(CACHE, &filed.key, Expected::Any)).unwrap());
    }
    assert_eq!(block_on(documents.usage(CACHE, b"a/")).unwrap(), Usage::default());
}
