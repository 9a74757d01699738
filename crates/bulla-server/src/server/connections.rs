use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bulla_guard::limits::Peer;

/// Counts connections, in all and by peer.
#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    most_per_peer: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_peer: HashMap<Peer, usize>,
}

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    Server,
    Peer,
}

/// A connection that counts, until it is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    connections: Arc<Connections>,
    peer: Option<Peer>,
}

impl Connections {
    pub(super) fn new(most: usize, most_per_peer: usize) -> Self {
        Self { most, most_per_peer, open: Mutex::default() }
    }

    /// Takes a connection. `peer` is `None` for a proxy that is trusted and for this machine: these are not counted by peer.
    pub(super) fn take(self: &Arc<Self>, peer: Option<IpAddr>) -> Result<Counted, Full> {
        let peer = peer.map(Peer::from);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.all >= self.most {
            return Err(Full::Server);
        }
        if let Some(peer) = peer {
            let of_peer = open.by_peer.entry(peer).or_default();
            if *of_peer >= self.most_per_peer {
                return Err(Full::Peer);
            }
            *of_peer += 1;
        }
        open.all += 1;
        Ok(Counted { connections: self.clone(), peer })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all = open.all.saturating_sub(1);
        if let Some(peer) = self.peer {
            // None stays at nought, so that the table is no longer than there are connections.
            if let Some(of_peer) = open.by_peer.get_mut(&peer) {
                *of_peer -= 1;
                if *of_peer == 0 {
                    open.by_peer.remove(&peer);
                }
            }
        }
    }
}
