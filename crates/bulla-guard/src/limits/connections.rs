//! How many connections may be open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::peer::Peer;

/// How many connections may be open at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Of one peer.
    pub per_peer: u32,
    /// Of all together. It also bounds what is remembered: a peer without a connection is not.
    pub total: u32,
}

impl Default for ConnectionLimits {
    /// 64 of one peer, 8,192 of all.
    fn default() -> Self {
        Self { per_peer: 64, total: 8_192 }
    }
}

/// Counts open connections.
#[derive(Debug, Clone, Default)]
pub struct Connections {
    limits: ConnectionLimits,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    by_peer: HashMap<Peer, u32>,
    total: u32,
}

impl Connections {
    /// Makes a counter at zero.
    #[must_use]
    pub fn new(limits: ConnectionLimits) -> Self {
        Self { limits, open: Arc::default() }
    }

    /// Counts a connection of a peer, for as long as what is returned lives.
    ///
    /// # Errors
    /// [`ConnectionRefused`] if a limit is reached. Nothing is counted then.
    pub fn admit(&self, peer: Peer) -> Result<Connection, ConnectionRefused> {
        let mut open = lock(&self.open);
        if open.total >= self.limits.total {
            return Err(ConnectionRefused::Total(self.limits.total));
        }
        let of_peer = open.by_peer.get(&peer).copied().unwrap_or(0);
        if of_peer >= self.limits.per_peer {
            return Err(ConnectionRefused::PerPeer(self.limits.per_peer));
        }
        open.by_peer.insert(peer, of_peer + 1);
        open.total += 1;
        Ok(Connection { peer, open: Arc::clone(&self.open) })
    }

    /// Counts the connections that are open.
    #[must_use]
    pub fn open(&self) -> u32 {
        lock(&self.open).total
    }
}

/// One open connection. It is counted until this is dropped.
#[derive(Debug)]
pub struct Connection {
    peer: Peer,
    open: Arc<Mutex<Open>>,
}

impl Connection {
    /// Returns whose it is.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.peer
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut open = lock(&self.open);
        open.total = open.total.saturating_sub(1);
        if let Some(of_peer) = open.by_peer.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                open.by_peer.remove(&self.peer);
            }
        }
        // What a flood made the table take is given back.
        if open.by_peer.capacity() > 64 && open.by_peer.capacity() / 8 > open.by_peer.len() {
            open.by_peer.shrink_to_fit();
        }
    }
}

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionRefused {
    /// The peer has as many as it may have.
    #[error("a peer may have {0} connections at once")]
    PerPeer(u32),
    /// There are as many as there may be.
    #[error("there may be {0} connections at once")]
    Total(u32),
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}
