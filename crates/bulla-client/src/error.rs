//! What can go wrong between a client and its server.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http::StatusCode;

/// Result of a call.
pub type Result<T> = std::result::Result<T, ClientError>;

/// A client could not be made, or a call got no answer that helps. No message shows the token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address of the server is none.
    #[error("the address of the server is not valid: {0}")]
    Url(&'static str),
    /// Without TLS, whoever is on the way would read the token.
    #[error("{server} is not on this machine, and http sends the token for everybody to read")]
    Plaintext {
        /// The server.
        server: String,
    },
    /// What no token can be.
    #[error("the token is not valid: {0}")]
    Token(&'static str),
    /// What no name or path can be.
    #[error("the path is not valid: {0}")]
    Path(&'static str),
    /// What was to be sent is no JSON, or nothing that is sent.
    #[error("the request cannot be sent: {0}")]
    Request(&'static str),
    /// A file of the client's cannot be read.
    #[error("could not read `{}`: {source}", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Everybody can use a secret file.
    #[error("`{}` has mode {mode:04o}: everybody can use what is in it", .path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file does not hold what it should.
    #[error("`{}` holds no {what} in PEM", .path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// Nothing could vouch for the server.
    #[error("the system knows no authority that could vouch for the server")]
    NoRoots,
    /// The files of TLS do not fit together.
    #[error("the files of TLS do not fit together: {0}")]
    Unfit(String),
    /// No connection was made.
    #[error("no connection to {server}: {detail}")]
    Unreachable {
        /// The server.
        server: String,
        /// Why.
        detail: String,
    },
    /// TLS did not come about.
    #[error("no secure connection to {server}: {detail}")]
    Tls {
        /// The server.
        server: String,
        /// Why.
        detail: String,
    },
    /// The time was over.
    #[error("{server} did not answer within {} ms", .time.as_millis())]
    TimedOut {
        /// The server.
        server: String,
        /// How long it was given.
        time: Duration,
    },
    /// The connection broke. Whether the server did what it was asked is not known.
    #[error("the connection to {server} broke: {detail}")]
    Broken {
        /// The server.
        server: String,
        /// Where.
        detail: String,
    },
    /// 401 or 403.
    #[error("{0}")]
    Refused(Said),
    /// 404.
    #[error("{0}")]
    NotFound(Said),
    /// 409, 412, or a version that is not the expected one.
    #[error("{0}")]
    Conflict(Said),
    /// 429 or 503.
    #[error("{said}")]
    Busy {
        /// When to come back, if the server says so.
        retry_after: Option<Duration>,
        /// What was asked and answered.
        said: Said,
    },
    /// Another 4xx: the request is at fault.
    #[error("{0}")]
    Invalid(Said),
    /// Another 5xx: the server is at fault.
    #[error("{0}")]
    Failed(Said),
    /// The server sends the client elsewhere, where it does not go.
    #[error("{server} redirects to {to}: {reason}")]
    Redirected {
        /// The server.
        server: String,
        /// The other server.
        to: String,
        /// Why it was not followed.
        reason: &'static str,
    },
    /// What was answered is not what this API answers.
    #[error("{server} gave no answer of this API: {detail}")]
    Answer {
        /// The server.
        server: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The blocking client was called where it would keep a runtime from its work.
    #[error("a blocking call within an async runtime")]
    WithinRuntime,
    /// The system gave no resources for a runtime.
    #[error("the client could not be started: {0}")]
    Runtime(io::Error),
}

impl ClientError {
    /// Returns the stable code of the failure.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Url(_) => "invalid_url",
            Self::Plaintext { .. } => "plaintext",
            Self::Token(_) => "invalid_token",
            Self::Path(_) => "invalid_path",
            Self::Request(_) | Self::Invalid(_) => "invalid_request",
            Self::File { .. } => "file",
            Self::Exposed { .. } => "exposed_file",
            Self::Pem { .. } | Self::Unfit(_) | Self::NoRoots => "tls_files",
            Self::Unreachable { .. } => "unreachable",
            Self::Tls { .. } => "tls",
            Self::TimedOut { .. } => "timed_out",
            Self::Broken { .. } => "connection_broken",
            Self::Refused(_) => "permission_denied",
            Self::NotFound(_) => "not_found",
            Self::Conflict(_) => "conflict",
            Self::Busy { .. } => "server_busy",
            Self::Failed(_) => "server_failed",
            Self::Redirected { .. } => "redirected",
            Self::Answer { .. } => "bad_answer",
            Self::WithinRuntime => "within_runtime",
            Self::Runtime(_) => "runtime",
        }
    }

    /// Says what to do about it, where that is more than the message says.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Url(_) => "it is written `https://HOST:PORT`, or `unix:/PATH` for a socket on this machine",
            Self::Plaintext { .. } => "give the server a certificate and write `https`, or reach it through a tunnel",
            Self::Exposed { .. } => "check who read it, then take everybody's access away",
            Self::NoRoots => "name a file of authorities",
            Self::Unreachable { .. } => "see whether the server runs, and whether the address is right",
            Self::Tls { .. } => {
                "name the file of the authority that signed the server's certificate; it must be for the name in the address"
            }
            Self::TimedOut { .. } => {
                "see whether the server is overloaded, or something on the way drops the connection"
            }
            Self::Broken { .. } => "the server may have done what it was asked; look before it is asked again",
            Self::Refused(_) => "the token may be wrong or expired, or its policies do not allow this",
            Self::Busy { .. } => "see whether the server is sealed or over its limits, and try again later",
            Self::Failed(_) => "the server's log says more",
            Self::Redirected { .. } => "name the active server itself, or allow the one that it redirects to",
            Self::Answer { .. } => "see whether the address is that of the server, and not of something before it",
            Self::WithinRuntime => "use the async client there",
            _ => return None,
        })
    }

    /// Returns the HTTP status that it comes from, if one does.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused(said)
            | Self::NotFound(said)
            | Self::Conflict(said)
            | Self::Busy { said, .. }
            | Self::Invalid(said)
            | Self::Failed(said) => Some(said.status),
            _ => None,
        }
    }
}

/// A request, and the server's word on why it did not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub(crate) request: String,
    pub(crate) status: StatusCode,
    pub(crate) messages: Vec<String>,
}

impl Said {
    /// Returns the HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the server's messages: on one line each, of bounded length, and without the token.
    #[must_use]
    pub fn messages(&self) -> &[String] {
        &self.messages
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: status {}", self.request, self.status.as_u16())?;
        for (at, message) in self.messages.iter().enumerate() {
            write!(f, "{}{message}", if at == 0 { ", " } else { "; " })?;
        }
        Ok(())
    }
}
