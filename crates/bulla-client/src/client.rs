//! The client, and the road of a request.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use hyper_util::client::legacy;
use serde_json::Value;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::answer::{self, Answer, ReadError, cleaned};
use crate::ask::Ask;
use crate::connector::{ConnectError, Connector, tls_error};
use crate::redirect::{self, MAX_REDIRECTS, NotFollowed};
use crate::server_url::ServerUrl;
use crate::tls::NoCertificate;
use crate::{AppRole, Builder, ClientError, Kv, Kv1, Result, Sys, Token, TokenDoor, Transit, path, retry};

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// Whoever makes a server send requests for them cannot give them this header.
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("bulla/", env!("CARGO_PKG_VERSION")));

/// A client of one server, with a token. Clones share its connections.
///
/// It needs a tokio runtime where it is awaited; [`blocking::Client`](crate::blocking::Client) brings one.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    token: Option<Token>,
}

pub(crate) struct Shared {
    pub(crate) server: ServerUrl,
    pub(crate) follow: Vec<ServerUrl>,
    pub(crate) http: legacy::Client<Connector, Full<Bytes>>,
    pub(crate) no_certificate: Arc<NoCertificate>,
    pub(crate) namespace: Option<HeaderValue>,
    pub(crate) time: Duration,
    pub(crate) max_answer: usize,
    pub(crate) attempts: u32,
}

impl Client {
    /// Begins to make a client of a server: `https://HOST:PORT`, `http://` for this machine, or `unix:/PATH`.
    ///
    /// # Errors
    /// [`ClientError::Url`] if it is no address of a server.
    pub fn builder(url: &str) -> Result<Builder> {
        Builder::new(url)
    }

    pub(crate) fn new(shared: Arc<Shared>, token: Option<Token>) -> Self {
        Self { shared, token }
    }

    /// Returns a client with another token, on the same connections.
    #[must_use]
    pub fn with_token(&self, token: Token) -> Self {
        Self { shared: Arc::clone(&self.shared), token: Some(token) }
    }

    /// Opens the door to secrets with versions (KV version 2) that are mounted somewhere, `secret` say.
    #[must_use]
    pub fn kv<'a>(&'a self, mount: &'a str) -> Kv<'a> {
        Kv::new(self, mount)
    }

    /// Opens the door to secrets without versions (KV version 1).
    #[must_use]
    pub fn kv1<'a>(&'a self, mount: &'a str) -> Kv1<'a> {
        Kv1::new(self, mount)
    }

    /// Opens the door to named keys that are mounted somewhere, `transit` say.
    #[must_use]
    pub fn transit<'a>(&'a self, mount: &'a str) -> Transit<'a> {
        Transit::new(self, mount)
    }

