//! Thousands who hold connections and ask for nothing.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};

use super::client::Client;
use super::serving::{Serving, project};

/// How many connections lie there.
const IDLE: usize = 5_000;
/// How many requests are measured at a time.
const REQUESTS: u32 = 400;
/// How often it is measured; the quickest time counts, so that what else the machine does is left out.
const TIMES: usize = 7;
/// How often the whole is tried.
const ATTEMPTS: usize = 5;
/// A server lets one address have this many connections.
const OF_ONE_ADDRESS: usize = 512;

#[test]
fn five_thousand_idle_connections_slow_nobody_down() {
    // The server inherits the bound.
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    assert!(limit.current.is_none_or(|files| files > 2 * IDLE as u64 + 100), "too few files may be open: {limit:?}");

    let (sandbox, root) = project();
    // One proxy may have any number of connections: this is where all come from.
    let server = Serving::start_with(&sandbox, "127.0.0.1:0", &["--trusted-proxy", "127.0.0.1/32"]);
    let mut client = server.client(&root);
    client.good("POST", "transit/keys/k", "{}");
    let measure = |client: &mut Client| -> (Duration, u64) {
        let mut quickest = (Duration::MAX, u64::MAX);
        for _ in 0..TIMES {
            let (begun, before) = (Instant::now(), server.processor_time());
            for _ in 0..REQUESTS {
                client.good("GET", "transit/keys/k", "");
            }
            let took = (begun.elapsed(), server.processor_time() - before);
            quickest = (quickest.0.min(took.0), quickest.1.min(took.1));
        }
        quickest
    };
    measure(&mut client);
    // What else the machine does may slow one half down and not the other, and so once is enough: a server that is slowed down is so each time.
    let is_as_quick = (0..ATTEMPTS).any(|_| {
        let (alone, memory) = (measure(&mut client), server.memory());
        let idle: Vec<TcpStream> = (0..IDLE).map(|n| lie_there(&server, n)).collect();
        // The last of them is in.
        server.client(&root).good("GET", "transit/keys/k", "");
        let beside = measure(&mut client);
        let each = server.memory().saturating_sub(memory) * 1_024 / IDLE as u64;
        drop(idle);
        eprintln!("{REQUESTS} requests alone {alone:?}, beside {IDLE} connections {beside:?}, {each} bytes for each");
        assert!(each < 64 << 10, "{each} bytes for a connection that asks for nothing");
        beside.0 < alone.0 * 3 / 2
    });
    assert!(is_as_quick, "those who ask for nothing slow others down");
    server.stop();
}

/// Connects, and asks for nothing. Some have begun a request, and go on as slowly as they may.
fn lie_there(server: &Serving, n: usize) -> TcpStream {
    let mut stream = TcpStream::connect(&server.address).unwrap();
    if n.is_multiple_of(10) {
        stream.write_all(b"GET /v1/sys/health HTTP/1.1\r\nhost: a\r\nx-slow: ").unwrap();
    }
    stream
}

#[test]
fn one_address_has_so_many_connections_and_others_are_let_in() {
    let (sandbox, root) = project();
    let server = Serving::start(&sandbox);
    let idle: Vec<TcpStream> = (0..OF_ONE_ADDRESS).map(|_| TcpStream::connect(&server.address).unwrap()).collect();
    // One more is closed without a word.
    let begun = Instant::now();
    while server.client(&root).ask("GET", "sys/health", "").is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(20), "more than {OF_ONE_ADDRESS} are let in");
    }
    // Whoever comes from elsewhere is let in; here that is another address of this machine.
    let elsewhere = std::process::Command::new("curl")
        .args(["--silent", "--fail", "--interface", "127.0.0.2", &format!("http://{}/v1/sys/health", server.address)])
        .output()
        .unwrap();
    assert!(elsewhere.status.success(), "{elsewhere:?}");
    // And so is this one, once it has let go.
    drop(idle);
    let begun = Instant::now();
    while server.client(&root).ask("GET", "sys/health", "").is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "what was let go still counts");
    }
    server.stop();
}
