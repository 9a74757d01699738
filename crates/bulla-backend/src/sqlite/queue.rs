//! Writes that wait for the writer thread.

use std::{
    borrow::Cow,
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_channel::oneshot;

use super::error::{Attempt, Failure};
use crate::{BackendError, Collection, DocumentKey, Durability, ErrorKind, Rerank, Revision, Write};

/// Most requests that wait; further ones are refused.
const MAX_WAITING: usize = 16_384;
/// Most bytes of keys and values that wait; further requests are refused.
const MAX_WAITING_BYTES: usize = 256 * 1024 * 1024;

/// What is asked of the writer.
#[derive(Debug)]
pub(super) enum Task<'a> {
    /// Writes that are applied together.
    Write(Cow<'a, [Write]>),
    /// Ranks that change.
    Rerank(Collection, Cow<'a, [(DocumentKey, Rerank)]>),
}

impl Task<'_> {
    /// Returns how durable it has to be.
    pub(super) fn durability(&self) -> Durability {
        match self {
            Self::Write(writes) => {
                writes.iter().map(|write| write.collection().durability()).max().unwrap_or(Durability::Durable)
            }
            Self::Rerank(..) => Durability::Cache,
        }
    }

    /// Returns how many bytes of keys and values it holds.
    fn len(&self) -> usize {
        let value = |write: &Write| match write {
            Write::Put { value, .. } | Write::PutFiled { value, .. } => value.len(),
            Write::Delete { .. } | Write::Check { .. } => 0,
        };
        match self {
            Self::Write(writes) => writes.iter().map(|write| write.key().as_bytes().len() + value(write)).sum(),
            Self::Rerank(_, changes) => changes.iter().map(|(key, _)| key.as_bytes().len()).sum(),
        }
    }

    /// Copies what it has borrowed.
    pub(super) fn into_owned(self) -> Task<'static> {
        match self {
            Self::Write(writes) => Task::Write(Cow::Owned(writes.into_owned())),
            Self::Rerank(collection, changes) => Task::Rerank(collection, Cow::Owned(changes.into_owned())),
        }
    }
}

/// A task that waits, and whom to tell.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) operation: &'static str,
    pub(super) task: Task<'static>,
    pub(super) durability: Durability,
    pub(super) answer: oneshot::Sender<Result<Vec<Outcome>, BackendError>>,
}

/// What became of one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The document has a new revision.
    Put(Revision),
    /// There was a document, or none; now there is none.
    Deleted(bool),
    /// The expectation holds.
    Checked,
}

impl Request {
    /// Returns how many bytes of keys and values it holds.
    pub(super) fn len(&self) -> usize {
        self.task.len()
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
    durable: usize,
    /// How many requests the writer waits for; 0 if it does not wait.
    wanted: usize,
    is_closed: bool,
}

impl Queue {
    /// Adds a request, and wakes the writer if it is to be served by it.
    pub(super) fn push(&self, request: Request, wake: bool) -> Attempt<()> {
        let mut waiting = self.waiting();
        if waiting.is_closed {
            return Err(Failure::new(ErrorKind::Io, "the writer thread has ended; open the database again"));
        }
        if waiting.requests.len() >= MAX_WAITING || waiting.bytes + request.len() > MAX_WAITING_BYTES {
            return Err(Failure::new(
                ErrorKind::Unavailable,
                format!("{} writes wait for the disk already; try again", waiting.requests.len()),
            ));
        }
        waiting.bytes += request.len();
        waiting.durable += usize::from(request.durability == Durability::Durable);
        waiting.requests.push_back(request);
        if wake {
            self.notify(&mut waiting);
        }
        Ok(())
    }

    /// Wakes the writer if something waits.
    pub(super) fn wake(&self) {
        self.notify(&mut self.waiting());
    }

    /// Says whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting().requests.is_empty()
    }

    /// Says whether nothing waits, and requests are taken.
    pub(super) fn is_idle(&self) -> bool {
        let waiting = self.waiting();
        waiting.requests.is_empty() && !waiting.is_closed
    }

    /// Waits for work; returns `false` if there is none left and none will come.
    ///
    /// Who has just been answered likely asks again at once: if a durable request waits, which costs a sync, gives up to
    /// `company` of them as long as `patience` to join.
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
        while waiting.requests.len() < company && waiting.durable > 0 && !waiting.is_closed {
            let Some(left) = patience.checked_sub(since.elapsed()) else { break };
            waiting.wanted = company;
            (waiting, _) = self.arrived.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.wanted = 0;
        true
    }

