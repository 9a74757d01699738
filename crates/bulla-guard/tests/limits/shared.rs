//! Limits that several servers share, with a counter that works, hangs, fails and lies.

use std::collections::HashMap;
use std::future::{Future, pending, poll_fn, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bulla_backend::Timestamp;
use bulla_guard::limits::{
    CounterAway, Limiter, Policy, Quotas, SharedBucket, SharedCounter, SharedLimiter, Subject, Taken, Timer, Verdict,
};
use pollster::block_on;

use super::{Person, SECOND, at, peer, per_minute};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Works,
    Hangs,
    Fails,
    AdmitsAll,
    RefusesForAges,
    RefusesAndSaysThereIsRoom,
    AnswersTooLittle,
}

/// A counter in memory, in a mood.
#[derive(Debug)]
struct Moody {
    mood: Mutex<Mood>,
    asked: AtomicU32,
    /// When each bucket is full.
    full: Mutex<HashMap<String, u64>>,
}

impl Moody {
    fn new(mood: Mood) -> Arc<Self> {
        Arc::new(Self { mood: Mutex::new(mood), asked: AtomicU32::new(0), full: Mutex::default() })
    }

    fn count(&self, buckets: &[SharedBucket], now: Timestamp) -> Vec<Taken> {
        let mut full = self.full.lock().unwrap();
        let level = |full: &HashMap<String, u64>, bucket: &SharedBucket| {
            full.get(&bucket.name).map_or(0, |full| full.saturating_sub(now.0 * 1_000))
        };
        let next: Vec<(u64, bool)> = buckets
            .iter()
            .map(|bucket| {
                let next = level(&full, bucket) + u64::try_from(bucket.quota.interval().as_micros()).unwrap();
                (next, Duration::from_micros(next) <= bucket.quota.refill())
            })
            .collect();
        let all = next.iter().all(|(_, room)| *room);
        if all {
            for (bucket, (next, _)) in buckets.iter().zip(&next) {
                full.insert(bucket.name.clone(), now.0 * 1_000 + next);
            }
        }
        let taken = |(bucket, (next, room)): (&SharedBucket, &(u64, bool))| {
            let full_in =
                if all { Duration::from_micros(*next) } else { Duration::from_micros(*next) - bucket.quota.interval() };
            Taken { admitted: *room, full_in }
        };
        buckets.iter().zip(&next).map(taken).collect()
    }
}

#[async_trait]
impl SharedCounter for Moody {
    async fn take(&self, buckets: &[SharedBucket], now: Timestamp) -> Result<Vec<Taken>, CounterAway> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mood = *self.mood.lock().unwrap();
        let all = |admitted, full_in| Ok(buckets.iter().map(|_| Taken { admitted, full_in }).collect());
        match mood {
            Mood::Works => Ok(self.count(buckets, now)),
            Mood::Hangs => pending().await,
            Mood::Fails => Err(CounterAway),
            Mood::AdmitsAll => all(true, Duration::ZERO),
            Mood::RefusesForAges => all(false, Duration::MAX),
            Mood::RefusesAndSaysThereIsRoom => all(false, Duration::ZERO),
            Mood::AnswersTooLittle => Ok(Vec::new()),
        }
    }
}

/// A timer that is due as soon as it is asked.
#[derive(Debug)]
struct Impatient;

impl Timer for Impatient {
    fn wait(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(ready(()))
    }
}

/// A timer by a thread of its own.
#[derive(Debug)]
struct ByThread;

impl Timer for ByThread {
    fn wait(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let (due, mut started) = (Arc::new(AtomicBool::new(false)), false);
        Box::pin(poll_fn(move |context| {
            if due.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            if !started {
                started = true;
                let (due, waker) = (Arc::clone(&due), context.waker().clone());
                thread::spawn(move || {
                    let (sender, never) = channel::<()>();
                    assert_eq!(never.recv_timeout(duration), Err(RecvTimeoutError::Timeout));
                    drop(sender);
                    due.store(true, Ordering::Release);
                    waker.wake();
                });
            }
            Poll::Pending
        }))
    }
}

fn server(counter: &Arc<Moody>) -> SharedLimiter {
    SharedLimiter::new(Limiter::new(1_000), Arc::clone(counter) as _, Arc::new(Impatient))
}

fn check(server: &SharedLimiter, subject: &Subject<'_>, now: u64) -> Verdict {
    block_on(server.check(subject, at(now)))
}

#[test]
fn servers_together_admit_what_one_would() {
    let (counter, quotas) = (Moody::new(Mood::Works), Quotas { peer: per_minute(60, 10), ..Quotas::default() });
    let (one, two) = (server(&counter), server(&counter));
    let subject = quotas.peer(peer("192.0.2.1"), "");
    let admitted = (0..30).filter(|n| check(if n % 2 == 0 { &one } else { &two }, &subject, 0).admitted).count();
    assert_eq!(admitted, 10);
    assert!(one.is_shared() && two.is_shared());
    let refused = check(&one, &subject, 500);
    assert_eq!((refused.admitted, refused.remaining, refused.retry_after), (false, 0, Duration::from_millis(500)));
    assert!(check(&two, &subject, SECOND).admitted);
    assert!(!check(&one, &subject, SECOND).admitted);
}

