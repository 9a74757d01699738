//! Requests that two readers could understand in two ways are understood in none, and nothing follows them on their connection.

use super::setting::ROOT;
use super::wire::{Running, answers};

/// What an attacker wants to be taken for a request.
const HIDDEN: &str = "GET /v1/hello HTTP/1.1\r\nhost: a\r\n\r\n";

fn post(headers: &str, body: &str) -> String {
    format!("POST /v1/box/echo/a HTTP/1.1\r\nhost: a\r\nx-vault-token: {ROOT}\r\n{headers}\r\n\r\n{body}")
}

#[tokio::test(flavor = "multi_thread")]
async fn lengths_that_contradict_each_other_are_refused() {
    let running = Running::with_times(|_| {}).await;
    for headers in [
        "content-length: 2\r\ncontent-length: 3",
        "content-length: 2, 3",
        "content-length: 2, 2",
        "content-length: +2",
        "content-length: -2",
        "content-length: 0x2",
        "content-length: 2 2",
        "content-length: ",
        "content-length: 99999999999999999999999",
        "transfer-encoding: xchunked",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: identity",
        "content-length: 2\r\ntransfer-encoding: xchunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
    ] {
        let text = running.say(post(headers, &format!("{{}}{HIDDEN}"))).await;
        assert_eq!(answers(&text), (1, "400"), "{headers}: {text}");
    }
    let old = "POST /v1/box/echo/a HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(answers(&running.say(old).await), (1, "400"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_follows_a_body_in_chunks() {
    let running = Running::with_times(|_| {}).await;
    for headers in [
        "transfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 2",
        "content-length: 2\r\ntransfer-encoding: chunked",
        "content-length: 12\r\ntransfer-encoding: chunked",
    ] {
        let text = running.say(post(headers, &format!("2\r\n{{}}\r\n0\r\n\r\n{HIDDEN}"))).await;
        assert_eq!(answers(&text), (1, "200"), "{headers}: {text}");
        assert!(text.contains("connection: close"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_that_are_none_are_refused() {
    let running = Running::with_times(|_| {}).await;
    for body in [
        "zz\r\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        "+2\r\n{}\r\n0\r\n\r\n",
        "fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        "2\n{}\n0\n\n",
        "2\r\n{}0\r\n\r\n",
        "0x2\r\n{}\r\n0\r\n\r\n",
        "\r\n{}\r\n0\r\n\r\n",
    ] {
        let text = running.say(post("transfer-encoding: chunked", &format!("{body}{HIDDEN}"))).await;
        assert_eq!(answers(&text), (1, "400"), "{body}: {text}");
    }
    // Notes beside the length, and after the last chunk, are bounded too.
    let note = format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "a".repeat(100 << 10));
    assert_eq!(answers(&running.say(post("transfer-encoding: chunked", &note)).await), (1, "400"));
    let trailer = format!("2\r\n{{}}\r\n0\r\nx: {}\r\n\r\n", "a".repeat(100 << 10));
    let text = running.say(post("transfer-encoding: chunked", &trailer)).await;
    assert!(answers(&text).0 <= 1, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_are_no_headers_are_refused() {
    let running = Running::with_times(|_| {}).await;
    for head in [
        "GET /v1/hello HTTP/1.1\r\nhost: a\r\nx-a: b\r\n c\r\n\r\n",
        "GET /v1/hello HTTP/1.1\r\nhost: a\r\n\tx-a: b\r\n\r\n",
        "GET /v1/hello HTTP/1.1\r\nhost: a\r\nx-a : b\r\n\r\n",
        "GET /v1/hello HTTP/1.1\r\nhost: a\r\nx-a\r\n\r\n",
        "GET /v1/hello HTTP/1.1\r\nhost: a\r\nx-a: b\0c\r\n\r\n",
        "GET /v1/hello HTTP/1.1\r\nhost: a\r\nx-a: b\rc: d\r\n\r\n",
        "GET /v1/hello HTTP/1.1\r\nhost: a\r\n: b\r\n\r\n",
        "GET  /v1/hello HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /v1/hello  HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /v1/he llo HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /v1/hello HTTP/1.2\r\nhost: a\r\n\r\n",
        "GET /v1/hello HTTP/3.0\r\nhost: a\r\n\r\n",
        "GET /v1/hello\r\n\r\n",
        "GET /v1/hello HTTP/1.1\r\n\r\n",
        "GET /v1/hello HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "G\u{e4}T /v1/hello HTTP/1.1\r\nhost: a\r\n\r\n",
        "\r\n\r\n\0\0\0\0\r\n\r\n",
        "CONNECT a:443 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let text = running.say(head.replacen("\r\n\r\n", "\r\nconnection: close\r\n\r\n", 1)).await;
        assert!(!text.contains("200 OK"), "{head:?}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_follow_each_other_are_answered_in_order() {
    let running = Running::with_times(|_| {}).await;
    let last = HIDDEN.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    let text = running.say(post("content-length: 15", "{\"text\": \"one\"}") + HIDDEN + &last).await;
    assert_eq!(answers(&text), (3, "200"), "{text}");
    let expects = post("expect: 100-continue\r\ncontent-length: 2\r\nconnection: close", "{}");
    assert!(running.say(expects).await.ends_with('}'));
    let upgrade = "GET /v1/hello HTTP/1.1\r\nhost: a\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\nconnection: upgrade, http2-settings, close\r\n\r\n";
    assert_eq!(answers(&running.say(upgrade).await), (1, "200"));
}
