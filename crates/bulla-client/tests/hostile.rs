//! Servers that answer wrongly, too much, too slowly, or what they should not know.

use std::time::{Duration, Instant};

use bulla_client::{ClientError, Expect, Kv};

use crate::wire::{Reply, SECRET, TOKEN, Wire, json};

/// Reads a secret, checks that the token is in no word about it, and returns the code and the message.
async fn refused(wire: &Wire) -> (&'static str, String) {
    let client = wire.builder().request_time(Duration::from_secs(5)).max_answer(1 << 20).build().unwrap();
    let begun = Instant::now();
    let error = client.kv("secret").read("a").await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(10));
    let message = error.to_string();
    for words in [&message, &format!("{error:?}"), &format!("{client:?}"), error.hint().unwrap_or_default()] {
        assert!(!words.contains(TOKEN) && words.len() < 6_000 && !words.contains('\u{1b}'), "{words}");
    }
    assert!(!message.contains(['\n', '\r']), "{message:?}");
    (error.code(), message)
}

async fn check(answer: impl Into<Vec<u8>>, code: &str, part: &str) {
    let answer = answer.into();
    let (found, message) = refused(&Wire::always(answer.clone())).await;
    let answer = String::from_utf8_lossy(&answer[..answer.len().min(120)]).into_owned();
    assert!(found == code && message.contains(part), "{answer:?} gave {found}: {message}");
}

#[tokio::test]
async fn answers_that_break_off_are_no_answers() {
    let chunked = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    for answer in [
        String::new(),
        "HTTP/1.1 200 OK\r\nContent-".to_owned(),
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{SECRET}"),
        chunked.to_owned(),
        format!("{chunked}5\r\n{{\"dat"),
        format!("{chunked}{:x}\r\n{SECRET}\r\n", SECRET.len()),
    ] {
        check(answer, "connection_broken", "the connection to http://127.0.0.1:").await;
    }
}

#[tokio::test]
async fn what_is_not_http_is_no_answer() {
    let many = "X-Header: 1\r\n".repeat(500);
    let long = "x".repeat(1 << 20);
    for answer in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned(),
        "\0\0\u{12}\u{4}\0\0\0\0\0".to_owned(),
        "HTTP/9.9 200 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 2000 OK\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
        format!("HTTP/1.1 200 OK\r\nX-Header: {long}\r\n\r\n"),
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}   ".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}".to_owned(),
        format!("HTTP/1.1 200 OK\r\n{TOKEN} {TOKEN}\r\n\r\n"),
    ] {
        check(answer, "connection_broken", "").await;
    }
}

