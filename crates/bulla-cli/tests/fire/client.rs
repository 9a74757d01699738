//! A client that keeps its connection, and sees what becomes of it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// No answer takes as long.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A client of one server.
pub(super) struct Client {
    address: String,
    token: String,
    connection: Option<BufReader<TcpStream>>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) json: Value,
}

impl Client {
    pub(super) fn new(address: &str, token: &str) -> Self {
        Self { address: address.to_owned(), token: token.to_owned(), connection: None }
    }

    /// Asks once, for a path below `/v1/`, or for one that is whole. An error says that there was no answer, so that nobody knows what was done.
    pub(super) fn ask(&mut self, method: &str, path: &str, body: &str) -> io::Result<Reply> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let stream = TcpStream::connect(&self.address)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                BufReader::new(stream)
            }
        };
        let target = if path.starts_with('/') { path.to_owned() } else { format!("/v1/{path}") };
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: {}\r\nx-vault-token: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            self.token,
            body.len()
        );
        connection.get_mut().write_all(request.as_bytes())?;
        let (reply, stays) = read(&mut connection)?;
        self.connection = stays.then_some(connection);
        Ok(reply)
    }

    /// Asks, and requires that it goes well.
    #[track_caller]
    pub(super) fn good(&mut self, method: &str, path: &str, body: &str) -> Value {
        let reply = self.ask(method, path, body).unwrap();
        assert!((200..300).contains(&reply.status), "{method} {path}: {reply:?}");
        reply.json
    }
}

/// Reads an answer; says whether the connection can be used again.
pub(super) fn read(connection: &mut BufReader<TcpStream>) -> io::Result<(Reply, bool)> {
    let mut line = String::new();
    let ended = || io::Error::from(io::ErrorKind::UnexpectedEof);
    if connection.read_line(&mut line)? == 0 {
        return Err(ended());
    }
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(ended)?;
    let (mut len, mut stays) = (0, true);
    loop {
        line.clear();
        if connection.read_line(&mut line)? == 0 {
            return Err(ended());
        }
        let header = line.trim_end().to_ascii_lowercase();
        match header.split_once(": ") {
            Some(("content-length", value)) => len = value.parse().unwrap(),
            Some(("connection", "close")) => stays = false,
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; len];
    connection.read_exact(&mut body)?;
    let json = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    Ok((Reply { status, json }, stays))
}
