//! A server with real sockets, and clients that send whatever they like.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bulla_server::{App, AppBuilder, Config, Listen, Server, Stopped, TimeOuts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::setting::{TestDoor, builder};

/// Longer than anything takes that goes well, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A time-out that is to pass. Whoever must not meet it is far quicker.
pub(crate) const SOON: Duration = Duration::from_millis(300);

/// A server that runs until it is stopped.
pub(crate) struct Running {
    pub(crate) app: Arc<App>,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) probes: Option<SocketAddr>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Stopped>,
}

pub(crate) fn local() -> Listen {
    Listen::Network(SocketAddr::from(([127, 0, 0, 1], 0)))
}

/// Time-outs that no test meets, and no delay when stopping.
pub(crate) fn patient() -> TimeOuts {
    TimeOuts {
        handshake: PATIENCE,
        headers: PATIENCE,
        idle: PATIENCE,
        body_grace: PATIENCE,
        request: PATIENCE,
        send: PATIENCE,
        drain_delay: Duration::ZERO,
        drain: PATIENCE,
    }
}

impl Running {
    pub(crate) async fn start(config: Config, builder: AppBuilder) -> Self {
        let app = builder.build().unwrap();
        let server = Server::bind(config, app.clone()).await.unwrap();
        let (address, probes) = (server.addresses().first().copied(), server.probe_address());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(async { drop(stopped.await) }));
        Self { app, address, probes, stop, task }
    }

    /// Starts one on a free port, with some of its times changed.
    pub(crate) async fn with_times(change: impl FnOnce(&mut TimeOuts)) -> Self {
        let mut times = patient();
        change(&mut times);
        Self::start(Config::default().listen(local()), builder(&TestDoor::default()).await.times(times)).await
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address.unwrap()).await.unwrap()
    }

    /// Sends bytes, and reads until the server closes the connection.
    pub(crate) async fn say(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        // A server that refuses may close before all is sent.
        drop(stream.write_all(bytes.as_ref()).await);
        read_all(&mut stream).await
    }

    pub(crate) fn begin_to_stop(self) -> JoinHandle<Stopped> {
        self.stop.send(()).unwrap();
        self.task
    }

    pub(crate) async fn stop(self) -> Stopped {
        timeout(PATIENCE, self.begin_to_stop()).await.unwrap().unwrap()
    }
}

/// Reads until the end, or until the connection is reset.
pub(crate) async fn read_all(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut bytes = Vec::new();
    let read = async {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            bytes.extend_from_slice(&buffer[..length]);
        }
    };
    timeout(PATIENCE, read).await.expect("the server closes the connection");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads one answer that has a `Content-Length`, and leaves the connection open.
pub(crate) async fn read_one(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut text = String::new();
    let read = async {
        loop {
            let byte = stream.read_u8().await.expect("an answer");
            text.push(char::from(byte));
            if let Some(end) = text.find("\r\n\r\n") {
                let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length: usize = length.map_or(0, |length| length.parse().unwrap());
                if text.len() == end + 4 + length {
                    return;
                }
            }
        }
    };
    timeout(PATIENCE, read).await.expect("the server answers");
    text
}

/// How many answers there are in what was read, and the status of the first.
pub(crate) fn answers(text: &str) -> (usize, &str) {
    (text.matches("HTTP/1.1 ").count(), text.split(' ').nth(1).unwrap_or_default())
}
