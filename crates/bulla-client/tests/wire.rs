//! A server that answers whatever a test wants, byte by byte.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bulla_client::{Builder, Client};

use crate::setting::token;

/// What no message may show.
pub(crate) const TOKEN: &str = "s.NobodyMaySeeThis";

/// How a server answers a request.
pub(crate) enum Reply {
    /// With these bytes, and goes on.
    Keep(Vec<u8>),
    /// With these bytes, and closes the connection.
    Close(Vec<u8>),
    /// With these bytes, and then with nothing.
    Hang(Vec<u8>),
    /// With the first, and then with the second again and again.
    Endless(Vec<u8>, Vec<u8>, Duration),
}

/// A server on 127.0.0.1.
pub(crate) struct Wire {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    is_over: Mutex<bool>,
    over: Condvar,
}

impl Wire {
    /// Starts a server; `answer` gets the number of the request, from 0, and the request.
    pub(crate) fn start(answer: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            is_over: Mutex::new(false),
            over: Condvar::new(),
        });
        let (serving, answer) = (Arc::clone(&shared), Arc::new(answer));
        // It ends with the process of the tests.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serving.connections.fetch_add(1, Ordering::SeqCst);
                let (serving, answer) = (Arc::clone(&serving), Arc::clone(&answer));
                thread::spawn(move || serving.serve(&stream, &*answer));
            }
        });
        Self { address, shared }
    }

    /// Starts a server that answers every request with the same whole answer.
    pub(crate) fn answering(bytes: Vec<u8>) -> Self {
        Self::start(move |_, _| Reply::Keep(bytes.clone()))
    }

    /// Starts a server that sends the same bytes to everybody, and closes the connection.
    pub(crate) fn always(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |_, _| Reply::Close(bytes.clone()))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Begins to make a client of it that has a token.
    pub(crate) fn builder(&self) -> Builder {
        Client::builder(&self.url()).unwrap().token(token(TOKEN))
    }

    pub(crate) fn client(&self) -> Client {
        self.builder().build().unwrap()
    }

    /// Returns the requests that came, headers in lower case.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        *self.shared.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.over.notify_all();
    }
}

impl Shared {
    fn serve(&self, mut stream: &TcpStream, answer: &dyn Fn(usize, &str) -> Reply) {
        let mut reader = BufReader::new(stream);
        while let Some(request) = read_request(&mut reader) {
            let number = {
                let mut requests = self.requests.lock().unwrap();
                requests.push(request.clone());
                requests.len() - 1
            };
            match answer(number, &request) {
                Reply::Keep(bytes) => {
                    if stream.write_all(&bytes).is_err() {
                        return;
                    }
                }
                Reply::Close(bytes) => {
                    let _ = stream.write_all(&bytes);
                    return;
                }
                Reply::Hang(bytes) => {
                    let _ = stream.write_all(&bytes);
                    while !self.wait(Duration::from_secs(60)) {}
                    return;
                }
                Reply::Endless(first, then, pause) => {
                    let mut sent = stream.write_all(&first);
                    while sent.is_ok() && !self.wait(pause) {
                        sent = stream.write_all(&then);
                    }
                    return;
                }
            }
        }
    }

    /// Waits, and says whether the test is over.
    fn wait(&self, time: Duration) -> bool {
        let is_over = self.is_over.lock().unwrap();
        *self.over.wait_timeout_while(is_over, time, |is_over| !*is_over).unwrap().0
    }
}

/// Reads a request with its body.
fn read_request(reader: &mut impl BufRead) -> Option<String> {
    let mut request = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        request.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.push_str(&String::from_utf8(body).unwrap());
    Some(request)
}

/// Writes an answer of JSON.
pub(crate) fn json(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
        .into_bytes()
}

/// An answer of KV version 2.
pub(crate) const SECRET: &str =
    r#"{"data":{"data":{"a":"b"},"metadata":{"version":1,"created_time":"2026-12-01T00:00:00Z"}}}"#;
