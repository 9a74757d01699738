//! A client that speaks TLS, HTTP/1.1 and HTTP/2.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificates::{Authority, Pair};
use super::setting::{Got, ROOT};

/// How a client connects.
pub(crate) struct Client {
    pub(crate) root: CertificateDer<'static>,
    pub(crate) name: &'static str,
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
    pub(crate) protocols: Vec<&'static [u8]>,
}

impl Client {
    pub(crate) fn new(authority: &Authority) -> Self {
        Self {
            root: authority.root(),
            name: "localhost",
            versions: vec![&rustls::version::TLS13, &rustls::version::TLS12],
            protocols: vec![b"http/1.1"],
        }
    }

    pub(crate) async fn connect(&self, to: SocketAddr, pair: Option<&Pair>) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&self.versions).unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match pair {
            None => builder.with_no_client_auth(),
            Some(pair) => builder.with_client_auth_cert(vec![pair.certificate.clone()], pair.key.clone_key()).unwrap(),
        };
        config.alpn_protocols = self.protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let stream = TcpStream::connect(to).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(self.name).unwrap(), stream).await
    }

    /// Connects, and sends requests on the one connection.
    pub(crate) async fn session(&self, to: SocketAddr, pair: Option<&Pair>) -> Result<Session, String> {
        let stream = self.connect(to, pair).await.map_err(|error| error.to_string())?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let io = TokioIo::new(stream);
        Ok(if is_http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.map_err(|e| e.to_string())?;
            tokio::spawn(async { drop(connection.await) });
            Session::Two(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.map_err(|e| e.to_string())?;
            tokio::spawn(async { drop(connection.await) });
            Session::One(sender)
        })
    }
}

pub(crate) enum Session {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Session {
    pub(crate) async fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<Got, String> {
        let request = Request::builder().method(method).header("x-vault-token", ROOT);
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        let answer = match self {
            Self::One(sender) => {
                sender.ready().await.map_err(|error| error.to_string())?;
                sender.send_request(request.uri(path).header("host", "localhost").body(body).unwrap()).await
            }
            Self::Two(sender) => {
                sender.ready().await.map_err(|error| error.to_string())?;
                sender.send_request(request.uri(format!("https://localhost{path}")).body(body).unwrap()).await
            }
        };
        let (parts, body) = answer.map_err(|error| error.to_string())?.into_parts();
        let bytes = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        Ok(Got { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() })
    }

    pub(crate) async fn hello(&mut self) -> Result<u16, String> {
        self.ask("GET", "/v1/hello", "").await.map(|got| got.status.as_u16())
    }
}
