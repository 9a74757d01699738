//! Every driver does, on random operations, what a map would do.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use bulla_backend::{
    BlobId, Blobs, Collection, DocumentKey, Documents, Durability, ErrorKind, Expected, FileBlobs, Filed, Filing,
    JsonDocuments, ListQuery, MemoryBlobs, MemoryDocuments, Rerank, Revision, Timestamp, Usage, Write,
    testing::{Random, SimDisk},
};
use pollster::block_on;
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof},
    sample::select,
    test_runner::{Config, TestRunner},
};

const COLLECTIONS: [Collection; 2] =
    [Collection::new("first", Durability::Durable), Collection::new("second", Durability::Cache)];

/// Runs random operations on fresh places and on a map, and compares. `new_place` is as for the conformance suite.
pub(crate) fn documents<P: Fn() -> Arc<dyn Documents>>(cases: u32, new_place: impl Fn() -> P) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(&vec(step(), 1..40), |steps| {
        let place = new_place();
        let documents = place();
        let mut subject = Subject {
            files: documents.capabilities().filing,
            documents,
            map: BTreeMap::new(),
            filings: BTreeMap::new(),
            used: HashSet::new(),
            old: Vec::new(),
        };
        for step in steps {
            if let Step::Reopen = step {
                if subject.documents.capabilities().persistent {
                    // The old handle goes first: there need not be room for two.
                    subject.documents = Arc::new(MemoryDocuments::new());
                    subject.documents = place();
                }
            } else {
                subject.step(step);
            }
            subject.compare();
        }
        Ok(())
    });
    run.unwrap();
}

#[derive(Debug, Clone)]
enum Step {
    Write(Change),
    Commit(Vec<Change>),
    List { collection: usize, prefix: Vec<u8>, after: Option<Vec<u8>>, limit: usize },
    Rerank { collection: usize, changes: Vec<(Vec<u8>, Rerank)> },
    Compact,
    Reopen,
}

#[derive(Debug, Clone)]
struct Change {
    collection: usize,
    key: Vec<u8>,
    /// `Some` puts, `None` deletes.
    value: Option<Vec<u8>>,
    /// Only checks, in a commit.
    is_check: bool,
    expects: Expects,
    /// How it is filed, in a commit to a driver that files; the group is named by one byte or two.
    filing: Option<Filing>,
}

