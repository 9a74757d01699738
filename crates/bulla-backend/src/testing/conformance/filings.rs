//! Filing: what is due, what ranks lowest, how much there is of a group, and limits that hold.

use std::{sync::Arc, thread};

use super::{CACHE, DURABLE, OTHER, Waiting, key, refused};
use crate::{
    Collection, DocumentKey, Documents, ErrorKind, Expected, Filed, Filing, MAX_COMMIT_WRITES, MAX_DOCUMENT_LEN,
    MAX_PAGE_DOCUMENTS, Rerank, Result, Revision, Timestamp, Usage, Write,
};

pub(super) fn check<P>(new_place: &impl Fn() -> P)
where
    P: Fn() -> Arc<dyn Documents> + Sync,
{
    let fresh = || Waiting(new_place()());
    let documents = fresh();
    if !documents.0.capabilities().filing {
        not_declared(&documents);
        return;
    }
    assert!(documents.0.capabilities().commit, "filing comes with commits");
    what_is_filed_is_found(&documents);
    orders_and_bounds(&fresh());
    what_is_due_in_all_groups(&fresh());
    what_is_due_behind_a_place(&fresh());
    putting_again_and_deleting(&fresh());
    groups_and_collections(&fresh());
    sizes(&fresh());
    limits(&fresh());
    limits_of_whole_commits(&fresh());
    ranks(&fresh());
    refusals(&fresh());
    filing_outlives_the_process(&new_place());
    a_limit_holds_against_many(&new_place());
}

/// The group of the tests: the first two bytes of the key.
const GROUP: &[u8] = b"g:";

fn filing() -> Filing {
    Filing { group_len: GROUP.len(), ..Filing::default() }
}

fn due(at: u64) -> Filing {
    Filing { due: Some(Timestamp(at)), ..filing() }
}

fn ranked(rank: u64) -> Filing {
    Filing { rank: Some(rank), ..filing() }
}

fn put(collection: Collection, name: &str, value: impl Into<Vec<u8>>, filing: Filing) -> Write {
    Write::PutFiled { collection, key: key(name), value: value.into(), expected: Expected::Any, filing }
}

fn names(found: &[Filed]) -> Vec<String> {
    found.iter().map(|filed| String::from_utf8_lossy(filed.key.as_bytes()).into_owned()).collect()
}

impl Waiting {
    fn try_file(&self, collection: Collection, name: &str, value: &[u8], filing: Filing) -> Result<Revision> {
        let revisions = pollster::block_on(self.0.commit(&[put(collection, name, value, filing)]))?;
        Ok(revisions[0].expect("a put has a revision"))
    }

    #[track_caller]
    fn file(&self, collection: Collection, name: &str, value: &[u8], filing: Filing) -> Revision {
        self.try_file(collection, name, value, filing).expect("a document is filed")
    }

    fn all_or_none(&self, writes: &[Write]) -> Result<Vec<Option<Revision>>> {
        pollster::block_on(self.0.commit(writes))
    }

    fn due(&self, collection: Collection, group: Option<&[u8]>, moment: u64, limit: usize) -> Vec<Filed> {
        pollster::block_on(self.0.due(collection, group, Timestamp(moment), None, limit)).expect("what is due is found")
    }

    /// Lists what is due behind a place, page by page.
    fn due_behind(&self, group: Option<&[u8]>, moment: u64, (at, name): (u64, &str), limit: usize) -> Vec<String> {
        let mut found: Vec<Filed> = Vec::new();
        loop {
            let last = found.last().and_then(|last| Some((last.filing.due?, last.key.as_bytes())));
            let after = last.unwrap_or((Timestamp(at), name.as_bytes()));
            let page = pollster::block_on(self.0.due(DURABLE, group, Timestamp(moment), Some(after), limit))
                .expect("what is due behind a place is found");
            if page.is_empty() {
                return names(&found);
            }
            assert!(page.len() <= limit);
            found.extend(page);
        }
    }

