//! HTTP/2 of clients that mean no good, written frame by frame.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use bulla_server::Config;

use super::certificates::Authority;
use super::client::Client;
use super::setting::{TestDoor, builder};
use super::wire::{PATIENCE, Running, local, patient};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header block of literals that are never indexed.
fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0x10);
        for text in [name, value] {
            // One byte of length is enough for our texts.
            block.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap());
            block.extend(text.bytes());
        }
    }
    block
}

struct Raw {
    stream: TlsStream<TcpStream>,
    _running: Running,
}

impl Raw {
    async fn connect() -> Self {
        let authority = Authority::new();
        let config = Config::default().listen(local()).tls(authority.files());
        let running = Running::start(config, builder(&TestDoor::default()).await.times(patient())).await;
        let client = Client { protocols: vec![b"h2"], ..Client::new(&authority) };
        let mut stream = client.connect(running.address.unwrap(), None).await.unwrap();
        stream.write_all(PREFACE).await.unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        Self { stream, _running: running }
    }

    async fn send(&mut self, frame: &[u8]) {
        // The server may have closed already.
        drop(self.stream.write_all(frame).await);
        drop(self.stream.flush().await);
    }

    /// Reads frames until one of the kinds comes, or the connection ends.
    async fn until(&mut self, kinds: &[u8]) -> Option<(u8, Vec<u8>)> {
        let read = async {
            loop {
                let mut head = [0; 9];
                self.stream.read_exact(&mut head).await.ok()?;
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                let mut payload = vec![0; usize::try_from(length).unwrap()];
                self.stream.read_exact(&mut payload).await.ok()?;
                if kinds.contains(&head[3]) {
                    return Some((head[3], payload));
                }
            }
        };
        timeout(PATIENCE, read).await.expect("the server answers, or closes")
    }
}

const GOOD: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/v1/hello")];

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_well_formed_is_answered() {
    let mut raw = Raw::connect().await;
    raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&GOOD))).await;
    let (kind, payload) = raw.until(&[HEADERS, RST_STREAM, GOAWAY]).await.unwrap();
    // 0x88 is `:status: 200`.
    assert_eq!((kind, payload[0]), (HEADERS, 0x88));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_http2_does_not_have_are_refused() {
    let with = |more: &[(&'static str, &'static str)]| [GOOD.as_slice(), more].concat();
    let without = |name: &str| GOOD.into_iter().filter(|(known, _)| *known != name).collect::<Vec<_>>();
    for headers in [
        with(&[(":path", "/livez")]),
        with(&[(":method", "POST")]),
        with(&[("x-a", "b"), (":authority", "other")]),
        with(&[(":status", "200")]),
        with(&[(":unknown", "a")]),
        with(&[("X-Upper", "a")]),
        with(&[("connection", "close")]),
        with(&[("transfer-encoding", "chunked")]),
        with(&[("x-a", "b\r\nx-c: d")]),
        with(&[("x a", "b")]),
        with(&[("content-length", "5")]),
        without(":method"),
        without(":path"),
        without(":scheme"),
    ] {
        let mut raw = Raw::connect().await;
        raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&headers))).await;
        if let Some((HEADERS, payload)) = raw.until(&[HEADERS, RST_STREAM, GOAWAY]).await {
            // 0x88 is `:status: 200`.
            assert_ne!(payload[0], 0x88, "{headers:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_longer_than_announced_is_refused() {
    let mut raw = Raw::connect().await;
    let mut headers = GOOD.to_vec();
    headers[0] = (":method", "POST");
    headers[3] = (":path", "/v1/box/echo/a");
    headers.extend([("content-length", "2"), ("x-vault-token", super::setting::ROOT)]);
    raw.send(&frame(HEADERS, END_HEADERS, 1, &block(&headers))).await;
    raw.send(&frame(DATA, END_STREAM, 1, b"{}GET /v1/hello")).await;
    let (kind, payload) = raw.until(&[HEADERS, RST_STREAM, GOAWAY]).await.unwrap();
    assert!(kind != HEADERS || payload[0] != 0x88);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_opened_and_reset_at_once_end_the_connection() {
    let mut raw = Raw::connect().await;
    let block = block(&GOOD);
    for number in 0..5000 {
        let stream = number * 2 + 1;
        raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)).await;
        raw.send(&frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])).await;
    }
    let ended = raw.until(&[GOAWAY]).await;
    // Code 11 is "enhance your calm".
    assert!(ended.is_none_or(|(_, payload)| payload[4..8] == [0, 0, 0, 11]));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_without_end_are_not_kept() {
    let mut raw = Raw::connect().await;
    raw.send(&frame(HEADERS, END_STREAM, 1, &block(&GOOD))).await;
    let more = block(&[("x-a", &"a".repeat(120))]).repeat(100);
    for _ in 0..100 {
        raw.send(&frame(CONTINUATION, 0, 1, &more)).await;
    }
    assert!(matches!(raw.until(&[HEADERS, GOAWAY, RST_STREAM]).await, None | Some((GOAWAY | RST_STREAM, _))));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_are_too_long_are_refused() {
    let mut raw = Raw::connect().await;
    let mut headers = block(&GOOD);
    headers.extend(block(&[("x-a", &"a".repeat(120))]).repeat(130));
    raw.send(&frame(HEADERS, END_STREAM, 1, &headers[..16000])).await;
    raw.send(&frame(
        CONTINUATION,
        END_HEADERS,
        1,
        &[headers[16000..].to_vec(), block(&[("x-a", &"a".repeat(120))]).repeat(50)].concat(),
    ))
    .await;
    if let Some((HEADERS, payload)) = raw.until(&[HEADERS, RST_STREAM, GOAWAY]).await {
        assert_ne!(payload[0], 0x88);
    }
}
