//! Single documents: bounds, expectations, revisions, durability, several handles and threads.

use std::{collections::HashSet, sync::Arc, thread};

use super::{CACHE, DURABLE, OTHER, Waiting, key, refused};
use crate::{
    Collection, DocumentKey, Documents, Durability, ErrorKind, Expected, ListQuery, MAX_DOCUMENT_LEN, MAX_KEY_LEN,
    Revision,
};

pub(super) fn check<P>(new_place: &impl Fn() -> P)
where
    P: Fn() -> Arc<dyn Documents> + Sync,
{
    let fresh = || Waiting(new_place()());
    what_is_not_there(&fresh());
    expectations(&fresh());
    revisions_name_one_write(&fresh());
    keys_and_values_of_any_bytes(&fresh());
    bounds(&fresh());
    collections(&fresh());
    change_marks(&fresh());
    reopening(&new_place());
    several_handles(&new_place());
    counting_by_compare_and_swap(&new_place());
}

fn what_is_not_there(documents: &Waiting) {
    assert_eq!(documents.get(DURABLE, "a"), None);
    assert!(!documents.delete(DURABLE, "a"));
    assert!(!documents.try_delete(DURABLE, "a", Expected::Absent).expect("nothing is expected, and nothing there"));
    refused(documents.try_delete(DURABLE, "a", Expected::Revision(Revision(1))), ErrorKind::Conflict);
    refused(documents.try_put(DURABLE, "a", "1", Expected::Revision(Revision(1))), ErrorKind::Conflict);
    assert_eq!(documents.get(DURABLE, "a"), None, "a refused write leaves nothing");
}

fn expectations(documents: &Waiting) {
    let first = documents.try_put(DURABLE, "a", "1", Expected::Absent).expect("nothing is there");
    assert_eq!(documents.get(DURABLE, "a"), Some((first, b"1".to_vec())));
    refused(documents.try_put(DURABLE, "a", "x", Expected::Absent), ErrorKind::Conflict);

    let second = documents.try_put(DURABLE, "a", "2", Expected::Revision(first)).expect("it is as expected");
    assert_ne!(first, second);
    refused(documents.try_put(DURABLE, "a", "x", Expected::Revision(first)), ErrorKind::Conflict);
    assert_eq!(documents.get(DURABLE, "a"), Some((second, b"2".to_vec())), "a conflict changes nothing");

    let third = documents.put(DURABLE, "a", "3");
    assert_eq!(documents.get(DURABLE, "a"), Some((third, b"3".to_vec())), "the last writer wins");
    refused(documents.try_delete(DURABLE, "a", Expected::Absent), ErrorKind::Conflict);
    refused(documents.try_delete(DURABLE, "a", Expected::Revision(second)), ErrorKind::Conflict);
    assert_eq!(documents.get(DURABLE, "a"), Some((third, b"3".to_vec())), "a conflict deletes nothing");

    assert!(documents.try_delete(DURABLE, "a", Expected::Revision(third)).expect("it is as expected"));
    assert_eq!(documents.get(DURABLE, "a"), None);
    documents.put(DURABLE, "a", "4");
    assert!(documents.delete(DURABLE, "a"));
    assert!(!documents.delete(DURABLE, "a"));
}

fn revisions_name_one_write(documents: &Waiting) {
    let mut used = HashSet::new();
    let mut last = None;
    for round in 0..5 {
        for _ in 0..2 {
            // The same bytes: a revision names the write, not what is written.
            let revision = documents.put(DURABLE, "a", "same");
            assert!(used.insert(revision), "{revision:?} is used a second time");
            last = Some(revision);
        }
        documents.put(DURABLE, "b", [round]);
        assert!(documents.delete(DURABLE, "a"));
    }
    let of_the_deleted = Expected::Revision(last.expect("ten writes"));
    refused(documents.try_put(DURABLE, "a", "x", of_the_deleted), ErrorKind::Conflict);
    documents.put(DURABLE, "a", "same");
    refused(documents.try_put(DURABLE, "a", "x", of_the_deleted), ErrorKind::Conflict);
    refused(documents.try_delete(DURABLE, "a", of_the_deleted), ErrorKind::Conflict);
    assert_eq!(documents.value(DURABLE, "a"), Some(b"same".to_vec()));
}

