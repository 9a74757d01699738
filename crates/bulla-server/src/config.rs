//! How a server is set up: plain data with defaults that are safe.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::peer::Network;

/// Bounds on what strangers can size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all: 10,000.
    pub connections: usize,
    /// Connections of one peer, a /64 for IPv6: 512. Trusted proxies may fill the rest.
    pub connections_per_peer: usize,
    /// Requests in flight: 1,024. Whoever comes then is told to come again.
    pub requests: usize,
    /// Requests that wait for a disk at once: 64. Others wait for these.
    pub writes: usize,
    /// Streams of an HTTP/2 connection: 128.
    pub streams: u32,
    /// Bytes of a request's line and headers: 16 KiB.
    pub headers: usize,
    /// Memory for bodies that are being read, of all requests: 256 MiB.
    pub body_memory: usize,
    /// Bytes a second that a body must bring, besides [`TimeOuts::body_grace`]: 16 KiB.
    pub body_rate: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_peer: 512,
            requests: 1024,
            writes: 64,
            streams: 128,
            headers: 16 << 10,
            body_memory: 256 << 20,
            body_rate: 16 << 10,
        }
    }
}

/// How long the server waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeOuts {
    /// For a TLS handshake: 10 s.
    pub handshake: Duration,
    /// For the headers of a request, from its first byte: 10 s. So long, too, for the first request of a connection.
    pub headers: Duration,
    /// For the next request on a connection: 75 s.
    pub idle: Duration,
    /// For a body, however short it is: 10 s.
    pub body_grace: Duration,
    /// For a handler: 60 s. One that streams may take longer.
    pub request: Duration,
    /// For the client to take any of the answer: 30 s.
    pub send: Duration,
    /// From saying that the server is not ready until nobody is let in any more: 3 s, for load balancers to see it.
    pub drain_delay: Duration,
    /// For requests in flight when the server stops: 25 s.
    pub drain: Duration,
}

impl Default for TimeOuts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            headers: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            body_grace: Duration::from_secs(10),
            request: Duration::from_secs(60),
            send: Duration::from_secs(30),
            drain_delay: Duration::from_secs(3),
            drain: Duration::from_secs(25),
        }
    }
}

/// Where a server listens, and how it speaks there.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens: 127.0.0.1:8200.
    pub listen: Vec<Listen>,
    /// Its certificate. Without one, it listens on this machine only.
    pub tls: Option<TlsFiles>,
    /// Where it listens, without TLS, for probes and nothing else.
    pub probes: Option<SocketAddr>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub proxies: Vec<Network>,
}

/// A place to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A port of an address. Port 0 is one that is free.
    Network(SocketAddr),
    /// A Unix socket, for processes of this machine. The system says which user is at the other end.
    Local(PathBuf),
}

/// Which clients have to show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientCertificates {
    /// None is asked for.
    #[default]
    Ignored,
    /// One that is shown has to verify.
    Optional,
    /// There is no connection without.
    Required,
}

/// Files of TLS, in PEM. They are read again when they change, and connections stay.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The server's certificate, and those between it and the root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The file that holds the passphrase of the key, if it is under one.
    pub passphrase: Option<PathBuf>,
    /// Roots of client certificates.
    pub client_roots: Option<PathBuf>,
    /// What was revoked. Once there is a list, a certificate that no list speaks of is refused, and so are all when a list has expired.
    pub revoked: Option<PathBuf>,
    /// Which clients have to show a certificate.
    pub clients: ClientCertificates,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![Listen::Network(SocketAddr::from(([127, 0, 0, 1], 8200)))],
            tls: None,
            probes: None,
            proxies: Vec::new(),
        }
    }
}

impl Config {
    /// Listens there, and nowhere else.
    #[must_use]
    pub fn listen(self, listen: Listen) -> Self {
        Self { listen: vec![listen], ..self }
    }

    /// Listens there too.
    #[must_use]
    pub fn also_listen(mut self, listen: Listen) -> Self {
        self.listen.push(listen);
        self
    }

    /// Speaks TLS on the network.
    #[must_use]
    pub fn tls(self, files: TlsFiles) -> Self {
        Self { tls: Some(files), ..self }
    }

    /// Listens for probes.
    #[must_use]
    pub fn probes(self, address: SocketAddr) -> Self {
        Self { probes: Some(address), ..self }
    }

    /// Believes a proxy.
    #[must_use]
    pub fn trust_proxy(mut self, proxy: Network) -> Self {
        self.proxies.push(proxy);
        self
    }
}

impl TlsFiles {
    /// Names the server's own certificate and key. No certificates of clients are asked for.
    #[must_use]
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self {
            certificate: certificate.into(),
            key: key.into(),
            passphrase: None,
            client_roots: None,
            revoked: None,
            clients: ClientCertificates::Ignored,
        }
    }

    /// Names the file that holds the passphrase of the key.
    #[must_use]
    pub fn passphrase(self, file: impl Into<PathBuf>) -> Self {
        Self { passphrase: Some(file.into()), ..self }
    }

    /// Asks clients for certificates of these roots.
    #[must_use]
    pub fn client_certificates(self, roots: impl Into<PathBuf>, clients: ClientCertificates) -> Self {
        Self { client_roots: Some(roots.into()), clients, ..self }
    }

    /// Names the file of what was revoked.
    #[must_use]
    pub fn revoked(self, file: impl Into<PathBuf>) -> Self {
        Self { revoked: Some(file.into()), ..self }
    }
}
