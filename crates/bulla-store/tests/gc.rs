//! Collecting removes what nobody needs, and never anything else, whoever sleeps or dies in between.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use bulla_backend::testing::{CallFaults, Failure, FaultyBlobs, FaultyDocuments};
use bulla_backend::{
    BlobId, BlobPage, BlobReader, BlobWriter, Blobs, Capabilities, Collection, Document, DocumentKey, Documents,
    Durability, Expected, Filed, ListQuery, Page, Result, Revision, Timestamp, Write,
};
use bulla_store::{
    Budget, Finding, GcCounts, GcOptions, Lifetime, MIN_ORPHAN_AGE, Namespace, PutOptions, Store, StoreError, WalkEvent,
};
use pollster::block_on;

use crate::ground::{Ground, assert_code, pattern, value, write};
use crate::narrow::Narrow;
use crate::watched::Watched;

const LARGE: usize = 100_000;
const CONDEMNED: Collection = Collection::new("condemned", Durability::Durable);
const AT_ONCE: GcOptions = GcOptions { min_age: Duration::ZERO };

fn gc(store: &Store, options: &GcOptions) -> (GcCounts, Vec<Finding>) {
    let mut findings = Vec::new();
    let counts = block_on(store.gc(options, &Budget::UNLIMITED, &mut |event| {
        if let WalkEvent::Found(finding) = event {
            findings.push(finding);
        }
    }));
    (counts.unwrap(), findings)
}

fn put_for(namespace: &Namespace, name: &[u8], value: &[u8], duration: Duration) {
    let options = PutOptions { lifetime: Lifetime::For(duration), ..PutOptions::default() };
    block_on(namespace.put(name, value, &options)).unwrap();
}

fn orphan(ground: &Ground, seed: u8) -> BlobId {
    let id = BlobId([seed; 32]);
    ground.plant_blob(&id, &pattern(1_000, seed));
    id
}

fn condemned(ground: &Ground) -> usize {
    block_on(ground.documents.list(CONDEMNED, &ListQuery::default())).unwrap().documents.len()
}

#[test]
fn what_has_expired_goes_and_so_do_old_blobs_that_nobody_needs() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"small", b"v");
    write(&namespace, b"large", &pattern(LARGE, 1));
    put_for(&namespace, b"brief", b"v", Duration::from_secs(1));
    put_for(&namespace, b"brief, large", &pattern(LARGE, 2), Duration::from_secs(1));
    orphan(&ground, 1);
    ground.clock.forward(MIN_ORPHAN_AGE);
    orphan(&ground, 2);

    let (counts, findings) = gc(&ground.store, &GcOptions::default());
    assert_eq!((counts.expired, counts.deleted, counts.freed, counts.recent), (2, 1, 1_000, 1), "{findings:?}");
    assert!(counts.finished && counts.kept == 0 && findings.is_empty());
    assert_eq!(ground.blob_ids(), [BlobId([2; 32]), ground.entry("a", b"large").blob.unwrap().id]);
    let (counts, _) = gc(&ground.store, &AT_ONCE);
    assert_eq!((counts.expired, counts.deleted, counts.recent), (0, 1, 0));
    assert!(ground.check().0.is_clean() && ground.check().0.ok == 2);
}

#[test]
fn what_does_not_open_keeps_every_blob_that_it_may_refer_to() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", &pattern(LARGE, 1));
    orphan(&ground, 1);
    let document = ground.document("a", b"n").value;
    let mut flipped = document.clone();
    flipped[100] ^= 1;
    ground.plant("a", b"n", &flipped);
    for _ in 0..2 {
        let (counts, findings) = gc(&ground.store, &AT_ONCE);
        assert_eq!((counts.deleted, counts.kept, counts.refused), (0, 2, 1));
        assert!(findings.iter().all(|finding| finding.code() == "orphan_blob"), "{findings:?}");
    }
    // A put over it puts it into quarantine; there too it may refer to any.
    write(&namespace, b"n", b"anew");
    let (counts, _) = gc(&ground.store, &AT_ONCE);
    assert_eq!((counts.deleted, counts.kept, counts.refused), (0, 2, 1));
    let records = block_on(namespace.quarantine(None)).unwrap().records;
    block_on(namespace.remove_quarantined(&records[0].id)).unwrap();
    let (counts, _) = gc(&ground.store, &AT_ONCE);
    assert_eq!((counts.deleted, counts.kept, counts.refused), (2, 0, 0));
    assert_eq!(ground.blob_ids(), []);
}

