//! Who is let in. No handler runs without an [`Admitted`], and only this module makes one, from what the [`Door`] says.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bulla::Session;
use bulla_backend::Timestamp;
use bulla_guard::audit::{Batch, Code};
use bulla_guard::input::Query;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::mounts::Mount;
use crate::peer::Peer;
use crate::table::{Capability, Endpoint, Verb};
use crate::{ApiError, RequestId};

/// Decides who is let in to what, and records it.
///
/// # Security
/// There is no door that is open by default: whoever makes an [`App`](crate::App) brings one.
#[async_trait]
pub trait Door: Send + Sync + 'static {
    /// Lets a request in, or says why not. The body was not read yet.
    ///
    /// An endpoint that [requires](Endpoint::requires) nothing is asked for too, so that strangers can be counted.
    ///
    /// # Errors
    /// Whatever is to be answered: 403 for a credential that is missing, wrong or does not suffice, 429 for too many requests, 503 if it cannot
    /// be decided or recorded.
    async fn admit(&self, head: &Head<'_>) -> Result<Box<dyn Admission>, ApiError>;

    /// Returns the session whose guard decides, if that is what decides: what sees to users, tokens and roles works on it.
    fn session(&self) -> Option<&Arc<Session>> {
        None
    }
}

/// A request that was let in, as the door sees it. It is dropped without [`finish`](Self::finish) when the client left before there was an answer.
#[async_trait]
pub trait Admission: Send + Sync + 'static {
    /// Returns the name of the one who was let in, as logs may show it.
    fn principal(&self) -> &str;

    /// Returns what a handler may want to know of them.
    fn details(&self) -> &(dyn Any + Send + Sync);

    /// Returns the token that they showed, if it was one. It is what the [details](Self::details) are, unless the door says otherwise.
    fn token_owner(&self) -> Option<TokenOwner> {
        self.details().downcast_ref().cloned()
    }

    /// Says whether they may do it in this way rather than another: make what is new, say, and not change what is there. A door that does not tell
    /// ways apart lets all be.
    fn may(&self, _: Capability) -> bool {
        true
    }

    /// Names in the record what the request is about, beyond its path: the entry, the token that is made. A door that records nothing need not.
    fn add_identifier(&self, _: Code, _: &[u8]) {}

    /// Says that the request stands for many items, whose digest the record is to have.
    fn set_batch(&self, _: Batch) {}

    /// Records that it is about to be done: the request is well formed.
    ///
    /// # Errors
    /// Whatever is to be answered instead of doing it.
    async fn begin(&self, brought: &Brought<'_>) -> Result<(), ApiError>;

    /// Returns what every answer says of limits, as headers.
    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        Vec::new()
    }

    /// Records how it ended, before the answer is sent.
    ///
    /// # Errors
    /// Whatever is to be answered instead.
    async fn finish(&self, outcome: &Outcome<'_>) -> Result<(), ApiError>;
}

/// The token that somebody showed, as owner of what is the token's own and goes with it: its cubbyhole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenOwner {
    /// What names the token, and no other, now or later. It is no secret: an accessor, not the token.
    pub id: String,
    /// When the token ends at the latest, however often it is renewed, if that is known. What it owns is not kept longer.
    pub expires: Option<Timestamp>,
}

/// What the door sees of a request.
#[derive(Debug)]
pub struct Head<'a> {
    /// The endpoint, with what it requires and how it is recorded.
    pub endpoint: &'a Endpoint,
    /// How it is called.
    pub verb: Verb,
    /// What it is about: the path below `/v1/`, decoded. A slash within a segment is `%2F`.
    pub resource: &'a str,
    /// The name of what it acts on, as roles are granted for it; empty if the endpoint names none.
    pub object: &'a str,
    /// The mount that the path leads into, if it does.
    pub mount: Option<&'a Mount>,
    /// What it shows in `X-Vault-Token` or `Authorization: Bearer`.
    pub credential: Option<Credential<'a>>,
    /// Who is at the other end, with its certificate or user id.
    pub peer: &'a Peer,
    /// The id of the request.
    pub id: &'a RequestId,
}

