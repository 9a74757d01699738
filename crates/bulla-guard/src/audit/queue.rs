//! Events that wait for the writer thread, and those that were lost.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bulla_backend::Timestamp;
use futures_channel::oneshot;

use super::error::{AuditError, Result};
use super::local::Ready;
use super::note::Checkpoint;

/// Most events that wait; further ones are refused, or lost.
const MAX_WAITING: usize = 16_384;
/// Most bytes of events that wait.
const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;
/// Most bytes that are written at a time.
const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// What is asked of the writer.
#[derive(Debug)]
pub(super) enum Request {
    /// An event that somebody waits for.
    Append(Ready, oneshot::Sender<Result<u64>>),
    /// An event that nobody waits for.
    Note(Ready),
    /// A checkpoint.
    Sign(oneshot::Sender<Result<Checkpoint>>),
}

impl Request {
    fn len(&self) -> usize {
        match self {
            Self::Append(ready, _) | Self::Note(ready) => ready.stored.len(),
            Self::Sign(_) => 0,
        }
    }
}

/// Events that nobody waited for and that could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Lost {
    pub(super) count: u64,
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
}

impl Lost {
    pub(super) fn add(&mut self, other: Self) {
        if other.count > 0 {
            self.since = if self.count == 0 { other.since } else { self.since.min(other.since) };
            self.until = self.until.max(other.until);
            self.count = self.count.saturating_add(other.count);
        }
    }

    pub(super) const fn one(time: Timestamp) -> Self {
        Self { count: 1, since: time, until: time }
    }
}

/// First come, first served.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    requests: VecDeque<Request>,
    bytes: usize,
    lost: Lost,
    /// How many requests the writer waits for; 0 if it does not wait.
    wanted: usize,
    is_closed: bool,
}

impl Queue {
    /// Adds a request.
    pub(super) fn push(&self, request: Request) -> Result<()> {
        let mut waiting = self.waiting();
        // A flood of events that nobody waits for leaves room for those that somebody does.
        let share = if matches!(request, Request::Note(_)) { 2 } else { 1 };
        let is_full =
            waiting.requests.len() >= MAX_WAITING / share || waiting.bytes + request.len() > MAX_WAITING_BYTES / share;
        let refused = if waiting.is_closed {
            Some(AuditError::Closed)
        } else {
            is_full.then(|| AuditError::Busy(waiting.requests.len()))
        };
        if let Some(refused) = refused {
            if let Request::Note(ready) = &request {
                waiting.lost.add(Lost::one(ready.event.time));
            }
            return Err(refused);
        }
        waiting.bytes += request.len();
        waiting.requests.push_back(request);
        if waiting.wanted > 0 && waiting.requests.len() >= waiting.wanted {
            waiting.wanted = 0;
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Waits for work; returns `false` if there is none left and none will come.
    ///
    /// Who has just been answered likely asks again at once: gives up to `company` of them as long as `patience` to join.
    pub(super) fn wait(&self, company: usize, patience: Duration) -> bool {
        let mut waiting = self.waiting();
        while waiting.requests.is_empty() {
            if waiting.is_closed {
                return false;
            }
            waiting.wanted = 1;
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let since = Instant::now();
        while waiting.requests.len() < company && !waiting.is_closed {
            let Some(left) = patience.checked_sub(since.elapsed()).filter(|left| !left.is_zero()) else { break };
            waiting.wanted = company;
            (waiting, _) = self.arrived.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.wanted = 0;
        true
    }

    /// Takes what waits, as much as is written at a time.
    pub(super) fn take(&self) -> Vec<Request> {
        let (mut waiting, mut bytes, mut taken) = (self.waiting(), 0, Vec::new());
        while let Some(request) = waiting.requests.pop_front() {
            waiting.bytes -= request.len();
            bytes += request.len();
            taken.push(request);
            if bytes >= MAX_BATCH_BYTES {
                break;
            }
        }
        taken
    }

    /// Counts what was lost.
    pub(super) fn lose(&self, lost: Lost) {
        self.waiting().lost.add(lost);
    }

    /// Says what was lost.
    pub(super) fn lost(&self) -> Lost {
        self.waiting().lost
    }

    /// Takes what was lost, to log it.
    pub(super) fn take_lost(&self) -> Lost {
        std::mem::take(&mut self.waiting().lost)
    }

    /// Takes no further requests; those that wait are still served.
    pub(super) fn close(&self) {
        self.waiting().is_closed = true;
        self.arrived.notify_one();
    }

    /// Drops the requests that wait, so that whoever made them learns that nobody will serve them.
    pub(super) fn clear(&self) {
        let mut waiting = self.waiting();
        *waiting = Waiting { is_closed: true, lost: waiting.lost, ..Waiting::default() };
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // No code that may panic runs while the lock is held.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