#[test]
fn what_lies_in_quarantine_keeps_its_blob() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", &pattern(LARGE, 1));
    let id = quarantine(&ground, &namespace, b"n");
    orphan(&ground, 1);
    let (counts, _) = gc(&ground.store, &AT_ONCE);
    assert_eq!((counts.deleted, counts.kept), (1, 0));
    block_on(namespace.restore_quarantined(&id)).unwrap();
    assert_eq!(value(&namespace, b"n"), Some(pattern(LARGE, 1)));
    assert_eq!(condemned(&ground), 1, "that of the orphan");
}

/// Has an entry put into quarantine because of its blob, which is then as it was again.
fn quarantine(ground: &Ground, namespace: &Namespace, name: &[u8]) -> bulla_store::QuarantineId {
    let blob = ground.entry(namespace.name().as_str(), name).blob.unwrap().id;
    let bytes = ground.blob(&blob);
    let mut flipped = bytes.clone();
    flipped[500] ^= 1;
    ground.plant_blob(&blob, &flipped);
    assert_code(crate::ground::read(namespace, name), "damaged");
    ground.plant_blob(&blob, &bytes);
    block_on(namespace.quarantine(None)).unwrap().records[0].id
}

#[test]
fn it_can_be_stopped_at_any_call_and_another_goes_on() {
    let mut points = 0;
    for failure in Failure::ALL {
        for at in 1.. {
            let ground = Ground::new();
            let namespace = ground.namespace("a");
            for n in 0..3 {
                write(&namespace, &[n], &pattern(LARGE, n));
                write(&namespace, &[n, n], &pattern(10, n));
            }
            put_for(&namespace, b"brief", b"v", Duration::from_secs(1));
            put_for(&namespace, b"brief, large", &pattern(LARGE, 2), Duration::from_secs(1));
            for seed in [7, 8, 250] {
                orphan(&ground, seed);
            }
            ground.clock.forward(MIN_ORPHAN_AGE);
            let faults = CallFaults::new();
            let faulty = ground.over(
                Arc::new(FaultyDocuments::new(Arc::clone(&ground.documents), faults.clone())),
                Arc::new(FaultyBlobs::new(Arc::clone(&ground.blobs), faults.clone())),
            );
            faults.arm(at, failure);
            let stopped = block_on(faulty.gc(&GcOptions::default(), &Budget::UNLIMITED, &mut |_| {}));
            for n in 0..3 {
                assert!(value(&namespace, &[n]) == Some(pattern(LARGE, n)), "{failure:?} at {at}");
            }
            let (counts, findings) = gc(&ground.store, &GcOptions::default());
            assert!(counts.finished && counts.expired <= 2 && counts.deleted <= 4, "{counts:?} {findings:?}");
            assert_eq!(ground.blob_ids().len(), 3, "{failure:?} at {at}: {findings:?}");
            assert_eq!(ground.documents().len(), 6);
            let (checked, findings) = ground.check();
            assert!(checked.is_clean() && checked.ok == 6, "{failure:?} at {at}: {findings:?}");
            if faults.calls() < at {
                let stopped = stopped.unwrap();
                assert_eq!((stopped.expired, stopped.deleted), (2, 3));
                break;
            }
            points += 1;
        }
    }
    println!("{points} fault points");
    assert!(points > 40, "{points} fault points");
}

#[test]
fn it_goes_on_call_by_call() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    for n in 0..2_500_u16 {
        put_for(&namespace, &n.to_be_bytes(), b"v", Duration::from_secs(1));
    }
    orphan(&ground, 1);
    ground.clock.forward(MIN_ORPHAN_AGE);
    let budget = Budget { entries: 1_000, bytes: u64::MAX };
    let mut calls = 0;
    let counts = loop {
        calls += 1;
        let counts = block_on(ground.store.gc(&AT_ONCE, &budget, &mut |_| {})).unwrap();
        if counts.finished {
            break counts;
        }
    };
    assert_eq!((counts.expired, counts.deleted), (2_500, 1));
    assert!(calls >= 3, "{calls}");
}

