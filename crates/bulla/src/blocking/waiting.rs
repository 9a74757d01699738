//! Waiting on a thread: for time to pass, and for other threads.

use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use bulla_store::Waiter;

thread_local! {
    /// When the earliest wait ends that this thread's task has begun.
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Lets time pass for what [`wait_for`] waits for, and for nothing else: elsewhere its waits do not end.
#[derive(Debug, Clone, Copy, Default)]
pub struct ThreadWaiter;

impl Waiter for ThreadWaiter {
    fn wait(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        // A wait beyond what can be counted has no end.
        Box::pin(Until(Instant::now().checked_add(duration)))
    }
}

/// Is ready at a moment.
struct Until(Option<Instant>);

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        match self.0 {
            Some(end) if end <= Instant::now() => Poll::Ready(()),
            Some(end) => {
                DEADLINE.set(Some(DEADLINE.get().map_or(end, |deadline| deadline.min(end))));
                Poll::Pending
            }
            None => Poll::Pending,
        }
    }
}

/// Waits on this thread until a future is ready, and lets a [`ThreadWaiter`] wait meanwhile.
pub fn wait_for<F: Future>(future: F) -> F::Output {
    let signal = Arc::new(Signal::default());
    let waker = Waker::from(Arc::clone(&signal));
    let mut future = pin!(future);
    loop {
        let outer = DEADLINE.take();
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        let deadline = DEADLINE.replace(outer);
        match polled {
            Poll::Ready(output) => return output,
            Poll::Pending => signal.wait(deadline),
        }
    }
}

/// Whether the future is to be polled.
#[derive(Default)]
struct Signal {
    is_woken: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    /// Waits until somebody wakes the thread, or until a moment.
    fn wait(&self, deadline: Option<Instant>) {
        let woken = self.is_woken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut woken = match deadline {
            None => self.changed.wait_while(woken, |woken| !*woken).unwrap_or_else(PoisonError::into_inner),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                self.changed.wait_timeout_while(woken, left, |woken| !*woken).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        *woken = false;
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        *self.is_woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::thread;

    use super::*;

    #[test]
    fn waits_end_in_time_and_nest() {
        let begun = Instant::now();
        let waits = |millis| ThreadWaiter.wait(Duration::from_millis(millis));
        wait_for(async {
            waits(10).await;
            wait_for(waits(10));
            waits(10).await;
        });
        assert!(begun.elapsed() >= Duration::from_millis(30));
    }

    #[test]
    fn the_earliest_wait_counts_and_wakers_are_heard_before() {
        let first = async |long: Duration| {
            let (mut short, mut long) = (ThreadWaiter.wait(Duration::from_millis(5)), ThreadWaiter.wait(long));
            poll_fn(|context| {
                let _ = long.as_mut().poll(context);
                short.as_mut().poll(context)
            })
            .await;
        };
        wait_for(first(Duration::MAX));
        wait_for(first(Duration::from_hours(1)));
        let (sender, receiver) = std::sync::mpsc::channel::<Waker>();
        let waking = thread::spawn(move || receiver.recv().unwrap().wake());
        let (mut polls, mut never) = (0, ThreadWaiter.wait(Duration::from_hours(1)));
        wait_for(poll_fn(|context| {
            let _ = never.as_mut().poll(context);
            polls += 1;
            if polls > 1 {
                return Poll::Ready(());
            }
            sender.send(context.waker().clone()).unwrap();
            Poll::Pending
        }));
        waking.join().unwrap();
        drop(pending::<()>());
    }
}
