//! The names in the data of a secret, without what they stand for.

use std::collections::BTreeMap;

use bulla_backend::Timestamp;
use bulla_store::Store;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::data::{DataResponse, VersionMetadata, read_data};
use super::patch::members;
use crate::ApiError;
use crate::engines::Engine;

/// Names in an object; what is no object, or empty, is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Subkeys(pub BTreeMap<String, Option<Subkeys>>);

/// The names in a version of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SubkeysResponse {
    /// What is known of the version.
    pub metadata: VersionMetadata,
    /// The names; `None` if the version is deleted or destroyed.
    pub subkeys: Option<Subkeys>,
}

impl SubkeysResponse {
    /// Returns the status of the answer: 404, with the metadata, for a version that is deleted or destroyed.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        if self.subkeys.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND }
    }
}

/// Reads the names in a version of a secret, down to `depth` objects, or all for 0.
///
/// # Errors
/// As [`read_data`].
pub async fn read_subkeys(
    store: &Store,
    engine: &Engine,
    path: &str,
    version: Option<u64>,
    depth: u64,
    now: Timestamp,
) -> Result<SubkeysResponse, ApiError> {
    let DataResponse { data, metadata } = read_data(store, engine, path, version, now).await?;
    let depth = if depth == 0 { u64::MAX } else { depth };
    let subkeys = data.map(|data| names(data.expose(), depth)).transpose()?;
    Ok(SubkeysResponse { metadata, subkeys })
}

/// Collects the names in an object, which is at most [`MAX_DEPTH`](super::MAX_DEPTH) deep.
fn names(object: &str, depth: u64) -> Result<Subkeys, ApiError> {
    let below = |text: &str| -> Result<Option<Subkeys>, ApiError> {
        if depth <= 1 || !text.starts_with('{') {
            return Ok(None);
        }
        Ok(Some(names(text, depth - 1)?).filter(|names| !names.0.is_empty()))
    };
    let members = members(object)?.into_iter();
    members.map(|(name, value)| Ok((name, below(value.get())?))).collect::<Result<_, _>>().map(Subkeys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_left_out_down_to_the_depth() {
        let data = r#"{"a":1,"b":{"c":"x","d":{"e":{"f":2}}},"list":[{"g":1}],"empty":{}}"#;
        let cases = [
            (u64::MAX, r#"{"a":null,"b":{"c":null,"d":{"e":{"f":null}}},"empty":null,"list":null}"#),
            (1, r#"{"a":null,"b":null,"empty":null,"list":null}"#),
            (2, r#"{"a":null,"b":{"c":null,"d":null},"empty":null,"list":null}"#),
        ];
        for (depth, expected) in cases {
            assert_eq!(serde_json::to_string(&names(data, depth).unwrap()).unwrap(), expected);
        }
    }
}