#[test]
fn a_blob_that_was_given_up_stays_so_for_a_month() {
    let ground = Ground::new();
    write(&ground.namespace("a"), b"n", b"v");
    orphan(&ground, 1);
    gc(&ground.store, &AT_ONCE);
    assert_eq!(condemned(&ground), 1);
    ground.clock.forward(Duration::from_hours(24 * 30 - 1));
    gc(&ground.store, &AT_ONCE);
    assert_eq!(condemned(&ground), 1);
    ground.clock.forward(Duration::from_hours(1));
    gc(&ground.store, &AT_ONCE);
    assert_eq!(condemned(&ground), 0);
}

#[test]
fn without_commits_blobs_are_reported_and_stay() {
    let ground = Ground::new();
    write(&ground.namespace("a"), b"n", &pattern(LARGE, 1));
    orphan(&ground, 1);
    let narrow = Narrow::one_at_a_time(&ground.documents);
    let (counts, findings) = gc(&ground.over(narrow, Arc::clone(&ground.blobs)), &AT_ONCE);
    assert_eq!((counts.deleted, counts.kept, counts.refused), (0, 1, 0));
    assert_eq!(findings.iter().map(Finding::code).collect::<Vec<_>>(), ["orphan_blob"]);
    assert_eq!(ground.blob_ids().len(), 2);
}

#[test]
fn a_writer_that_sleeps_through_a_collection_is_told_so() {
    for before in [None, Some(pattern(10, 7)), Some(pattern(LARGE, 7))] {
        let ground = Ground::new();
        let namespace = ground.namespace("a");
        write(&namespace, b"other", &pattern(LARGE, 9));
        if let Some(before) = &before {
            write(&namespace, b"n", before);
        }
        let store = ground.store.clone();
        let sleeper = sleeper(&ground, move || assert_eq!(gc(&store, &AT_ONCE).0.deleted, 1));
        let put = block_on(sleeper.put(b"n", &pattern(LARGE, 1), &PutOptions::default()));
        assert_code(put, "blob_collected");
        assert!(value(&namespace, b"n") == before);
        let (counts, findings) = ground.check();
        assert!(counts.is_clean(), "{findings:?}");
        block_on(sleeper.put(b"n", &pattern(LARGE, 1), &PutOptions::default())).unwrap();
        assert!(value(&namespace, b"n") == Some(pattern(LARGE, 1)));
    }
}

/// When the sleeper wakes.
#[derive(Debug, Clone, Copy)]
enum Wakes {
    /// While both collections are stopped in the middle.
    Between,
    /// Once the second is done.
    BehindOne,
    /// Once both are.
    BehindBoth,
}

/// Two collections, each stopped before one of its calls, a writer whose blob is there and whose entry is not, and, sometimes, an entry that
/// does not open for a while: in every order, what was acknowledged is there, and no entry is without its blob.
#[test]
fn whoever_sleeps_where_no_entry_loses_its_blob() {
    let (mut orders, mut acknowledged) = (0, 0);
    for wakes in [Wakes::Between, Wakes::BehindOne, Wakes::BehindBoth] {
        for is_broken in [false, true] {
            for first in 1.. {
                let mut second = 0;
                loop {
                    second += 1;
                    let (first_paused, second_paused, put) = interleave(wakes, is_broken, first, second);
                    orders += 1;
                    acknowledged += u64::from(put);
                    if !second_paused || matches!(wakes, Wakes::BehindOne | Wakes::BehindBoth) {
                        break;
                    }
                    assert!(first_paused || second < 100);
                }
                if !interleave(wakes, is_broken, first, 1).0 {
                    break;
                }
            }
        }
    }
    println!("{orders} orders, {acknowledged} puts acknowledged");
    assert!(orders > 200 && acknowledged > 20 && acknowledged < orders, "{orders} orders, {acknowledged}");
}