#[derive(Debug, Clone, Copy)]
enum Expects {
    Any,
    Absent,
    /// What is there.
    Found,
    /// A revision that was there once, if there was one.
    Old(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let list = (0..2_usize, key(0), proptest::option::of(key(1)), 0..5_usize)
        .prop_map(|(collection, prefix, after, limit)| Step::List { collection, prefix, after, limit });
    let rank = prop_oneof![(0..6_u64).prop_map(Rerank::Raise), (0..3_u64).prop_map(Rerank::Add)];
    let reranks =
        (0..2_usize, vec((key(1), rank), 1..5)).prop_map(|(collection, changes)| Step::Rerank { collection, changes });
    prop_oneof![
        6 => change().prop_map(Step::Write),
        4 => vec(change(), 1..6).prop_map(Step::Commit),
        2 => list,
        2 => reranks,
        1 => Just(Step::Compact),
        1 => Just(Step::Reopen),
    ]
}

fn filing() -> impl Strategy<Value = Filing> {
    let limit = proptest::option::weighted(0.3, (0..6_u64).prop_map(|documents| Usage { documents, bytes: u64::MAX }));
    (1..3_usize, proptest::option::of(0..6_u64), proptest::option::of(0..6_u64), 0..3_u64, limit).prop_map(
        |(group_len, due, rank, extra_bytes, limit)| Filing {
            group_len,
            due: due.map(Timestamp),
            rank,
            extra_bytes,
            limit,
        },
    )
}

fn change() -> impl Strategy<Value = Change> {
    let expects = prop_oneof![
        3 => Just(Expects::Any),
        2 => Just(Expects::Absent),
        4 => Just(Expects::Found),
        1 => any::<usize>().prop_map(Expects::Old),
    ];
    let value = prop_oneof![2 => vec(any::<u8>(), 0..20).prop_map(Some), 1 => Just(None)];
    (0..2_usize, key(1), value, any::<bool>(), expects, proptest::option::of(filing())).prop_map(
        |(collection, key, value, is_check, expects, filing)| Change {
            collection,
            filing: filing.map(|filing| Filing { group_len: filing.group_len.min(key.len()), ..filing }),
            key,
            value,
            is_check: is_check && matches!(expects, Expects::Found | Expects::Absent),
            expects,
        },
    )
}

fn key(least: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(select(vec![0, b'a', 0xff]), least..4)
}

struct Subject {
    documents: Arc<dyn Documents>,
    /// Whether the driver files.
    files: bool,
    map: BTreeMap<(usize, Vec<u8>), (Revision, Vec<u8>)>,
    /// How those of the map are filed that are.
    filings: BTreeMap<(usize, Vec<u8>), Filing>,
    used: HashSet<(usize, Vec<u8>, Revision)>,
    old: Vec<Revision>,
}

impl Subject {
    fn step(&mut self, step: Step) {
        match step {
            Step::Reopen => {}
            Step::Compact => {
                // What is left to do is done by the next step, or after the next start.
                block_on(self.documents.compact()).unwrap();
            }
            Step::Rerank { collection, changes } if self.files => {
                let keyed: Vec<_> =
                    changes.iter().map(|(key, change)| (DocumentKey::new(key.clone()).unwrap(), *change)).collect();
                block_on(self.documents.rerank(COLLECTIONS[collection], &keyed)).unwrap();
                for (key, change) in changes {
                    if let Some(rank) = self.filings.get_mut(&(collection, key)).and_then(|filing| filing.rank.as_mut())
                    {
                        *rank = match change {
                            Rerank::Raise(least) => least.max(*rank),
                            Rerank::Add(more) => *rank + more,
                        };
                    }
                }
            }
            Step::Rerank { .. } => {}
            Step::Write(change) => self.write(&Change { filing: None, ..change }),
            Step::Commit(changes) => self.commit(&changes),
            Step::List { collection, prefix, after, limit } => {
                let query = ListQuery { prefix, after: after.map(|key| DocumentKey::new(key).unwrap()), limit };
                let page = block_on(self.documents.list(COLLECTIONS[collection], &query)).unwrap();
                let after = query.after.as_ref().map(DocumentKey::as_bytes);
                let inside: Vec<_> = self
                    .map
                    .iter()
                    .filter(|((of, key), _)| *of == collection && key.starts_with(&query.prefix))
                    .filter(|((_, key), _)| after.is_none_or(|after| **key > *after))
                    .map(|((_, key), (revision, value))| (key.clone(), *revision, value.clone()))
                    .collect();
                let listed: Vec<_> = page
                    .documents
                    .into_iter()
                    .map(|document| (document.key.as_bytes().to_vec(), document.revision, document.value))
                    .collect();
                let most = if limit == 0 { inside.len() } else { limit.min(inside.len()) };
                assert_eq!(listed, inside[..most]);
                assert_eq!(page.next.is_some(), most < inside.len());
            }
        }
    }

    fn expected(&self, change: &Change) -> Expected {
        let found = self.map.get(&(change.collection, change.key.clone()));
        match change.expects {
            Expects::Any => Expected::Any,
            Expects::Absent => Expected::Absent,
            Expects::Found => found.map_or(Expected::Absent, |(revision, _)| Expected::Revision(*revision)),
            Expects::Old(_) if self.old.is_empty() => Expected::Any,
            Expects::Old(index) => Expected::Revision(self.old[index % self.old.len()]),
        }
    }

    fn holds(&self, change: &Change) -> bool {
        let found = self.map.get(&(change.collection, change.key.clone()));
        self.expected(change).holds(found.map(|(revision, _)| *revision))
    }

