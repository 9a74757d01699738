//! JSON from strangers. Whatever parses a body calls [`parse`], so that its rules have one home.

use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::ApiError;

/// Longest part of a parser's message that is repeated.
const MAX_TOLD: usize = 200;

/// No fields at all.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Empty {}

/// Parses a body. Nothing at all is an empty object.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let bytes = match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => b"{}",
        // serde would take an array for an object whose names were left away.
        Some(b'{') => bytes,
        Some(_) => return Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", "the body is no JSON object")),
    };
    serde_json::from_slice(bytes).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        if error.is_data() {
            let problem = without_values(&error.to_string());
            ApiError::new(StatusCode::BAD_REQUEST, "invalid_field", format!("the body has {problem}, at {place}"))
        } else {
            ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", format!("the body is no JSON, at {place}"))
        }
    })
}

/// Leaves away what the body said, since that can be a secret: names of fields stay, values do not.
fn without_values(message: &str) -> String {
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    let told =
        if ["unknown field `", "missing field `", "duplicate field `"].iter().any(|kind| message.starts_with(kind)) {
            message
        } else if let Some((_, expected)) = message.rsplit_once(", expected ") {
            return format!("a value that is not {}", printable(expected));
        } else {
            "a value that is not as it must be"
        };
    printable(told)
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_TOLD).collect()
}