fn keys_and_values_of_any_bytes(documents: &Waiting) {
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let keys: [&[u8]; 12] = [
        b"\0",
        b"\0\0",
        b" ",
        b"%",
        b"_",
        b"'\"\\",
        b"a/../b",
        b"\xff",
        b"\xff\xff",
        "é\u{0}\u{10ffff}".as_bytes(),
        b"ed\xa0\x80",
        &all,
    ];
    for (number, name) in keys.iter().enumerate() {
        documents.put(DURABLE, name, [number as u8]);
    }
    for (number, name) in keys.iter().enumerate() {
        assert_eq!(documents.value(DURABLE, name), Some(vec![number as u8]), "{:?}", key(name));
    }
    let texts: [&[u8]; 6] =
        [b"", b"\0", b"null", b"{\"a\":[1.0,\"\\u0000\"]}", "\u{feff}é\r\n\u{2028}".as_bytes(), &all];
    for value in texts {
        documents.put(DURABLE, "value", value);
        assert_eq!(documents.value(DURABLE, "value").as_deref(), Some(value));
    }
}

fn bounds(documents: &Waiting) {
    let longest_key = vec![b'k'; MAX_KEY_LEN];
    documents.put(DURABLE, &longest_key, "1");
    assert_eq!(documents.value(DURABLE, &longest_key), Some(b"1".to_vec()));
    assert_eq!(documents.get(DURABLE, &longest_key[1..]), None);
    refused(DocumentKey::new(vec![b'k'; MAX_KEY_LEN + 1]), ErrorKind::InvalidInput);
    refused(DocumentKey::new(Vec::new()), ErrorKind::InvalidInput);

    let longest_value = crate::testing::Random::new(1).bytes(MAX_DOCUMENT_LEN);
    let revision = documents.put(DURABLE, "long", &longest_value);
    let too_long = vec![0; MAX_DOCUMENT_LEN + 1];
    for collection in [DURABLE, CACHE] {
        refused(documents.try_put(collection, "long", &too_long, Expected::Any), ErrorKind::InvalidInput);
    }
    assert_eq!(documents.get(DURABLE, "long"), Some((revision, longest_value)), "a refused value changes nothing");
    assert_eq!(documents.get(CACHE, "long"), None);
}

fn collections(documents: &Waiting) {
    documents.put(DURABLE, "a", "durable");
    documents.put(OTHER, "a", "other");
    assert_eq!(documents.get(CACHE, "a"), None);
    assert!(documents.delete(OTHER, "a"));
    assert_eq!(documents.value(DURABLE, "a"), Some(b"durable".to_vec()), "collections do not share documents");

    let relaxed = DURABLE.with_durability(Durability::Cache);
    let revision = documents.put(relaxed, "a", "relaxed");
    assert_eq!(documents.get(DURABLE, "a"), Some((revision, b"relaxed".to_vec())), "the name alone identifies the set");
    let next = documents.try_put(DURABLE, "a", "strict", Expected::Revision(revision)).expect("it is as expected");
    assert_eq!(documents.get(relaxed, "a"), Some((next, b"strict".to_vec())));
    assert!(documents.delete(relaxed, "a"));
    assert_eq!(documents.get(DURABLE, "a"), None);

    const LONGEST: Collection = Collection::new("a23456789_123456789_123456789_12", Durability::Durable);
    documents.put(LONGEST, "a", "1");
    assert_eq!(documents.value(LONGEST, "a"), Some(b"1".to_vec()));
}

fn change_marks(documents: &Waiting) {
    let mark = || pollster::block_on(documents.0.change_mark(DURABLE)).expect("a mark is read");
    if !documents.0.capabilities().watch {
        assert_eq!(mark(), None, "marks have to be declared");
        return;
    }
    let mut before = mark().expect("marks are declared");
    let mut changed = |what: &str| {
        let after = mark().expect("marks are declared");
        assert_ne!(after, before, "{what} changes the mark");
        assert_eq!(mark(), Some(after), "looking does not");
        before = after;
    };
    documents.put(DURABLE, "a", "1");
    changed("a new document");
    documents.put(DURABLE, "a", "1");
    changed("the same document written again");
    documents.put(DURABLE.with_durability(Durability::Cache), "a", "2");
    changed("a relaxed write");
    assert!(documents.delete(DURABLE, "a"));
    changed("a deletion");
}