    /// Opens the door to the client's own token.
    #[must_use]
    pub fn token(&self) -> TokenDoor<'_> {
        TokenDoor::new(self)
    }

    /// Opens the door to the logins of programs that are mounted somewhere, `approle` say.
    #[must_use]
    pub fn approle<'a>(&'a self, mount: &'a str) -> AppRole<'a> {
        AppRole::new(self, mount)
    }

    /// Opens the door to the state of the server.
    #[must_use]
    pub fn sys(&self) -> Sys<'_> {
        Sys::new(self)
    }

    /// Asks whatever there is no door for. `path` is what follows `/v1/`, encoded, with its query; `LIST` is a method.
    ///
    /// The answer is as it came, or `null` if it was empty.
    ///
    /// # Errors
    /// [`ClientError`].
    ///
    /// # Security
    /// What is in the answer is not wiped.
    pub async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut ask = Ask::new(method, path::given(path)?);
        if let Some(body) = body {
            ask = ask.with_body(body)?;
        }
        Ok(self.send(ask).await?.whole()?.unwrap_or_default())
    }

    /// Sends a request, again where that is safe, within its time.
    pub(crate) async fn send(&self, ask: Ask) -> Result<Answer> {
        let time = self.shared.time;
        let over = |_| ClientError::TimedOut { server: self.shared.server.to_string(), time };
        tokio::time::timeout(time, self.attempts(ask)).await.unwrap_or_else(|elapsed| Err(over(elapsed)))
    }

    async fn attempts(&self, mut ask: Ask) -> Result<Answer> {
        if let Some(token) = &self.token {
            ask.secrets.push(Zeroizing::new(token.expose().to_owned()));
        }
        let uri = self.shared.server.uri(&format!("/v1/{}", ask.path))?;
        let begun = Instant::now();
        let mut attempt = 1;
        loop {
            let error = match self.attempt(&ask, uri.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let mut jitter = [u8::MAX];
            // Without random bytes the wait is the longest there is.
            let _ = bulla_seal::fill_random(&mut jitter);
            match retry::wait(&error, ask.is_repeatable, attempt, self.shared.attempts, jitter[0]) {
                // One that is over before the next attempt would hide what went wrong.
                Some(wait) if begun.elapsed().saturating_add(wait) < self.shared.time => {
                    tokio::time::sleep(wait).await;
                    attempt += 1;
                }
                _ => return Err(error),
            }
        }
    }

    /// Sends a request once, and follows where it leads.
    async fn attempt(&self, ask: &Ask, mut uri: Uri) -> Result<Answer> {
        for _ in 0..=MAX_REDIRECTS {
            let request = self.prepare(ask, uri.clone())?;
            let response = self.shared.http.request(request).await;
            let response = response.map_err(|error| self.not_sent(&error, ask))?;
            let (status, headers) = (response.status(), response.headers().clone());
            if redirect::is_redirect(status) {
                let next = redirect::next(&ask.method, status, &headers, &uri, &self.shared.follow);
                uri = next.map_err(|refused| self.not_followed(refused, ask))?;
                continue;
            }
            let body =
                answer::read(response.into_body(), self.shared.max_answer).await.map_err(|error| match error {
                    ReadError::Broken(error) => self.broken(&error, ask),
                    ReadError::TooLong => self.unlike(format!("it is longer than {} bytes", self.shared.max_answer)),
                })?;
            let is_json = answer::is_json(&headers) || body.len() == 0;
            let answer = Answer::new(status, &headers, body, self.shared.server.to_string(), ask);
            if !status.is_success() && !ask.accepted.contains(&status.as_u16()) {
                return Err(answer.failure());
            }
            if !is_json {
                let kind = headers.get(header::CONTENT_TYPE).map_or(&b"of no type"[..], HeaderValue::as_bytes);
                let kind = cleaned(&String::from_utf8_lossy(kind), &ask.secrets);
                return Err(self.unlike(format!("it is {kind}, not JSON")));
            }
            return Ok(answer);
        }
        let reason = "it has done so again and again";
        Err(self.not_followed(NotFollowed { to: self.shared.server.to_string(), reason }, ask))
    }

    fn prepare(&self, ask: &Ask, uri: Uri) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(uri)
            .body(Full::new(ask.body.clone().unwrap_or_default()))
            .map_err(|_| ClientError::Path("it has characters that no path has"))?;
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, USER_AGENT);
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(REQUEST, HeaderValue::from_static("true"));
        if ask.body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(ask.media_type));
        }
        if let Some(namespace) = &self.shared.namespace {
            headers.insert(NAMESPACE, namespace.clone());
        }
        if let Some(token) = self.token.as_ref().filter(|_| !ask.is_anonymous) {
            headers.insert(TOKEN, token.header());
        }
        Ok(request)
    }

    /// Sorts why a request did not come to an answer.
    fn not_sent(&self, error: &legacy::Error, ask: &Ask) -> ClientError {
        let server = self.shared.server.to_string();
        let shown = |reason: &str| cleaned(reason, &ask.secrets);
        match causes(error).find_map(|cause| cause.downcast_ref::<ConnectError>()) {
            Some(ConnectError::Unreachable(reason)) => ClientError::Unreachable { server, detail: shown(reason) },
            Some(ConnectError::Tls(reason)) => ClientError::Tls { server, detail: shown(reason) },
            None => self.broken(error, ask),
        }
    }

    fn broken(&self, error: &(dyn Error + 'static), ask: &Ask) -> ClientError {
        let server = self.shared.server.to_string();
        let innermost = causes(error).last().map(ToString::to_string).unwrap_or_default();
        // With TLS 1.3, a server says no to a certificate only after the handshake.
        match causes(error).find_map(|cause| tls_error(cause.downcast_ref::<io::Error>()?)) {
            Some(tls) => ClientError::Tls { server, detail: cleaned(&tls.to_string(), &ask.secrets) },
            // HTTP/2 keeps only the words of what broke it.
            None if innermost.starts_with("received fatal alert") => {
                ClientError::Tls { server, detail: cleaned(&innermost, &ask.secrets) }
            }
            None => {
                let mut detail = cleaned(&innermost, &ask.secrets);
                if self.shared.no_certificate.was_asked_for() {
                    detail.push_str("; the server asks for a client certificate, and none was given");
                }
                ClientError::Broken { server, detail }
            }
        }
    }

    fn not_followed(&self, NotFollowed { to, reason }: NotFollowed, ask: &Ask) -> ClientError {
        ClientError::Redirected { server: self.shared.server.to_string(), to: cleaned(&to, &ask.secrets), reason }
    }

    fn unlike(&self, detail: String) -> ClientError {
        ClientError::Answer { server: self.shared.server.to_string(), detail }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("server", &self.shared.server.to_string()).finish_non_exhaustive()
    }
}

/// Returns an error and what lies under it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}