#[test]
fn an_answer_tells_what_is_left_for_all_servers() {
    let (counter, quotas) = (Moody::new(Mood::Works), Quotas::default());
    let (one, two) = (server(&counter), server(&counter));
    let person = Person("key", &[]);
    for _ in 0..20 {
        check(&one, &quotas.principal(&person, ""), 0);
    }
    assert_eq!(check(&two, &quotas.principal(&person, ""), 0).remaining, 39);
}

#[test]
fn routes_are_shared_too() {
    let quotas = Quotas { routes: [("sign-in".to_owned(), per_minute(2, 2))].into(), ..Quotas::default() };
    let counter = Moody::new(Mood::Works);
    let (one, two) = (server(&counter), server(&counter));
    let subject = quotas.peer(peer("2001:db8::1"), "sign-in");
    assert!(check(&one, &subject, 0).admitted && check(&two, &subject, 0).admitted);
    let refused = check(&two, &subject, 0);
    assert_eq!((refused.admitted, refused.policy), (false, Policy::Route));
    let mut names: Vec<_> = counter.full.lock().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["peer:2001:db8::/64", "peer:2001:db8::/64/sign-in"]);
}

#[test]
fn a_counter_that_is_away_or_lies_never_admits_more_than_the_local_quota() {
    for mood in [Mood::Hangs, Mood::Fails, Mood::AdmitsAll, Mood::AnswersTooLittle] {
        let (counter, quotas) = (Moody::new(mood), Quotas { peer: per_minute(60, 10), ..Quotas::default() });
        let server = server(&counter);
        let subject = quotas.peer(peer("192.0.2.1"), "");
        let admitted = (0..30).filter(|_| check(&server, &subject, 0).admitted).count();
        assert_eq!(admitted, 10, "{mood:?}");
        assert_eq!(server.is_shared(), mood == Mood::AdmitsAll, "{mood:?}");
    }
}

#[test]
fn a_counter_that_refuses_asks_for_no_longer_than_a_bucket_takes_to_fill() {
    for (mood, wait) in [(Mood::RefusesForAges, 1_000), (Mood::RefusesAndSaysThereIsRoom, 1)] {
        let quotas = Quotas { peer: per_minute(60, 10), ..Quotas::default() };
        let server = server(&Moody::new(mood));
        let verdict = check(&server, &quotas.peer(peer("192.0.2.1"), ""), 0);
        assert!(!verdict.admitted && verdict.remaining == 0, "{mood:?}");
        assert_eq!(verdict.retry_after.as_millis().max(1), wait, "{mood:?}");
        // What was not carried out is not counted here either.
        assert_eq!(server.local().check(&quotas.peer(peer("192.0.2.1"), ""), at(0)).remaining, 9);
    }
}

#[test]
fn a_counter_that_hangs_costs_one_request_fifty_milliseconds() {
    let counter = Moody::new(Mood::Hangs);
    let server = SharedLimiter::new(Limiter::default(), Arc::clone(&counter) as _, Arc::new(ByThread));
    let quotas = Quotas::default();
    let subject = quotas.peer(peer("192.0.2.1"), "");
    let begun = Instant::now();
    assert!(check(&server, &subject, 0).admitted);
    let first = begun.elapsed();
    // The bound is on waiting; what a busy machine adds is not ours.
    assert!((Duration::from_millis(50)..Duration::from_millis(1_000)).contains(&first), "{first:?}");
    for _ in 0..58 {
        assert!(check(&server, &subject, 0).admitted);
    }
    assert_eq!(counter.asked.load(Ordering::Relaxed), 1);
}

#[test]
fn one_request_a_second_tries_whether_the_counter_is_back() {
    let (counter, quotas) = (Moody::new(Mood::Fails), Quotas::default());
    let server = server(&counter);
    let subject = quotas.peer(peer("192.0.2.1"), "");
    let asked_after = |now| {
        check(&server, &subject, now);
        check(&server, &subject, now);
        counter.asked.load(Ordering::Relaxed)
    };
    assert_eq!(
        [asked_after(0), asked_after(999), asked_after(1_000), asked_after(1_999), asked_after(2_000)],
        [1, 1, 2, 2, 3]
    );
    *counter.mood.lock().unwrap() = Mood::Works;
    assert!(!server.is_shared());
    assert_eq!([asked_after(2_500), asked_after(3_000), asked_after(3_000)], [3, 5, 7]);
    assert!(server.is_shared());
    // A clock that was set back does not keep it away.
    *counter.mood.lock().unwrap() = Mood::Fails;
    assert_eq!([asked_after(100 * SECOND), asked_after(50 * SECOND)], [8, 9]);
}