    fn lowest(&self, collection: Collection, group: &[u8], limit: usize) -> Vec<Filed> {
        pollster::block_on(self.0.lowest(collection, group, limit)).expect("the lowest are found")
    }

    fn usage(&self, collection: Collection, group: &[u8]) -> Usage {
        pollster::block_on(self.0.usage(collection, group)).expect("a group is counted")
    }

    fn rerank(&self, collection: Collection, changes: &[(&str, Rerank)]) {
        let changes: Vec<_> = changes.iter().map(|(name, change)| (key(name), *change)).collect();
        pollster::block_on(self.0.rerank(collection, &changes)).expect("ranks are changed");
    }
}

fn not_declared(documents: &Waiting) {
    refused(documents.try_file(DURABLE, "g:a", b"1", filing()), ErrorKind::Unsupported);
    assert_eq!(documents.get(DURABLE, "g:a"), None, "what is refused leaves nothing");
    refused(pollster::block_on(documents.0.due(DURABLE, None, Timestamp(1), None, 1)), ErrorKind::Unsupported);
    refused(pollster::block_on(documents.0.lowest(DURABLE, GROUP, 1)), ErrorKind::Unsupported);
    refused(pollster::block_on(documents.0.usage(DURABLE, GROUP)), ErrorKind::Unsupported);
    refused(pollster::block_on(documents.0.rerank(DURABLE, &[])), ErrorKind::Unsupported);
}

fn what_is_filed_is_found(documents: &Waiting) {
    assert_eq!(documents.usage(DURABLE, GROUP), Usage::default());
    assert!(documents.due(DURABLE, None, u64::MAX, 10).is_empty());
    assert!(documents.lowest(DURABLE, GROUP, 10).is_empty());
    let filing = Filing { due: Some(Timestamp(7)), rank: Some(3), extra_bytes: 11, ..filing() };
    let limit = Some(Usage { documents: 1, bytes: 1 << 20 });
    let revision = documents.file(DURABLE, "g:a", b"value", Filing { limit, ..filing });
    assert_eq!(documents.get(DURABLE, "g:a"), Some((revision, b"value".to_vec())), "it is a document as any other");
    let filed = [Filed { key: key("g:a"), revision, filing }];
    assert_eq!(documents.due(DURABLE, Some(GROUP), 7, 10), filed);
    assert_eq!(documents.due(DURABLE, None, 7, 10), filed);
    assert_eq!(documents.lowest(DURABLE, GROUP, 10), filed);
    assert!(documents.due(DURABLE, None, 6, 10).is_empty());
    let usage = documents.usage(DURABLE, GROUP);
    assert!(usage.documents == 1 && usage.bytes >= 3 + 5 + 11, "{usage:?}");
}

fn orders_and_bounds(documents: &Waiting) {
    for (name, at, rank) in [("g:c", 30, 10), ("g:a", 10, 30), ("g:d", 40, 5), ("g:b", 20, 20)] {
        documents.file(DURABLE, name, b"1", Filing { due: Some(Timestamp(at)), ..ranked(rank) });
    }
    documents.file(DURABLE, "g:never", b"1", filing());
    assert_eq!(names(&documents.due(DURABLE, Some(GROUP), 30, 10)), ["g:a", "g:b", "g:c"]);
    assert_eq!(names(&documents.due(DURABLE, Some(GROUP), u64::MAX, 2)), ["g:a", "g:b"]);
    assert_eq!(names(&documents.lowest(DURABLE, GROUP, 10)), ["g:d", "g:c", "g:b", "g:a"], "who has no rank stays");
    assert_eq!(names(&documents.lowest(DURABLE, GROUP, 1)), ["g:d"]);
    assert!(documents.lowest(DURABLE, GROUP, 0).is_empty() && documents.due(DURABLE, None, 100, 0).is_empty());

    // The highest that can be said.
    let highest =
        Filing { due: Some(Timestamp(u64::MAX)), extra_bytes: Filing::MAX_EXTRA_BYTES, ..ranked(Filing::MAX_RANK) };
    documents.file(DURABLE, "g:z", b"1", highest);
    let last = documents.lowest(DURABLE, GROUP, 10).pop().expect("it has a rank");
    assert_eq!(last.filing, Filing { due: Some(Filing::MAX_DUE), ..highest });
    assert_eq!(names(&documents.due(DURABLE, None, Filing::MAX_DUE.0, 10)).last().map(String::as_str), Some("g:z"));
    assert!(documents.usage(DURABLE, GROUP).bytes > Filing::MAX_EXTRA_BYTES);

    let many = Waiting(Arc::clone(&documents.0));
    let numbers: Vec<_> = (0..MAX_PAGE_DOCUMENTS + MAX_COMMIT_WRITES).collect();
    for numbers in numbers.chunks(MAX_COMMIT_WRITES) {
        let writes = numbers.iter().map(|number| put(OTHER, &format!("g:{number}"), "", ranked(*number as u64)));
        many.all_or_none(&writes.collect::<Vec<_>>()).expect("they are filed");
    }
    assert_eq!(many.lowest(OTHER, GROUP, usize::MAX).len(), MAX_PAGE_DOCUMENTS, "an answer is bounded");
    assert_eq!(many.usage(OTHER, GROUP).documents, numbers.len() as u64);
}

