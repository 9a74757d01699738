use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Desk;
use super::in_process::{InProcess, refused};
use crate::failure::{Failure, Result};
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
    let (status, body) = InProcess::open(desk).await?.ask(&args.method, &args.path, body)?;
    if !status.is_success() {
        return Err(refused(status, &body));
    }
    match serde_json::from_slice::<Value>(&body) {
        Ok(value) if !desk.output.json() => desk.output.line(&format!("{value:#}")),
        Ok(value) => desk.output.line(&value.to_string()),
        Err(_) => desk.output.bytes(&body),
    }
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