/// Says whether each collection was stopped, and whether the put was acknowledged.
fn interleave(wakes: Wakes, is_broken: bool, first: u64, second: u64) -> (bool, bool, bool) {
    let ground = Arc::new(Ground::new());
    let namespace = ground.namespace("a");
    write(&namespace, b"other", &pattern(LARGE, 9));
    write(&namespace, b"broken", &pattern(LARGE, 8));
    let whole = ground.document("a", b"broken").value;
    orphan(&ground, 1);

    let one = Arc::new(Mutex::new(Running::begin(&ground, first)));
    let two = Arc::new(Mutex::new(Running::begin(&ground, second)));
    let asleep = {
        let (one, two, ground) = (Arc::clone(&one), Arc::clone(&two), Arc::clone(&ground));
        let whole = whole.clone();
        move || {
            one.lock().unwrap().poll();
            if is_broken {
                let mut flipped = whole;
                flipped[100] ^= 1;
                ground.plant("a", b"broken", &flipped);
            }
            two.lock().unwrap().poll();
            if !matches!(wakes, Wakes::Between) {
                two.lock().unwrap().finish();
            }
            if matches!(wakes, Wakes::BehindBoth) {
                one.lock().unwrap().finish();
            }
        }
    };
    let put = block_on(sleeper(&ground, asleep).put(b"n", &pattern(LARGE, 1), &PutOptions::default()));
    let (mut one, mut two) = (one.lock().unwrap(), two.lock().unwrap());
    let paused = (one.was_paused(), two.was_paused());
    two.finish();
    one.finish();
    if is_broken {
        ground.plant("a", b"broken", &whole);
    }

    let at = format!("{wakes:?} {is_broken} {first} {second}");
    match &put {
        Ok(_) => assert!(value(&namespace, b"n") == Some(pattern(LARGE, 1)), "{at}"),
        Err(error) => {
            assert_eq!(error.code(), "blob_collected", "{at}: {error}");
            assert!(value(&namespace, b"n").is_none(), "{at}");
        }
    }
    for round in 0..2 {
        let (counts, findings) = ground.check();
        assert_eq!(counts.damaged, 0, "{at}, {round}: {findings:?}");
        assert!(value(&namespace, b"other") == Some(pattern(LARGE, 9)), "{at}");
        assert!(value(&namespace, b"broken") == Some(pattern(LARGE, 8)), "{at}");
        gc(&ground.store, &AT_ONCE);
    }
    let (counts, findings) = ground.check();
    assert!(counts.is_clean(), "{at}: {findings:?}");
    assert_eq!(ground.blob_ids().len(), 2 + usize::from(put.is_ok()), "{at}");
    (paused.0, paused.1, put.is_ok())
}

#[test]
fn moving_to_and_from_quarantine_in_the_middle_of_a_collection_loses_nothing() {
    let mut restored = 0;
    for is_restored in [false, true] {
        for at in 1.. {
            let ground = Ground::new();
            let namespace = ground.namespace("a");
            write(&namespace, b"n", &pattern(LARGE, 1));
            let id = is_restored.then(|| quarantine(&ground, &namespace, b"n"));
            let mut collection = Running::begin(&ground, at);
            collection.poll();
            let was_paused = collection.was_paused();
            let id = match id {
                None => quarantine(&ground, &namespace, b"n"),
                Some(id) => {
                    match block_on(namespace.restore_quarantined(&id)) {
                        Ok(_) => restored += 1,
                        Err(error) => assert_eq!(error.code(), "conflict", "{error}"),
                    }
                    id
                }
            };
            collection.finish();
            if value_of(&namespace).is_none() {
                block_on(namespace.restore_quarantined(&id)).unwrap();
            }
            assert_eq!(value_of(&namespace), Some(pattern(LARGE, 1)), "{is_restored} {at}");
            assert!(ground.check().0.is_clean());
            if !was_paused {
                break;
            }
        }
    }
    assert!(restored > 5, "{restored}");
}

fn value_of(namespace: &Namespace) -> Option<Vec<u8>> {
    crate::ground::read(namespace, b"n").ok()
}

