//! What PostgreSQL's errors mean to a caller.

use std::{error::Error, io};

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::{BackendError, ErrorKind};

/// Result of a step of an operation.
pub(super) type Attempt<T> = Result<T, Failure>;

/// Why a step failed, before it is known which operation it belonged to.
#[derive(Debug)]
pub(super) struct Failure {
    kind: ErrorKind,
    detail: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    extent: Extent,
}

/// What a failure has left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// A statement that did not happen, on a connection that goes on.
    Statement,
    /// A transaction that the server undid since another was in its way.
    Race,
    /// A connection that is of no further use, and no answer.
    Connection,
    /// The same, where somebody may still be about to answer.
    Silence,
}

impl Failure {
    pub(super) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), source: None, extent: Extent::Statement }
    }

    pub(super) fn corrupt(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, detail)
    }

    /// Describes a server that did not answer in time.
    pub(super) fn silence(seconds: u64) -> Self {
        let detail = format!("the server did not answer within {seconds} s; try again");
        Self { extent: Extent::Silence, ..Self::new(ErrorKind::Unavailable, detail) }
    }

    /// Adds that a write was under way, of which it is now open whether it happened.
    pub(super) fn of_write(self) -> Self {
        if !self.is_of_connection() {
            return self;
        }
        let detail = format!("{}; whether the write happened is open until it is read again", self.detail);
        Self { kind: ErrorKind::Io, detail, ..self }
    }

    /// Says whether the connection is of no further use.
    pub(super) fn is_of_connection(&self) -> bool {
        matches!(self.extent, Extent::Connection | Extent::Silence)
    }

    /// Says whether the server did not answer in time.
    pub(super) fn is_silence(&self) -> bool {
        self.extent == Extent::Silence
    }

    /// Says whether the server undid the transaction, and it may be repeated.
    pub(super) fn is_race(&self) -> bool {
        self.extent == Extent::Race
    }

    /// Names the operation that the failure ended.
    pub(super) fn during(self, operation: &'static str) -> BackendError {
        let error = BackendError::new(self.kind, operation, self.detail);
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }

    fn of_server(error: &DbError) -> Self {
        let (kind, meaning) = classify(error.code());
        // Neither its detail nor its context: these may repeat what was written.
        let detail = format!("{meaning} (PostgreSQL {}: {})", error.code().code(), error.message());
        let extent = match error.code() {
            &SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED => Extent::Race,
            code if code.code().starts_with("08") || code.code().starts_with("57P") => Extent::Connection,
            _ if matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic)) => Extent::Connection,
            _ => Extent::Statement,
        };
        Self { extent, ..Self::new(kind, detail) }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(answer) = error.as_db_error() {
            return Self { source: None, ..Self::of_server(answer) }.because(error);
        }
        // The kinds of this error are known by their texts only; <https://docs.rs/tokio-postgres> gives them no names.
        let text = chain(&error);
        let (kind, meaning) = match error.to_string().as_str() {
            "error performing TLS handshake" => {
                (ErrorKind::Unsuitable, "no protected connection; see `sslmode` and `sslrootcert`")
            }
            "invalid configuration" if text.ends_with("password missing") => (
                ErrorKind::Permission,
                "the server asks for a password; put it into the URL, or name a `password_file`",
            ),
            "invalid configuration" | "authentication error" => {
                (ErrorKind::Permission, "the server did not let this user in")
            }
            "error parsing response from server" | "unexpected message from server" => {
                (ErrorKind::Unavailable, "what answers does not speak PostgreSQL's protocol")
            }
            text if text.starts_with("error deserializing column") => {
                (ErrorKind::Corrupt, "the tables are not as their schema says")
            }
            text if text.starts_with("error serializing parameter") || text.starts_with("expected ") => {
                (ErrorKind::Corrupt, "the tables are not as their schema says")
            }
            "error connecting to server" | "timeout waiting for server" => {
                (ErrorKind::Unavailable, "the server cannot be reached")
            }
            _ if is_gibberish(&error) => (ErrorKind::Unavailable, "what answers does not speak PostgreSQL's protocol"),
            _ => (ErrorKind::Unavailable, "the connection to the server was lost"),
        };
        Self { extent: Extent::Connection, ..Self::new(kind, format!("{meaning} ({text})")) }.because(error)
    }
}

