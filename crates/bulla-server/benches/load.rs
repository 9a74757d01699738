//! What a server does for a second of its processor's time, beside OpenBao in the same run.
//!
//! `cargo build --release -p bulla-cli && cargo bench -p bulla-server --bench load`. `BULLA_BENCH_BAO` names the program of OpenBao, or else the one of
//! `cargo xtask venv` is taken. Both servers keep their data on the disk, log every request to a file, and are asked by a token with an ordinary policy.
//! The client runs beside them on the same cores: figures are per second of the *server's* processor time.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    reason = "a bench stops at the first surprise, prints, counts roughly, and waits for a server of others"
)]
#![forbid(unsafe_code)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// How long each row takes.
const TIME: Duration = Duration::from_secs(5);
const POLICY: &str = r#"path "transit/*" { capabilities = ["create", "update", "read"] }
path "secret/data/*" { capabilities = ["create", "update", "read"] }"#;

/// A server, its process and a token with an ordinary policy.
struct Server {
    name: &'static str,
    process: Child,
    address: String,
    token: String,
    _folder: tempfile::TempDir,
}

/// What a row came to.
struct Measured {
    requests: u64,
    seconds: f64,
    processor: f64,
    p50: Duration,
    p99: Duration,
}

fn main() {
    let runtime = Runtime::new().unwrap();
    let servers = [bulla(&runtime), openbao(&runtime)];
    let plain = BASE64.encode(&[7; 64]);
    let one = json!({ "plaintext": plain });
    let batch = json!({ "batch_input": vec![json!({ "plaintext": plain }); 1_000] });
    let large = json!({ "plaintext": BASE64.encode(&vec![7; 700_000]) });
    let secret = json!({ "data": { "user": "app", "password": "correct horse battery staple" } });

    println!("{:<38} {:<8} {:>12} {:>12} {:>9} {:>9} {:>8}", "", "", "per cpu-s", "per s", "p50 µs", "p99 µs", "ratio");
    for connections in [1, 16, 256] {
        row(&runtime, &servers, &format!("encrypt 64 B, {connections} connections"), connections, 1, |_, _| {
            ("POST", "/v1/transit/encrypt/k".to_owned(), one.to_string())
        });
    }
    row(&runtime, &servers, "encrypt, batches of 1,000, items", 4, 1_000, |_, _| {
        ("POST", "/v1/transit/encrypt/k".to_owned(), batch.to_string())
    });
    let rewrap: Vec<String> = servers.iter().map(|server| sealed_batch(&runtime, server, &batch)).collect();
    row(&runtime, &servers, "rewrap, batches of 1,000, items", 4, 1_000, |server, _| {
        ("POST", "/v1/transit/rewrap/k".to_owned(), rewrap[server].clone())
    });
    row(&runtime, &servers, "encrypt 700 kB, bytes", 4, 700_000, |_, _| {
        ("POST", "/v1/transit/encrypt/k".to_owned(), large.to_string())
    });
    for connections in [1, 16, 256] {
        row(&runtime, &servers, &format!("read a secret, {connections} connections"), connections, 1, |_, _| {
            ("GET", "/v1/secret/data/app".to_owned(), String::new())
        });
    }
    row(&runtime, &servers, "write a secret, 16 connections", 16, 1, |_, number| {
        ("POST", format!("/v1/secret/data/w{}", number % 1_000), secret.to_string())
    });
    for server in &servers {
        println!("{:<38} {:<8} {:>9.1} MiB", "memory at the end", server.name, memory(&server.process));
    }
    for mut server in servers {
        server.process.kill().unwrap();
        server.process.wait().unwrap();
    }
}

