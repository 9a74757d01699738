//! Computing what is missing, once.

use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use bulla_backend::{Clock as _, Collection, DocumentKey, Durability, ErrorKind, Expected};
use bulla_store::{
    ComputeOptions, Computed, ComputedBy, ExpectedVersion, GetOptions, Lifetime, Namespace, NamespaceSettings,
    PutOptions, StoreError, Waiter,
};
use pollster::block_on;

use crate::ground::{Ground, HandClock, assert_code, document_key, value};
use crate::narrow::Narrow;

const LEASES: Collection = Collection::new("leases", Durability::Cache);

/// Waits by moving the clock.
struct Forward(Arc<HandClock>);

impl Waiter for Forward {
    fn wait(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move { self.0.forward(duration) })
    }
}

/// Lets others go first where the wait is short, and waits for ever where it is long.
struct Yield;

impl Waiter for Yield {
    fn wait(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        if duration > Duration::from_secs(1) {
            return Box::pin(pending());
        }
        Box::pin(async { thread::yield_now() })
    }
}

/// Waits for ever.
pub(crate) struct Never;

impl Waiter for Never {
    fn wait(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(pending())
    }
}

pub(crate) fn leases(ground: &Ground) -> Vec<DocumentKey> {
    let page = block_on(ground.documents.list(LEASES, &bulla_backend::ListQuery::default())).unwrap();
    page.documents.into_iter().map(|document| document.key).collect()
}

fn options(lifetime: Duration) -> ComputeOptions {
    let put = PutOptions { lifetime: Lifetime::For(lifetime), ..PutOptions::default() };
    ComputeOptions { put, ..ComputeOptions::default() }
}

async fn fine(value: &[u8]) -> Result<Vec<u8>, io::Error> {
    Ok(value.to_vec())
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn get(namespace: &Namespace, waiter: &dyn Waiter, value: &[u8]) -> Result<Computed, StoreError> {
    block_on(namespace.get_or_compute(b"n", &ComputeOptions::default(), waiter, || fine(value)))
}

#[test]
fn what_is_there_is_not_computed() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let first = get(&namespace, &Yield, b"one").unwrap();
    assert_eq!((first.bytes.as_slice(), first.by), (&b"one"[..], ComputedBy::ThisCall));
    let second = get(&namespace, &Yield, b"two").unwrap();
    assert_eq!((second.bytes.as_slice(), second.by), (&b"one"[..], ComputedBy::Earlier));
    block_on(namespace.remove(b"n", ExpectedVersion::Any)).unwrap();
    assert_eq!(get(&namespace, &Yield, b"two").unwrap().bytes, b"two");
    let lease = block_on(ground.documents.get(LEASES, &document_key("a", b"n"))).unwrap();
    assert_eq!(lease, None, "no lease is left");
}

#[test]
fn fifty_threads_compute_once() {
    let ground = Ground::new();
    let (asked, computed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                let namespace = ground.namespace("shared");
                asked.fetch_add(1, Ordering::SeqCst);
                let compute = || async {
                    computed.fetch_add(1, Ordering::SeqCst);
                    while asked.load(Ordering::SeqCst) < 50 {
                        thread::yield_now();
                    }
                    fine(b"v").await
                };
                let got = block_on(namespace.get_or_compute(b"n", &ComputeOptions::default(), &Yield, compute));
                assert_eq!(got.unwrap().bytes, b"v");
            });
        }
    });
    assert_eq!(computed.into_inner(), 1);
}

#[test]
fn four_processes_compute_once() {
    let ground = Ground::new();
    let computed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            // A store of its own knows of the others only what the storage says.
            let store = ground.over(Arc::clone(&ground.documents), Arc::clone(&ground.blobs));
            for _ in 0..4 {
                let (store, computed) = (store.clone(), &computed);
                scope.spawn(move || {
                    let namespace = store.namespace("shared").unwrap();
                    for name in 0..20_u8 {
                        let compute = || async {
                            computed.fetch_add(1, Ordering::SeqCst);
                            thread::yield_now();
                            fine(&[name]).await
                        };
                        let options = ComputeOptions::default();
                        let got = block_on(namespace.get_or_compute(&[name], &options, &Yield, compute));
                        assert_eq!(got.unwrap().bytes, [name]);
                    }
                });
            }
        }
    });
    assert_eq!(computed.into_inner(), 20);
}

