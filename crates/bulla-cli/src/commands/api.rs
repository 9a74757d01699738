use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulla::guard::audit::Reprove;
use bulla::{Session, SessionOptions};
use bulla_server::{Address, App, Keeper, Peer};
use serde_json::{Value, json};

use super::Desk;
use super::serve::runtime;
use crate::failure::{Exit, Failure, Result};
use crate::input::Input;

/// Longest body, in bytes: what the API takes of values and batches.
const MAX_BODY_LEN: usize = 64 << 20;

/// Ask the HTTP API, without a server
///
/// The request takes the road that all requests take, as this user: it is admitted by the same rules, and recorded. `bulla api GET /v1/openapi.json` says
/// what there is. The first token of a project: `bulla api POST /v1/auth/token/create policies=root`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// GET, LIST, POST, PUT, PATCH or DELETE, in any case
    method: String,
    /// The path, as `/v1/users/ann`, with what is to be asked behind `?`
    path: String,
    /// Fields of the body: NAME=TEXT, or NAME:=JSON
    fields: Vec<String>,
    /// Take the body from this file instead; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "fields")]
    body: Option<PathBuf>,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let body = body(&args.fields, args.body.as_deref())?;
    let request = http::Request::builder()
        .method(args.method.to_ascii_uppercase().as_str())
        .uri(&args.path)
        .header(http::header::HOST, "localhost")
        .body(bytes::Bytes::from(body))
        .map_err(|error| Failure::usage(format!("this is no request: {error}")))?;
    let project = desk.project().await?;
    let options = SessionOptions::default().reprove(Reprove::LastSegment);
    let session = Arc::new(Session::open(project, options).await?);
    let peer = Peer {
        address: Address::Local { user: bulla::this_user(), group: bulla::this_group(), process: None },
        forwarded: None,
        certificate: None,
        is_encrypted: false,
    };
    let app = App::guarded(&Keeper::new(session)).build();
    let app = app.map_err(|error| Failure::new(Exit::Failed, "api", error.to_string()))?;
    let (status, body) = runtime()?.block_on(async {
        let (parts, body) = app.call(request, peer).await.into_parts();
        let body = http_body_util::BodyExt::collect(body).await.map(http_body_util::Collected::to_bytes);
        (parts.status, body)
    });
    let body = body.map_err(|_| Failure::new(Exit::Failed, "broken_off", "the answer broke off"))?;
    answer(status, &body, desk)
}

/// Tells an answer: what it brings to standard output, or why it was refused.
fn answer(status: http::StatusCode, body: &[u8], desk: &Desk) -> Result<()> {
    if status.is_success() {
        return match serde_json::from_slice::<Value>(body) {
            Ok(value) if !desk.output.json() => desk.output.line(&format!("{value:#}")),
            _ if body.is_empty() => Ok(()),
            Ok(value) => desk.output.line(&value.to_string()),
            Err(_) => desk.output.bytes(body),
        };
    }
    let value: Value = serde_json::from_slice(body).unwrap_or(json!({}));
    let message = value["errors"][0].as_str().filter(|message| !message.is_empty()).unwrap_or("there is nothing");
    let exit = match status.as_u16() {
        400 | 405 | 413 | 414 | 415 => Exit::Usage,
        404 => Exit::NotFound,
        401 | 403 => Exit::Refused,
        409 | 412 => Exit::Conflict,
        429 | 502 | 503 | 504 | 507 => Exit::Unavailable,
        _ => Exit::Failed,
    };
    let failure = Failure::new(exit, "api", format!("{} {message}", status.as_u16()));
    Err(match value["hint"].as_str() {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    })
}

fn body(fields: &[String], file: Option<&Path>) -> Result<Vec<u8>> {
    if let Some(file) = file {
        return Ok(Input::open(Some(file))?.whole(MAX_BODY_LEN)?.to_vec());
    }
    if fields.is_empty() {
        return Ok(Vec::new());
    }
    let mut object = serde_json::Map::new();
    for field in fields {
        let (name, value) = field.split_once('=').ok_or_else(|| Failure::usage("write NAME=TEXT or NAME:=JSON"))?;
        let (name, value) = match name.strip_suffix(':') {
            None => (name, Value::from(value)),
            Some(name) => {
                let value = serde_json::from_str(value);
                (name, value.map_err(|error| Failure::usage(format!("`{name}` is no JSON: {error}")))?)
            }
        };
        object.insert(name.to_owned(), value);
    }
    Ok(Value::Object(object).to_string().into_bytes())
}
