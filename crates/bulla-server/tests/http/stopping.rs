//! A server stops without losing what it was at.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bulla_server::{ApiError, AppBuilder, Audit, Capability, Config, Endpoint, NoContent, Stopped, TimeOuts};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::setting::{ROOT, TestDoor, builder};
use super::wire::{PATIENCE, Running, SOON, answers, local, patient, read_all, read_one};

const HELLO: &str = "GET /v1/hello HTTP/1.1\r\nhost: a\r\n\r\n";

/// An endpoint that says that it has begun, waits until it may end, and counts that it has.
#[derive(Clone, Default)]
struct Slow {
    begun: Arc<Notify>,
    go: Arc<Notify>,
    done: Arc<AtomicU64>,
}

impl Slow {
    async fn app(&self, times: TimeOuts) -> AppBuilder {
        let slow = self.clone();
        let endpoint =
            Endpoint::write("test.slow", "/v1/slow").permission("change", Capability::Update).audit(Audit::Change);
        let endpoint = endpoint.plain(move |_| {
            let slow = slow.clone();
            async move {
                slow.begun.notify_one();
                slow.go.notified().await;
                slow.done.fetch_add(1, Ordering::SeqCst);
                Ok::<_, ApiError>(NoContent)
            }
        });
        builder(&TestDoor::default()).await.endpoints([endpoint]).times(times)
    }

    fn request() -> String {
        format!("POST /v1/slow HTTP/1.1\r\nhost: a\r\nx-vault-token: {ROOT}\r\ncontent-length: 0\r\n\r\n")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_are_answered_and_nobody_is_let_in_any_more() {
    let slow = Slow::default();
    let running = Running::start(Config::default().listen(local()), slow.app(patient()).await).await;
    let address = running.address.unwrap();
    let mut silent = running.connect().await;
    let mut idle = running.connect().await;
    idle.write_all(HELLO.as_bytes()).await.unwrap();
    read_one(&mut idle).await;
    let mut busy = running.connect().await;
    busy.write_all(Slow::request().as_bytes()).await.unwrap();
    slow.begun.notified().await;

    let stopped = running.begin_to_stop();
    // Those that wait for nothing are closed at once.
    assert_eq!(read_all(&mut idle).await, "");
    assert_eq!(read_all(&mut silent).await, "");
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    assert!(!stopped.is_finished());
    slow.go.notify_one();
    assert_eq!(answers(&read_all(&mut busy).await), (1, "204"));
    assert_eq!(timeout(PATIENCE, stopped).await.unwrap().unwrap(), Stopped::Whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_goes_first_and_requests_are_still_answered() {
    let slow = Slow::default();
    let times = TimeOuts { drain_delay: Duration::from_millis(1500), ..patient() };
    let config = Config::default().listen(local()).probes(SocketAddr::from(([127, 0, 0, 1], 0)));
    let running = Running::start(config, slow.app(times).await).await;
    let (address, probes) = (running.address.unwrap(), running.probes.unwrap());
    let ask = |to: SocketAddr, path: &'static str| async move {
        let mut stream = tokio::net::TcpStream::connect(to).await.unwrap();
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        read_all(&mut stream).await
    };
    assert_eq!(answers(&ask(probes, "/readyz").await), (1, "200"));
    let stopped = running.begin_to_stop();
    let ready = async {
        loop {
            let text = ask(probes, "/readyz").await;
            if answers(&text).1 == "503" {
                return text;
            }
        }
    };
    let text = timeout(PATIENCE, ready).await.unwrap();
    assert!(text.contains("\"server\":\"stopping\""), "{text}");
    assert_eq!(answers(&ask(probes, "/livez").await), (1, "200"));
    assert_eq!(answers(&ask(address, "/v1/hello").await), (1, "200"));
    assert_eq!(timeout(PATIENCE, stopped).await.unwrap().unwrap(), Stopped::Whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_is_given_up() {
    let slow = Slow::default();
    let times = TimeOuts { drain: SOON, ..patient() };
    let running = Running::start(Config::default().listen(local()), slow.app(times).await).await;
    let mut busy = running.connect().await;
    busy.write_all(Slow::request().as_bytes()).await.unwrap();
    slow.begun.notified().await;
    assert_eq!(running.stop().await, Stopped::CutShort);
    assert_eq!(read_all(&mut busy).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_goes_on_when_its_client_has_left() {
    let slow = Slow::default();
    let running = Running::start(Config::default().listen(local()), slow.app(patient()).await).await;
    let mut client = running.connect().await;
    client.write_all(Slow::request().as_bytes()).await.unwrap();
    slow.begun.notified().await;
    drop(client);
    sleep(Duration::from_millis(100)).await;
    let stopped = running.begin_to_stop();
    slow.go.notify_one();
    // It is waited for, too.
    assert_eq!(timeout(PATIENCE, stopped).await.unwrap().unwrap(), Stopped::Whole);
    assert_eq!(slow.done.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_every_request_that_was_begun_is_answered() {
    let running = Running::with_times(|_| {}).await;
    let address = running.address.unwrap();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn(async move {
                let (mut asked, mut answered) = (0, 0);
                while let Ok(mut stream) = tokio::net::TcpStream::connect(address).await {
                    // A request is begun once the server has read some of it: the first is answered before the second is sent.
                    for _ in 0..50 {
                        if stream.write_all(HELLO.as_bytes()).await.is_err() {
                            break;
                        }
                        asked += 1;
                        let text = timeout(PATIENCE, read_answer(&mut stream)).await.unwrap();
                        assert!(text.is_empty() || text.contains("200 OK") && text.ends_with('}'), "{text}");
                        if text.is_empty() {
                            break;
                        }
                        answered += 1;
                    }
                }
                (asked, answered)
            })
        })
        .collect();
    sleep(Duration::from_millis(300)).await;
    assert_eq!(running.stop().await, Stopped::Whole);
    for client in clients {
        let (asked, answered) = client.await.unwrap();
        // One may have crossed the closing of its connection, and one that of the listener: unread, both.
        assert!(answered > 0 && asked - answered <= 2, "{asked} {answered}");
    }
}

/// Reads one answer, or nothing if the connection was closed before its first byte.
async fn read_answer(stream: &mut tokio::net::TcpStream) -> String {
    use tokio::io::AsyncReadExt;
    let mut text = String::new();
    while let Ok(byte) = stream.read_u8().await {
        text.push(char::from(byte));
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            if text.len() == end + 4 + length.map_or(0, |length| length.parse::<usize>().unwrap()) {
                break;
            }
        }
    }
    text
}