impl Failure {
    fn because(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// Describes why no connection was to be had of at most `connections`, within `seconds`.
    pub(super) fn of_pool(error: PoolError, connections: usize, seconds: u64) -> Self {
        match error {
            PoolError::Backend(error) => Self::from(error),
            PoolError::Timeout(TimeoutType::Wait) => Self::new(
                ErrorKind::Unavailable,
                format!("all {connections} connections were in use for {seconds} s; try again, or raise `connections`"),
            ),
            PoolError::Timeout(_) => Self::new(
                ErrorKind::Unavailable,
                format!("the server did not take a connection within {seconds} s; try again"),
            ),
            error => Self::new(ErrorKind::Unavailable, "there is no connection").because(error),
        }
    }
}

/// Sorts an answer; see <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn classify(code: &SqlState) -> (ErrorKind, &'static str) {
    let code = code.code();
    match code {
        "53100" => return (ErrorKind::Full, "no room is left on the server's disk"),
        "42501" => return (ErrorKind::Permission, "this user must own the schema, or be granted all on its tables"),
        "25006" => return (ErrorKind::Permission, "the server only reads: it is a replica, or was set to"),
        "3D000" => return (ErrorKind::Unsuitable, "there is no such database; make it first"),
        "26000" | "42P05" => {
            return (
                ErrorKind::Unsuitable,
                "a proxy gives each transaction another session; connect to the server itself",
            );
        }
        "57014" => return (ErrorKind::Unavailable, "the server gave up after `statement_timeout`; try again"),
        "57P03" => return (ErrorKind::Unavailable, "the server is starting or stopping; try again"),
        "40001" | "40P01" | "55P03" => return (ErrorKind::Unavailable, "other writers were in the way; try again"),
        "58P01" | "58P02" => return (ErrorKind::Corrupt, "the server misses files of its database"),
        "0A000" => return (ErrorKind::Unavailable, "the tables were altered meanwhile; try again"),
        "54000" => return (ErrorKind::InvalidInput, "a value is too large for the database"),
        _ => {}
    }
    match code.get(..2).unwrap_or_default() {
        "08" => (ErrorKind::Unavailable, "the connection to the server was lost"),
        "28" => (ErrorKind::Permission, "the server did not let this user in"),
        "53" | "57" => (ErrorKind::Unavailable, "the server has no room or time for this now; try again"),
        // Our fixed statements fail so only where tables are not as our schema makes them.
        "22" | "23" | "3F" | "42" => (ErrorKind::Corrupt, "the tables are not as their schema says"),
        "XX" if code != "XX000" => (ErrorKind::Corrupt, "the server found its database damaged"),
        _ => (ErrorKind::Io, "the server failed"),
    }
}

/// Says whether messages had lengths that none has.
fn is_gibberish(error: &tokio_postgres::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| matches!(cause.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData))
}

/// Joins what an error and its causes say.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_codes_has_a_kind() {
        let check = |codes: &[&str], kind| {
            for code in codes {
                assert_eq!(classify(&SqlState::from_code(code)).0, kind, "{code}");
            }
        };
        check(&["53100"], ErrorKind::Full);
        check(&["42501", "25006", "28000", "28P01"], ErrorKind::Permission);
        check(&["57014", "57P01", "57P02", "57P03", "53200", "53300", "08006"], ErrorKind::Unavailable);
        check(&["40001", "40P01", "55P03"], ErrorKind::Unavailable);
        check(&["42P01", "42703", "22P03", "23502", "3F000", "XX001", "XX002", "58P01"], ErrorKind::Corrupt);
        check(&["3D000", "26000"], ErrorKind::Unsuitable);
        check(&["58030", "XX000", "P0001", "?"], ErrorKind::Io);
    }

    #[test]
    fn only_a_lost_answer_leaves_a_write_open() {
        assert_eq!(Failure::silence(1).of_write().kind, ErrorKind::Io);
        assert_eq!(Failure::silence(1).kind, ErrorKind::Unavailable);
        assert_eq!(Failure::new(ErrorKind::Full, "full").of_write().kind, ErrorKind::Full);
    }
}
