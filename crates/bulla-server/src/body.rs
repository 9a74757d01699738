//! The body of a request: bounded in length, in memory and in time.

use std::fmt;
use std::future::poll_fn;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::ApiError;

/// Memory for bodies is counted in pieces of this size.
const PIECE: usize = 4096;

/// What holds for every body.
#[derive(Debug)]
pub(crate) struct BodyRules {
    /// How long a body may take, however short it is.
    grace: Duration,
    /// How many bytes a second it must bring besides.
    rate: u32,
    /// Pieces of memory that are left for bodies.
    memory: Arc<Semaphore>,
}

impl BodyRules {
    pub(crate) fn new(grace: Duration, rate: u32, memory: usize) -> Self {
        let pieces = (memory / PIECE).min(Semaphore::MAX_PERMITS);
        Self { grace, rate: rate.max(1), memory: Arc::new(Semaphore::new(pieces)) }
    }
}

/// A body that was not yet read.
pub(crate) struct RequestBody {
    source: Source,
    rules: Arc<BodyRules>,
}

enum Source {
    Wire(Incoming),
    Memory(Option<Bytes>),
}

impl RequestBody {
    pub(crate) fn wire(body: Incoming, rules: Arc<BodyRules>) -> Self {
        Self { source: Source::Wire(body), rules }
    }

    pub(crate) fn memory(bytes: Bytes, rules: Arc<BodyRules>) -> Self {
        Self { source: Source::Memory(Some(bytes)), rules }
    }

    /// Returns the length that was announced.
    pub(crate) fn announced(&self) -> Option<u64> {
        match &self.source {
            Source::Wire(body) => body.size_hint().exact(),
            Source::Memory(bytes) => bytes.as_ref().map(|bytes| bytes.len() as u64),
        }
    }

    pub(crate) fn reader(self) -> BodyReader {
        BodyReader { body: self, began: None, received: 0 }
    }

    /// Reads all of it, up to a limit.
    pub(crate) async fn collect(self, limit: usize) -> Result<Collected, ApiError> {
        if self.announced().is_some_and(|announced| announced > limit as u64) {
            return Err(too_large(limit));
        }
        let memory = self.rules.memory.clone();
        let mut reader = self.reader();
        let Some(first) = reader.chunk().await? else {
            return Ok(Collected { bytes: Bytes::new(), _memory: None });
        };
        let mut held = Held::new(memory);
        held.grow(first.len())?;
        let mut length = first.len();
        // Most requests come in one piece, which is not copied.
        let Some(mut next) = reader.chunk().await? else {
            return if length > limit {
                Err(too_large(limit))
            } else {
                Ok(Collected { bytes: first, _memory: held.permit })
            };
        };
        let mut bytes = first.to_vec();
        loop {
            length = length.saturating_add(next.len());
            if length > limit {
                return Err(too_large(limit));
            }
            // It grows by doubling, so that twice its length is held.
            held.grow(length.saturating_mul(2))?;
            bytes.extend_from_slice(&next);
            match reader.chunk().await? {
                Some(chunk) => next = chunk,
                None => return Ok(Collected { bytes: bytes.into(), _memory: held.permit }),
            }
        }
    }
}

/// Memory that is set aside. Less than one piece costs nothing: requests in flight are bounded already.
struct Held {
    memory: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Held {
    fn new(memory: Arc<Semaphore>) -> Self {
        Self { memory, permit: None }
    }

    /// Sets aside what a length takes, in all.
    fn grow(&mut self, length: usize) -> Result<(), ApiError> {
        let had = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = (length / PIECE).saturating_sub(had);
        if more == 0 {
            return Ok(());
        }
        let full = || ApiError::busy("no_memory", "too many large bodies at once", 1);
        let more = u32::try_from(more).map_err(|_| full())?;
        let more = self.memory.clone().try_acquire_many_owned(more).map_err(|_| full())?;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        Ok(())
    }
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!("the body is longer than {limit} bytes, the most that is taken here"),
    )
}

/// A body that was read, and the memory that it takes.
pub(crate) struct Collected {
    bytes: Bytes,
    _memory: Option<OwnedSemaphorePermit>,
}

impl Deref for Collected {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a body piece by piece.
pub struct BodyReader {
    body: RequestBody,
    began: Option<Instant>,
    received: u64,
}

impl BodyReader {
    /// Returns the next piece, or `None` at the end.
    ///
    /// # Errors
    /// 408 if the body comes too slowly, 400 if it breaks off.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ApiError> {
        let incoming = match &mut self.body.source {
            Source::Memory(bytes) => return Ok(bytes.take().filter(|bytes| !bytes.is_empty())),
            Source::Wire(incoming) => incoming,
        };
        if incoming.is_end_stream() {
            return Ok(None);
        }
        let began = *self.began.get_or_insert_with(Instant::now);
        let earned = Duration::from_secs(self.received / u64::from(self.body.rules.rate));
        let deadline = began + self.body.rules.grace.saturating_add(earned);
        loop {
            let frame = poll_fn(|cx| Pin::new(&mut *incoming).poll_frame(cx));
            let frame = timeout_at(deadline, frame)
                .await
                .map_err(|_| ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "the body came too slowly"))?;
            let Some(frame) = frame else { return Ok(None) };
            let frame =
                frame.map_err(|_| ApiError::new(StatusCode::BAD_REQUEST, "body_broke_off", "the body broke off"))?;
            // Trailers say nothing that we read.
            let Ok(bytes) = frame.into_data() else { continue };
            self.received = self.received.saturating_add(bytes.len() as u64);
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }
}

impl fmt::Debug for BodyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyReader(..)")
    }
}