    /// Returns how durable the most demanding of the waiting requests has to be.
    pub(super) fn durability(&self) -> Durability {
        if self.waiting().durable > 0 { Durability::Durable } else { Durability::Cache }
    }

    /// Takes the first request unless it has to be more durable than `most`.
    pub(super) fn pop(&self, most: Durability) -> Option<Request> {
        let mut waiting = self.waiting();
        if waiting.requests.front()?.durability > most {
            return None;
        }
        let request = waiting.requests.pop_front()?;
        waiting.bytes -= request.len();
        waiting.durable -= usize::from(request.durability == Durability::Durable);
        Some(request)
    }

    /// Takes no further requests; those that wait are still served.
    pub(super) fn close(&self) {
        self.waiting().is_closed = true;
        self.arrived.notify_one();
    }

    /// Drops the requests that wait, so that whoever made them learns that nobody will serve them.
    pub(super) fn clear(&self) {
        let mut waiting = self.waiting();
        *waiting = Waiting { is_closed: true, ..Waiting::default() };
    }

    fn notify(&self, waiting: &mut Waiting) {
        if waiting.wanted > 0 && waiting.requests.len() >= waiting.wanted {
            waiting.wanted = 0;
            self.arrived.notify_one();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // No code that may panic runs while the lock is held.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Expected;

    fn request(durability: Durability, len: usize) -> Request {
        let write = Write::Put {
            collection: Collection::new("c", durability),
            key: DocumentKey::new(*b"k").unwrap(),
            value: vec![0; len],
            expected: Expected::Any,
        };
        let task = Task::Write(Cow::Owned(vec![write]));
        Request { operation: "write a document", task, durability, answer: oneshot::channel().0 }
    }

    #[test]
    fn requests_are_served_in_order_and_none_more_durable_than_the_batch() {
        let queue = Queue::default();
        for (durability, len) in [(Durability::Cache, 1), (Durability::Durable, 2), (Durability::Cache, 3)] {
            queue.push(request(durability, len), true).unwrap();
        }
        assert_eq!(queue.durability(), Durability::Durable);
        let next = |most| queue.pop(most).map(|request| request.len());
        assert_eq!(next(Durability::Cache), Some(2));
        assert_eq!(next(Durability::Cache), None);
        assert_eq!(next(Durability::Durable), Some(3));
        assert_eq!(queue.durability(), Durability::Cache);
        assert_eq!(next(Durability::Durable), Some(4));
        assert_eq!(next(Durability::Durable), None);
    }

    #[test]
    fn what_waits_is_bounded_in_number() {
        let queue = Queue::default();
        for _ in 0..MAX_WAITING {
            queue.push(request(Durability::Cache, 0), true).unwrap();
        }
        assert_eq!(queue.push(request(Durability::Cache, 0), true).unwrap_err().kind, ErrorKind::Unavailable);
        queue.pop(Durability::Cache).unwrap();
        queue.push(request(Durability::Cache, 0), true).unwrap();
    }

    #[test]
    fn what_waits_is_bounded_in_bytes() {
        let queue = Queue::default();
        queue.push(request(Durability::Cache, MAX_WAITING_BYTES - 1), true).unwrap();
        assert_eq!(queue.push(request(Durability::Cache, 0), true).unwrap_err().kind, ErrorKind::Unavailable);
    }

    #[test]
    fn a_closed_queue_is_emptied_and_takes_nothing() {
        let queue = Queue::default();
        queue.push(request(Durability::Durable, 0), true).unwrap();
        queue.close();
        assert_eq!(queue.push(request(Durability::Cache, 0), true).unwrap_err().kind, ErrorKind::Io);
        assert!(queue.wait(10, Duration::MAX), "what waits is still to be served, without waiting for company");
        queue.pop(Durability::Durable).unwrap();
        assert!(!queue.wait(1, Duration::ZERO));
    }

    #[test]
    fn patience_ends() {
        let queue = Queue::default();
        queue.push(request(Durability::Durable, 0), true).unwrap();
        assert!(queue.wait(2, Duration::from_millis(1)));
    }
}