#[tokio::test]
async fn too_much_is_not_read() {
    check(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{",
        "bad_answer",
        "longer than 1048576 bytes",
    )
    .await;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("8000\r\n{}\r\n", " ".repeat(0x8000)).into_bytes();
    let wire = Wire::start(move |_, _| Reply::Endless(head.into(), chunk.clone(), Duration::ZERO));
    let (code, message) = refused(&wire).await;
    assert_eq!(code, "bad_answer");
    assert!(message.ends_with("it is longer than 1048576 bytes"), "{message}");
    assert_eq!(wire.requests().len(), 1);
}

#[tokio::test]
async fn slow_servers_are_not_waited_for() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n".to_vec();
    let drip = Duration::from_millis(20);
    let replies: [Box<dyn Fn() -> Reply + Send + Sync>; 4] = [
        Box::new(|| Reply::Hang(Vec::new())),
        Box::new({
            let head = head.clone();
            move || Reply::Hang(head.clone())
        }),
        Box::new(move || Reply::Endless(head.clone(), b" ".to_vec(), drip)),
        Box::new(move || Reply::Endless(b"HTTP/1.1 200 OK\r\nX: ".to_vec(), b"x".to_vec(), drip)),
    ];
    for reply in replies {
        let wire = Wire::start(move |_, _| reply());
        let client = wire.builder().request_time(Duration::from_millis(300)).build().unwrap();
        let begun = Instant::now();
        let refused = client.kv("secret").read("a").await.unwrap_err();
        assert!(matches!(refused, ClientError::TimedOut { .. }), "{refused}");
        assert_eq!(refused.to_string(), format!("{} did not answer within 300 ms", wire.url()));
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn what_is_not_of_this_api_is_no_answer() {
    let page = "<html>Welcome to the captive portal</html>";
    check(
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n{page}"),
        "bad_answer",
        "it is text/html, not JSON",
    )
    .await;
    check(format!("HTTP/1.1 200 OK\r\n\r\n{page}"), "bad_answer", "it is of no type, not JSON").await;
    check(format!("HTTP/1.1 200 OK\r\nContent-Type: a/{TOKEN}\r\n\r\n{page}"), "bad_answer", "a/[secret]").await;
    check("HTTP/1.1 204 No Content\r\n\r\n", "bad_answer", "it is empty").await;
    check("HTTP/1.1 600 X\r\nContent-Length: 0\r\n\r\n", "bad_answer", "status 600").await;
    for (body, part) in [
        ("{", "it is no JSON, at line 1 column 1"),
        (page, "it is no JSON, at line 1 column 1"),
        (&"[".repeat(100_000), "JSON"),
        (&format!("{{\"data\":{{\"data\":{}", "{\"a\":".repeat(100_000)), "no JSON"),
        ("{\"data\": \u{fffd}}", "no JSON"),
        ("null", "other JSON"),
        ("{}", "other JSON than there should be"),
        ("{\"data\":\"s.NobodyMaySeeThis\"}", "other JSON than there should be"),
        ("{\"data\":{\"data\":\"s.NobodyMaySeeThis\",\"metadata\":{}}}", "other JSON than there should be"),
        ("{\"data\":{\"data\":{},\"metadata\":{\"version\":\"s.NobodyMaySeeThis\"}}}", "other JSON"),
        ("{\"data\":{\"data\":{},\"metadata\":{\"version\":-1}}}", "other JSON"),
    ] {
        check(json(200, "", body), "bad_answer", part).await;
    }
}

#[tokio::test]
async fn what_a_server_says_is_shown_without_the_token() {
    let said = format!("{{\"errors\":[\"no \\u001b[31m{TOKEN}\\r\\n\",\"it's {TOKEN}{TOKEN}\"]}}");
    check(json(403, "", &said), "permission_denied", "status 403, no  [31m[secret]; it's [secret][secret]").await;
    let many = format!("{{\"errors\":[{}\"end\"]}}", format!("\"{}\",", "ä".repeat(2_000)).repeat(200));
    check(json(400, "", &many), "invalid_request", "status 400, ää").await;
    for (status, code) in [
        (400, "invalid_request"),
        (401, "permission_denied"),
        (404, "not_found"),
        (405, "invalid_request"),
        (409, "conflict"),
        (412, "conflict"),
        (413, "invalid_request"),
        (429, "server_busy"),
        (500, "server_failed"),
        (502, "server_failed"),
        (503, "server_busy"),
        (599, "server_failed"),
    ] {
        for body in ["<html>", "", "{\"errors\":5}", "{\"errors\":[{\"a\":1}]}", "[]"] {
            let part = format!("GET secret/data/a: status {status}");
            check(json(status, "", body), code, &part).await;
        }
    }
}

#[tokio::test]
async fn a_token_is_sent_as_a_header_and_nowhere_else() {
    let wire = Wire::answering(json(200, "", SECRET));
    let client = wire.client();
    let kv: Kv<'_> = client.kv("secret");
    kv.read("a").await.unwrap();
    kv.put("a", &serde_json::json!({ "b": 1 }), Expect::Version(7)).await.unwrap_err();
    let requests = wire.requests();
    assert_eq!(requests.len(), 2);
    for request in &requests {
        assert_eq!(request.matches(TOKEN).count(), 1, "{request}");
        assert!(request.contains(&format!("x-vault-token: {TOKEN}\r\n")), "{request}");
        assert!(request.contains("user-agent: bulla/") && request.contains("x-vault-request: true"), "{request}");
    }
    assert!(requests[0].starts_with("GET /v1/secret/data/a HTTP/1.1\r\n"), "{}", requests[0]);
    assert!(requests[1].ends_with("\r\n\r\n{\"data\":{\"b\":1},\"options\":{\"cas\":7}}"), "{}", requests[1]);
    // What needs no token is asked without it.
    client.sys().health().await.unwrap_err();
    client.approle("approle").login("role", "s3cret").await.unwrap_err();
    for request in &wire.requests()[2..] {
        assert!(!request.contains(TOKEN), "{request}");
    }
}

#[tokio::test]
async fn a_secret_of_a_login_that_a_server_repeats_is_not_shown() {
    let wire = Wire::always(json(400, "", "{\"errors\":[\"no s3cret-id for you\"]}"));
    let refused = wire.client().approle("approle").login("role", "s3cret-id").await.unwrap_err();
    assert_eq!(refused.to_string(), "POST auth/approle/login: status 400, no [secret] for you");
}
