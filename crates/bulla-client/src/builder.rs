//! How a client is made.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::client::Shared;
use crate::connector::{Connector, MAX_CONNECTIONS};
use crate::server_url::ServerUrl;
use crate::tls::{NoCertificate, TlsFiles};
use crate::{Client, ClientError, Result, Token};

/// How long a connection may take to be made, unless something else is said.
pub const CONNECT_TIME: Duration = Duration::from_secs(10);
/// How long a request may take, with all attempts at it, unless something else is said.
pub const REQUEST_TIME: Duration = Duration::from_secs(30);
/// Longest answer, in bytes, unless something else is said.
pub const MAX_ANSWER: usize = 64 << 20;
/// How often a request is tried, unless something else is said.
pub const MAX_ATTEMPTS: u32 = 3;

/// How long a connection is kept for the next request.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// Most bytes of the headers of an answer.
const MAX_HEADERS: u16 = u16::MAX;

/// Says how a client is to be. [`Client::builder`] makes it.
#[derive(Debug, Clone)]
pub struct Builder {
    server: ServerUrl,
    follow: Vec<ServerUrl>,
    token: Option<Token>,
    namespace: Option<String>,
    files: TlsFiles,
    is_plaintext_allowed: bool,
    connect_time: Duration,
    request_time: Duration,
    max_answer: usize,
    attempts: u32,
}

impl Builder {
    pub(crate) fn new(url: &str) -> Result<Self> {
        Ok(Self {
            server: url.parse()?,
            follow: Vec::new(),
            token: None,
            namespace: None,
            files: TlsFiles::default(),
            is_plaintext_allowed: false,
            connect_time: CONNECT_TIME,
            request_time: REQUEST_TIME,
            max_answer: MAX_ANSWER,
            attempts: MAX_ATTEMPTS,
        })
    }

    /// Gives the token that is shown with each request.
    #[must_use]
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Names the namespace of servers that have any.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Names a file of the authorities, in PEM, that may vouch for the server. Those of the system count for nothing then.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.authorities = Some(path.into());
        self
    }

    /// Names the files of the certificate, with its chain, that the client shows, and of its key, which not everybody may have access to.
    #[must_use]
    pub fn client_certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.files.own = Some((certificate.into(), key.into()));
        self
    }

    /// Says how long a connection may take to be made, instead of [`CONNECT_TIME`].
    #[must_use]
    pub fn connect_time(mut self, time: Duration) -> Self {
        self.connect_time = time;
        self
    }

    /// Says how long a request may take, instead of [`REQUEST_TIME`].
    #[must_use]
    pub fn request_time(mut self, time: Duration) -> Self {
        self.request_time = time;
        self
    }

    /// Says how many bytes an answer may have, instead of [`MAX_ANSWER`].
    #[must_use]
    pub fn max_answer(mut self, bytes: usize) -> Self {
        self.max_answer = bytes;
        self
    }

    /// Says how often a request may be tried, instead of [`MAX_ATTEMPTS`]; 1 is once.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Allows the server to redirect to another one, as standby servers do. It gets the token too.
    ///
    /// # Errors
    /// [`ClientError::Url`] if it is no address of a server.
    pub fn follow_to(mut self, url: &str) -> Result<Self> {
        let server: ServerUrl = url.parse()?;
        if server.socket().is_some() || self.server.socket().is_some() {
            return Err(ClientError::Url("nothing is redirected to a socket, or from one"));
        }
        self.follow.push(server);
        Ok(self)
    }

    /// Allows `http` to other machines.
    ///
    /// # Security
    /// Whoever is on the way reads and alters everything, the token included.
    #[must_use]
    pub fn danger_allow_plaintext(mut self) -> Self {
        self.is_plaintext_allowed = true;
        self
    }

    /// Makes the client. It connects when it is first used.
    ///
    /// # Errors
    /// [`ClientError::Plaintext`] for `http` to another machine, [`ClientError::File`], [`ClientError::Pem`] and the like for files of TLS.
    pub fn build(self) -> Result<Client> {
        let namespace = self.namespace.as_deref().map(str::trim).filter(|namespace| !namespace.is_empty());
        let namespace = namespace
            .map(HeaderValue::from_str)
            .transpose()
            .map_err(|_| ClientError::Path("a namespace has characters that can be written in a header"))?;
        let servers = || self.follow.iter().chain([&self.server]);
        if !self.is_plaintext_allowed
            && let Some(server) = servers().find(|server| !server.is_https() && !server.is_local())
        {
            return Err(ClientError::Plaintext { server: server.to_string() });
        }
        let no_certificate = Arc::new(NoCertificate::default());
        let tls = if servers().any(ServerUrl::is_https) { Some(self.files.load(&no_certificate)?) } else { None };
        let socket = self.server.socket().cloned();
        let connector = Connector::new(socket, tls, self.connect_time, self.is_plaintext_allowed);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIME)
            .pool_max_idle_per_host(MAX_CONNECTIONS)
            .http1_max_buf_size(MAX_HEADERS.into())
            .http2_max_header_list_size(MAX_HEADERS.into())
            .build(connector);
        let shared = Shared {
            server: self.server,
            follow: self.follow,
            http,
            no_certificate,
            namespace,
            time: self.request_time,
            max_answer: self.max_answer,
            attempts: self.attempts,
        };
        Ok(Client::new(Arc::new(shared), self.token))
    }
}
