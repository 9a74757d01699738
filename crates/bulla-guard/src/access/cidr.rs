//! Ranges of addresses that a credential is bound to.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::codec::Field;

/// A range of IP addresses: `192.0.2.0/24`, `2001:db8::/32`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Says whether an address lies in the range. An IPv4 address that is written as IPv6 is the IPv4 address.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(range), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                (u32::from(range) ^ u32::from(address)) & mask == 0
            }
            (IpAddr::V6(range), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                (u128::from(range) ^ u128::from(address)) & mask == 0
            }
            _ => false,
        }
    }
}

/// Says whether an address may use what is bound to some ranges; to none means that all may.
pub(crate) fn admits(ranges: &[Cidr], address: Option<IpAddr>) -> bool {
    ranges.is_empty() || address.is_some_and(|address| ranges.iter().any(|range| range.contains(address)))
}

impl FromStr for Cidr {
    type Err = ParseCidrError;

    fn from_str(text: &str) -> Result<Self, ParseCidrError> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| ParseCidrError)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(prefix) if prefix == "0" || !prefix.starts_with(['0', '+']) => {
                prefix.parse().ok().filter(|prefix| *prefix <= longest).ok_or(ParseCidrError)?
            }
            Some(_) => return Err(ParseCidrError),
        };
        // A range of IPv4 addresses that is written as IPv6 would never contain any.
        if address.to_canonical() != address {
            return Err(ParseCidrError);
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The text is no range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a range of addresses is written as `192.0.2.0/24` or `2001:db8::/32`")]
pub struct ParseCidrError;

impl Field for Cidr {
    fn put(&self, out: &mut super::codec::Out<'_>) -> super::codec::Written {
        out.str(&self.to_string()).map(drop)
    }

    fn take(from: &mut minicbor::Decoder<'_>) -> Option<Self> {
        from.str().ok()?.parse().ok()
    }
}