#[test]
fn a_computation_that_died_is_taken_over_when_its_lease_ends() {
    let ground = Ground::new();
    let other = ground.over(Arc::clone(&ground.documents), Arc::clone(&ground.blobs)).namespace("a").unwrap();
    let namespace = ground.namespace("a");
    {
        let options = ComputeOptions::default();
        let mut dies = pin!(namespace.get_or_compute(b"n", &options, &Yield, pending::<Result<Vec<u8>, io::Error>>));
        assert!(poll(dies.as_mut()).is_pending());
        // While it lives, others wait, or give up at the end of their patience.
        let hasty = ComputeOptions { patience: Duration::from_secs(2), ..options.clone() };
        let waiter = Forward(Arc::clone(&ground.clock));
        assert_code(block_on(other.get_or_compute(b"n", &hasty, &waiter, || fine(b"x"))), "computation_busy");
    }
    let before = ground.clock.now();
    let got = get(&other, &Forward(Arc::clone(&ground.clock)), b"v").unwrap();
    assert_eq!((got.bytes.as_slice(), got.by), (&b"v"[..], ComputedBy::ThisCall));
    let waited = ground.clock.now().0 - before.0;
    assert!((10_000..16_000).contains(&waited), "{waited} ms");
    assert_eq!(value(&namespace, b"n").unwrap(), b"v");
}

#[test]
fn a_computation_that_was_dropped_is_taken_over_at_once_in_its_process() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let options = ComputeOptions::default();
    let mut follower = pin!(namespace.get_or_compute(b"n", &options, &Yield, || fine(b"second")));
    {
        let mut dropped = pin!(namespace.get_or_compute(b"n", &options, &Yield, pending::<Result<Vec<u8>, io::Error>>));
        assert!(poll(dropped.as_mut()).is_pending());
        assert!(poll(follower.as_mut()).is_pending());
    }
    let got = block_on(follower).unwrap();
    assert_eq!((got.bytes.as_slice(), got.by), (&b"second"[..], ComputedBy::ThisCall));
}

#[test]
fn a_long_computation_keeps_its_lease() {
    let ground = Ground::new();
    let other = ground.over(Arc::clone(&ground.documents), Arc::clone(&ground.blobs)).namespace("a").unwrap();
    let namespace = ground.namespace("a");
    let steps = AtomicU64::new(0);
    let options = ComputeOptions::default();
    let waiter = Forward(Arc::clone(&ground.clock));
    let compute = || async {
        // Each time that it is asked, five seconds have passed.
        poll_fn(|_| if steps.fetch_add(1, Ordering::SeqCst) < 10 { Poll::Pending } else { Poll::Ready(()) }).await;
        let hasty = ComputeOptions { patience: Duration::ZERO, ..ComputeOptions::default() };
        assert_code(other.get_or_compute(b"n", &hasty, &Yield, || fine(b"x")).await, "computation_busy");
        fine(b"v").await
    };
    let got = block_on(namespace.get_or_compute(b"n", &options, &waiter, compute)).unwrap();
    assert_eq!(got.by, ComputedBy::ThisCall);
    let stat = block_on(namespace.stat(b"n", &GetOptions::default())).unwrap();
    assert_eq!(stat.compute_time, Some(Duration::from_secs(50)));
}

