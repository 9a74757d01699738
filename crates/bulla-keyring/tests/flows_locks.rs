//! Callers at once: tasks, threads and processes.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use bulla_backend::{Clock, Documents, Timestamp};
use bulla_keyring::flows::{
    AcrossProcesses, Change, ChangeLock, HeldLock, InProcess, KeyDefinition, KeyFlows, OnChange, SealedStates, Unlocked,
};
use bulla_keyring::source::{SourceError, callable};
use bulla_keyring::{Fingerprint, KeyName};

use crate::flows_setting::{Application, Place, STATEFUL, code, some, text};
use crate::setting::name;

/// A clock that is set by hand.
#[derive(Debug)]
struct Hands(AtomicU64);

impl Hands {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(1_000_000)))
    }

    fn advance(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

fn across(application: &Application, clock: &Arc<Hands>) -> AcrossProcesses {
    let documents: Arc<dyn Documents> = Arc::new(application.setting.documents.clone());
    AcrossProcesses::new(documents, Arc::clone(clock) as Arc<dyn Clock>, Fingerprint([7; 32]))
}

#[test]
fn changes_of_one_key_run_one_at_a_time() {
    let application = Application::new();
    let clock = Hands::new();
    // Two processes of four threads each.
    let processes = [
        application.lifetime_with_lock(across(&application, &clock)),
        application.lifetime_with_lock(across(&application, &clock)),
    ];
    let (inside, runs) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for flows in &processes {
        let handle = flows.define_key(&name("k"), Place::new("v").source(), STATEFUL).unwrap();
        let (inside, runs) = (Arc::clone(&inside), Arc::clone(&runs));
        let callback = move |_| {
            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "another callback runs");
            thread::yield_now();
            runs.fetch_add(1, Ordering::SeqCst);
            inside.fetch_sub(1, Ordering::SeqCst);
            async { Ok(()) }
        };
        handle.register_on_change(None, OnChange::new(callback));
    }
    thread::scope(|scope| {
        for flows in &processes {
            for _ in 0..4 {
                scope.spawn(|| {
                    let report = pollster::block_on(flows.changed(&name("k"), None, None)).unwrap();
                    assert!(report.succeeded(), "{report:?}");
                });
            }
        }
    });
    // Each process runs its own callbacks, once for each change that it declares.
    assert_eq!(runs.load(Ordering::SeqCst), 8);
}

#[test]
fn another_process_waits_for_a_change_and_takes_over_from_one_that_died() {
    let application = Application::new();
    let clock = Hands::new();
    let impatient = || across(&application, &clock).with_patience(Duration::ZERO);
    let (here, there) = (application.lifetime_with_lock(impatient()), application.lifetime_with_lock(impatient()));
    let key = name("k");
    let elsewhere = there.define_key(&key, Place::new("v").source(), STATEFUL).unwrap();
    let handle = here.define_key(&key, Place::new("v").source(), STATEFUL).unwrap();
    pollster::block_on(async {
        elsewhere.forward_path_key().await.unwrap();
        let (other, hands) = (elsewhere.clone(), Arc::clone(&clock));
        let callback = move |change: Change| {
            let (other, hands) = (other.clone(), Arc::clone(&hands));
            async move {
                let refused = other.changed(None, None).await.unwrap_err();
                assert_eq!(refused.to_string(), "the key `k` is being changed by another process; try again later");
                assert_eq!(code(other.save_state().await), "busy");
                assert_eq!(code(other.key().await), "ok", "its values can be used meanwhile");
                // As long as this one says that it goes on, nobody takes over.
                for _ in 0..4 {
                    hands.advance(Duration::from_secs(10));
                    change.key.keep_lock().await?;
                }
                assert_eq!(code(other.changed(None, None).await), "busy");
                hands.advance(Duration::from_secs(16));
                assert!(other.changed(None, None).await?.succeeded());
                assert_eq!(code(change.key.keep_lock().await), "lease_lost");
                Ok(())
            }
        };
        let ran = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&ran);
        handle.register_on_change(None, OnChange::new(callback));
        let counted = move |_: &Change| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        handle.register_on_change(None, OnChange::plain(counted));
        assert_eq!(code(handle.changed(None, None).await), "lease_lost");
        assert_eq!(ran.load(Ordering::SeqCst), 0);
        // Given back, it is free at once.
        assert!(elsewhere.changed(None, None).await.unwrap().succeeded());
        elsewhere.save_state().await.unwrap();
    });
}

