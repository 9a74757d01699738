//! Who is at the other end of a connection, as far as limits go.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The well-known prefix of translated IPv4 addresses, `64:ff9b::/96` (RFC 6052).
const TRANSLATED: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// An address that limits are counted by: an IPv4 address, or the /64 of an IPv6 address.
///
/// A host chooses its address within a /64 freely, so that all of it is one peer. IPv4 addresses in IPv6 clothes (mapped, or translated
/// under `64:ff9b::/96`) are the IPv4 address.
///
/// # Security
/// Make it from the address of the connection, or of what a proxy that you configured says; never from a header that a stranger writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    V4(Ipv4Addr),
    /// The first four groups.
    V6([u16; 4]),
}

impl Peer {
    pub(super) fn bytes(&self) -> [u8; 9] {
        let mut bytes = [0; 9];
        match self.0 {
            Kind::V4(address) => bytes[1..5].copy_from_slice(&address.octets()),
            Kind::V6(groups) => {
                bytes[0] = 1;
                for (two, group) in bytes[1..].chunks_exact_mut(2).zip(groups) {
                    two.copy_from_slice(&group.to_be_bytes());
                }
            }
        }
        bytes
    }
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(Kind::V4(address)),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, ..] = address.segments();
                if [a, b, c, d, e, f] == TRANSLATED {
                    let [.., one, two, three, four] = address.octets();
                    return Self(Kind::V4(Ipv4Addr::new(one, two, three, four)));
                }
                Self(Kind::V6([a, b, c, d]))
            }
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::V4(address) => address.fmt(f),
            Kind::V6([a, b, c, d]) => write!(f, "{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)),
        }
    }
}
