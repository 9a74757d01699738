//! The thread that writes what waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_channel::oneshot;

use super::Shared;
use crate::audit::error::Result;
use crate::audit::local::{Cut, Local, Ready};
use crate::audit::note::Checkpoint;
use crate::audit::queue::{Lost, Request};

/// The longest that a batch waits for company.
const MAX_PATIENCE: Duration = Duration::from_millis(1);

pub(super) struct Writer {
    shared: Arc<Shared>,
    local: Local,
    checkpoint_events: u64,
    /// How many events there have to be before a checkpoint is made without being asked for.
    due: u64,
    /// What was cut off and could not be logged yet.
    cut: Option<Cut>,
}

/// However the thread ends, nobody waits in vain.
struct Served(Arc<Shared>);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.queue.clear();
    }
}

/// What waits, by what is to be done with it.
#[derive(Default)]
struct Batch {
    events: Vec<Ready>,
    /// Whom to tell of each event, if anybody.
    waiting: Vec<Option<oneshot::Sender<Result<u64>>>>,
    signing: Vec<oneshot::Sender<Result<Checkpoint>>>,
}

impl Batch {
    fn of(requests: Vec<Request>) -> Self {
        let mut batch = Self::default();
        for request in requests {
            match request {
                Request::Append(ready, answer) => batch.add(ready, Some(answer)),
                Request::Note(ready) => batch.add(ready, None),
                Request::Sign(answer) => batch.signing.push(answer),
            }
        }
        batch
    }

    fn add(&mut self, ready: Ready, answer: Option<oneshot::Sender<Result<u64>>>) {
        self.events.push(ready);
        self.waiting.push(answer);
    }

    /// Counts the events that nobody waits for.
    fn lost(&self) -> Lost {
        let mut lost = Lost::default();
        for (ready, _) in self.events.iter().zip(&self.waiting).filter(|(_, answer)| answer.is_none()) {
            lost.add(Lost::one(ready.event.time));
        }
        lost
    }
}

impl Writer {
    pub(super) const fn new(shared: Arc<Shared>, local: Local, checkpoint_events: u64) -> Self {
        Self { shared, local, checkpoint_events, due: 0, cut: None }
    }

    pub(super) fn serve(mut self) {
        let served = Served(Arc::clone(&self.shared));
        let (mut company, mut patience) = (1, Duration::ZERO);
        while served.0.queue.wait(company, patience) {
            let begun = Instant::now();
            company = self.write(Batch::of(served.0.queue.take()));
            // Waiting longer than a commit takes would cost more than it saves.
            patience = begun.elapsed().min(MAX_PATIENCE);
        }
        if self.shared.queue.lost().count > 0 || self.local.unsigned() > 0 {
            let (answer, _) = oneshot::channel();
            self.write(Batch { signing: vec![answer], ..Batch::default() });
        }
    }

    /// Writes a batch; returns how many requests it had.
    fn write(&mut self, batch: Batch) -> usize {
        let len = batch.waiting.len() + batch.signing.len();
        let lost = self.shared.queue.take_lost();
        let gap = (lost.count > 0).then(|| self.shared.gap(lost));
        let written = self.write_events(&batch, gap);
        if written.is_err() {
            self.shared.queue.lose(lost);
            self.shared.queue.lose(batch.lost());
        }
        // Before anybody is answered: who asks how the log stands then finds what was appended.
        self.shared.learn(&self.local);
        for (offset, answer) in (0..).zip(batch.waiting) {
            if let Some(answer) = answer {
                // Who has stopped waiting need not know.
                let _ = answer.send(written.clone().map(|first| first + offset));
            }
        }
        let is_due = self.local.unsigned() >= self.checkpoint_events && self.local.len() >= self.due;
        if !batch.signing.is_empty() || is_due {
            let signed = written.and_then(|_| self.sign());
            // What cannot be signed now is not tried again with every batch.
            self.due = self.local.len().saturating_add(if signed.is_ok() { 0 } else { self.checkpoint_events });
            self.shared.learn(&self.local);
            for answer in batch.signing {
                let _ = answer.send(signed.clone());
            }
        }
        len
    }

    /// Writes what has to be said of the log itself, and the events of a batch behind; returns the index of the first of these.
    fn write_events(&mut self, batch: &Batch, gap: Option<Ready>) -> Result<u64> {
        let (turn, cut) = self.local.enter()?;
        self.cut = cut.or(self.cut);
        let own: Vec<Ready> = self.cut.map(|cut| self.shared.recovered(&cut)).into_iter().chain(gap).collect();
        if own.is_empty() && batch.events.is_empty() {
            return Ok(self.local.len());
        }
        let events: Vec<&Ready> = own.iter().chain(&batch.events).collect();
        let first = self.local.append(&turn, &events)?;
        self.cut = None;
        Ok(first + own.len() as u64)
    }

    fn sign(&mut self) -> Result<Checkpoint> {
        self.shared.signed.store(self.shared.clock.now().0, Ordering::Relaxed);
        let (turn, cut) = self.local.enter()?;
        self.cut = cut.or(self.cut);
        self.local.sign(&turn)
    }
}