#[test]
fn a_change_that_is_given_up_gives_its_lock_back() {
    let (place, flows, key) = (Place::new("v"), KeyFlows::new(), name("k"));
    let handle = flows.define_key(&key, place.source(), KeyDefinition::round_trip()).unwrap();
    let first = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&first);
    let callback = move |_| {
        let stuck = count.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if stuck {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    };
    handle.register_on_change(None, OnChange::new(callback));
    let mut stuck = Box::pin(handle.changed(None, None));
    let mut waiting = Box::pin(handle.changed(None, None));
    let mut context = Context::from_waker(Waker::noop());
    assert!(stuck.as_mut().poll(&mut context).is_pending());
    assert!(waiting.as_mut().poll(&mut context).is_pending(), "it waits for its turn");
    drop(stuck);
    assert!(pollster::block_on(waiting).unwrap().succeeded());
    assert!(pollster::block_on(handle.changed(None, None)).unwrap().succeeded());
}

#[test]
fn a_lock_is_handed_on_to_one_at_a_time() {
    let (lock, key) = (InProcess::new(), name("k"));
    let mut context = Context::from_waker(Waker::noop());
    let first = pollster::block_on(lock.acquire(&key)).unwrap();
    let mut waiting = [(); 3].map(|()| lock.acquire(&key));
    for waiting in &mut waiting {
        assert!(waiting.as_mut().poll(&mut context).is_pending());
    }
    let [gone, mut second, mut third] = waiting;
    pollster::block_on(lock.acquire(&name("other"))).unwrap();
    drop(gone);
    drop(first);
    let Poll::Ready(held) = second.as_mut().poll(&mut context) else { panic!("it is its turn") };
    assert!(third.as_mut().poll(&mut context).is_pending(), "the second holds it");
    drop(held.unwrap());
    let Poll::Ready(held) = third.as_mut().poll(&mut context) else { panic!("it is its turn") };
    pollster::block_on(held.unwrap().give_back());
    // One whose turn has come, and who does not take it, hands it on as well.
    let held = pollster::block_on(lock.acquire(&key)).unwrap();
    let mut waiting = lock.acquire(&key);
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    drop(held);
    drop(waiting);
    pollster::block_on(lock.acquire(&key)).unwrap();
}

/// A lock during whose first taking another caller uses the key.
#[derive(Debug, Default)]
struct Overtaken {
    flows: OnceLock<KeyFlows>,
    takings: AtomicUsize,
}

#[async_trait]
impl ChangeLock for Overtaken {
    async fn acquire(&self, key: &KeyName) -> bulla_keyring::flows::Result<Box<dyn HeldLock>> {
        if self.takings.fetch_add(1, Ordering::SeqCst) == 0 {
            self.flows.get().unwrap().forward_path_key(key).await?;
        }
        Unlocked.acquire(key).await
    }
}

