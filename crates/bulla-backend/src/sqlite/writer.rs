//! Who writes: one thread a database, or the caller where that takes no waiting.

use std::{
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use futures_channel::oneshot;

use super::{
    commit::Committer,
    error::{Attempt, Failure},
    queue::{Outcome, Queue, Request, Task},
};
use crate::{BackendError, Durability, ErrorKind, Result};

/// The longest that a batch waits for company.
const MAX_PATIENCE: Duration = Duration::from_millis(1);

/// Hands writes over to the thread. When it is dropped, what waits is still written.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Arc<Queue>,
    committer: Arc<Mutex<Committer>>,
    thread: Option<JoinHandle<()>>,
}

/// What became of a request, or where it will be told.
pub(super) enum Answer {
    Known(Result<Vec<Outcome>>),
    Awaited(oneshot::Receiver<Result<Vec<Outcome>>>),
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(committer: Committer) -> Attempt<Self> {
        let queue = Arc::new(Queue::default());
        let committer = Arc::new(Mutex::new(committer));
        let (served, serving) = (Served(Arc::clone(&queue)), Arc::clone(&committer));
        let thread = thread::Builder::new()
            .name("bulla-sqlite".to_owned())
            .spawn(move || serve(&served.0, &serving))
            .map_err(|error| Failure::io("the writer thread", error))?;
        Ok(Self { queue, committer, thread: Some(thread) })
    }

    /// Has a task done, at once or by the thread: all of it or nothing, even if nobody waits for the answer.
    pub(super) fn submit(&self, operation: &'static str, task: Task<'_>) -> Result<Answer> {
        let durability = task.durability();
        // To wake the thread, and to be woken by it, costs more than a write that is not synced.
        let mut committer = if durability == Durability::Cache { self.committer.try_lock().ok() } else { None };
        if let Some(committer) = committer.as_mut().filter(|_| self.queue.is_idle())
            && let Some(outcome) = committer.apply_at_once(operation, &task)
        {
            return Ok(Answer::Known(outcome));
        }
        let (answer, receiver) = oneshot::channel();
        let request = Request { operation, task: task.into_owned(), durability, answer };
        self.queue.push(request, committer.is_none()).map_err(|failure| failure.during(operation))?;
        if let Some(mut committer) = committer {
            committer.run_at_once(&self.queue);
            drop(committer);
            self.queue.wake();
        }
        Ok(Answer::Awaited(receiver))
    }
}

impl Writer {
    /// Gives a piece of the file back, in the thread of the caller; `None` if there is nothing more.
    pub(super) fn compact(&self) -> Attempt<Option<u64>> {
        let Ok(mut committer) = self.committer.lock() else {
            return Err(Failure::new(ErrorKind::Io, "a write has panicked; open the database again"));
        };
        let compacted = committer.compact();
        // Whoever has come meanwhile is not to wait for the next step as well.
        committer.run(&self.queue);
        compacted
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // If it panicked, those who waited have learnt it by their answers.
            let _ = thread.join();
        }
    }
}

/// Waits for an answer.
pub(super) async fn answered(operation: &'static str, answer: Answer) -> Result<Vec<Outcome>> {
    match answer {
        Answer::Known(outcome) => outcome,
        Answer::Awaited(answer) => answer.await.unwrap_or_else(|oneshot::Canceled| {
            Err(BackendError::new(ErrorKind::Io, operation, "the writer thread has ended; open the database again"))
        }),
    }
}

/// The queue, as the thread holds it: however the thread ends, nobody waits for it in vain.
struct Served(Arc<Queue>);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.clear();
    }
}

fn serve(queue: &Queue, committer: &Mutex<Committer>) {
    let mut company = 1;
    let mut patience = Duration::ZERO;
    while queue.wait(company, patience) {
        // A caller that panicked in the middle of a write has left nobody knows what.
        let Ok(mut committer) = committer.lock() else { return };
        let begun = Instant::now();
        company = committer.run(queue);
        // Waiting longer than a commit takes would cost more than it saves.
        patience = begun.elapsed().min(MAX_PATIENCE);
    }
    if let Ok(mut committer) = committer.lock() {
        committer.close();
    }
}
