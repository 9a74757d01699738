//! What is sent back.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::ApiError;

/// How many pieces of a stream may wait for a reader that is slow.
const PIECES: usize = 4;

/// An answer: status, headers and body.
pub struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: AnswerBody,
    /// The code of the error that it tells of.
    pub(crate) code: Option<&'static str>,
}

impl Answer {
    /// Makes an answer without a body.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: AnswerBody::new(Content::Bytes(None)), code: None }
    }

    /// Makes an answer of bytes of a media type.
    #[must_use]
    pub fn bytes(status: StatusCode, media_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        let headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static(media_type))];
        Self { status, headers, body: AnswerBody::new(Content::Bytes(Some(bytes.into()))), code: None }
    }

    /// Makes an answer of JSON.
    #[must_use]
    pub fn json(status: StatusCode, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(bytes) => Self::bytes(status, "application/json", bytes),
            // A map whose keys are no strings: a defect of ours, which a test of the endpoint shows.
            Err(_) => ApiError::internal().into_answer(),
        }
    }

    /// Makes an answer whose body is written while it is sent.
    #[must_use]
    pub fn stream(status: StatusCode, media_type: &'static str) -> (Self, StreamWriter) {
        let (sender, receiver) = mpsc::channel(PIECES);
        let headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static(media_type))];
        let body = AnswerBody::new(Content::Stream { receiver, is_whole: false });
        (Self { status, headers, body, code: None }, StreamWriter { sender })
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).field("code", &self.code).finish_non_exhaustive()
    }
}

/// Writes the body of an answer. Unless it is [finished](Self::finish), the reader sees the answer break off.
#[derive(Debug)]
pub struct StreamWriter {
    sender: mpsc::Sender<Piece>,
}

impl StreamWriter {
    /// Sends a piece; waits as long as the reader is slow.
    ///
    /// # Errors
    /// Fails if nobody reads any more.
    pub async fn send(&mut self, bytes: Bytes) -> Result<(), Broken> {
        self.sender.send(Piece::Bytes(bytes)).await.map_err(|_| Broken)
    }

    /// Says that the body is whole.
    ///
    /// # Errors
    /// Fails if nobody reads any more.
    pub async fn finish(self) -> Result<(), Broken> {
        self.sender.send(Piece::End).await.map_err(|_| Broken)
    }
}

#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    End,
}

/// A body that broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body broke off")]
pub struct Broken;

/// The body of an answer.
pub struct AnswerBody {
    content: Content,
    /// What is given back when the body is sent or given up.
    pub(crate) held: Option<Box<dyn Send + Sync>>,
}

enum Content {
    Bytes(Option<Bytes>),
    Stream { receiver: mpsc::Receiver<Piece>, is_whole: bool },
}

impl AnswerBody {
    fn new(content: Content) -> Self {
        Self { content, held: None }
    }

    /// Leaves the body away, as the answer to HEAD does.
    pub(crate) fn clear(&mut self) {
        self.content = Content::Bytes(None);
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut self.content {
            Content::Bytes(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Stream { is_whole: true, .. } => Poll::Ready(None),
            Content::Stream { receiver, is_whole } => match receiver.poll_recv(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Some(Piece::Bytes(bytes))) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Poll::Ready(Some(Piece::End)) => {
                    *is_whole = true;
                    Poll::Ready(None)
                }
                Poll::Ready(None) => Poll::Ready(Some(Err(Broken))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Bytes(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Content::Stream { is_whole, .. } => *is_whole,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Bytes(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Content::Stream { .. } => SizeHint::default(),
        }
    }
}

impl fmt::Debug for AnswerBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnswerBody(..)")
    }
}