fn what_is_due_in_all_groups(documents: &Waiting) {
    // Interleaved, so that no group comes before another.
    for (name, at) in [("a/1", 1), ("b/2", 2), ("a/3", 3), ("c/4", 4), ("b/5", 5), ("a/6", 6)] {
        documents.file(DURABLE, name, b"1", due(at));
    }
    assert_eq!(names(&documents.due(DURABLE, None, 5, 10)), ["a/1", "b/2", "a/3", "c/4", "b/5"]);
    for limit in 1..=6 {
        assert_eq!(documents.due(DURABLE, None, 6, limit).len(), limit);
        assert_eq!(
            names(&documents.due(DURABLE, None, 6, limit)).last(),
            names(&documents.due(DURABLE, None, limit as u64, 10)).last()
        );
    }
    assert_eq!(names(&documents.due(DURABLE, Some(b"b/"), 6, 10)), ["b/2", "b/5"]);
    assert!(documents.due(DURABLE, Some(b"d/"), 6, 10).is_empty());
    assert!(documents.due(OTHER, None, 6, 10).is_empty());
}

fn what_is_due_behind_a_place(documents: &Waiting) {
    // Many of one moment, in two groups, written in no order.
    for (name, at) in [("b/5", 2), ("a/3", 2), ("a/9", 1), ("b/1", 2), ("a/4", 2), ("a/1", 3), ("b/7", 2), ("a/30", 2)]
    {
        documents.file(DURABLE, name, b"1", due(at));
    }
    let all = ["a/9", "a/3", "a/30", "a/4", "b/1", "b/5", "b/7", "a/1"];
    for limit in 1..=9 {
        assert_eq!(documents.due_behind(None, 3, (0, ""), limit), all);
        assert_eq!(documents.due_behind(None, 2, (1, "a/9"), limit), all[1..7]);
        assert_eq!(documents.due_behind(None, 3, (2, ""), limit), all[1..]);
        assert_eq!(documents.due_behind(None, u64::MAX, (2, "a/31"), limit), all[3..], "a place is no document");
        assert_eq!(documents.due_behind(Some(b"b/"), 3, (2, "b/1"), limit), ["b/5", "b/7"]);
        assert_eq!(documents.due_behind(Some(b"a/"), 3, (2, "b"), limit), ["a/1"]);
    }
    assert!(documents.due_behind(None, 3, (3, "a/1"), 5).is_empty());
    assert!(documents.due_behind(None, u64::MAX, (u64::MAX, ""), 5).is_empty());
}

