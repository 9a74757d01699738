//! Tests of `input`.

mod contexts;
mod encoding;
mod hostile_json;
mod inspection;
mod json;
mod names;
mod paths_and_queries;

use bulla_guard::input::{Bounds, Fault, InputError, json as reader};
use serde_json::Value;

/// Reads a document as any value, by the bounds that routes have.
fn read(document: impl AsRef<[u8]>) -> Result<Value, InputError> {
    reader::from_slice(document.as_ref(), &Bounds::DEFAULT)
}

/// Says what is wrong with a document, and where.
fn refusal(document: impl AsRef<[u8]>, bounds: &Bounds) -> (String, Fault) {
    let error = reader::from_slice::<Value>(document.as_ref(), bounds).unwrap_err();
    (error.field(), error.fault().clone())
}