#[test]
fn within_its_grace_the_old_value_is_served_while_one_computes() {
    let ground = Ground::new();
    let other = ground.over(Arc::clone(&ground.documents), Arc::clone(&ground.blobs)).namespace("a").unwrap();
    let namespace = ground.namespace("a");
    let mut options = options(Duration::from_secs(10));
    options.grace = Duration::from_secs(5);
    block_on(namespace.get_or_compute(b"n", &options, &Yield, || fine(b"old"))).unwrap();
    ground.clock.forward(Duration::from_secs(12));
    let go = AtomicBool::new(false);
    let compute = || async {
        poll_fn(|_| if go.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }).await;
        fine(b"new").await
    };
    let mut computing = pin!(namespace.get_or_compute(b"n", &options, &Yield, compute));
    assert!(poll(computing.as_mut()).is_pending());
    for reader in [&namespace, &other] {
        let got = block_on(reader.get_or_compute(b"n", &options, &Yield, || fine(b"never"))).unwrap();
        assert_eq!((got.bytes.as_slice(), got.by), (&b"old"[..], ComputedBy::EarlierAndExpired));
        assert_code(block_on(reader.get(b"n", &GetOptions::default())), "not_found");
    }
    // Behind the grace there is nothing to serve.
    ground.clock.forward(Duration::from_secs(3));
    let mut waits = pin!(namespace.get_or_compute(b"n", &options, &Yield, || fine(b"never")));
    assert!(poll(waits.as_mut()).is_pending());
    go.store(true, Ordering::SeqCst);
    assert!(matches!(poll(computing.as_mut()), Poll::Ready(Ok(Computed { by: ComputedBy::ThisCall, .. }))));
    let got = block_on(waits).unwrap();
    assert_eq!((got.bytes.as_slice(), got.by), (&b"new"[..], ComputedBy::AnotherCall));
}

#[test]
fn where_nothing_can_be_written_what_there_is_is_served_and_nothing_computed() {
    let ground = Ground::new();
    let mut options = options(Duration::from_secs(10));
    options.grace = Duration::from_secs(5);
    block_on(ground.namespace("a").get_or_compute(b"n", &options, &Yield, || fine(b"old"))).unwrap();
    ground.clock.forward(Duration::from_secs(12));
    let narrow = [Narrow::read_only(&ground.documents), Narrow::forbidden(&ground.documents)];
    let narrow = narrow.map(|documents| ground.over(documents, Arc::clone(&ground.blobs)).namespace("a").unwrap());
    let computed = AtomicBool::new(false);
    let get = |namespace: &Namespace| {
        block_on(namespace.get_or_compute(b"n", &options, &Yield, || {
            computed.store(true, Ordering::SeqCst);
            fine(b"new")
        }))
    };
    for namespace in &narrow {
        let got = get(namespace).unwrap();
        assert_eq!((got.bytes.as_slice(), got.by), (&b"old"[..], ComputedBy::EarlierAndExpired));
    }
    ground.clock.forward(Duration::from_secs(3));
    for namespace in &narrow {
        let refused = get(namespace).unwrap_err();
        assert!(matches!(&refused, StoreError::Backend(error) if error.kind() == ErrorKind::Permission), "{refused}");
    }
    assert!(!computed.load(Ordering::SeqCst));
}

#[test]
fn a_failure_reaches_all_who_wait_and_is_not_kept() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let options = ComputeOptions::default();
    let go = AtomicBool::new(false);
    let compute = || async {
        poll_fn(|_| if go.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }).await;
        Err::<Vec<u8>, _>(io::Error::other("no luck today"))
    };
    let mut leader = pin!(namespace.get_or_compute(b"n", &options, &Yield, compute));
    assert!(poll(leader.as_mut()).is_pending());
    let mut followers = [(); 3].map(|()| Box::pin(namespace.get_or_compute(b"n", &options, &Yield, || fine(b"never"))));
    for follower in &mut followers {
        assert!(poll(follower.as_mut()).is_pending());
    }
    go.store(true, Ordering::SeqCst);
    let failed = block_on(leader).unwrap_err();
    assert!(failed.to_string().ends_with("could not be computed: no luck today"), "{failed}");
    for follower in followers {
        let failed = block_on(follower).unwrap_err();
        assert_eq!(failed.code(), "computation_failed");
        assert!(failed.to_string().contains("no luck today"), "{failed}");
    }
    assert_eq!(value(&namespace, b"n"), None);
    assert_eq!(get(&namespace, &Yield, b"v").unwrap().by, ComputedBy::ThisCall);
}

