//! What a connection is at, so that one that only waits is closed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::config::TimeOuts;

/// What is to be done with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Fine,
    /// It waits for a request that does not come.
    Idle,
    /// It keeps somebody waiting.
    Stalled,
}

/// Moments are in milliseconds since the connection was made, and one more; nought is never.
#[derive(Debug)]
pub(super) struct Activity {
    began: Instant,
    /// Whether what comes between requests is the beginning of one. With HTTP/2 it can be anything.
    is_one_at_a_time: bool,
    in_flight: AtomicUsize,
    served: AtomicU64,
    waits_since: AtomicU64,
    head_since: AtomicU64,
    write_stalls_since: AtomicU64,
    moved: AtomicU64,
}

impl Activity {
    pub(super) fn new(is_one_at_a_time: bool) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            is_one_at_a_time,
            in_flight: AtomicUsize::new(0),
            served: AtomicU64::new(0),
            waits_since: AtomicU64::new(1),
            head_since: AtomicU64::new(0),
            write_stalls_since: AtomicU64::new(0),
            moved: AtomicU64::new(1),
        })
    }

    /// Begins a request, which ends when what is returned is dropped.
    pub(super) fn request(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        self.served.fetch_add(1, Relaxed);
        self.head_since.store(0, Relaxed);
        InFlight(self.clone())
    }

    pub(super) fn verdict(&self, times: &TimeOuts) -> Verdict {
        let now = self.now();
        let longer = |since: u64, than: Duration| since > 0 && u128::from(now.saturating_sub(since)) > than.as_millis();
        if longer(self.write_stalls_since.load(Relaxed), times.send) {
            return Verdict::Stalled;
        }
        if self.in_flight.load(Relaxed) > 0 {
            let silent = longer(self.moved.load(Relaxed), times.request.saturating_add(times.send));
            return if silent { Verdict::Stalled } else { Verdict::Fine };
        }
        let patience = if self.served.load(Relaxed) == 0 { times.headers } else { times.idle };
        if longer(self.head_since.load(Relaxed), times.headers) {
            Verdict::Stalled
        } else if longer(self.waits_since.load(Relaxed), patience) {
            Verdict::Idle
        } else {
            Verdict::Fine
        }
    }

    /// Says whether there is no request, nor the beginning of one.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.load(Relaxed) == 0 && self.head_since.load(Relaxed) == 0
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn read(&self) {
        let now = self.now();
        self.moved.store(now, Relaxed);
        if self.is_one_at_a_time && self.in_flight.load(Relaxed) == 0 && self.head_since.load(Relaxed) == 0 {
            self.head_since.store(now, Relaxed);
        }
    }

    fn wrote(&self) {
        self.moved.store(self.now(), Relaxed);
        self.write_stalls_since.store(0, Relaxed);
    }

    fn write_stalls(&self) {
        if self.write_stalls_since.load(Relaxed) == 0 {
            self.write_stalls_since.store(self.now(), Relaxed);
        }
    }
}

/// A request of a connection, until it is dropped.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.waits_since.store(self.0.now(), Relaxed);
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// A stream that says when bytes move.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }

    fn noted(&self, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &poll {
            Poll::Pending => self.activity.write_stalls(),
            Poll::Ready(_) => self.activity.wrote(),
        }
        poll
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.read();
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buffer);
        self.noted(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, buffers);
        self.noted(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        // TLS keeps what it could not write, and writes it here.
        match &poll {
            Poll::Pending => self.activity.write_stalls(),
            Poll::Ready(_) => self.activity.write_stalls_since.store(0, Relaxed),
        }
        poll
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(cx);
        if poll.is_pending() {
            self.activity.write_stalls();
        }
        poll
    }
}