fn putting_again_and_deleting(documents: &Waiting) {
    documents.file(DURABLE, "g:a", b"1", Filing { extra_bytes: 500, ..due(5) });
    let one = documents.usage(DURABLE, GROUP);
    documents.file(DURABLE, "g:b", b"1", ranked(9));
    assert_eq!(documents.usage(DURABLE, GROUP).documents, 2);

    // The same again changes nothing but the revision.
    let revision = documents.file(DURABLE, "g:a", b"2", Filing { extra_bytes: 500, ..due(5) });
    assert_eq!(documents.due(DURABLE, None, 5, 10)[0].revision, revision);
    // Other values take the place of those before.
    documents.file(DURABLE, "g:a", b"3", Filing { extra_bytes: 100, ..ranked(4) });
    assert!(documents.due(DURABLE, None, u64::MAX, 10).is_empty());
    assert_eq!(names(&documents.lowest(DURABLE, GROUP, 10)), ["g:a", "g:b"]);
    // Another group.
    documents.file(DURABLE, "g:a", b"4", Filing { group_len: 1, ..ranked(4) });
    assert_eq!(documents.usage(DURABLE, b"g").documents, 1);
    assert_eq!(names(&documents.lowest(DURABLE, GROUP, 10)), ["g:b"]);
    assert_eq!(documents.usage(DURABLE, GROUP).documents, 1);
    documents.file(DURABLE, "g:a", b"5", Filing { extra_bytes: 500, ..due(5) });
    assert_eq!(documents.usage(DURABLE, b"g"), Usage::default());

    // A plain put files it no more.
    documents.put(DURABLE, "g:b", "plain");
    assert_eq!(documents.usage(DURABLE, GROUP), one);
    assert!(documents.lowest(DURABLE, GROUP, 10).is_empty());
    documents.put(DURABLE, "g:c", "plain");
    assert_eq!(documents.usage(DURABLE, GROUP), one, "what is not filed is not counted");
    documents.file(DURABLE, "g:c", b"filed", filing());
    assert_eq!(documents.usage(DURABLE, GROUP).documents, 2);

    assert!(documents.delete(DURABLE, "g:c"));
    assert!(documents.delete(DURABLE, "g:b"));
    assert_eq!(documents.usage(DURABLE, GROUP), one);
    assert!(documents.delete(DURABLE, "g:a"));
    assert!(!documents.delete(DURABLE, "g:a"));
    assert_eq!(documents.usage(DURABLE, GROUP), Usage::default());
    assert!(documents.due(DURABLE, None, u64::MAX, 10).is_empty());
}

fn groups_and_collections(documents: &Waiting) {
    let all = "any\0bytes";
    for (collection, group_len, count) in [(DURABLE, 1, 1), (DURABLE, 4, 2), (OTHER, 4, 3), (CACHE, all.len(), 1)] {
        for number in 0..count {
            let name = if group_len == all.len() { all.to_owned() } else { format!("{all}{number}{group_len}") };
            documents.file(collection, &name, b"1", Filing { group_len, ..ranked(1) });
        }
    }
    let usage = |collection, len: usize| documents.usage(collection, &all.as_bytes()[..len]).documents;
    assert_eq!([usage(DURABLE, 1), usage(DURABLE, 4), usage(OTHER, 4), usage(CACHE, all.len())], [1, 2, 3, 1]);
    assert_eq!([usage(DURABLE, 2), usage(OTHER, 1), usage(CACHE, 4)], [0, 0, 0], "a group is its whole name");
    assert_eq!(documents.lowest(OTHER, &all.as_bytes()[..4], 10).len(), 3);
    for filed in documents.lowest(CACHE, all.as_bytes(), 10) {
        assert_eq!(filed.filing.group_len, all.len());
    }
}

fn sizes(documents: &Waiting) {
    let mut before = 0;
    for len in [0, 1, 100, 1_000, 10_000, MAX_DOCUMENT_LEN] {
        documents.file(DURABLE, "g:a", &vec![b'v'; len], filing());
        let usage = documents.usage(DURABLE, GROUP);
        assert!(usage.documents == 1 && usage.bytes >= len as u64 + 3 && usage.bytes >= before, "{len}: {usage:?}");
        assert!(usage.bytes <= 2 * len as u64 + 1_000, "{len}: {usage:?}");
        before = usage.bytes;
    }
    documents.file(DURABLE, "g:a", b"", filing());
    let without = documents.usage(DURABLE, GROUP).bytes;
    documents.file(DURABLE, "g:a", b"", Filing { extra_bytes: 12_345, ..filing() });
    assert_eq!(documents.usage(DURABLE, GROUP).bytes, without + 12_345);
}