#[test]
fn a_value_that_others_put_meanwhile_is_taken() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let compute = || async {
        namespace.put(b"n", b"theirs", &PutOptions::default()).await.unwrap();
        fine(b"ours").await
    };
    let got = block_on(namespace.get_or_compute(b"n", &ComputeOptions::default(), &Yield, compute)).unwrap();
    assert_eq!((got.bytes.as_slice(), got.by), (&b"theirs"[..], ComputedBy::AnotherCall));
    assert_eq!(value(&namespace, b"n").unwrap(), b"theirs");
}

#[test]
fn computations_that_need_others_end() {
    let ground = Ground::new();
    let options = ComputeOptions::default();
    let nested = |namespace: Namespace| async move {
        let options = ComputeOptions::default();
        let inner = namespace.get_or_compute(b"inner", &options, &Yield, || fine(b"i")).await?;
        Ok::<_, StoreError>([&inner.bytes[..], b"o"].concat())
    };
    thread::scope(|scope| {
        for caller in 0..8 {
            let (ground, options) = (&ground, &options);
            scope.spawn(move || {
                let namespace = ground.namespace("shared");
                if caller % 2 == 0 {
                    let compute = || nested(namespace.clone());
                    let got = block_on(namespace.get_or_compute(b"outer", options, &Yield, compute)).unwrap();
                    assert_eq!(got.bytes, b"io");
                } else {
                    let got = namespace.get_or_compute(b"inner", options, &Yield, || fine(b"i"));
                    assert_eq!(block_on(got).unwrap().bytes, b"i");
                }
            });
        }
    });
}

#[test]
fn a_computation_that_needs_itself_is_told() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let options = ComputeOptions::default();
    let compute = || async {
        let other =
            || async { namespace.get_or_compute(b"n", &options, &Yield, || fine(b"x")).await.map(|got| got.bytes) };
        namespace.get_or_compute(b"other", &options, &Yield, other).await.map(|got| got.bytes)
    };
    let failed = block_on(namespace.get_or_compute(b"n", &options, &Yield, compute)).unwrap_err();
    assert!(failed.to_string().contains("needs its own result"), "{failed}");

    // Round a circle of two calls that know nothing of each other.
    let one = || async { namespace.get_or_compute(b"b", &options, &Yield, || fine(b"b")).await.map(|got| got.bytes) };
    let (started, two_go) = (AtomicBool::new(false), AtomicBool::new(false));
    let two = || async {
        started.store(true, Ordering::SeqCst);
        poll_fn(|_| if two_go.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }).await;
        namespace.get_or_compute(b"a", &options, &Yield, || fine(b"a")).await.map(|got| got.bytes)
    };
    let mut second = pin!(namespace.get_or_compute(b"b", &options, &Yield, two));
    assert!(poll(second.as_mut()).is_pending() && started.load(Ordering::SeqCst));
    let mut first = pin!(namespace.get_or_compute(b"a", &options, &Yield, one));
    assert!(poll(first.as_mut()).is_pending());
    two_go.store(true, Ordering::SeqCst);
    let failed = block_on(second).unwrap_err();
    assert!(failed.to_string().contains("needs its own result"), "{failed}");
    assert!(block_on(first).is_err(), "what it waited for failed");
}

#[test]
fn an_entry_is_computed_anew_before_it_expires_while_others_read_on() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let options = options(Duration::from_secs(100));
    let put = PutOptions { compute_time: Some(Duration::from_secs(20)), ..options.put.clone() };
    block_on(namespace.put(b"n", b"old", &put)).unwrap();
    ground.clock.forward(Duration::from_secs(99));
    let never = ComputeOptions { earliness: 0.0, ..options.clone() };
    for _ in 0..50 {
        let got = block_on(namespace.get_or_compute(b"n", &never, &Yield, || fine(b"never"))).unwrap();
        assert_eq!(got.by, ComputedBy::Earlier);
    }
    let compute = || async {
        // Others go on reading the value that still stands.
        for _ in 0..20 {
            let got = namespace.get_or_compute(b"n", &options, &Yield, || fine(b"never")).await?;
            assert_eq!((got.bytes.as_slice(), got.by), (&b"old"[..], ComputedBy::Earlier));
        }
        Ok::<_, StoreError>(b"new".to_vec())
    };
    // A second before the end, of a value that took twenty, 95 of 100 readers are early.
    let early =
        || block_on(namespace.get_or_compute(b"n", &options, &Yield, compute)).unwrap().by == ComputedBy::ThisCall;
    assert!((0..50).any(|_| early()));
    assert_eq!(value(&namespace, b"n").unwrap(), b"new");
}

