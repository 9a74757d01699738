//! Values of entries, in and out piece by piece.

use std::time::Duration;

use bulla::{EntryReader, EntryStat, GetOptions, Lifetime, PutOptions};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;

use super::name::{entry, expected, failed, namespace};
use crate::answer::{Answer, StreamWriter};
use crate::app::giving_away;
use crate::body::BodyReader;
use crate::table::{Data, NoContent};
use crate::{ApiError, Call};

/// Up to this length a value is answered in one piece.
const ONE_PIECE: u64 = 256 * 1024;

/// What was put.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Put {
    /// 1 for the first entry of its name, one more with each that replaces another.
    version: u64,
    /// Length of the value, in bytes.
    length: u64,
}

pub(super) async fn get(call: Call) -> Result<Answer, ApiError> {
    let options = GetOptions { expected: call.query().number("version", 1..=u64::MAX)? };
    let mut reader = namespace(&call)?.reader(&entry(&call)?, &options).await.map_err(failed)?;
    let stat = reader.stat().clone();
    if stat.len <= ONE_PIECE {
        let mut value = Vec::with_capacity(usize::try_from(stat.len).unwrap_or_default());
        while let Some(chunk) = reader.read_chunk().await? {
            value.extend_from_slice(chunk);
        }
        return Ok(describe(Answer::bytes(StatusCode::OK, OCTETS, value), &stat));
    }
    // The first piece is opened before anything is sent: what does not open is an error, and not an answer that breaks off.
    let first = reader.read_chunk().await?.map(Bytes::copy_from_slice);
    let (answer, writer) = Answer::stream(StatusCode::OK, OCTETS);
    tokio::spawn(send(reader, first, writer));
    Ok(describe(answer, &stat))
}

/// Sends a value. If a piece of it does not open, the answer breaks off, and nobody takes it for whole.
async fn send(mut reader: EntryReader, first: Option<Bytes>, mut writer: StreamWriter) {
    let mut next = first;
    while let Some(piece) = next {
        if writer.send(piece).await.is_err() {
            return;
        }
        next = match giving_away(reader.read_chunk()).await {
            Ok(chunk) => chunk.map(Bytes::copy_from_slice),
            Err(error) => {
                tracing::warn!(code = error.code(), "a value broke off");
                return;
            }
        };
    }
    // Whoever does not wait for the end has left.
    let _ = writer.finish().await;
}

pub(super) async fn put(call: Call, mut body: BodyReader) -> Result<Data<Put>, ApiError> {
    let options = options(&call)?;
    let mut writer = namespace(&call)?.writer(&entry(&call)?, &options)?;
    let mut length = 0_u64;
    while let Some(piece) = body.chunk().await? {
        length += piece.len() as u64;
        writer.write(&piece).await?;
    }
    Ok(Data::new(Put { version: writer.finish().await.map_err(failed)?, length }))
}

pub(super) async fn remove(call: Call) -> Result<NoContent, ApiError> {
    namespace(&call)?.remove(&entry(&call)?, expected(&call)?).await.map_err(failed)?;
    Ok(NoContent)
}

fn options(call: &Call) -> Result<PutOptions, ApiError> {
    let ttl = call.query().number("ttl", 1..=u64::from(u32::MAX))?;
    let media_type = call.header("content-type").filter(|media_type| *media_type != FORM && *media_type != OCTETS);
    Ok(PutOptions {
        lifetime: ttl.map_or(Lifetime::default(), |seconds| Lifetime::For(Duration::from_secs(seconds))),
        media_type: media_type.map(str::to_owned),
        tags: call.query().text("tag").map(str::to_owned).into_iter().collect(),
        expected: expected(call)?,
        sensitive: match call.query().text("sensitive") {
            None | Some("false") => false,
            Some("" | "true") => true,
            Some(_) => return Err(ApiError::field("sensitive", "is neither true nor false")),
        },
        ..PutOptions::default()
    })
}

const OCTETS: &str = "application/octet-stream";
/// What `curl --data-binary` calls everything.
const FORM: &str = "application/x-www-form-urlencoded";

/// Says what is known of a value. Whatever it is, no browser is to run it.
fn describe(answer: Answer, stat: &EntryStat) -> Answer {
    let mut answer = answer
        .with_header(header::ETAG, text(&format!("\"{}\"", stat.version)))
        .with_header(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
        .with_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
        .with_header(HeaderName::from_static("x-bulla-version"), HeaderValue::from(stat.version))
        .with_header(HeaderName::from_static("x-bulla-created"), HeaderValue::from(stat.created.0));
    if let Some(media_type) = &stat.media_type {
        answer = answer.with_header(HeaderName::from_static("x-bulla-media-type"), text(media_type));
    }
    if let Some(expires) = stat.expires {
        answer = answer.with_header(HeaderName::from_static("x-bulla-expires"), HeaderValue::from(expires.0));
    }
    answer
}

fn text(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}
