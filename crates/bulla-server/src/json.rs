//! Bodies of JSON.

use bulla_guard::input::{Bounds, json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::ApiError;

/// No fields at all.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Empty {}

/// What a field takes that is text, or a number, as clients write it: a length of time, say.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it only describes others")]
pub(crate) enum TextOrNumber {
    Text(String),
    Number(f64),
}

/// Reads a body of at most `limit` bytes. Nothing at all is an empty object.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, ApiError> {
    let bytes = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}" } else { bytes };
    let usual = if limit > Bounds::DEFAULT.body { Bounds::BATCH } else { Bounds::DEFAULT };
    Ok(json::from_slice(bytes, &Bounds { body: limit, text: limit, ..usual })?)
}