#[test]
fn where_computing_anew_fails_the_value_is_served_as_long_as_it_lives() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let options = options(Duration::from_secs(100));
    let put = PutOptions { compute_time: Some(Duration::from_secs(20)), ..options.put.clone() };
    block_on(namespace.put(b"n", b"old", &put)).unwrap();
    ground.clock.forward(Duration::from_secs(99));
    // A second before the end, of a value that took twenty, 95 of 100 readers are early.
    let tried = AtomicU64::new(0);
    let fail = || {
        tried.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Err::<Vec<u8>, _>("out of order"))
    };
    for _ in 0..50 {
        let got = block_on(namespace.get_or_compute(b"n", &options, &Yield, fail)).unwrap();
        assert_eq!((got.bytes.as_slice(), got.by), (&b"old"[..], ComputedBy::Earlier));
    }
    assert!(tried.into_inner() > 0);
    let late = || {
        ground.clock.forward(Duration::from_secs(1));
        std::future::ready(Err::<Vec<u8>, _>("out of order"))
    };
    let mut got = (0..50).map(|_| block_on(namespace.get_or_compute(b"n", &options, &Yield, late)));
    assert!(got.any(|got| got.is_err_and(|error| error.code() == "computation_failed")));
}

#[test]
fn leases_that_no_holder_wrote_keep_nobody_out() {
    for hostile in [b"garbage".to_vec(), vec![0; 4_096]] {
        let ground = Ground::new();
        let key: DocumentKey = document_key("a", b"n");
        block_on(ground.documents.put(LEASES, &key, &hostile, Expected::Any)).unwrap();
        let before = ground.clock.now();
        assert_eq!(get(&ground.namespace("a"), &Forward(Arc::clone(&ground.clock)), b"v").unwrap().bytes, b"v");
        assert_eq!(ground.clock.now(), before);
    }
}

#[test]
fn leases_do_not_show_blinded_names() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let settings = NamespaceSettings { blinded_names: true, ..NamespaceSettings::default() };
    block_on(namespace.set_settings(&settings)).unwrap();
    let options = ComputeOptions::default();
    let name = b"a rather telling name";
    let mut computing = pin!(namespace.get_or_compute(name, &options, &Yield, pending::<Result<Vec<u8>, io::Error>>));
    assert!(poll(computing.as_mut()).is_pending());
    let leases = leases(&ground);
    assert_eq!(leases.len(), 1);
    assert!(!leases[0].as_bytes().windows(name.len()).any(|window| window == name));
}

#[test]
fn whoever_computes_first_makes_the_settings_before_the_lease() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let seen = AtomicUsize::new(0);
    let got = block_on(namespace.get_or_compute(b"n", &ComputeOptions::default(), &Yield, || {
        let settings = Collection::new("namespaces", Durability::Durable);
        let key = DocumentKey::new(*b"a").unwrap();
        assert!(block_on(ground.documents.get(settings, &key)).unwrap().is_some());
        seen.store(leases(&ground).len(), Ordering::SeqCst);
        fine(b"v")
    }));
    assert_eq!((got.unwrap().by, seen.into_inner()), (ComputedBy::ThisCall, 1));
    // Where they cannot be written, that is said.
    let narrow = ground.over(Narrow::read_only(&ground.documents), Arc::clone(&ground.blobs)).namespace("b").unwrap();
    let compute = || async { panic!("nothing is computed that could not be put") };
    let computed =
        block_on(narrow.get_or_compute::<_, _, io::Error>(b"n", &ComputeOptions::default(), &Yield, compute));
    assert!(matches!(&computed, Err(StoreError::Backend(error)) if error.is_read_only()), "{computed:?}");
}