fn limits(documents: &Waiting) {
    let limited = |documents: u64, bytes: u64| Filing { limit: Some(Usage { documents, bytes }), ..filing() };
    refused(documents.try_file(DURABLE, "g:a", b"1", limited(0, u64::MAX)), ErrorKind::Limit);
    refused(documents.try_file(DURABLE, "g:a", b"1", limited(u64::MAX, 3)), ErrorKind::Limit);
    assert_eq!(documents.usage(DURABLE, GROUP), Usage::default());
    documents.file(DURABLE, "g:a", b"1", limited(1, u64::MAX));
    let one = documents.usage(DURABLE, GROUP).bytes;
    refused(documents.try_file(DURABLE, "g:b", b"1", limited(1, u64::MAX)), ErrorKind::Limit);
    refused(documents.try_file(DURABLE, "g:b", b"1", limited(2, 2 * one - 1)), ErrorKind::Limit);
    assert_eq!(documents.get(DURABLE, "g:b"), None);
    documents.file(DURABLE, "g:b", b"1", limited(2, 2 * one));
    // What is replaced makes room first.
    let revision = documents.file(DURABLE, "g:b", b"2", limited(2, 2 * one));
    let more = Filing { extra_bytes: 1, ..limited(2, 2 * one) };
    refused(documents.try_file(DURABLE, "g:b", b"3", more), ErrorKind::Limit);
    assert_eq!(documents.get(DURABLE, "g:b"), Some((revision, b"2".to_vec())));
    assert_eq!(documents.usage(DURABLE, GROUP), Usage { documents: 2, bytes: 2 * one });
    // A limit is of the write that states it, and of its group.
    documents.file(DURABLE, "g:c", b"3", filing());
    documents.file(DURABLE, "h:a", b"3", limited(1, one));
    documents.file(OTHER, "g:a", b"3", limited(1, one));
    // A lost race comes before a limit.
    let stale = Write::PutFiled {
        collection: DURABLE,
        key: key("g:d"),
        value: b"4".to_vec(),
        expected: Expected::Revision(revision),
        filing: limited(0, 0),
    };
    refused(documents.all_or_none(&[stale]), ErrorKind::Conflict);
}

fn limits_of_whole_commits(documents: &Waiting) {
    let limited = |documents: u64| Filing { limit: Some(Usage { documents, bytes: u64::MAX }), ..ranked(1) };
    documents.file(DURABLE, "g:a", b"1", limited(1));
    let delete = |name: &str| Write::Delete { collection: DURABLE, key: key(name), expected: Expected::Any };
    // One goes and one comes, in whichever order they are named.
    documents.all_or_none(&[put(DURABLE, "g:b", "1", limited(1)), delete("g:a")]).expect("there is room");
    documents.all_or_none(&[delete("g:b"), put(DURABLE, "g:a", "1", limited(1))]).expect("there is room");
    // One that is filed no more, or elsewhere, makes room as well.
    let plain = Write::Put { collection: DURABLE, key: key("g:a"), value: Vec::new(), expected: Expected::Any };
    documents.all_or_none(&[put(DURABLE, "g:b", "1", limited(1)), plain]).expect("there is room");
    assert_eq!(documents.usage(DURABLE, GROUP).documents, 1);
    let elsewhere = put(DURABLE, "g:b", "1", Filing { group_len: 1, ..Filing::default() });
    documents.all_or_none(&[elsewhere, put(DURABLE, "g:c", "1", limited(1))]).expect("there is room");
    // Nothing of a commit is written if one group would pass its limit.
    let before = documents.usage(DURABLE, GROUP);
    for writes in [
        vec![put(DURABLE, "g:d", "1", limited(2)), put(DURABLE, "g:e", "1", limited(2))],
        vec![put(DURABLE, "g:d", "1", filing()), put(DURABLE, "g:e", "1", limited(2)), delete("g:x")],
        vec![put(DURABLE, "h:a", "1", filing()), delete("g:b"), put(DURABLE, "g:d", "1", limited(1))],
        vec![
            Write::Check { collection: DURABLE, key: key("g:c"), expected: Expected::Any },
            put(DURABLE, "g:d", "1", limited(1)),
        ],
    ] {
        refused(documents.all_or_none(&writes), ErrorKind::Limit);
        assert_eq!(documents.usage(DURABLE, GROUP), before);
        for name in ["g:d", "g:e", "h:a"] {
            assert_eq!(documents.get(DURABLE, name), None);
        }
        assert!(documents.get(DURABLE, "g:b").is_some());
    }
}

