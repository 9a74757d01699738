//! Making connections.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::server_url::bare;

/// Most connections at once; further requests wait for one of them.
pub(crate) const MAX_CONNECTIONS: usize = 30;

/// Connects to whatever an address names.
#[derive(Clone)]
pub(crate) struct Connector(Arc<How>);

struct How {
    /// Where everything goes, if it is a socket in the file system.
    socket: Option<PathBuf>,
    tls: Option<Arc<ClientConfig>>,
    time: Duration,
    /// Whether what is not encrypted may leave this machine.
    is_plaintext_allowed: bool,
    slots: Arc<Semaphore>,
}

impl Connector {
    pub(crate) fn new(
        socket: Option<PathBuf>,
        tls: Option<Arc<ClientConfig>>,
        time: Duration,
        is_plaintext_allowed: bool,
    ) -> Self {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        Self(Arc::new(How { socket, tls, time, is_plaintext_allowed, slots }))
    }
}

impl Service<Uri> for Connector {
    type Response = Line;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Line, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let how = Arc::clone(&self.0);
        Box::pin(async move {
            let slots = Arc::clone(&how.slots);
            let slot = slots.acquire_owned().await.map_err(|_| ConnectError::unreachable("the client ends"))?;
            // The wait for a slot is part of the request's time, not of this.
            let (stream, is_http2) = tokio::time::timeout(how.time, how.connect(&uri)).await.map_err(|_| {
                ConnectError::Unreachable(format!("it was not made within {} ms", how.time.as_millis()))
            })??;
            Ok(Line { stream: TokioIo::new(stream), is_http2, _slot: slot })
        })
    }
}

impl How {
    async fn connect(&self, uri: &Uri) -> Result<(Box<dyn Stream>, bool), ConnectError> {
        if let Some(path) = &self.socket {
            return Ok((Box::new(UnixStream::connect(path).await?), false));
        }
        let host = bare(uri.host().unwrap_or_default());
        let is_https = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let tcp = self.reach(host, port, is_https).await?;
        // Requests are small and whole.
        let _ = tcp.set_nodelay(true);
        let Some(config) = self.tls.as_ref().filter(|_| is_https) else {
            return if is_https {
                Err(ConnectError::Tls("it is not set up".to_owned()))
            } else {
                Ok((Box::new(tcp), false))
            };
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| ConnectError::Tls("the host is no name that a certificate could have".to_owned()))?;
        let stream = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((Box::new(stream), is_http2))
    }

    async fn reach(&self, host: &str, port: u16, is_https: bool) -> Result<TcpStream, ConnectError> {
        let mut last = None;
        for address in tokio::net::lookup_host((host, port)).await? {
            // A name that should mean this machine may have been given another meaning.
            if !is_https && !self.is_plaintext_allowed && !address.ip().is_loopback() {
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.map_or_else(|| ConnectError::unreachable("the name stands for no address"), ConnectError::from))
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection.
pub(crate) struct Line {
    stream: TokioIo<Box<dyn Stream>>,
    is_http2: bool,
    _slot: OwnedSemaphorePermit,
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        if self.is_http2 { Connected::new().negotiated_h2() } else { Connected::new() }
    }
}

impl Read for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl Write for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Why there is no connection.
#[derive(Debug, Clone)]
pub(crate) enum ConnectError {
    Unreachable(String),
    Tls(String),
}

impl ConnectError {
    fn unreachable(reason: &str) -> Self {
        Self::Unreachable(reason.to_owned())
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        match tls_error(&error) {
            Some(tls) => Self::Tls(tls.to_string()),
            None => Self::Unreachable(error.to_string()),
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Unreachable(reason) | Self::Tls(reason)) = self;
        f.write_str(reason)
    }
}

impl Error for ConnectError {}

/// Returns what TLS had to say, if it was TLS.
pub(crate) fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}
