//! Listeners, connections, and how a server stops.

mod activity;
mod connection;
mod connections;
mod listener;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use self::connections::Connections;
use self::listener::Bound;
use crate::App;
use crate::app::Scope;
use crate::config::{Config, Listen};
use crate::peer::Network;
use crate::tls::{Tls, TlsError};

/// A server that has its ports, and answers once it [runs](Self::run).
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    doors: Vec<Bound>,
    probes: Option<Bound>,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// It is to be reached from other machines, without TLS.
    #[error(
        "{0} can be reached from other machines, and there is no certificate: name one and its key, or listen on a loopback address or a Unix socket"
    )]
    PlainBeyondLoopback(SocketAddr),
    /// It cannot listen there.
    #[error("cannot listen on {place}: {source}")]
    Listen {
        /// The address, or the path of the socket.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// There is nowhere to listen.
    #[error("there is nowhere to listen")]
    Nowhere,
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// How a server stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Every request was answered.
    Whole,
    /// Requests were given up when the time was over.
    CutShort,
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    app: Arc<App>,
    tls: Option<Arc<Tls>>,
    proxies: Vec<Network>,
    connections: Arc<Connections>,
}

/// How far the server has come on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    /// No new connections; those there are end with the request they are at.
    Leaving,
    /// What is not done is given up.
    Gone,
}

impl Server {
    /// Takes the ports.
    ///
    /// # Errors
    /// [`ServerError`]; among them that it would be reached from other machines without TLS.
    pub async fn bind(config: Config, app: Arc<App>) -> Result<Self, ServerError> {
        if config.listen.is_empty() {
            return Err(ServerError::Nowhere);
        }
        let tls = config.tls.map(Tls::load).transpose()?.map(Arc::new);
        for listen in &config.listen {
            match listen {
                Listen::Network(address) if tls.is_none() && !address.ip().to_canonical().is_loopback() => {
                    return Err(ServerError::PlainBeyondLoopback(*address));
                }
                _ => {}
            }
        }
        let mut doors = Vec::new();
        for listen in &config.listen {
            doors.push(Bound::new(listen).await?);
        }
        let probes = match config.probes {
            None => None,
            Some(address) => Some(Bound::new(&Listen::Network(address)).await?),
        };
        if let Some(tls) = &tls {
            app.metrics().certificate_expires.store(tls.expires(), Relaxed);
        }
        let limits = app.limits();
        let connections = Arc::new(Connections::new(limits.connections, limits.connections_per_peer));
        Ok(Self { shared: Arc::new(Shared { app, tls, proxies: config.proxies, connections }), doors, probes })
    }

    /// Returns the addresses in the network where it listens.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.doors.iter().filter_map(Bound::address).collect()
    }

    /// Returns the address where it listens for probes.
    #[must_use]
    pub fn probe_address(&self) -> Option<SocketAddr> {
        self.probes.as_ref().and_then(Bound::address)
    }

    /// Answers until `shutdown` is done; then says that it is not ready, lets nobody in any more, and finishes what it is at.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Stopped {
        let Self { shared, doors, probes } = self;
        let times = shared.app.times().clone();
        // Once it is waited for, this signal does not end the process any more, with TLS or without.
        let _hangups = signal(SignalKind::hangup());
        let (phase, phases) = watch::channel(Phase::Running);
        let (probe_phase, probe_phases) = watch::channel(Phase::Running);
        // Whoever is at work holds a sender. When the last is gone, nobody is.
        let (at_work, mut nobody) = mpsc::channel::<()>(1);
        for door in doors {
            tokio::spawn(listener::accept(door, shared.clone(), Scope::All, phases.clone(), at_work.clone()));
        }
        drop(at_work);
        if let Some(probes) = probes {
            let (own, _) = mpsc::channel(1);
            tokio::spawn(listener::accept(probes, shared.clone(), Scope::Probes, probe_phases, own));
        }
        let watching = shared.tls.clone().map(|tls| tokio::spawn(crate::tls::watch(tls, shared.app.clone())));

        shutdown.await;
        tracing::info!("stopping: not ready any more");
        shared.app.drain();
        sleep(times.drain_delay).await;
        phase.send_replace(Phase::Leaving);
        let finished = timeout(times.drain, async {
            nobody.recv().await;
            shared.app.is_idle().await;
        });
        let stopped = if finished.await.is_ok() { Stopped::Whole } else { Stopped::CutShort };
        phase.send_replace(Phase::Gone);
        probe_phase.send_replace(Phase::Gone);
        if let Some(watching) = watching {
            watching.abort();
        }
        match stopped {
            Stopped::Whole => tracing::info!("stopped: every request was answered"),
            Stopped::CutShort => tracing::warn!("stopped: requests were given up when the time was over"),
        }
        stopped
    }
}

/// Waits until the process is asked to stop, by SIGTERM or SIGINT.
///
/// # Errors
/// Fails if signals cannot be had.
pub async fn asked_to_stop() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn listen_error(place: impl std::fmt::Display) -> impl FnOnce(io::Error) -> ServerError {
    let place = place.to_string();
    |source| ServerError::Listen { place, source }
}

/// The file of a Unix socket, removed with its listener.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may be gone already, and nothing depends on it.
        drop(std::fs::remove_file(&self.0));
    }
}
