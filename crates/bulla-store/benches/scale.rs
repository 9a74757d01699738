//! What operations cost as a store grows: 10⁴, 10⁵, … small entries in one namespace that has a limit and evicts the least recently used.
//!
//! `cargo bench -p bulla-store --bench scale`; `BULLA_BENCH_ENTRIES` is the largest number, 10⁶ unless said. Each size in a process of its own.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench stops at the first surprise, and prints")]

mod place;

use std::env;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use bulla_backend::testing::Random;
use bulla_backend::{Timestamp, Usage};
use bulla_store::{
    Budget, EntryName, EntryQuery, Eviction, GetOptions, Kept, Lifetime, Namespace, NamespaceSettings, NewEntry,
    PutOptions,
};
use pollster::block_on;

use crate::place::{cpu_time, disk_usage, peak_memory};

const SIZE: &str = "BULLA_BENCH_SIZE";
const VALUE: [u8; 100] = [0x5a; 100];
/// How many entries expire, and are evicted, in one measurement.
const PART: u64 = 5_000;

fn main() {
    if let Ok(size) = env::var(SIZE) {
        return measure(size.parse().unwrap());
    }
    let most = env::var("BULLA_BENCH_ENTRIES").map_or(1_000_000, |most| most.parse().unwrap());
    println!("µs of wall time for one entry of {} bytes (CPU time in brackets)", VALUE.len());
    println!(
        "{:>10} {:>14} {:>14} {:>14} {:>14} {:>14} {:>14} {:>12} {:>9}",
        "entries", "put, batches", "put", "get", "list", "expire", "evict", "bytes/byte", "RSS, MiB"
    );
    let mut size = 10_000_u64;
    while size <= most {
        let status = Command::new(env::current_exe().unwrap()).env(SIZE, size.to_string()).status().unwrap();
        assert!(status.success());
        size *= 10;
    }
}

fn measure(size: u64) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = place::store(folder.path());
    let empty = disk_usage(folder.path());
    let [namespace, due] = ["scale", "due"].map(|name| store.namespace(name).unwrap());
    let settings = NamespaceSettings {
        durability: Kept::Cache,
        lifetime: Some(Duration::from_hours(24)),
        max_entries: Some(size * 2),
        eviction: Some(Eviction::LeastRecentlyUsed),
        ..NamespaceSettings::default()
    };
    for namespace in [&namespace, &due] {
        block_on(namespace.set_settings(&settings)).unwrap();
    }

    let fill = each(size, || {
        for from in (0..size).step_by(64) {
            put_batch(&namespace, from..size.min(from + 64), Lifetime::Inherited);
        }
    });
    // As it lies on the disk once the log is in the file.
    let on_disk = {
        while block_on(store.compact(&Budget::UNLIMITED, &mut |_| {})).is_ok_and(|counts| !counts.finished) {}
        disk_usage(folder.path()) - empty
    };
    for from in (0..PART).step_by(64) {
        put_batch(&due, from..PART.min(from + 64), Lifetime::Until(Timestamp(1)));
    }
    let mut random = Random::new(size);
    let single = each(PART, || {
        for number in size..size + PART {
            block_on(namespace.put(&name(number), &VALUE, &PutOptions::default())).unwrap();
        }
    });
    let get = each(PART, || {
        for _ in 0..PART {
            black_box(block_on(namespace.get(&name(random.below(size)), &GetOptions::default())).unwrap());
        }
    });
    let list = each(10 * 1_000, || {
        for _ in 0..10 {
            let after = Some(EntryName::new(name(random.below(size))).unwrap());
            black_box(block_on(namespace.list(&EntryQuery { after, ..EntryQuery::default() })).unwrap());
        }
    });
    let expire = each(PART, || {
        assert_eq!(block_on(due.expire_due(&Budget::UNLIMITED)).unwrap().expired, PART);
    });
    let evict = each(PART, || {
        let usage = block_on(namespace.usage()).unwrap().unwrap();
        let keep = Usage { documents: usage.documents - PART, bytes: u64::MAX };
        assert!(block_on(namespace.evict(Some(keep), &Budget::UNLIMITED)).unwrap().evicted >= PART);
    });
    let payload = (size * VALUE.len() as u64) as f64;
    println!(
        "{size:>10} {fill:>14} {single:>14} {get:>14} {list:>14} {expire:>14} {evict:>14} {:>12.2} {:>9}",
        on_disk as f64 / payload,
        peak_memory()
    );
}

/// Names as digests are, so that they come in no order.
fn name(number: u64) -> [u8; 16] {
    let mut random = Random::new(number);
    let mut name = [0; 16];
    name[..8].copy_from_slice(&random.number().to_be_bytes());
    name[8..].copy_from_slice(&random.number().to_be_bytes());
    name
}

fn put_batch(namespace: &Namespace, numbers: std::ops::Range<u64>, lifetime: Lifetime) {
    let names: Vec<_> = numbers.map(name).collect();
    let entries: Vec<_> = names
        .iter()
        .map(|name| NewEntry {
            options: PutOptions { lifetime, ..PutOptions::default() },
            ..NewEntry::new(name, &VALUE)
        })
        .collect();
    for outcome in block_on(namespace.put_many(&entries)) {
        outcome.unwrap();
    }
}

/// Returns what one of `count` steps takes: wall and CPU time.
fn each(count: u64, steps: impl FnOnce()) -> String {
    let (begun, used) = (Instant::now(), cpu_time("self"));
    steps();
    let wall = begun.elapsed().as_secs_f64() * 1e6 / count as f64;
    let cpu = (cpu_time("self") - used).as_secs_f64() * 1e6 / count as f64;
    format!("{wall:.1} ({cpu:.1})")
}