fn ranks(documents: &Waiting) {
    let revisions: Vec<_> = [("g:a", 10), ("g:b", 20), ("g:c", 30)]
        .map(|(name, rank)| documents.file(DURABLE, name, b"1", ranked(rank)))
        .into();
    documents.file(DURABLE, "g:none", b"1", due(1));
    documents.put(DURABLE, "g:plain", "1");
    let mark = || pollster::block_on(documents.0.change_mark(DURABLE)).expect("a mark is read");
    let (before, usage) = (mark(), documents.usage(DURABLE, GROUP));
    documents.rerank(
        DURABLE,
        &[
            ("g:a", Rerank::Raise(25)),
            ("g:b", Rerank::Add(100)),
            ("g:c", Rerank::Raise(5)),
            ("g:none", Rerank::Raise(7)),
            ("g:plain", Rerank::Add(7)),
            ("g:gone", Rerank::Add(7)),
        ],
    );
    let lowest = documents.lowest(DURABLE, GROUP, 10);
    assert_eq!(names(&lowest), ["g:a", "g:c", "g:b"]);
    assert_eq!(lowest.iter().map(|filed| filed.filing.rank).collect::<Vec<_>>(), [Some(25), Some(30), Some(120)]);
    assert_eq!(
        lowest.iter().map(|filed| filed.revision).collect::<Vec<_>>(),
        [revisions[0], revisions[2], revisions[1]]
    );
    assert_eq!(documents.usage(DURABLE, GROUP), usage);
    assert_eq!(mark(), before, "nothing that is remembered has to be read again");
    assert_eq!(documents.get(DURABLE, "g:gone"), None);

    documents
        .rerank(DURABLE, &[("g:a", Rerank::Add(u64::MAX)), ("g:c", Rerank::Raise(u64::MAX)), ("g:b", Rerank::Add(0))]);
    documents.rerank(DURABLE, &[("g:a", Rerank::Add(1)), ("g:b", Rerank::Raise(120))]);
    let ranks: Vec<_> = documents.lowest(DURABLE, GROUP, 10).iter().map(|filed| filed.filing.rank).collect();
    assert_eq!(ranks, [Some(120), Some(Filing::MAX_RANK), Some(Filing::MAX_RANK)]);
    documents.rerank(OTHER, &[("g:a", Rerank::Raise(1))]);
    documents.rerank(DURABLE, &[]);

    // Twice in one call, and as many as one takes.
    documents.file(DURABLE, "g:a", b"1", ranked(1));
    let changes = vec![("g:a", Rerank::Add(1)); MAX_PAGE_DOCUMENTS];
    documents.rerank(DURABLE, &changes);
    assert_eq!(documents.lowest(DURABLE, GROUP, 10).iter().map(|filed| filed.filing.rank).min(), Some(Some(120)));
    let too_many: Vec<(DocumentKey, Rerank)> = vec![(key("g:a"), Rerank::Add(1)); MAX_PAGE_DOCUMENTS + 1];
    refused(pollster::block_on(documents.0.rerank(DURABLE, &too_many)), ErrorKind::InvalidInput);
}