    fn write(&mut self, change: &Change) {
        let (collection, key) = (COLLECTIONS[change.collection], DocumentKey::new(change.key.clone()).unwrap());
        let (expected, holds) = (self.expected(change), self.holds(change));
        let was_there = self.map.contains_key(&(change.collection, change.key.clone()));
        let kind = match &change.value {
            Some(value) => match block_on(self.documents.put(collection, &key, value, expected)) {
                Ok(revision) => {
                    self.accept(change, Some(revision));
                    None
                }
                Err(error) => Some(error.kind()),
            },
            None => match block_on(self.documents.delete(collection, &key, expected)) {
                Ok(found) => {
                    assert_eq!(found, was_there);
                    self.accept(change, None);
                    None
                }
                Err(error) => Some(error.kind()),
            },
        };
        assert_eq!(kind, (!holds).then_some(ErrorKind::Conflict));
    }

    fn commit(&mut self, changes: &[Change]) {
        let writes: Vec<_> = changes
            .iter()
            .map(|change| {
                let (collection, key) = (COLLECTIONS[change.collection], DocumentKey::new(change.key.clone()).unwrap());
                let expected = self.expected(change);
                match (&change.value, change.is_check) {
                    (_, true) => Write::Check { collection, key, expected },
                    (Some(value), false) if self.files && change.filing.is_some() => {
                        let filing = change.filing.unwrap_or_default();
                        Write::PutFiled { collection, key, value: value.clone(), expected, filing }
                    }
                    (Some(value), false) => Write::Put { collection, key, value: value.clone(), expected },
                    (None, false) => Write::Delete { collection, key, expected },
                }
            })
            .collect();
        let named: HashSet<_> = changes.iter().map(|change| (change.collection, &change.key)).collect();
        let expected_kind = if !self.documents.capabilities().commit {
            Some(ErrorKind::Unsupported)
        } else if named.len() < changes.len() {
            Some(ErrorKind::InvalidInput)
        } else {
            (!changes.iter().all(|change| self.holds(change))).then_some(ErrorKind::Conflict)
        };
        let expected_kind = expected_kind.or_else(|| self.passes_limit(changes).then_some(ErrorKind::Limit));
        match block_on(self.documents.commit(&writes)) {
            Ok(revisions) => {
                assert_eq!(expected_kind, None);
                assert_eq!(revisions.len(), changes.len());
                for (change, revision) in changes.iter().zip(revisions) {
                    assert_eq!(revision.is_some(), change.value.is_some() && !change.is_check);
                    if !change.is_check {
                        self.accept(change, revision);
                    }
                }
            }
            Err(error) => assert_eq!(Some(error.kind()), expected_kind),
        }
    }

    /// Says whether a commit would bring a group above a limit that it states.
    fn passes_limit(&self, changes: &[Change]) -> bool {
        let mut after = self.filings.clone();
        let made = changes.iter().filter(|change| !change.is_check);
        for change in made.clone() {
            let place = (change.collection, change.key.clone());
            match change.filing.filter(|_| self.files && change.value.is_some()) {
                Some(filing) => after.insert(place, filing),
                None => after.remove(&place),
            };
        }
        made.filter(|change| self.files && change.value.is_some()).any(|change| {
            let Some(Filing { limit: Some(limit), group_len, .. }) = change.filing else { return false };
            let group = &change.key[..group_len];
            let is_in = |((of, key), filing): &(&(usize, Vec<u8>), &Filing)| {
                *of == change.collection && key[..filing.group_len] == *group
            };
            after.iter().filter(is_in).count() as u64 > limit.documents
        })
    }

    fn accept(&mut self, change: &Change, revision: Option<Revision>) {
        let place = (change.collection, change.key.clone());
        match change.filing.filter(|_| self.files && change.value.is_some()) {
            Some(filing) => self.filings.insert(place.clone(), Filing { limit: None, ..filing }),
            None => self.filings.remove(&place),
        };
        if let (Some(revision), Some(value)) = (revision, &change.value) {
            assert!(self.used.insert((place.0, place.1.clone(), revision)), "a revision is used once");
            self.old.push(revision);
            self.map.insert(place, (revision, value.clone()));
        } else {
            self.map.remove(&place);
        }
    }