fn row(
    runtime: &Runtime,
    servers: &[Server],
    what: &str,
    connections: usize,
    items: u64,
    request: impl Fn(usize, u64) -> (&'static str, String, String),
) {
    let measured: Vec<Measured> = servers
        .iter()
        .enumerate()
        .map(|(index, server)| {
            let requests: Vec<Arc<[u8]>> = (0..64)
                .map(|number| {
                    let (method, path, body) = request(index, number);
                    bytes_of(server, method, &path, &body).into()
                })
                .collect();
            measure(runtime, server, connections, &requests.into())
        })
        .collect();
    let per_processor = |m: &Measured| (m.requests * items) as f64 / m.processor.max(0.01);
    for (server, m) in servers.iter().zip(&measured) {
        let ratio = per_processor(m) / per_processor(&measured[1]);
        println!(
            "{what:<38} {:<8} {:>12.0} {:>12.0} {:>9} {:>9} {ratio:>8.2}",
            server.name,
            per_processor(m),
            (m.requests * items) as f64 / m.seconds,
            m.p50.as_micros(),
            m.p99.as_micros(),
        );
    }
}

fn measure(runtime: &Runtime, server: &Server, connections: usize, requests: &Arc<[Arc<[u8]>]>) -> Measured {
    let (begun, before) = (Instant::now(), processor_time(&server.process));
    let counter = Arc::new(AtomicU64::new(0));
    let mut times = runtime.block_on(async {
        let workers: Vec<_> = (0..connections)
            .map(|_| tokio::spawn(work(server.address.clone(), requests.clone(), counter.clone(), begun + TIME)))
            .collect();
        let mut times = Vec::new();
        for worker in workers {
            times.extend(worker.await.unwrap());
        }
        times
    });
    let seconds = begun.elapsed().as_secs_f64();
    let processor = processor_time(&server.process) - before;
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    Measured { requests: times.len() as u64, seconds, processor, p50: at(0.5), p99: at(0.99) }
}

/// Sends one request after the other on a connection of its own.
async fn work(address: String, requests: Arc<[Arc<[u8]>]>, counter: Arc<AtomicU64>, until: Instant) -> Vec<Duration> {
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut times, mut buffer) = (Vec::new(), Vec::new());
    while Instant::now() < until {
        let number = counter.fetch_add(1, Ordering::Relaxed) as usize;
        let begun = Instant::now();
        stream.write_all(&requests[number % requests.len()]).await.unwrap();
        let (status, _) = answer(&mut stream, &mut buffer).await;
        assert!((200..300).contains(&status), "{status}: {}", String::from_utf8_lossy(&buffer));
        times.push(begun.elapsed());
    }
    times
}

/// Reads an answer; returns its status, and where its body begins in the buffer.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> (u16, usize) {
    buffer.clear();
    let end = loop {
        assert!(stream.read_buf(buffer).await.unwrap() > 0, "the server has closed the connection");
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
    let status = head[9..12].parse().unwrap();
    if head.contains("transfer-encoding: chunked") {
        while !buffer.ends_with(b"0\r\n\r\n") {
            assert!(stream.read_buf(buffer).await.unwrap() > 0);
        }
        return (status, end);
    }
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |length| length.trim().parse().unwrap());
    while buffer.len() < end + length {
        assert!(stream.read_buf(buffer).await.unwrap() > 0);
    }
    (status, end)
}

fn bytes_of(server: &Server, method: &str, path: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nx-vault-token: {}\r\ncontent-length: {}\r\n\r\n{body}",
        server.token,
        body.len()
    )
    .into_bytes()
}

/// Asks once, and returns what the answer has.
fn ask(runtime: &Runtime, server: &Server, method: &str, path: &str, body: &Value) -> Value {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    runtime.block_on(async {
        let mut stream = TcpStream::connect(&server.address).await.unwrap();
        stream.write_all(&bytes_of(server, method, path, &body)).await.unwrap();
        let mut buffer = Vec::new();
        let (status, begin) = answer(&mut stream, &mut buffer).await;
        let text = String::from_utf8_lossy(&buffer[begin..]).into_owned();
        assert!((200..300).contains(&status), "{} {path}: {status} {text}", server.name);
        // Chunks have their lengths between them.
        let json = text.find('{').map_or("null", |from| &text[from..=text.rfind('}').unwrap()]);
        serde_json::from_str(json).unwrap_or(Value::Null)
    })
}

