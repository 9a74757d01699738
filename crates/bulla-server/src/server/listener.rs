use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::connections::Full;
use super::{Phase, ServerError, Shared, SocketFile, connection, listen_error};
use crate::app::Scope;
use crate::config::Listen;
use crate::peer::{Address, Peer};

/// How long to wait when the system has no more descriptors.
const BREATH: Duration = Duration::from_millis(50);

/// A listener that has its port.
#[derive(Debug)]
pub(super) enum Bound {
    Network(TcpListener),
    Local(UnixListener, #[expect(dead_code, reason = "removes the file")] SocketFile),
}

/// A connection that was taken.
enum Taken {
    Network(TcpStream, SocketAddr),
    Local(UnixStream),
}

impl Bound {
    pub(super) async fn new(listen: &Listen) -> Result<Self, ServerError> {
        match listen {
            Listen::Network(address) => {
                TcpListener::bind(address).await.map(Self::Network).map_err(listen_error(address))
            }
            Listen::Local(path) => {
                remove_stale(path).await;
                let failed = || listen_error(path.display());
                let listener = UnixListener::bind(path).map_err(failed())?;
                let file = SocketFile(path.clone());
                // Who may connect is a matter of the folder and of this mode, before it is one of the door.
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(failed())?;
                Ok(Self::Local(listener, file))
            }
        }
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Network(listener) => listener.local_addr().ok(),
            Self::Local(..) => None,
        }
    }

    async fn accept(&self) -> std::io::Result<Taken> {
        match self {
            Self::Network(listener) => listener.accept().await.map(|(stream, address)| Taken::Network(stream, address)),
            Self::Local(listener, _) => listener.accept().await.map(|(stream, _)| Taken::Local(stream)),
        }
    }
}

/// Removes the socket of a server that is gone.
async fn remove_stale(path: &Path) {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket && UnixStream::connect(path).await.is_err() {
        drop(std::fs::remove_file(path));
    }
}

/// Takes connections until the server leaves.
pub(super) async fn accept(
    bound: Bound,
    shared: Arc<Shared>,
    scope: Scope,
    mut phases: watch::Receiver<Phase>,
    at_work: mpsc::Sender<()>,
) {
    loop {
        let taken = tokio::select! {
            taken = bound.accept() => taken,
            _ = phases.wait_for(|phase| *phase > Phase::Running) => return,
        };
        match taken {
            Ok(taken) => take(taken, &shared, scope, &phases, &at_work),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(error = error.to_string(), "cannot take a connection");
                sleep(BREATH).await;
            }
        }
    }
}

fn take(taken: Taken, shared: &Arc<Shared>, scope: Scope, phases: &watch::Receiver<Phase>, at_work: &mpsc::Sender<()>) {
    let (address, by_peer) = match &taken {
        Taken::Network(_, address) => {
            let is_proxy = shared.proxies.iter().any(|proxy| proxy.contains(address.ip()));
            (Address::Network(*address), (!is_proxy).then_some(address.ip()))
        }
        Taken::Local(stream) => {
            // Without knowing who is there, nobody is.
            let Ok(known) = stream.peer_cred() else { return };
            let process = known.pid().and_then(|id| u32::try_from(id).ok());
            (Address::Local { user: known.uid(), group: known.gid(), process }, None)
        }
    };
    let metrics = shared.app.metrics();
    let counted = match shared.connections.take(by_peer) {
        Ok(counted) => counted,
        Err(full) => {
            match full {
                Full::Server => {
                    metrics.refused_full.fetch_add(1, Relaxed);
                    tracing::warn!("a connection is refused: there are too many");
                }
                Full::Peer => {
                    metrics.refused_peer.fetch_add(1, Relaxed);
                    tracing::debug!("a connection is refused: its peer has too many");
                }
            }
            return;
        }
    };
    metrics.connections.fetch_add(1, Relaxed);
    let peer = Peer { address, forwarded: None, certificate: None, is_encrypted: false };
    let (shared, phases, at_work) = (shared.clone(), phases.clone(), at_work.clone());
    tokio::spawn(async move {
        let app = shared.app.clone();
        match taken {
            Taken::Network(stream, _) => {
                // Answers are small, and waiting to fill a packet would only delay them.
                drop(stream.set_nodelay(true));
                connection::network(stream, peer, shared, scope, phases).await;
            }
            Taken::Local(stream) => connection::plain(stream, peer, shared, scope, phases).await,
        }
        app.metrics().connections.fetch_sub(1, Relaxed);
        drop((counted, at_work));
    });
}

fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