#[test]
fn of_a_state_that_is_saved_while_the_key_is_used_the_newest_is_saved() {
    let (application, place, lock) = (Application::new(), Place::new("v1"), Arc::new(Overtaken::default()));
    let states = Arc::new(SealedStates::new(Arc::new(application.setting.documents.clone())));
    let flows = KeyFlows::builder().states(states, application.tool()).lock(Arc::clone(&lock) as _).build();
    lock.flows.set(flows.clone()).unwrap();
    let handle = flows.define_key(&name("k"), place.source(), STATEFUL).unwrap();
    pollster::block_on(async {
        handle.forward_path_key().await.unwrap();
        place.set("v2");
        handle.save_state().await.unwrap();
        place.set("v3");
        let later = application.lifetime().define_key(&name("k"), place.source(), STATEFUL).unwrap();
        assert_eq!(text(later.back_path_key().await), "v2");
        assert_eq!(lock.takings.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn a_shared_piece_of_work_is_done_by_one_process() {
    let application = Application::new();
    let clock = Hands::new();
    let worked = Arc::new(AtomicUsize::new(0));
    let processes: Vec<_> = (0..3)
        .map(|_| {
            let flows = application.lifetime_with_lock(across(&application, &clock));
            let handle = flows.define_key(&name("k"), Place::new("v1").source(), STATEFUL).unwrap();
            let worked = Arc::clone(&worked);
            let callback = move |change: Change| {
                let worked = Arc::clone(&worked);
                async move {
                    if !change.key.is_stored().await? {
                        worked.fetch_add(1, Ordering::SeqCst);
                        change.key.save_state().await?;
                    }
                    change.key.adopt_new();
                    Ok(())
                }
            };
            handle.register_on_change(None, OnChange::new(callback));
            handle
        })
        .collect();
    thread::scope(|scope| {
        for handle in &processes {
            scope.spawn(|| {
                pollster::block_on(async {
                    handle.forward_path_key().await.unwrap();
                    let report = handle.changed(some("v1"), some("v2")).await.unwrap();
                    assert!(report.succeeded(), "{report:?}");
                    assert_eq!(text(handle.back_path_key().await), "v2");
                });
            });
        }
    });
    assert_eq!(worked.load(Ordering::SeqCst), 1);
}

#[test]
fn callbacks_may_call_the_manager_again() {
    let application = Application::new();
    let locks: [Arc<dyn ChangeLock>; 3] = [
        Arc::new(Unlocked),
        Arc::new(InProcess::new()),
        Arc::new(across(&application, &Hands::new()).with_patience(Duration::ZERO)),
    ];
    for lock in locks {
        let states = Arc::new(SealedStates::new(Arc::new(application.setting.documents.clone())));
        let flows = KeyFlows::builder().states(states, application.tool()).lock(lock).build();
        let (place, key, other) = (Place::new("v1"), name("k"), name("other"));
        let nested = Arc::new(AtomicUsize::new(0));
        pollster::block_on(async {
            flows.define_key(&key, place.source(), STATEFUL).unwrap();
            flows.define_key(&other, place.source(), STATEFUL).unwrap();
            let (again, count) = (flows.clone(), Arc::clone(&nested));
            let callback = move |change: Change| {
                let (flows, count) = (again.clone(), Arc::clone(&count));
                async move {
                    let (key, other) = (name("k"), name("other"));
                    assert_eq!(text(flows.back_path_key(&key).await), "v1", "does not use the old value up");
                    flows.save_state(&key).await?;
                    flows.forward_path_key(&other).await?;
                    let _ = flows.changed(&other, None, None).await?;
                    flows.save_states().await?;
                    change.key.keep_lock().await?;
                    if count.fetch_add(1, Ordering::SeqCst) == 0 {
                        assert!(flows.changed(&key, change.old, change.new).await?.succeeded());
                    }
                    Ok(())
                }
            };
            flows.register_on_change(&key, None, OnChange::new(callback)).unwrap();
            flows.forward_path_key(&key).await.unwrap();
            let report = flows.changed(&key, some("v1"), None).await.unwrap();
            assert!(report.succeeded(), "{report:?}");
            assert_eq!(nested.load(Ordering::SeqCst), 2);
        });
    }
}

#[test]
fn of_two_uses_that_overlap_the_second_sees_the_first() {
    let (flows, key) = (KeyFlows::new(), name("k"));
    let both_fetch = Barrier::new(2);
    let source = callable(move || {
        both_fetch.wait();
        Ok::<_, SourceError>(("e", "d"))
    });
    flows.define_key(&key, source, KeyDefinition::round_trip()).unwrap();
    let taken = thread::scope(|scope| {
        let takers = [(); 2].map(|()| scope.spawn(|| text(pollster::block_on(flows.key(&key)))));
        takers.map(|taker| taker.join().unwrap())
    });
    assert!(taken == ["e", "d"] || taken == ["d", "e"], "{taken:?}");
}

#[test]
fn uses_at_once_take_effect_one_after_another() {
    let (flows, key) = (KeyFlows::new(), name("k"));
    let number = Arc::new(AtomicUsize::new(0));
    let source = callable(move || {
        let number = number.fetch_add(1, Ordering::SeqCst);
        // Somebody else's turn, so that uses really overlap.
        for _ in 0..3 {
            thread::yield_now();
        }
        Ok::<_, SourceError>((format!("e{number}"), format!("d{number}")))
    });
    flows.define_key(&key, source, KeyDefinition::round_trip()).unwrap();
    const TURNS: usize = 50;
    let mut taken: Vec<_> = thread::scope(|scope| {
        let takers = [(); 4].map(|()| {
            scope.spawn(|| (0..TURNS).map(|_| text(pollster::block_on(flows.key(&key)))).collect::<Vec<_>>())
        });
        takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect()
    });
    // Forward and back alternate, so that each value that was handed out for the forward path was handed out for the back path once.
    taken.sort();
    let (back, forward) = taken.split_at(taken.len() / 2);
    assert_eq!(forward.len(), 2 * TURNS);
    for (back, forward) in back.iter().zip(forward) {
        assert_eq!(back.strip_prefix('d').unwrap(), forward.strip_prefix('e').unwrap());
    }
}

#[test]
fn futures_may_move_between_threads() {
    fn movable<T: Send>(_: T) {}
    let (place, flows, key) = (Place::new("v"), KeyFlows::new(), name("k"));
    let handle = flows.define_key(&key, place.source(), KeyDefinition::round_trip()).unwrap();
    movable(flows.key(&key));
    movable(flows.back_path_key(&key));
    movable(flows.changed(&key, None, None));
    movable(flows.save_states());
    movable(handle.save_state());
    thread::scope(|scope| scope.spawn(|| assert_eq!(text(pollster::block_on(handle.key())), "v")).join().unwrap());
}
