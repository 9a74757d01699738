//! The audit log on a real disk: events a second, and verifying.
//!
//! `cargo bench -p bulla-guard --bench audit`. Beside it stands what the disk allows at most with one event a sync: an append of the same length to a
//! plain file, and a sync. `BULLA_BENCH_FOLDER` is where it writes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench stops at the first surprise, and prints"
)]

use std::env;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bulla_backend::{MemoryDocuments, RealDisk, SystemClock};
use bulla_guard::audit::{Class, Code, Event, Log, LogOptions, LogReader, Origin, Outcome, Verdict};
use bulla_keyring::{Identity, Keyring, SystemKey};
use pollster::block_on;
use tempfile::TempDir;

const ROUND: Duration = Duration::from_secs(3);

fn main() {
    let place = env::var_os("BULLA_BENCH_FOLDER").map_or_else(env::temp_dir, PathBuf::from);
    let folder = TempDir::new_in(place).unwrap();
    println!("{:<40} {:>12}", "per second", "events");
    println!("{:<40} {:>12.0}", "an append and a sync of a plain file", plain(&folder));
    let (options, origin) = project();
    let path = folder.path().join("audit");
    let mut checkpoint = None;
    for waiters in [1, 8, 64] {
        let log = Log::open(Arc::new(RealDisk), &path, options.clone()).unwrap();
        println!("{:<40} {:>12.0}", format!("durable events, {waiters} waiting"), appended(&log, waiters));
        checkpoint = Some(block_on(log.close()).unwrap());
    }
    let log = Log::open(Arc::new(RealDisk), &path, options).unwrap();
    println!("{:<40} {:>12.0}", "events that nobody waits for", noted(&log));
    drop(log);
    let reader = LogReader::new(Arc::new(RealDisk), &path, origin);
    let (begun, verdict) = (Instant::now(), reader.verify(checkpoint.as_ref()));
    let Verdict::Ok(verified) = verdict else { panic!("{verdict}") };
    let seconds = begun.elapsed().as_secs_f64();
    let bytes: u64 = path.read_dir().unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    println!("{:<40} {:>12.0}", "verified", verified.size as f64 / seconds);
    println!("{:<40} {:>12.0}", "verified, MB", bytes as f64 / seconds / 1e6);
    println!("\n{} events of {} bytes", verified.size, bytes / verified.size);
}

fn project() -> (LogOptions, Origin) {
    let (identity, clock) = (Arc::new(Identity::generate().unwrap()), Arc::new(SystemClock));
    let name = "here".parse().unwrap();
    let created = Keyring::create(Arc::new(MemoryDocuments::new()), Arc::clone(&identity), &name, clock.clone());
    let keyring = block_on(created).unwrap();
    let key = block_on(keyring.system_key(&SystemKey::audit())).unwrap();
    let origin = Origin::of(&keyring.project(), identity.public());
    (LogOptions::new(keyring.project(), identity, key, clock), origin)
}

fn event(number: u64) -> Event {
    Event::new(Class::Store, Code::new("put"), Outcome::Success)
        .principal("alice@example.com")
        .address("192.0.2.7")
        .resource(format!("orders/{number}"))
        .number(Code::new("bytes"), 4_096)
}

fn plain(folder: &TempDir) -> f64 {
    let mut file = File::create(folder.path().join("plain")).unwrap();
    let (begun, mut count) = (Instant::now(), 0);
    while begun.elapsed() < ROUND {
        file.write_all(&[7; 150]).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    f64::from(count) / begun.elapsed().as_secs_f64()
}

fn appended(log: &Log, waiters: usize) -> f64 {
    let begun = Instant::now();
    let count: u64 = thread::scope(|scope| {
        let waiting: Vec<_> = (0..waiters)
            .map(|_| {
                scope.spawn(|| {
                    let mut count = 0;
                    while begun.elapsed() < ROUND {
                        block_on(log.append(event(count))).unwrap();
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        waiting.into_iter().map(|waiter| waiter.join().unwrap()).sum()
    });
    count as f64 / begun.elapsed().as_secs_f64()
}

fn noted(log: &Log) -> f64 {
    let (begun, before) = (Instant::now(), log.status().events);
    let mut number = 0;
    while begun.elapsed() < ROUND {
        log.note(event(number));
        number += 1;
        if number % 1_000 == 0 {
            // As fast as they are written, and none lost.
            block_on(log.append(event(number))).unwrap();
        }
    }
    (log.status().events - before) as f64 / begun.elapsed().as_secs_f64()
}