/// A token or API key, as it was shown. Silent in `Debug`.
#[derive(Clone, Copy)]
pub struct Credential<'a>(&'a str);

impl<'a> Credential<'a> {
    /// Returns the secret.
    #[must_use]
    pub fn expose(&self) -> &'a str {
        self.0
    }

    /// Reads the credential of a request.
    pub(crate) fn of(headers: &'a HeaderMap) -> Result<Option<Self>, ApiError> {
        let token = single(headers, "x-vault-token")?.map(str::trim).filter(|token| !token.is_empty());
        let bearer = match single(headers, header::AUTHORIZATION.as_str())? {
            None => None,
            Some(value) => {
                let (scheme, secret) = value.trim().split_once(' ').unwrap_or((value, ""));
                if !scheme.eq_ignore_ascii_case("bearer") {
                    return Err(bad("the header authorization knows the scheme Bearer only"));
                }
                Some(secret.trim()).filter(|secret| !secret.is_empty())
            }
        };
        match (token, bearer) {
            (Some(_), Some(_)) => Err(bad("the request shows two credentials")),
            (token, bearer) => Ok(token.or(bearer).map(Self)),
        }
    }
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}

/// What a request brings besides its path.
#[derive(Debug, Clone, Copy)]
pub struct Brought<'a> {
    /// The parameters after `?`.
    pub query: &'a Query,
    /// The body, a JSON object; `None` if it is streamed, so that it is not known.
    pub body: Option<&'a [u8]>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy)]
pub struct Outcome<'a> {
    /// Whether the endpoint has answered. Of a batch that failed in part, or of what was deleted, the status is one of an error, and there is something to
    /// show all the same.
    pub has_answered: bool,
    /// The status of the answer.
    pub status: StatusCode,
    /// The code of the error, if there is one.
    pub code: Option<&'a str>,
    /// How long it took.
    pub elapsed: Duration,
}

/// The proof that a request was let in. It is made in this module only.
pub struct Admitted {
    admission: Box<dyn Admission>,
}

impl Admitted {
    /// Asks the door.
    pub(crate) async fn ask(door: &dyn Door, head: &Head<'_>) -> Result<Self, ApiError> {
        Ok(Self { admission: door.admit(head).await? })
    }

    /// Returns the name of the one who was let in.
    #[must_use]
    pub fn principal(&self) -> &str {
        self.admission.principal()
    }

    /// Returns what the door knows of them, if it is a `T`.
    #[must_use]
    pub fn details<T: 'static>(&self) -> Option<&T> {
        self.admission.details().downcast_ref()
    }

    /// Returns the token that they showed. Whoever came with another credential, as a certificate or an API key, has none.
    #[must_use]
    pub fn token_owner(&self) -> Option<TokenOwner> {
        self.admission.token_owner()
    }

    /// Says whether they may do it in this way rather than another.
    #[must_use]
    pub fn may(&self, capability: Capability) -> bool {
        self.admission.may(capability)
    }

    /// Names in the record what the request is about, beyond its path. Names are blinded there.
    pub(crate) fn add_identifier(&self, name: Code, identifier: &[u8]) {
        self.admission.add_identifier(name, identifier);
    }

    /// Says in the record for which items the request stands, if they are many.
    pub(crate) fn set_batch(&self, batch: Option<Batch>) {
        if let Some(batch) = batch {
            self.admission.set_batch(batch);
        }
    }

    pub(crate) async fn begin(&self, brought: &Brought<'_>) -> Result<(), ApiError> {
        self.admission.begin(brought).await
    }

    pub(crate) fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        self.admission.headers()
    }

    pub(crate) async fn finish(&self, outcome: &Outcome<'_>) -> Result<(), ApiError> {
        self.admission.finish(outcome).await
    }
}

impl fmt::Debug for Admitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Admitted").field(&self.principal()).finish()
    }
}

fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(bad("a header with a credential is there twice"));
    }
    value.to_str().map(Some).map_err(|_| bad("a header with a credential has characters that no credential has"))
}

fn bad(problem: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "bad_credential", problem)
}
