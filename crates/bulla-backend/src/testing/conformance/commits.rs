//! Commits of several documents: all or none.

use std::{sync::Arc, thread};

use super::{CACHE, DURABLE, OTHER, Waiting, key, refused};
use crate::{
    Collection, Documents, ErrorKind, Expected, MAX_COMMIT_BYTES, MAX_COMMIT_WRITES, MAX_DOCUMENT_LEN, Result,
    Revision, Write,
};

pub(super) fn check<P>(new_place: &impl Fn() -> P)
where
    P: Fn() -> Arc<dyn Documents> + Sync,
{
    let fresh = || Waiting(new_place()());
    let documents = fresh();
    if !documents.0.capabilities().commit {
        refused(documents.commit(&[put(DURABLE, "a", "1", Expected::Any)]), ErrorKind::Unsupported);
        assert_eq!(documents.get(DURABLE, "a"), None);
        return;
    }
    all_kinds_of_writes(&documents);
    none_if_one_conflicts(&fresh());
    bounds(&fresh());
    moving_between_two_documents(&new_place());
}

impl Waiting {
    fn commit(&self, writes: &[Write]) -> Result<Vec<Option<Revision>>> {
        pollster::block_on(self.0.commit(writes))
    }
}

fn put(collection: Collection, name: impl AsRef<[u8]>, value: impl Into<Vec<u8>>, expected: Expected) -> Write {
    Write::Put { collection, key: key(name), value: value.into(), expected }
}

fn delete(collection: Collection, name: impl AsRef<[u8]>, expected: Expected) -> Write {
    Write::Delete { collection, key: key(name), expected }
}

fn check_only(collection: Collection, name: impl AsRef<[u8]>, expected: Expected) -> Write {
    Write::Check { collection, key: key(name), expected }
}

fn all_kinds_of_writes(documents: &Waiting) {
    let seen = documents.put(DURABLE, "seen", "1");
    let old = documents.put(DURABLE, "old", "1");
    documents.put(CACHE, "gone", "1");
    let revisions = documents
        .commit(&[
            check_only(DURABLE, "seen", Expected::Revision(seen)),
            put(DURABLE, "old", "2", Expected::Revision(old)),
            delete(CACHE, "gone", Expected::Any),
            put(CACHE, "new", "", Expected::Absent),
            delete(OTHER, "never there", Expected::Absent),
            check_only(OTHER, "nor this", Expected::Absent),
            put(OTHER, "old", "3", Expected::Any),
        ])
        .expect("all is as expected");
    let given: Vec<_> = revisions.iter().map(Option::is_some).collect();
    assert_eq!(given, [false, true, false, true, false, false, true], "a revision for each put, in order");
    assert_eq!(documents.get(DURABLE, "seen"), Some((seen, b"1".to_vec())), "a check writes nothing");
    for (index, collection, name, value) in
        [(1, DURABLE, "old", &b"2"[..]), (3, CACHE, "new", b""), (6, OTHER, "old", b"3")]
    {
        let revision = revisions[index].expect("a put has one");
        assert_eq!(documents.get(collection, name), Some((revision, value.to_vec())));
        documents.try_put(collection, name, "next", Expected::Revision(revision)).expect("it is as expected");
    }
    assert_eq!(documents.get(CACHE, "gone"), None);
    assert_ne!(revisions[1], Some(old));

    let only_checks = [check_only(OTHER, "nothing", Expected::Absent), check_only(DURABLE, "seen", Expected::Any)];
    assert_eq!(documents.commit(&only_checks).expect("all is as expected"), [None, None]);
}

