//! What this process computes just now: one call leads, and the others follow.

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bulla_backend::{DocumentKey, Revision};
use zeroize::Zeroizing;

use crate::lease::Hold;

/// What came of a computation.
pub(super) type Outcome = Result<Zeroizing<Vec<u8>>, Arc<dyn Error + Send + Sync>>;

/// The computations of one namespace in this process.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    flights: HashMap<DocumentKey, Arc<Flight>>,
    /// Leases that this process took and did not give back, since a computation was dropped: nobody need wait for them here. Those that had
    /// ended when another one was taken are forgotten with it.
    orphans: HashMap<DocumentKey, Hold>,
}

/// One computation.
pub(super) struct Flight {
    state: Mutex<State>,
    /// What it waits for itself.
    awaits: Mutex<Vec<Arc<Flight>>>,
}

enum State {
    Flying(Vec<Waker>),
    /// With its outcome, if its leader did not give up.
    Landed(Option<Arc<Outcome>>),
}

thread_local! {
    /// The computations that are being polled on this thread, the outermost first.
    static POLLED: RefCell<Vec<Arc<Flight>>> = const { RefCell::new(Vec::new()) };
}

/// Who a caller is.
pub(super) enum Boarding<'a> {
    Leader(Leader<'a>),
    Follower(Arc<Flight>),
}

impl Flights {
    /// Follows the computation of a value, or leads it if there is none.
    pub(super) fn board(&self, key: &DocumentKey) -> Boarding<'_> {
        let mut table = lock(&self.0);
        if let Some(flight) = table.flights.get(key) {
            return Boarding::Follower(Arc::clone(flight));
        }
        let flight = Arc::new(Flight { state: Mutex::new(State::Flying(Vec::new())), awaits: Mutex::default() });
        table.flights.insert(key.clone(), Arc::clone(&flight));
        let orphan = table.orphans.remove(key);
        Boarding::Leader(Leader { flights: self, key: key.clone(), flight, lease: orphan })
    }
}

/// The call that computes. Dropped before it landed, it leaves the computation to a follower.
pub(super) struct Leader<'a> {
    flights: &'a Flights,
    key: DocumentKey,
    flight: Arc<Flight>,
    /// The lease that is held, or that a call which was dropped left behind.
    lease: Option<Hold>,
}

impl Leader<'_> {
    /// Returns the lease that a call of this process left behind.
    pub(super) fn orphan(&self) -> Option<Revision> {
        self.lease.map(|lease| lease.revision)
    }

    /// Takes note of the lease that is held.
    pub(super) fn holds(&mut self, lease: Option<Hold>) {
        self.lease = lease;
    }

    /// Tells the followers what came of the computation.
    pub(super) fn land(&mut self, outcome: &Arc<Outcome>) {
        self.lease = None;
        self.end(Some(Arc::clone(outcome)));
    }

    /// Polls the computation such that what it waits for is known.
    pub(super) fn watch<C: Future>(&self, computation: C) -> impl Future<Output = C::Output> + use<C> {
        let flight = Arc::clone(&self.flight);
        async move {
            let mut computation = pin!(computation);
            poll_fn(|context| {
                let _polled = Polled::begin(&flight);
                computation.as_mut().poll(context)
            })
            .await
        }
    }

    fn end(&mut self, outcome: Option<Arc<Outcome>>) {
        {
            let mut table = lock(&self.flights.0);
            if table.flights.get(&self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
                table.flights.remove(&self.key);
            }
            if let Some(lease) = self.lease.take() {
                table.orphans.retain(|_, orphan| orphan.expires > lease.since);
                table.orphans.insert(self.key.clone(), lease);
            }
        }
        let mut state = lock(&self.flight.state);
        if let State::Flying(wakers) = &mut *state {
            let wakers = std::mem::take(wakers);
            *state = State::Landed(outcome);
            drop(state);
            wakers.into_iter().for_each(Waker::wake);
        }
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        self.end(None);
    }
}

impl Flight {
    /// Returns what is ready when the computation has landed, with its outcome unless it was given up. `None` if the computation waits for
    /// the caller.
    pub(super) fn landing(self: &Arc<Self>) -> Option<impl Future<Output = Option<Arc<Outcome>>> + Send + use<>> {
        let polled = POLLED.with_borrow(Vec::clone);
        let edge = polled.last().map(|above| Edge::draw(above, self));
        // The edge is drawn first: of two who close a circle at the same time, one sees it at least.
        if !polled.is_empty() && self.leads_to(&polled) {
            return None;
        }
        let flight = Arc::clone(self);
        Some(async move {
            let _edge = edge;
            poll_fn(|context| flight.poll_landed(context)).await
        })
    }

    fn poll_landed(&self, context: &Context<'_>) -> Poll<Option<Arc<Outcome>>> {
        match &mut *lock(&self.state) {
            State::Landed(outcome) => Poll::Ready(outcome.clone()),
            State::Flying(wakers) => {
                if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                    wakers.push(context.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    /// Says whether the computation is, or waits for, one of those.
    fn leads_to(self: &Arc<Self>, targets: &[Arc<Self>]) -> bool {
        let mut seen: Vec<Arc<Self>> = Vec::new();
        let mut ahead = vec![Arc::clone(self)];
        while let Some(flight) = ahead.pop() {
            if targets.iter().any(|target| Arc::ptr_eq(target, &flight)) {
                return true;
            }
            if !seen.iter().any(|seen| Arc::ptr_eq(seen, &flight)) {
                ahead.extend(lock(&flight.awaits).iter().cloned());
                seen.push(flight);
            }
        }
        false
    }
}

impl fmt::Debug for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flight(..)")
    }
}

/// One computation waits for another, until this is dropped.
struct Edge {
    from: Arc<Flight>,
    to: Arc<Flight>,
}

impl Edge {
    fn draw(from: &Arc<Flight>, to: &Arc<Flight>) -> Self {
        lock(&from.awaits).push(Arc::clone(to));
        Self { from: Arc::clone(from), to: Arc::clone(to) }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let mut awaits = lock(&self.from.awaits);
        if let Some(at) = awaits.iter().position(|flight| Arc::ptr_eq(flight, &self.to)) {
            awaits.swap_remove(at);
        }
    }
}

/// A computation is being polled on this thread, until this is dropped.
struct Polled;

impl Polled {
    fn begin(flight: &Arc<Flight>) -> Self {
        POLLED.with_borrow_mut(|polled| polled.push(Arc::clone(flight)));
        Self
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        POLLED.with_borrow_mut(Vec::pop);
    }
}

/// Nothing is left half-done in these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use bulla_backend::Timestamp;

    use super::*;

    #[test]
    fn leases_that_were_left_behind_are_forgotten_once_they_have_ended() {
        let flights = Flights::default();
        for at in 0..1_000_u64 {
            let key = DocumentKey::new(at.to_be_bytes()).unwrap();
            let Boarding::Leader(mut leader) = flights.board(&key) else { unreachable!("nobody else computes") };
            assert_eq!(leader.orphan(), None);
            leader.holds(Some(Hold { revision: Revision(at), since: Timestamp(at), expires: Timestamp(at + 10) }));
        }
        assert_eq!(lock(&flights.0).orphans.len(), 10);
        let newest = DocumentKey::new(999_u64.to_be_bytes()).unwrap();
        let Boarding::Leader(leader) = flights.board(&newest) else { unreachable!("nobody else computes") };
        assert_eq!(leader.orphan(), Some(Revision(999)));
    }
}
