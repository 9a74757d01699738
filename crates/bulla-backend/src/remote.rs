//! What the drivers of remote engines share: a runtime of the process, and things that a forked child has to have anew.
//!
//! The calls of a remote driver are tasks of one runtime, which is started with the first. So their futures need no reactor where
//! they are awaited, one that is dropped leaves nothing half done, and connections outlive whoever opened them.

mod per_process;

use std::{future::Future, io, num::NonZero, thread};

use tokio::runtime::{Builder, Handle, Runtime};

pub(crate) use self::per_process::PerProcess;
use crate::{BackendError, ErrorKind, Result};

/// Most threads of the runtime; what waits for a network needs few.
const MAX_THREADS: usize = 4;

static RUNTIME: PerProcess<Running> = PerProcess::new();

/// Runs work to its end, whether or not the caller waits for it.
pub(crate) async fn run<T, W>(operation: &'static str, work: W) -> Result<T>
where
    T: Send + 'static,
    W: Future<Output = Result<T>> + Send + 'static,
{
    let ended = handle(operation)?.spawn(work).await;
    ended.unwrap_or_else(|error| {
        // It panicked, or the process ends.
        Err(BackendError::new(ErrorKind::Io, operation, "the work was given up before its end").with_source(error))
    })
}

/// Returns the runtime of this process.
pub(crate) fn handle(operation: &'static str) -> Result<&'static Handle> {
    let started = RUNTIME.get_or_try_init(Running::start);
    let failed = |error: io::Error| {
        BackendError::new(ErrorKind::Unavailable, operation, format!("its threads could not be started: {error}"))
            .with_source(error)
    };
    started.map(|running| &running.handle).map_err(failed)
}

#[derive(Debug)]
struct Running {
    handle: Handle,
    /// `Some` until it is dropped.
    runtime: Option<Runtime>,
}

impl Running {
    fn start() -> io::Result<Self> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS);
        let runtime =
            Builder::new_multi_thread().worker_threads(threads).thread_name("bulla-remote").enable_all().build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that lost the race to be the first; waiting for its threads would panic in the thread of another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_needs_no_runtime_where_it_is_awaited() {
        let slept = async {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            Ok(7)
        };
        assert_eq!(pollster::block_on(run("test", slept)).unwrap(), 7);
    }

    #[test]
    fn work_goes_on_when_nobody_waits() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let mut work = Box::pin(run("test", async move {
            tokio::task::yield_now().await;
            let _ = sender.send(7);
            Ok(())
        }));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = work.as_mut().poll(&mut context);
        drop(work);
        assert_eq!(receiver.recv(), Ok(7));
    }
}