fn refusals(documents: &Waiting) {
    for wrong in [
        Filing { group_len: 0, ..filing() },
        Filing { group_len: 4, ..filing() },
        Filing { group_len: usize::MAX, ..filing() },
        ranked(Filing::MAX_RANK + 1),
        Filing { extra_bytes: Filing::MAX_EXTRA_BYTES + 1, ..filing() },
    ] {
        refused(documents.try_file(DURABLE, "g:a", b"1", wrong), ErrorKind::InvalidInput);
        assert_eq!(documents.get(DURABLE, "g:a"), None);
    }
    refused(documents.try_file(DURABLE, "g:a", &vec![0; MAX_DOCUMENT_LEN + 1], filing()), ErrorKind::InvalidInput);
    documents.file(DURABLE, "g:a", b"1", Filing { group_len: 3, ..filing() });
}

fn filing_outlives_the_process<P: Fn() -> Arc<dyn Documents>>(place: &P) {
    let documents = Waiting(place());
    if !documents.0.capabilities().persistent {
        return;
    }
    for number in 0..10_u64 {
        documents.file(CACHE, &format!("g:{number}"), b"1", Filing { due: Some(Timestamp(number)), ..ranked(number) });
    }
    documents.rerank(CACHE, &[("g:0", Rerank::Add(100))]);
    assert!(documents.delete(CACHE, "g:1"));
    let look = |documents: &Waiting| {
        (documents.usage(CACHE, GROUP), documents.lowest(CACHE, GROUP, 100), documents.due(CACHE, None, 5, 100))
    };
    let before = look(&documents);
    drop(documents);
    let documents = Waiting(place());
    assert_eq!(look(&documents), before);
    if documents.0.capabilities().multi_process {
        let other = Waiting(place());
        other.file(CACHE, "g:new", b"1", ranked(0));
        assert_eq!(documents.usage(CACHE, GROUP).documents, 10);
        assert_eq!(names(&documents.lowest(CACHE, GROUP, 1)), ["g:new"]);
        documents.rerank(CACHE, &[("g:new", Rerank::Raise(1_000))]);
        assert_eq!(other.lowest(CACHE, GROUP, 100).last().map(|filed| filed.filing.rank), Some(Some(1_000)));
        assert!(documents.delete(CACHE, "g:new"));
        assert_eq!(other.usage(CACHE, GROUP), before.0);
    }
}

/// Eight threads, half of them as if they were processes of their own, fill a group that has room for fewer.
fn a_limit_holds_against_many<P>(place: &P)
where
    P: Fn() -> Arc<dyn Documents> + Sync,
{
    const ROOM: u64 = 25;
    let shared = place();
    let multi_process = shared.capabilities().multi_process;
    for collection in [DURABLE, CACHE] {
        let filing = Filing { limit: Some(Usage { documents: ROOM, bytes: u64::MAX }), ..ranked(1) };
        let written = thread::scope(|scope| {
            let fill = |number: u64| {
                let documents = if multi_process && number.is_multiple_of(2) { place() } else { Arc::clone(&shared) };
                move || {
                    let documents = Waiting(documents);
                    let put = |at| documents.try_file(collection, &format!("g:{number}/{at}"), b"1", filing);
                    (0..10)
                        .map(put)
                        .filter(|put| match put {
                            Ok(_) => true,
                            Err(error) => {
                                assert!(error.kind() == ErrorKind::Limit || error.kind().is_temporary(), "{error}");
                                false
                            }
                        })
                        .count() as u64
                }
            };
            let filling: Vec<_> = (0..8).map(|number| scope.spawn(fill(number))).collect();
            filling.into_iter().map(|filling| filling.join().expect("a thread")).sum::<u64>()
        });
        let documents = Waiting(Arc::clone(&shared));
        assert_eq!(documents.usage(collection, GROUP).documents, written, "the total is what is there");
        assert_eq!(written, ROOM, "the limit is reached, and not passed");
        for filed in documents.lowest(collection, GROUP, 100) {
            assert!(
                pollster::block_on(shared.delete(collection, &filed.key, Expected::Revision(filed.revision)))
                    .expect("deleted")
            );
        }
        assert_eq!(documents.usage(collection, GROUP), Usage::default());
    }
}
