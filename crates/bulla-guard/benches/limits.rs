//! What a check of a limit costs, with one thread and with eight: for one peer, for many, while a flood of new addresses fills the table; and what
//! refusing a guess costs.
//!
//! `cargo bench -p bulla-guard --bench limits`

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench stops at the first surprise, and prints")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv6Addr};
use std::thread;
use std::time::Instant;

use bulla_backend::Timestamp;
use bulla_guard::limits::{Guesses, Limiter, Peer, Quotas, Verified};

const CHECKS: u64 = 400_000;

struct Key(String);

impl Verified for Key {
    fn limit_id(&self) -> &str {
        &self.0
    }

    fn limit_roles(&self) -> impl Iterator<Item = &str> {
        ["operator"].into_iter()
    }
}

fn main() {
    println!("{:<44} {:>12} {:>12}", "ns a check", "1 thread", "8 threads");
    let quotas = Quotas::default();
    let limiter = Limiter::default();
    let keys: Vec<Key> = (0..1_000).map(|number| Key(format!("k{number:08}"))).collect();
    row("one peer", |_, _| check(&limiter, &quotas, peer(0)));
    row("1,000 peers", |thread, n| check(&limiter, &quotas, peer(thread * 1_000 + n % 1_000)));
    row("1,000 principals, by role", |thread, n| {
        let index = usize::try_from((thread * 131 + n) % 1_000).unwrap();
        black_box(limiter.check(&quotas.principal(&keys[index], ""), Timestamp(n)));
    });
    row("a new address each time, table full", |thread, n| check(&limiter, &quotas, peer(1 << 24 | thread << 20 | n)));
    let guesses = Guesses::default();
    let _delay = guesses.begin(peer(0), Timestamp(0)).unwrap().wrong(None, Timestamp(0));
    row("a guess that comes too soon", |_, _| {
        let _too_soon = black_box(guesses.begin(peer(0), Timestamp(1)));
    });
    println!("\n{} buckets at the end", limiter.buckets());
}

fn check(limiter: &Limiter, quotas: &Quotas, peer: Peer) {
    black_box(limiter.check(&quotas.peer(black_box(peer), "read"), Timestamp(1_000)));
}

fn peer(number: u64) -> Peer {
    IpAddr::V6(Ipv6Addr::from(u128::from(number) << 64)).into()
}

/// Prints the time of wall clock that a check takes, all threads together.
fn row(name: &str, check: impl Fn(u64, u64) + Sync) {
    let measured = [1, 8].map(|threads| {
        let begun = Instant::now();
        thread::scope(|scope| {
            for thread in 0..threads {
                let check = &check;
                scope.spawn(move || (0..CHECKS).for_each(|n| check(thread, n)));
            }
        });
        begun.elapsed().as_nanos() / u128::from(CHECKS * threads)
    });
    println!("{name:<44} {:>12} {:>12}", measured[0], measured[1]);
}