fn none_if_one_conflicts(documents: &Waiting) {
    let stale = documents.put(DURABLE, "a", "1");
    let current = documents.put(DURABLE, "a", "2");
    for unmet in [
        check_only(DURABLE, "a", Expected::Revision(stale)),
        check_only(DURABLE, "a", Expected::Absent),
        check_only(DURABLE, "nothing", Expected::Revision(current)),
        put(DURABLE, "a", "x", Expected::Revision(stale)),
        put(DURABLE, "a", "x", Expected::Absent),
        delete(DURABLE, "a", Expected::Revision(stale)),
        delete(DURABLE, "a", Expected::Absent),
        delete(DURABLE, "nothing", Expected::Revision(current)),
    ] {
        let others = [
            put(DURABLE, "b", "x", Expected::Any),
            delete(DURABLE, "c", Expected::Any),
            put(OTHER, "a", "x", Expected::Any),
        ];
        documents.put(DURABLE, "c", "1");
        for position in 0..=others.len() {
            let mut writes = others.to_vec();
            writes.insert(position, unmet.clone());
            refused(documents.commit(&writes), ErrorKind::Conflict);
            assert_eq!(documents.get(DURABLE, "a"), Some((current, b"2".to_vec())));
            assert_eq!(documents.get(DURABLE, "b"), None);
            assert_eq!(documents.value(DURABLE, "c"), Some(b"1".to_vec()));
            assert_eq!(documents.get(OTHER, "a"), None);
        }
    }
}

fn bounds(documents: &Waiting) {
    let numbered = |count: usize, len: usize| -> Vec<Write> {
        (0..count).map(|number| put(DURABLE, format!("{number}"), vec![b'v'; len], Expected::Any)).collect()
    };
    refused(documents.commit(&[]), ErrorKind::InvalidInput);
    refused(documents.commit(&numbered(MAX_COMMIT_WRITES + 1, 1)), ErrorKind::InvalidInput);
    refused(documents.commit(&numbered(1, MAX_DOCUMENT_LEN + 1)), ErrorKind::InvalidInput);
    let mut too_many_bytes = numbered(MAX_COMMIT_BYTES / MAX_DOCUMENT_LEN, MAX_DOCUMENT_LEN);
    too_many_bytes.push(put(DURABLE, "one more", "1", Expected::Any));
    refused(documents.commit(&too_many_bytes), ErrorKind::InvalidInput);
    for second in [
        put(DURABLE, "0", "2", Expected::Any),
        delete(DURABLE, "0", Expected::Any),
        check_only(DURABLE, "0", Expected::Any),
    ] {
        let mut twice = numbered(2, 1);
        twice.push(second);
        refused(documents.commit(&twice), ErrorKind::InvalidInput);
    }
    assert_eq!(documents.get(DURABLE, "0"), None, "what is refused leaves nothing");

    too_many_bytes.pop();
    for largest in [numbered(MAX_COMMIT_WRITES, 1), too_many_bytes] {
        let revisions = documents.commit(&largest).expect("it is within the bounds");
        assert_eq!(revisions.iter().flatten().count(), largest.len());
        let last = largest.last().map(Write::key).expect("it is not empty");
        assert_eq!(
            documents.get(DURABLE, last.as_bytes()).map(|(revision, _)| Some(revision)),
            revisions.last().copied()
        );
    }
}

/// Threads move units from one document to another while one watches: the sum never changes.
fn moving_between_two_documents<P>(place: &P)
where
    P: Fn() -> Arc<dyn Documents> + Sync,
{
    const UNITS: u8 = 20;
    let shared = place();
    let documents = Waiting(Arc::clone(&shared));
    documents
        .commit(&[put(DURABLE, "from", [UNITS], Expected::Absent), put(OTHER, "to", [0], Expected::Absent)])
        .expect("nothing is there");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| while move_one(&Waiting(Arc::clone(&shared))) {});
        }
    });
    assert_eq!(documents.value(DURABLE, "from"), Some(vec![0]));
    assert_eq!(documents.value(OTHER, "to"), Some(vec![UNITS]), "nothing is moved twice, and nothing lost");
}

/// Moves one unit, whether at the first try or a later one; says whether there was one.
fn move_one(documents: &Waiting) -> bool {
    loop {
        let (from_revision, from) = documents.get(DURABLE, "from").expect("it stays");
        let (to_revision, to) = documents.get(OTHER, "to").expect("it stays");
        if from[0] == 0 {
            return false;
        }
        let moved = documents.commit(&[
            put(DURABLE, "from", [from[0] - 1], Expected::Revision(from_revision)),
            put(OTHER, "to", [to[0].wrapping_add(1)], Expected::Revision(to_revision)),
        ]);
        match moved {
            Ok(_) => return true,
            Err(error) => assert!(error.kind().is_temporary(), "only lost races: {error}"),
        }
    }
}
