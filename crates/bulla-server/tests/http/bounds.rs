//! Bounds on what strangers can size, and on how long they can keep somebody waiting.

use std::fmt::Write;
use std::time::{Duration, Instant};

use bulla_server::{Config, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use super::setting::{ROOT, TestDoor, ask, builder};
use super::wire::{PATIENCE, Running, SOON, answers, local, patient, read_all, read_one};

const HELLO: &str = "GET /v1/hello HTTP/1.1\r\nhost: a\r\n\r\n";

fn post(path: &str, headers: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: a\r\nx-vault-token: {ROOT}\r\n{headers}\r\n\r\n{body}")
}

async fn limited(change: impl FnOnce(&mut Limits)) -> Running {
    let mut limits = Limits::default();
    change(&mut limits);
    let builder = builder(&TestDoor::default()).await.limits(limits).times(patient());
    Running::start(Config::default().listen(local()), builder).await
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_bounded_in_length_and_number() {
    let running = limited(|_| {}).await;
    let long = format!("GET /v1/hello HTTP/1.1\r\nhost: a\r\nx-long: {}\r\n\r\n", "a".repeat(17 << 10));
    assert_eq!(answers(&running.say(long).await), (1, "431"));
    let line = format!("GET /v1/hello?{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(17 << 10));
    assert!(["414", "431"].contains(&answers(&running.say(line).await).1));
    let mut many = "GET /v1/hello HTTP/1.1\r\nhost: a\r\n".to_owned();
    for number in 0..200 {
        write!(many, "x-{number}: a\r\n").unwrap();
    }
    assert_eq!(answers(&running.say(many + "\r\n").await), (1, "431"));
    let fits =
        format!("GET /v1/hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-long: {}\r\n\r\n", "a".repeat(15 << 10));
    assert_eq!(answers(&running.say(fits).await), (1, "200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_come_slowly_are_waited_for_so_long() {
    let running = Running::with_times(|times| times.headers = SOON).await;
    let mut stream = running.connect().await;
    let began = Instant::now();
    let trickle = async {
        // One byte at a time, so that the connection is never silent.
        for byte in HELLO.bytes().cycle() {
            if stream.write_all(&[byte.to_ascii_lowercase().max(b'a')]).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, trickle).await.expect("the server closes the connection");
    assert!(began.elapsed() >= SOON);
    // One that says nothing at all is closed too.
    assert_eq!(running.say("").await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_waits_for_its_next_request_longer_than_for_headers() {
    let running = Running::with_times(|times| (times.headers, times.idle) = (SOON, SOON * 6)).await;
    let mut stream = running.connect().await;
    for _ in 0..2 {
        stream.write_all(HELLO.as_bytes()).await.unwrap();
        assert_eq!(answers(&read_one(&mut stream).await), (1, "200"));
        sleep(SOON * 3).await;
    }
    let began = Instant::now();
    assert_eq!(read_all(&mut stream).await, "");
    assert!(began.elapsed() < PATIENCE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_comes_slowly_is_waited_for_so_long() {
    let running = Running::with_times(|times| times.body_grace = SOON).await;
    let began = Instant::now();
    let text = running.say(post("/v1/box/echo/a", "content-length: 100", "{")).await;
    assert!(text.contains("408 Request Timeout") && text.contains("body_too_slow"), "{text}");
    assert!(began.elapsed() >= SOON);
    let text = running.say(post("/v1/box/echo/a", "transfer-encoding: chunked", "1\r\n{\r\n")).await;
    assert!(text.contains("408 Request Timeout"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_comes_in_pieces_is_put_together() {
    let running = limited(|_| {}).await;
    let mut stream = running.connect().await;
    stream.write_all(post("/v1/box/echo/a", "content-length: 15", "").as_bytes()).await.unwrap();
    for piece in ["{\"te", "xt\": ", "\"abc", "\"}"] {
        sleep(Duration::from_millis(30)).await;
        stream.write_all(piece.as_bytes()).await.unwrap();
    }
    let text = read_one(&mut stream).await;
    assert!(text.contains("\"text\":\"abc\""), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_long_is_not_read() {
    let running = limited(|_| {}).await;
    let announced = running.say(post("/v1/box/data/a", "content-length: 99999999999", "{")).await;
    assert_eq!(answers(&announced), (1, "413"));
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
    let chunked = running.say(post("/v1/box/data/a", "transfer-encoding: chunked", &chunk.repeat(20))).await;
    // A client that goes on sending may miss the answer.
    assert!(["413", ""].contains(&answers(&chunked).1), "{chunked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_for_bodies_is_bounded_in_all() {
    let running = limited(|limits| limits.body_memory = 1 << 20).await;
    let body = |length| format!("{{\"text\": \"{}\"}}", "a".repeat(length));
    let send = |length: usize| {
        let body = body(length);
        running.say(post("/v1/box/echo/a", &format!("connection: close\r\ncontent-length: {}", body.len()), &body))
    };
    assert_eq!(answers(&send(100 << 10).await), (1, "200"));
    let text = send(4 << 20).await;
    assert!(["503", ""].contains(&answers(&text).1), "{text:.300}");
    // What was held is given back.
    assert_eq!(answers(&send(100 << 10).await), (1, "200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_full_says_when_to_come_again_and_that_it_lives() {
    let running = limited(|limits| limits.requests = 1).await;
    let mut slow = running.connect().await;
    slow.write_all(post("/v1/box/echo/a", "content-length: 2", "").as_bytes()).await.unwrap();
    let busy = "GET /v1/box/data/a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let text = loop {
        let text = running.say(busy).await;
        if answers(&text).1 == "503" {
            break text;
        }
        sleep(Duration::from_millis(10)).await;
    };
    assert!(text.contains("retry-after: 1") && text.contains("\"busy\""), "{text}");
    let live = running.say("GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert_eq!(answers(&live), (1, "200"));
    slow.write_all(b"{}").await.unwrap();
    assert_eq!(answers(&read_one(&mut slow).await), (1, "200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded_for_one_peer_and_in_all() {
    for change in [(|limits| limits.connections_per_peer = 2) as fn(&mut Limits), |limits| limits.connections = 2] {
        let running = limited(change).await;
        let mut open = Vec::new();
        for _ in 0..2 {
            let mut stream = running.connect().await;
            stream.write_all(HELLO.as_bytes()).await.unwrap();
            read_one(&mut stream).await;
            open.push(stream);
        }
        assert_eq!(running.say(HELLO).await, "");
        open.pop();
        // As soon as one has gone, the next is taken.
        let again = async {
            while !running.say(HELLO.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")).await.contains("200 OK") {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, again).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_idle_connections_are_in_nobodys_way() {
    const MANY: usize = 2000;
    let running = limited(|limits| limits.connections_per_peer = MANY + 10).await;
    let mut open = Vec::with_capacity(MANY);
    for _ in 0..MANY {
        open.push(running.connect().await);
    }
    let mut stream = running.connect().await;
    stream.write_all(HELLO.as_bytes()).await.unwrap();
    assert_eq!(answers(&read_one(&mut stream).await), (1, "200"));
    drop(open);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_not_waited_for() {
    let running = Running::with_times(|times| times.send = SOON).await;
    let mut stream = running.connect().await;
    let text = "a".repeat(60 << 20);
    let body = format!("{{\"text\": \"{text}\"}}");
    stream
        .write_all(post("/v1/box/echo/a", &format!("content-length: {}", body.len()), &body).as_bytes())
        .await
        .unwrap();
    // Nothing is read until the server has given up: far less than all was sent by then.
    let gave_up = async {
        while !ask(&running.app, "GET", "/v1/metrics", "").await.text.contains("stalled_total 1") {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, gave_up).await.unwrap();
    let mut read = 0;
    let mut buffer = vec![0; 1 << 20];
    let all = async {
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            read += length;
        }
    };
    timeout(PATIENCE, all).await.unwrap();
    assert!(read < text.len(), "{read} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_takes_too_long_is_given_up() {
    let running = Running::with_times(|times| times.request = SOON).await;
    // The body is a part of the request.
    let text = running.say(post("/v1/box/echo/a", "content-length: 100", "{")).await;
    assert!(text.contains("503 Service Unavailable") && text.contains("too_slow"), "{text}");
}
