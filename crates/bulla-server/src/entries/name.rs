//! Names of entries, which are any bytes, in the text of a query.

use bulla::{ExpectedVersion, Namespace, StoreError};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{ApiError, Call};

/// A name, as answers write it: text where it is that, and else base64.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ShownName {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_base64: Option<String>,
}

impl ShownName {
    pub(super) fn new(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self { name: Some(text.to_owned()), name_base64: None },
            Err(_) => Self { name: None, name_base64: Some(BASE64.encode(bytes)) },
        }
    }
}

pub(super) fn namespace(call: &Call) -> Result<Namespace, ApiError> {
    Ok(call.project().entries().namespace(call.param("namespace"))?)
}

/// Reads bytes that are given as text in one parameter, or as base64 in another.
pub(super) fn bytes(call: &Call, text: &str, base64: &str) -> Result<Option<Vec<u8>>, ApiError> {
    match (call.query().text(text), call.query().text(base64)) {
        (Some(_), Some(_)) => Err(ApiError::field(base64, format!("is given beside {text}"))),
        (Some(text), None) => Ok(Some(text.as_bytes().to_vec())),
        (None, Some(encoded)) => {
            let decoded = BASE64.decode(encoded.as_bytes()).or_else(|_| BASE64URL_NOPAD.decode(encoded.as_bytes()));
            decoded.map(Some).map_err(|_| ApiError::field(base64, "is not base64"))
        }
        (None, None) => Ok(None),
    }
}

/// Reads the name of an entry.
pub(super) fn entry(call: &Call) -> Result<Vec<u8>, ApiError> {
    bytes(call, "name", "name_base64")?.ok_or_else(|| ApiError::field("name", "is missing"))
}

/// Says why an entry was not read or written. What is there in another version than was expected is a conflict.
pub(super) fn failed(error: StoreError) -> ApiError {
    match error {
        StoreError::VersionMismatch { .. } => ApiError::new(StatusCode::CONFLICT, error.code(), error.to_string()),
        error => error.into(),
    }
}

/// Reads what has to be there: a version, `absent`, or whatever there is.
pub(super) fn expected(call: &Call) -> Result<ExpectedVersion, ApiError> {
    match call.query().text("expected") {
        None | Some("") => Ok(ExpectedVersion::Any),
        Some("absent" | "0") => Ok(ExpectedVersion::Absent),
        Some(version) => match version.parse() {
            Ok(version) => Ok(ExpectedVersion::Version(version)),
            Err(_) => Err(ApiError::field("expected", "is neither a version nor `absent`")),
        },
    }
}