    fn compare(&self) {
        for (number, collection) in COLLECTIONS.into_iter().enumerate() {
            let page = block_on(self.documents.list(collection, &ListQuery::default())).unwrap();
            let listed: Vec<_> = page.documents.iter().map(|document| document.key.as_bytes()).collect();
            let expected: Vec<_> = self.map.keys().filter(|(of, _)| *of == number).map(|(_, key)| &**key).collect();
            assert_eq!(listed, expected);
            for document in page.documents {
                let place = (number, document.key.as_bytes().to_vec());
                let got = block_on(self.documents.get(collection, &document.key)).unwrap();
                assert_eq!(got.as_ref(), Some(&document));
                assert_eq!(self.map[&place], (document.revision, document.value));
            }
            if self.files {
                self.compare_filings(number, collection);
            }
        }
    }

    fn compare_filings(&self, number: usize, collection: Collection) {
        let filed: Vec<_> = self.filings.iter().filter(|((of, _), _)| *of == number).collect();
        let expected = |mut expected: Vec<(u64, Filed)>, found: Vec<Filed>, order: fn(&Filing) -> Option<u64>| {
            // Those of one place in the order come as they like.
            let orders: Vec<_> = found.iter().map(|filed| order(&filed.filing)).collect();
            assert!(orders.is_sorted(), "{found:?}");
            let mut found: Vec<_> = found.into_iter().map(|filed| (order(&filed.filing).unwrap(), filed)).collect();
            found.sort_by(|one, other| (one.0, &one.1.key).cmp(&(other.0, &other.1.key)));
            expected.sort_by(|one, other| (one.0, &one.1.key).cmp(&(other.0, &other.1.key)));
            assert_eq!(found, expected);
        };
        let as_filed = |key: &Vec<u8>, filing: &Filing| Filed {
            key: DocumentKey::new(key.clone()).unwrap(),
            revision: self.map[&(number, key.clone())].0,
            filing: *filing,
        };
        let due = |filing: &Filing| filing.due.map(|due| due.0);
        let all = filed.iter().filter_map(|((_, key), filing)| Some((due(filing)?, as_filed(key, filing))));
        expected(all.collect(), block_on(self.documents.due(collection, None, Timestamp(9), None, 100)).unwrap(), due);
        let mut behind: Vec<_> = filed.iter().filter_map(|((_, key), filing)| Some((due(filing)?, key))).collect();
        behind.retain(|place| *place > (2, &b"a".to_vec()));
        behind.sort();
        let found = self.documents.due(collection, None, Timestamp(u64::MAX), Some((Timestamp(2), b"a")), 100);
        let found: Vec<_> = block_on(found).unwrap().into_iter().map(|filed| filed.key.as_bytes().to_vec()).collect();
        assert_eq!(found, behind.into_iter().map(|(_, key)| key.clone()).collect::<Vec<_>>());
        let groups: HashSet<_> = filed.iter().map(|((_, key), filing)| &key[..filing.group_len]).collect();
        for group in groups.into_iter().chain([&b"none"[..]]) {
            let of_group = || filed.iter().filter(|((_, key), filing)| key[..filing.group_len] == *group);
            let ranked = of_group().filter_map(|((_, key), filing)| Some((filing.rank?, as_filed(key, filing))));
            expected(ranked.collect(), block_on(self.documents.lowest(collection, group, 100)).unwrap(), |filing| {
                filing.rank
            });
            let early = of_group().filter_map(|((_, key), filing)| Some((due(filing)?, as_filed(key, filing))));
            let early = early.filter(|(due, _)| *due <= 3).collect();
            expected(
                early,
                block_on(self.documents.due(collection, Some(group), Timestamp(3), None, 100)).unwrap(),
                due,
            );
            let shares = of_group().map(|((_, key), filing)| {
                let key_of = DocumentKey::new(key.clone()).unwrap();
                self.documents.share(&key_of, self.map[&(number, key.clone())].1.len(), filing)
            });
            let usage = Usage { documents: of_group().count() as u64, bytes: shares.sum() };
            assert_eq!(block_on(self.documents.usage(collection, group)).unwrap(), usage);
        }
    }
}

/// Runs random operations on fresh places of blobs and on a map, and compares.
pub(crate) fn blobs<P: Fn() -> Arc<dyn Blobs>>(cases: u32, new_place: impl Fn() -> P) {
    // Three kinds of steps: write (with a size), delete, reopen.
    let step = (0..3_u8, 0..8_u64, prop_oneof![Just(0_usize), 1..100_usize, 4_000..5_000_usize]);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(&vec(step, 1..30), |steps| {
        let place = new_place();
        let mut blobs = place();
        let mut map: BTreeMap<BlobId, Vec<u8>> = BTreeMap::new();
        for (kind, number, size) in steps {
            let id = BlobId(Random::new(number).bytes(32).try_into().unwrap());
            match kind {
                0 => {
                    let bytes = Random::new(size as u64).bytes(size);
                    let durability = if number % 2 == 0 { Durability::Durable } else { Durability::Cache };
                    let written = block_on(async {
                        let mut writer = blobs.create(&id, durability).await?;
                        for part in bytes.chunks(1_000) {
                            writer.write(part).await?;
                        }
                        writer.finish().await
                    });
                    match written {
                        Ok(len) => {
                            assert_eq!(len, size as u64);
                            assert!(map.insert(id, bytes).is_none(), "a blob is written once");
                        }
                        Err(error) => assert!(map.contains_key(&id) && error.kind() == ErrorKind::Conflict, "{error}"),
                    }
                }
                1 => assert_eq!(block_on(blobs.delete(&id)).unwrap(), map.remove(&id).is_some()),
                _ => blobs = place(),
            }
            let mut listed = Vec::new();
            let mut after = None;
            loop {
                let page = block_on(blobs.list(after.as_ref(), 3)).unwrap();
                listed.extend(page.blobs.into_iter().map(|blob| (blob.id, blob.len)));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            let expected: Vec<_> = map.iter().map(|(id, bytes)| (*id, bytes.len() as u64)).collect();
            assert_eq!(listed, expected);
            for (id, bytes) in &map {
                let reader = block_on(blobs.open(id)).unwrap().unwrap();
                let mut read = vec![0; bytes.len() + 1];
                assert_eq!(block_on(reader.read_at(0, &mut read)).unwrap(), bytes.len());
                assert_eq!(read[..bytes.len()], **bytes);
            }
        }
        Ok(())
    });
    run.unwrap();
}

#[test]
fn documents_in_memory() {
    documents(128, || {
        let place = MemoryDocuments::new();
        move || Arc::new(place.clone()) as Arc<dyn Documents>
    });
}

#[test]
fn documents_in_a_json_file() {
    documents(8, || {
        let folder = tempfile::tempdir().unwrap();
        move || Arc::new(JsonDocuments::open(folder.path().join("data.json")).unwrap()) as Arc<dyn Documents>
    });
}

#[test]
fn documents_in_a_json_file_on_a_simulated_disk() {
    documents(128, || {
        let disk = SimDisk::new();
        move || Arc::new(JsonDocuments::open_on(Arc::new(disk.clone()), "/data.json").unwrap()) as Arc<dyn Documents>
    });
}

#[test]
fn blobs_in_memory() {
    blobs(128, || {
        let place = MemoryBlobs::new();
        move || Arc::new(place.clone()) as Arc<dyn Blobs>
    });
}

#[test]
fn blobs_in_files() {
    blobs(8, || {
        let folder = tempfile::tempdir().unwrap();
        move || Arc::new(FileBlobs::open(folder.path()).unwrap()) as Arc<dyn Blobs>
    });
}

#[test]
fn blobs_in_files_on_a_simulated_disk() {
    blobs(64, || {
        let disk = SimDisk::new();
        move || Arc::new(FileBlobs::open_on(Arc::new(disk.clone()), "/blobs").unwrap()) as Arc<dyn Blobs>
    });
}
