//! Tests of `limits`.

mod buckets;
mod connections;
mod full_tables;
mod guesses;
mod shared;

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use bulla_backend::Timestamp;
use bulla_guard::limits::{Peer, Quota, Verified};

const SECOND: u64 = 1_000;

/// The moment so many milliseconds after some day in 2026.
fn at(milliseconds: u64) -> Timestamp {
    Timestamp(1_795_000_000_000 + milliseconds)
}

fn peer(address: &str) -> Peer {
    address.parse::<IpAddr>().unwrap().into()
}

/// The peer of a number: each has a /64 of its own.
fn numbered(number: u64) -> Peer {
    IpAddr::V6(Ipv6Addr::from(u128::from(0x2001_0db8_0000_0000 + number) << 64 | 1)).into()
}

fn per_minute(count: u32, burst: u32) -> Quota {
    Quota::new(count, Duration::from_secs(60), burst).unwrap()
}

/// Somebody whose secret was right.
struct Person(&'static str, &'static [&'static str]);

impl Verified for Person {
    fn limit_id(&self) -> &str {
        self.0
    }

    fn limit_roles(&self) -> impl Iterator<Item = &str> {
        self.1.iter().copied()
    }
}
