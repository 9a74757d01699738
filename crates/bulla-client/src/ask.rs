//! One request, before it is sent.

use bytes::Bytes;
use http::Method;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{Result, body};

/// What is asked of a server.
pub(crate) struct Ask {
    pub(crate) method: Method,
    /// From behind `/v1/`.
    pub(crate) path: String,
    pub(crate) body: Option<Bytes>,
    pub(crate) media_type: &'static str,
    /// Whether asking twice is as asking once.
    pub(crate) is_repeatable: bool,
    /// Whether it is sent without the token.
    pub(crate) is_anonymous: bool,
    /// Statuses, beside success, that are answers.
    pub(crate) accepted: &'static [u16],
    /// What no message may show, beside the token.
    pub(crate) secrets: Vec<Zeroizing<String>>,
}

impl Ask {
    pub(crate) fn new(method: Method, path: String) -> Self {
        let is_repeatable = method.is_safe() || method.as_str() == LIST;
        Self {
            method,
            path,
            body: None,
            media_type: "application/json",
            is_repeatable,
            is_anonymous: false,
            accepted: &[],
            secrets: Vec::new(),
        }
    }

    pub(crate) fn get(path: String) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn post(path: String, body: &impl Serialize) -> Result<Self> {
        Self::new(Method::POST, path).with_body(body)
    }

    /// Lists what is under a path. As a method of its own it cannot be taken for reading.
    pub(crate) fn list(path: String) -> Self {
        // The name is a token of HTTP.
        Self::new(Method::from_bytes(LIST.as_bytes()).unwrap_or_default(), path)
    }

    pub(crate) fn with_body(mut self, body: &impl Serialize) -> Result<Self> {
        self.body = Some(body::json(body)?);
        Ok(self)
    }

    /// Says that the server does nothing that lasts.
    pub(crate) fn repeatable(mut self) -> Self {
        self.is_repeatable = true;
        self
    }

    pub(crate) fn anonymous(mut self) -> Self {
        self.is_anonymous = true;
        self
    }

    pub(crate) fn accepting(mut self, accepted: &'static [u16]) -> Self {
        self.accepted = accepted;
        self
    }

    pub(crate) fn hiding(mut self, secret: &str) -> Self {
        self.secrets.push(Zeroizing::new(secret.to_owned()));
        self
    }

    /// Returns what messages call it.
    pub(crate) fn described(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

const LIST: &str = "LIST";
