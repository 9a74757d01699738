//! Who is at the other end of a connection.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use http::HeaderMap;

/// The other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where it is.
    pub address: Address,
    /// Where a trusted proxy says that the request came from.
    pub forwarded: Option<IpAddr>,
    /// The certificate it has shown, which was verified.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// Whether the connection is encrypted.
    pub is_encrypted: bool,
}

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// The network.
    Network(SocketAddr),
    /// This machine, over a Unix socket: the system says who it is.
    Local {
        /// The id of the user.
        user: u32,
        /// The id of its group.
        group: u32,
        /// The id of the process, where the system tells it.
        process: Option<u32>,
    },
}

/// What a client certificate says, after it was verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The common name of the subject.
    pub common_name: Option<String>,
    /// Names of the subject in DNS.
    pub dns_names: Vec<String>,
    /// URIs of the subject, such as SPIFFE ids.
    pub uris: Vec<String>,
    /// Mail addresses of the subject.
    pub mail_addresses: Vec<String>,
    /// Network addresses of the subject.
    pub addresses: Vec<IpAddr>,
    /// The serial number, in lower-case hexadecimal digits.
    pub serial: String,
    /// The name of the issuer, as RFC 4514 writes it.
    pub issuer: String,
    /// SHA-256 of the certificate, in lower-case hexadecimal digits.
    pub fingerprint: String,
}

impl Peer {
    /// Makes a peer in the network, without TLS.
    #[must_use]
    pub fn network(address: SocketAddr) -> Self {
        Self { address: Address::Network(address), forwarded: None, certificate: None, is_encrypted: false }
    }

    /// Returns the address that counts, for limits and records: what a trusted proxy says, or else the connection's own.
    #[must_use]
    pub fn source(&self) -> Option<IpAddr> {
        match (self.forwarded, self.address) {
            (Some(forwarded), _) => Some(forwarded),
            (None, Address::Network(address)) => Some(address.ip().to_canonical()),
            (None, Address::Local { .. }) => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.source(), self.address) {
            (Some(address), _) => address.fmt(f),
            (None, Address::Local { user, .. }) => write!(f, "uid {user}"),
            (None, Address::Network(address)) => address.fmt(f),
        }
    }
}

/// A range of addresses, written as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    prefix: u8,
}

/// Why a text is no range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a range of addresses is written as `10.0.0.0/8`, with no bits set after the prefix")]
pub struct ParseNetworkError;

impl Network {
    /// Says whether an address is in the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let host = 32 - u32::from(self.prefix);
                (first.to_bits() ^ address.to_bits()).checked_shr(host).unwrap_or(0) == 0
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let host = 128 - u32::from(self.prefix);
                (first.to_bits() ^ address.to_bits()).checked_shr(host).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, ParseNetworkError> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let first: IpAddr = address.parse().map_err(|_| ParseNetworkError)?;
        let longest = if first.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                digits.parse().ok().filter(|prefix| *prefix <= longest).ok_or(ParseNetworkError)?
            }
            Some(_) => return Err(ParseNetworkError),
        };
        let rest = match first {
            IpAddr::V4(address) => u128::from(address.to_bits().checked_shl(prefix.into()).unwrap_or(0)),
            IpAddr::V6(address) => address.to_bits().checked_shl(prefix.into()).unwrap_or(0),
        };
        if rest == 0 { Ok(Self { first, prefix }) } else { Err(ParseNetworkError) }
    }
}

/// Most hops of `X-Forwarded-For` that are looked at.
const MAX_HOPS: usize = 32;

/// What a trusted proxy says of where a request comes from cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// Reads `X-Forwarded-For`, which only a trusted proxy may send: from the right, past every trusted proxy, to the first address that is none.
///
/// # Errors
/// [`Unreadable`] if something else than an address comes before that: whoever wrote it would be taken for the proxy itself.
pub(crate) fn forwarded(
    headers: &HeaderMap,
    address: Address,
    trusted: &[Network],
) -> Result<Option<IpAddr>, Unreadable> {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    match address {
        Address::Network(address) if is_trusted(address.ip()) => {}
        _ => return Ok(None),
    }
    let mut farthest = None;
    let lines: Vec<&[u8]> = headers.get_all("x-forwarded-for").iter().map(|value| value.as_bytes()).collect();
    for hop in lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b',')).take(MAX_HOPS) {
        let hop = read_hop(hop.trim_ascii()).ok_or(Unreadable)?;
        farthest = Some(hop);
        if !is_trusted(hop) {
            break;
        }
    }
    Ok(farthest)
}

/// Reads an address, which some proxies write with its port.
fn read_hop(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?;
    let address = text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}