fn reopening<P: Fn() -> Arc<dyn Documents>>(place: &P) {
    let documents = Waiting(place());
    if !documents.0.capabilities().persistent {
        return;
    }
    let kept = documents.put(DURABLE, "kept", "1");
    let relaxed = documents.put(CACHE, [0xff, 0], [0xfe]);
    let deleted = documents.put(DURABLE, "deleted", "1");
    assert!(documents.delete(DURABLE, "deleted"));
    drop(documents);

    let documents = Waiting(place());
    assert_eq!(documents.get(DURABLE, "kept"), Some((kept, b"1".to_vec())), "a revision outlives the process");
    assert_eq!(documents.get(CACHE, [0xff, 0]), Some((relaxed, vec![0xfe])), "so does a relaxed write");
    assert_eq!(documents.get(DURABLE, "deleted"), None);
    let new = documents.put(DURABLE, "deleted", "2");
    assert_ne!(new, deleted, "a revision is not used again, not even by another process");
    refused(documents.try_put(DURABLE, "deleted", "x", Expected::Revision(deleted)), ErrorKind::Conflict);
}

fn several_handles<P: Fn() -> Arc<dyn Documents>>(place: &P) {
    let one = Waiting(place());
    if !one.0.capabilities().multi_process {
        return;
    }
    let two = Waiting(place());
    let mark = |of: &Waiting| pollster::block_on(of.0.change_mark(DURABLE)).expect("a mark is read");
    for round in 0..20_u8 {
        let (writer, reader) = if round % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let before = mark(reader);
        let revision = writer.put(DURABLE, "a", [round]);
        assert_eq!(reader.get(DURABLE, "a"), Some((revision, vec![round])), "one sees what the other wrote");
        if reader.0.capabilities().watch {
            assert_ne!(mark(reader), before, "and its mark says so");
        }
        let next = reader.try_put(DURABLE, "a", [round], Expected::Revision(revision)).expect("it is as expected");
        refused(writer.try_put(DURABLE, "a", "x", Expected::Revision(revision)), ErrorKind::Conflict);
        assert_eq!(writer.get(DURABLE, "a").map(|(revision, _)| revision), Some(next));
    }
    assert!(one.delete(DURABLE, "a"));
    let page = pollster::block_on(two.0.list(DURABLE, &ListQuery::default())).expect("a listing");
    assert!(page.documents.is_empty() && page.next.is_none());
}

/// Eight threads count up one document together: a lost update shows in the sum.
fn counting_by_compare_and_swap<P>(place: &P)
where
    P: Fn() -> Arc<dyn Documents> + Sync,
{
    const THREADS: u64 = 8;
    const ROUNDS: u64 = 10;
    let shared = place();
    let multi_process = shared.capabilities().multi_process;
    for collection in [DURABLE, CACHE] {
        thread::scope(|scope| {
            for number in 0..THREADS {
                // Half of the threads as if they were processes of their own.
                let documents = if multi_process && number % 2 == 0 { place() } else { Arc::clone(&shared) };
                scope.spawn(move || {
                    for _ in 0..ROUNDS {
                        increment(&Waiting(Arc::clone(&documents)), collection);
                    }
                });
            }
        });
        let (_, sum) = Waiting(Arc::clone(&shared)).get(collection, "sum").expect("it was counted");
        assert_eq!(sum, (THREADS * ROUNDS).to_be_bytes(), "no increment is lost");
    }
}

fn increment(documents: &Waiting, collection: Collection) {
    loop {
        let found = documents.get(collection, "sum");
        let expected = found.as_ref().map_or(Expected::Absent, |(revision, _)| Expected::Revision(*revision));
        let sum = found.map_or(0, |(_, value)| u64::from_be_bytes(value.try_into().expect("eight bytes")));
        match documents.try_put(collection, "sum", (sum + 1).to_be_bytes(), expected) {
            Ok(_) => return,
            Err(error) => assert!(error.kind().is_temporary(), "only lost races: {error}"),
        }
    }
}