fn sealed_batch(runtime: &Runtime, server: &Server, batch: &Value) -> String {
    let sealed = ask(runtime, server, "POST", "/v1/transit/encrypt/k", batch);
    let items = sealed["data"]["batch_results"].as_array().unwrap();
    let items: Vec<_> = items.iter().map(|item| json!({ "ciphertext": item["ciphertext"] })).collect();
    json!({ "batch_input": items }).to_string()
}

/// Makes a key, a secret, and a token with an ordinary policy, which is used from then on.
fn prepare(runtime: &Runtime, server: &mut Server) {
    ask(runtime, server, "POST", "/v1/transit/keys/k", &json!({}));
    let secret = json!({ "data": { "user": "app", "password": "correct horse battery staple" } });
    ask(runtime, server, "POST", "/v1/secret/data/app", &secret);
    ask(runtime, server, "POST", "/v1/sys/policies/acl/bench", &json!({ "policy": POLICY }));
    let made = ask(runtime, server, "POST", "/v1/auth/token/create", &json!({ "policies": ["bench"], "ttl": "1h" }));
    server.token = made["auth"]["client_token"].as_str().unwrap().to_owned();
}

fn bulla(runtime: &Runtime) -> Server {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release/bulla");
    let mut process = Command::new(root)
        .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--json", "--quiet"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    let mut server = Server {
        name: "Bulla",
        process,
        address: said["addresses"][0].as_str().unwrap().to_owned(),
        token: said["token"].as_str().unwrap().to_owned(),
        _folder: tempfile::tempdir().unwrap(),
    };
    prepare(runtime, &mut server);
    server
}

fn openbao(runtime: &Runtime) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/venv/bin/bao");
    let program = std::env::var_os("BULLA_BENCH_BAO").map_or(root, PathBuf::from);
    let config = folder.path().join("bao.hcl");
    fs::create_dir(folder.path().join("data")).unwrap();
    let cluster = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // Its storage for one machine, which writes to the disk before it answers; and batches of more texts than it takes unless told.
    let text = format!(
        r#"storage "raft" {{
  path = "{folder}/data"
  node_id = "one"
  performance_multiplier = 1
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{cluster}"
  tls_disable = true
  max_request_json_strings = 1000000
}}
audit "file" "file" {{
  options {{ file_path = "{folder}/audit.log" }}
}}
api_addr = "http://127.0.0.1:{port}"
cluster_addr = "http://127.0.0.1:{cluster}"
log_level = "error"
"#,
        folder = folder.path().display()
    );
    fs::write(&config, text).unwrap();
    let process = Command::new(program)
        .args(["server", "-config"])
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let address = format!("127.0.0.1:{port}");
    let mut server = Server { name: "OpenBao", process, address, token: String::new(), _folder: folder };
    let begun = Instant::now();
    while std::net::TcpStream::connect(&server.address).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "OpenBao does not listen");
        sleep(Duration::from_millis(100));
    }
    let made = ask(runtime, &server, "PUT", "/v1/sys/init", &json!({ "secret_shares": 1, "secret_threshold": 1 }));
    ask(runtime, &server, "PUT", "/v1/sys/unseal", &json!({ "key": made["keys"][0] }));
    made["root_token"].as_str().unwrap().clone_into(&mut server.token);
    // It elects itself first.
    sleep(Duration::from_secs(5));
    ask(runtime, &server, "POST", "/v1/sys/mounts/transit", &json!({ "type": "transit" }));
    ask(runtime, &server, "POST", "/v1/sys/mounts/secret", &json!({ "type": "kv", "options": { "version": "2" } }));
    sleep(Duration::from_secs(2));
    prepare(runtime, &mut server);
    server
}

/// Returns the processor time of a process, in seconds.
fn processor_time(process: &Child) -> f64 {
    let text = fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

fn memory(process: &Child) -> f64 {
    let text = fs::read_to_string(format!("/proc/{}/statm", process.id())).unwrap();
    let pages: u64 = text.split_whitespace().nth(1).unwrap().parse().unwrap();
    (pages * rustix::param::page_size() as u64) as f64 / 1_048_576.0
}
