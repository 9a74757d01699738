//! Whatever is asked, there is an answer.

use std::sync::Arc;

use bulla_server::App;
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use proptest::prelude::*;
use serde_json::Value;

use super::setting::{ROOT, app, send};

/// Pieces that paths are made of, among them those that paths must not have.
const PIECES: [&str; 24] = [
    "/",
    "/",
    "/",
    "v1",
    "box",
    "team",
    "data",
    "echo",
    "hello",
    "sys",
    "health",
    "a",
    "..",
    ".",
    "%2F",
    "%2e",
    "%00",
    "%",
    "%ff",
    "%25",
    "~",
    "?",
    "list=true",
    "&version=1",
];

const METHODS: [&str; 11] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "LIST", "OPTIONS", "TRACE", "PURGE", "get"];

const HEADERS: [&str; 7] = [
    "content-type",
    "x-vault-namespace",
    "x-vault-token",
    "authorization",
    "host",
    "transfer-encoding",
    "x-forwarded-for",
];

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES.as_slice()), 0..12)
        .prop_map(|pieces| format!("/{}", pieces.concat()))
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        Just(br#"{"text": "a", "number": 7}"#.to_vec()),
        ".{0,40}".prop_map(String::into_bytes),
        r#"\{("[a-z]{1,6}": ?("[a-z]*"|[0-9.e-]{1,5}|null|\[\]|\{\}),? ?){0,3}\}"#.prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..40),
    ]
}

/// Sends a request, and checks that the answer is one.
fn check(app: &Arc<App>, request: Request<Bytes>) -> Result<(), TestCaseError> {
    let is_head = request.method() == "HEAD";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let got = runtime.block_on(send(app, request));
    // The one handler that panics is a defect that is there on purpose, and no path of these leads to it.
    prop_assert!(!got.status.is_server_error(), "{} {}", got.status, got.text);
    prop_assert_eq!(&got.headers["cache-control"], "no-store");
    if got.status.is_client_error() && !is_head {
        let body: Value = serde_json::from_str(&got.text).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert!(body["code"].is_string() && body["errors"][0].is_string(), "{}", got.text);
        prop_assert!(got.status != StatusCode::METHOD_NOT_ALLOWED || got.headers.contains_key("allow"));
    }
    Ok(())
}

#[test]
fn whatever_is_asked_is_answered_and_never_with_a_defect() {
    let (app, _) = pollster::block_on(app());
    let header = (prop::sample::select(HEADERS.as_slice()), prop::collection::vec(32_u8..255, 0..20));
    let asked =
        (prop::sample::select(METHODS.as_slice()), path(), prop::collection::vec(header, 0..3), body(), any::<bool>());
    proptest!(ProptestConfig::with_cases(2000), |((method, path, headers, body, is_root) in asked)| {
        let Ok(mut request) = Request::builder().method(method).uri(&path).header("host", "a").body(Bytes::from(body)) else {
            return Ok(());
        };
        if is_root {
            request.headers_mut().insert("x-vault-token", HeaderValue::from_static(ROOT));
        }
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                request.headers_mut().append(name, value);
            }
        }
        check(&app, request)?;
    });
}
