//! How a request fails: one type owns the status and the body.

mod access;
mod input;
mod keyring;
mod project;
mod store;

use std::fmt;

use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::answer::Answer;

/// Why a request got no answer: an HTTP status, a stable code, a message for people, and what to do about it.
///
/// The body is Vault's: `{"errors": [message]}`, with our `code` and `hint` beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    /// Makes an error. The message is lower case, without a full stop, and holds no secret.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), hint: None, headers: Vec::new() }
    }

    /// Makes the error of a field that is not as it must be: 400.
    #[must_use]
    pub fn field(name: &str, problem: impl fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_field", format!("{name}: {problem}"))
    }

    /// Makes the error of something that is not there: 404.
    #[must_use]
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {what}"))
    }

    /// Makes the error of a path that leads nowhere: 404 without a message, as Vault says that there is nothing.
    #[must_use]
    pub fn nothing() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "")
    }

    /// Makes the error of somebody who may not do this, whether or not it is there: 403.
    #[must_use]
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "permission_denied", "permission denied")
    }

    /// Makes the error of a server that cannot now: 503, with the seconds after which to try again.
    #[must_use]
    pub fn busy(code: &'static str, message: impl Into<String>, seconds: u32) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message).with_retry_after(seconds)
    }

    /// Makes the error of a defect of ours: 500. What it was is in the log, under the id of the request.
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed")
            .with_hint("its log says more under the id of this request")
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Says after how many seconds to try again.
    #[must_use]
    pub fn with_retry_after(self, seconds: u32) -> Self {
        self.with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Returns the HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Returns the message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    pub(crate) fn into_answer(self) -> Answer {
        #[derive(Serialize)]
        struct Body<'a> {
            errors: &'a [&'a str],
            code: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            hint: Option<&'a str>,
        }
        let messages = [&*self.message];
        let errors = if self.message.is_empty() { &[][..] } else { &messages };
        let body = Body { errors, code: self.code, hint: self.hint.as_deref() };
        let mut answer = Answer::json(self.status, &body);
        answer.code = Some(self.code);
        answer.headers.extend(self.headers);
        answer
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}
