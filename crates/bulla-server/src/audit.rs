//! The audit log of this server's machine, to read, verify and prove.

use bulla_guard::audit::{Export, LogReader, Verdict};
use bytes::Bytes;
use data_encoding::BASE64;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::answer::Answer;
use crate::table::{Audit, Capability, Data, Endpoint, Text};
use crate::{ApiError, Call};

/// To read and verify the log.
const READ: &str = "read:audit";
/// Most events of one answer.
const MAX_EVENTS: u64 = 1_000;
/// How many events an export sends at once.
const PIECE: usize = 256;

/// Returns the endpoints. They need a [`Door`](crate::Door) that has a session.
#[must_use]
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("audit.events", "/v1/audit/events")
            .summary("Returns events of the audit log, from an index on, or the last.")
            .query(&["from", "limit"])
            .permission(READ, Capability::Read)
            .on("audit")
            .audit(Audit::Look)
            .plain(events),
        Endpoint::get("audit.export", "/v1/audit/export")
            .summary("Returns all events from an index on, one a line, as JSON or as OCSF has them.")
            .query(&["from", "format"])
            .permission(READ, Capability::Read)
            .on("audit")
            .audit(Audit::Look)
            .plain(export),
        Endpoint::get("audit.checkpoint", "/v1/audit/checkpoint")
            .summary("Returns the last checkpoint, a signed note, to be kept elsewhere.")
            .permission(READ, Capability::Read)
            .on("audit")
            .audit(Audit::Look)
            .fails_with(&[404])
            .plain(checkpoint),
        Endpoint::get("audit.verify", "/v1/audit/verify")
            .summary("Reads and hashes every event, and holds the log to what was signed.")
            .permission(READ, Capability::Read)
            .on("audit")
            .audit(Audit::Look)
            .plain(verify),
        Endpoint::get("audit.prove", "/v1/audit/proof/{index}")
            .summary("Proves that an event is in the log.")
            .permission(READ, Capability::Read)
            .on("audit")
            .audit(Audit::Look)
            .fails_with(&[404])
            .plain(prove),
    ]
}

/// Events, as the export in JSON writes them.
#[derive(Debug, Serialize, JsonSchema)]
struct Events {
    events: Vec<Value>,
    /// From where on to ask for more.
    next: u64,
}

/// What verifying came to.
#[derive(Debug, Serialize, JsonSchema)]
struct Verification {
    /// `ok`, `altered`, `truncated` or `unverifiable`.
    verdict: &'static str,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unsigned: Option<u64>,
}

/// A proof with the event that it proves.
#[derive(Debug, Serialize, JsonSchema)]
struct Proven {
    index: u64,
    /// The stored bytes, in base64.
    event: String,
    /// The proof (C2SP tlog-proof).
    proof: String,
}

fn log(call: &Call) -> Result<LogReader, ApiError> {
    let session = call.session()?;
    let log = session.project().audit_log(Some(session.audit_folder().to_owned()));
    log.map_err(|_| ApiError::internal())
}

/// Reads the log in a thread of its own: it may be long.
async fn reading<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    spawn_blocking(work).await.unwrap_or_else(|_| Err(ApiError::internal()))
}

async fn events(call: Call) -> Result<Data<Events>, ApiError> {
    let from = call.query().number("from", 0..=u64::MAX)?;
    let limit = call.query().number("limit", 1..=MAX_EVENTS)?.unwrap_or(100);
    let log = log(&call)?;
    reading(move || {
        let found = match from {
            Some(from) => log.events(from),
            None => log.tail(limit),
        };
        let (mut events, mut next) = (Vec::new(), from.unwrap_or_default());
        for stored in found.map_err(failure)?.take(usize::try_from(limit).unwrap_or_default()) {
            let stored = stored.map_err(failure)?;
            next = stored.index + 1;
            let line = serde_json::from_str(&Export::Json.line(&stored));
            events.push(line.map_err(|_| ApiError::internal())?);
        }
        Ok(Data::new(Events { events, next }))
    })
    .await
}

async fn export(call: Call) -> Result<Answer, ApiError> {
    let from = call.query().number("from", 0..=u64::MAX)?.unwrap_or_default();
    let format = match call.query().text("format") {
        None | Some("json") => Export::Json,
        Some("ocsf") => Export::Ocsf,
        Some(_) => return Err(ApiError::field("format", "is neither json nor ocsf")),
    };
    let log = log(&call)?;
    let (answer, mut writer) = Answer::stream(StatusCode::OK, "application/jsonl");
    let (sender, mut pieces) = tokio::sync::mpsc::channel::<Bytes>(1);
    spawn_blocking(move || {
        let mut piece = Vec::new();
        let Ok(events) = log.events(from) else { return false };
        for (number, stored) in events.enumerate() {
            let Ok(stored) = stored else { return false };
            piece.extend_from_slice(format.line(&stored).as_bytes());
            piece.push(b'\n');
            if (number + 1) % PIECE == 0 && sender.blocking_send(std::mem::take(&mut piece).into()).is_err() {
                return false;
            }
        }
        // An empty piece says that it is whole; without, the answer breaks off.
        (piece.is_empty() || sender.blocking_send(piece.into()).is_ok()) && sender.blocking_send(Bytes::new()).is_ok()
    });
    tokio::spawn(async move {
        while let Some(piece) = pieces.recv().await {
            if piece.is_empty() {
                // Whoever does not wait for the end has left.
                let _ = writer.finish().await;
                return;
            }
            if writer.send(piece).await.is_err() {
                return;
            }
        }
    });
    Ok(answer)
}

async fn checkpoint(call: Call) -> Result<Text, ApiError> {
    let checkpoint = log(&call)?.checkpoint().map_err(failure)?;
    Ok(Text("text/plain; charset=utf-8", checkpoint.to_string()))
}

async fn verify(call: Call) -> Result<Data<Verification>, ApiError> {
    let published = call.project().published_checkpoint().await.map_err(|_| ApiError::internal())?;
    let log = log(&call)?;
    reading(move || {
        let verdict = log.verify(published.as_ref());
        let (events, unsigned) = match &verdict {
            Verdict::Ok(verified) => (Some(verified.size), Some(verified.unsigned)),
            _ => (None, None),
        };
        Ok(Data::new(Verification { verdict: verdict.code(), detail: verdict.to_string(), events, unsigned }))
    })
    .await
}

async fn prove(call: Call) -> Result<Data<Proven>, ApiError> {
    let index: u64 = call.param("index").parse().map_err(|_| ApiError::field("index", "is no whole number"))?;
    let log = log(&call)?;
    reading(move || {
        let nothing = || ApiError::not_found("event of that index that a checkpoint covers");
        let proof = log.prove(index).map_err(|_| nothing())?;
        let stored = log.events(index).map_err(failure)?.next().transpose().map_err(failure)?.ok_or_else(nothing)?;
        Ok(Data::new(Proven { index, event: BASE64.encode(&stored.bytes), proof: proof.to_string() }))
    })
    .await
}

/// What a log that cannot be read is to those who ask: its paths concern nobody outside.
fn failure(error: bulla_guard::audit::AuditError) -> ApiError {
    use bulla_guard::audit::AuditError;
    match error {
        AuditError::Missing(_) => ApiError::not_found("checkpoint yet"),
        error => ApiError::busy(error.code(), "the audit log cannot be read as it should", 5)
            .with_hint("`bulla audit verify` on the server says more"),
    }
}
