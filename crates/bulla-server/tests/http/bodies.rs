//! What bodies may be, and what answers look like.

use serde_json::json;

use super::setting::{ROOT, app, ask, request, send};

#[tokio::test]
async fn an_answer_comes_in_the_envelope_with_safe_headers() {
    let (app, _) = app().await;
    let got = ask(&app, "POST", "/v1/box/echo/a", r#"{"text": "hi", "number": null}"#).await;
    let mut body = got.json();
    assert_eq!(body["request_id"].take(), got.headers["x-request-id"].to_str().unwrap());
    assert_eq!(
        body,
        json!({
            "request_id": null, "lease_id": "", "renewable": false, "lease_duration": 0, "wrap_info": null, "warnings": null, "auth": null,
            "data": {"text": "hi", "who": "root", "path": ["a"]},
        })
    );
    for (name, value) in [
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ] {
        assert_eq!(got.headers[name], value);
    }
}

#[tokio::test]
async fn ids_of_requests_differ_and_look_like_uuids() {
    let (app, _) = app().await;
    let mut ids = std::collections::HashSet::new();
    for _ in 0..100 {
        let id = ask(&app, "GET", "/v1/hello", "").await.headers["x-request-id"].to_str().unwrap().to_owned();
        assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{id}");
        assert!(ids.insert(id));
    }
}

#[tokio::test]
async fn nothing_at_all_is_an_empty_object() {
    let (app, _) = app().await;
    for body in ["", " \n", "{}"] {
        assert_eq!(ask(&app, "POST", "/v1/box/echo/a", body).await.status, 200, "{body:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_named_and_its_values_are_not_repeated() {
    let (app, _) = app().await;
    let deep = format!(r#"{{"text": {}"#, "[".repeat(100_000));
    for (body, code, words) in [
        (r#"{"text": "s3cret"#, "not_json", "/text"),
        (r#"{"text": "s3cret"} x"#, "not_json", "follows"),
        ("s3cret", "not_json", ""),
        ("\u{feff}{}", "not_json", "byte-order mark"),
        (r#"{"txt": "s3cret"}"#, "unknown_field", "/txt"),
        (r#"{"number": "s3cret"}"#, "wrong_type", "/number: expected"),
        (r#"{"number": -1}"#, "wrong_type", "/number"),
        (r#"{"text": "s3cret", "\u0074ext": "s3cret"}"#, "duplicate_field", "/text: is there twice"),
        (r#"["s3cret", 1]"#, "wrong_type", ""),
        (r#""s3cret""#, "wrong_type", ""),
        ("null", "wrong_type", ""),
        (&deep, "wrong_type", "/text"),
    ] {
        let got = ask(&app, "POST", "/v1/box/echo/a", body).await;
        assert_eq!((got.status.as_u16(), got.code().as_str()), (400, code), "{body:.40}: {}", got.text);
        assert!(got.error().contains(words), "{body:.40}: {}", got.text);
        assert!(!got.text.contains("s3cret"), "{body:.40}: {}", got.text);
    }
    let not_text = request("POST", "/v1/box/echo/a", Some(ROOT), "").map(|_| b"{\"text\":\"\xff\"}".as_slice().into());
    assert_eq!(send(&app, not_text).await.status, 400);
}

#[tokio::test]
async fn an_endpoint_without_a_body_takes_none() {
    let (app, _) = app().await;
    assert_eq!(ask(&app, "POST", "/v1/box/echo/fixed", "{}").await.status, 200);
    assert_eq!(ask(&app, "POST", "/v1/box/echo/fixed", r#"{"a": 1}"#).await.error(), "/a: unknown here");
}

#[tokio::test]
async fn a_body_is_as_long_as_its_endpoint_says() {
    let (app, _) = app().await;
    let body = |length: usize| format!(r#"{{"text": "{}"}}"#, "a".repeat(length));
    assert_eq!(ask(&app, "POST", "/v1/box/data/a", &body(1000)).await.status, 204);
    let got = ask(&app, "POST", "/v1/box/data/a", &body(1 << 20)).await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (413, "body_too_large"));
    assert_eq!(ask(&app, "POST", "/v1/box/echo/a", &body(2 << 20)).await.status, 200);
}

#[tokio::test]
async fn a_body_that_is_something_else_is_refused() {
    let (app, _) = app().await;
    for (name, value, status) in [
        ("content-type", "application/json", 200),
        ("content-type", "application/json; charset=utf-8", 200),
        ("content-type", "application/merge-patch+json", 200),
        ("content-type", "application/x-www-form-urlencoded", 200),
        ("content-type", "text/plain", 415),
        ("content-type", "multipart/form-data; boundary=a", 415),
        ("content-type", "", 415),
        ("content-encoding", "gzip", 415),
        ("content-encoding", "identity", 200),
    ] {
        let mut asked = request("POST", "/v1/box/echo/a", Some(ROOT), "{}");
        asked.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(send(&app, asked).await.status, status, "{name}: {value}");
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_rather_than_left_out() {
    let (app, _) = app().await;
    for (name, value, status) in [
        ("x-vault-namespace", "team", 400),
        ("x-vault-namespace", "", 200),
        ("x-vault-wrap-ttl", "60s", 400),
        ("x-vault-wrap-ttl", "0", 200),
        ("x-vault-request", "true", 200),
    ] {
        let mut asked = request("POST", "/v1/box/echo/a", Some(ROOT), "{}");
        asked.headers_mut().insert(name, value.parse().unwrap());
        let got = send(&app, asked).await;
        assert_eq!(got.status, status, "{name}: {value}");
        assert!(status == 200 || got.error().starts_with(name), "{}", got.text);
    }
}

#[tokio::test]
async fn a_request_names_one_host() {
    let (app, _) = app().await;
    let mut asked = request("GET", "/v1/hello", None, "");
    asked.headers_mut().append("host", "other".parse().unwrap());
    assert_eq!(send(&app, asked).await.status, 400);
    let mut asked = request("GET", "/v1/hello", None, "");
    asked.headers_mut().remove("host");
    assert_eq!(send(&app, asked).await.status, 400);
}

#[tokio::test]
async fn a_defect_is_an_answer_that_says_nothing() {
    let (app, door) = app().await;
    let got = ask(&app, "GET", "/v1/box/panic", "").await;
    assert_eq!((got.status.as_u16(), got.error().as_str()), (500, "the server failed"));
    assert!(!got.text.contains("secret-in-a-panic"));
    assert_eq!(door.record.lock().unwrap().last().unwrap(), "finish box/panic 500");
}