/// A namespace whose first commit of an entry comes after something else has happened.
fn sleeper(ground: &Ground, asleep: impl FnOnce() + Send + 'static) -> Namespace {
    let documents = Watched::new(&ground.documents);
    documents.before_commit(asleep);
    ground.over(documents, Arc::clone(&ground.blobs)).namespace("a").unwrap()
}

/// A collection by a process of its own, which stops before one of its calls to the storage until it is told to go on.
struct Running {
    future: Pin<Box<dyn Future<Output = std::result::Result<GcCounts, StoreError>> + Send>>,
    outcome: Option<GcCounts>,
    was_paused: bool,
}

impl Running {
    fn begin(ground: &Ground, at: u64) -> Self {
        let pause = Arc::new(Pause { at, calls: AtomicU64::new(0) });
        let documents = Paused { inner: Arc::clone(&ground.documents), pause: Arc::clone(&pause) };
        let blobs = Paused { inner: Arc::clone(&ground.blobs), pause };
        let store = ground.over(Arc::new(documents), Arc::new(blobs));
        let future = async move { store.gc(&AT_ONCE, &Budget::UNLIMITED, &mut |_| {}).await };
        Self { future: Box::pin(future), outcome: None, was_paused: false }
    }

    fn poll(&mut self) {
        if self.outcome.is_none() {
            match self.future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(counts) => self.outcome = Some(counts.unwrap()),
                Poll::Pending => self.was_paused = true,
            }
        }
    }

    fn was_paused(&self) -> bool {
        self.was_paused
    }

    fn finish(&mut self) {
        while self.outcome.is_none() {
            self.poll();
        }
    }
}

#[derive(Debug)]
struct Pause {
    at: u64,
    calls: AtomicU64,
}

impl Pause {
    async fn pass(&self) {
        if self.calls.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
            let mut has_waited = false;
            std::future::poll_fn(|_| {
                if std::mem::replace(&mut has_waited, true) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
    }
}

#[derive(Debug)]
struct Paused<T> {
    inner: T,
    pause: Arc<Pause>,
}

#[async_trait]
impl Documents for Paused<Arc<dyn Documents>> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn get(&self, collection: Collection, key: &DocumentKey) -> Result<Option<Document>> {
        self.pause.pass().await;
        self.inner.get(collection, key).await
    }

    async fn put(
        &self,
        collection: Collection,
        key: &DocumentKey,
        value: &[u8],
        expected: Expected,
    ) -> Result<Revision> {
        self.pause.pass().await;
        self.inner.put(collection, key, value, expected).await
    }

    async fn delete(&self, collection: Collection, key: &DocumentKey, expected: Expected) -> Result<bool> {
        self.pause.pass().await;
        self.inner.delete(collection, key, expected).await
    }

    async fn list(&self, collection: Collection, query: &ListQuery) -> Result<Page> {
        self.pause.pass().await;
        // Page by page, so that there is a between.
        let limit = if query.limit == 0 { 1 } else { query.limit };
        self.inner.list(collection, &ListQuery { limit, ..query.clone() }).await
    }

    async fn commit(&self, writes: &[Write]) -> Result<Vec<Option<Revision>>> {
        self.pause.pass().await;
        self.inner.commit(writes).await
    }

    async fn due(
        &self,
        collection: Collection,
        group: Option<&[u8]>,
        moment: Timestamp,
        after: Option<(Timestamp, &[u8])>,
        limit: usize,
    ) -> Result<Vec<Filed>> {
        self.inner.due(collection, group, moment, after, limit).await
    }
}

#[async_trait]
impl Blobs for Paused<Arc<dyn Blobs>> {
    async fn create(&self, id: &BlobId, durability: Durability) -> Result<Box<dyn BlobWriter>> {
        self.inner.create(id, durability).await
    }

    async fn open(&self, id: &BlobId) -> Result<Option<Box<dyn BlobReader>>> {
        self.pause.pass().await;
        self.inner.open(id).await
    }

    async fn delete(&self, id: &BlobId) -> Result<bool> {
        self.pause.pass().await;
        self.inner.delete(id).await
    }

    async fn list(&self, after: Option<&BlobId>, limit: usize) -> Result<BlobPage> {
        self.pause.pass().await;
        self.inner.list(after, limit).await
    }
}
