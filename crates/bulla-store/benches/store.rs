//! How long the store takes, in memory (its own work alone) and in SQLite and files.
//!
//! `cargo bench -p bulla-store`. The best of several rounds counts; CPU is what all threads together use for one operation.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench stops at the first surprise, and prints")]

use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bulla_backend::{
    Blobs, Documents, Durability, FileBlobs, MemoryBlobs, MemoryDocuments, SqliteDocuments, SqliteOptions, SystemClock,
};
use bulla_keyring::{Identity, Keyring};
use bulla_store::{EntryQuery, Eviction, GetOptions, Kept, Namespace, NamespaceSettings, NewEntry, PutOptions, Store};
use pollster::block_on;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(400);
const KIB: usize = 1_024;
const MIB: usize = 1_024 * KIB;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let trust: Arc<dyn Documents> =
        Arc::new(SqliteDocuments::open(folder.path().join("trust.db"), SqliteOptions::default()).unwrap());
    let identity = Arc::new(Identity::generate().unwrap());
    let machine = "bench".parse().unwrap();
    let keyring = Arc::new(block_on(Keyring::create(trust, identity, &machine, Arc::new(SystemClock))).unwrap());
    let store = |documents: Arc<dyn Documents>, blobs: Arc<dyn Blobs>| {
        Store::new(Arc::clone(&keyring), documents, blobs, Arc::new(SystemClock))
    };
    let memory = store(Arc::new(MemoryDocuments::new()), Arc::new(MemoryBlobs::new()));
    let documents = SqliteDocuments::open(folder.path().join("entries.db"), SqliteOptions::default()).unwrap();
    let blobs = FileBlobs::open(folder.path().join("blobs")).unwrap();
    let sqlite = store(Arc::new(documents), Arc::new(blobs));

    println!("{:<60} {:>12} {:>12} {:>10}", "", "wall, µs", "CPU, µs", "MB/s");
    for (place, store) in [("memory", memory), ("SQLite and files", sqlite)] {
        let durable = store.namespace("bench").unwrap();
        let cache = durable.clone().with_durability(Durability::Cache);
        for (size, len) in [("1 KiB", KIB), ("64 KiB", 64 * KIB), ("1 MiB", MIB), ("64 MiB", 64 * MIB)] {
            let value = vec![0x5a; len];
            if len <= MIB {
                row(&format!("put {size}, cache, {place}"), len, || put(&cache, &value));
            }
            row(&format!("put {size}, durable, {place}"), len, || put(&durable, &value));
            row(&format!("get {size}, {place}"), len, || {
                black_box(block_on(durable.get(b"name", &GetOptions::default())).unwrap());
            });
        }
        let names: Vec<[u8; 4]> = (0..64_u32).map(u32::to_be_bytes).collect();
        let value = vec![0x5a; KIB];
        let entries: Vec<_> = names.iter().map(|name| NewEntry::new(name, &value)).collect();
        for (kept, namespace) in [("cache", &cache), ("durable", &durable)] {
            rows(&format!("put_many of 64 × 1 KiB, each, {kept}, {place}"), KIB, entries.len(), || {
                assert!(block_on(namespace.put_many(&entries)).iter().all(Result::is_ok));
            });
        }
        rows(&format!("get_many of 64 × 1 KiB, each, {place}"), KIB, names.len(), || {
            assert!(block_on(durable.get_many(&names)).iter().all(Result::is_ok));
        });
        row(&format!("increment, cache, {place}"), 0, || {
            black_box(block_on(cache.increment(b"number", 1, 0)).unwrap());
        });
        let many = store.namespace("many").unwrap().with_durability(Durability::Cache);
        for n in 0_u32..1_000 {
            block_on(many.put(&n.to_be_bytes(), &[0x5a; 100], &PutOptions::default())).unwrap();
        }
        row(&format!("list a page of 1,000, {place}"), 0, || {
            assert_eq!(block_on(many.list(&EntryQuery::default())).unwrap().entries.len(), 1_000);
        });
        in_memory(place, &store);
        limits(place, &store);
    }
}

/// What the memory tier is worth.
fn in_memory(place: &str, store: &Store) {
    let value = vec![0x5a; KIB];
    for memory_tier in [false, true] {
        let namespace = store.namespace(if memory_tier { "held" } else { "not-held" }).unwrap();
        block_on(namespace.set_settings(&NamespaceSettings { memory_tier, ..cache() })).unwrap();
        put(&namespace, &value);
        let tier = if memory_tier { "with" } else { "without" };
        row(&format!("get 1 KiB {tier} memory tier, {place}"), KIB, || {
            black_box(block_on(namespace.get(b"name", &GetOptions::default())).unwrap());
        });
    }
}

/// What limits cost where they are reached: each put of a new name evicts another, now and then many at once.
fn limits(place: &str, store: &Store) {
    const ENTRIES: u32 = 20_000;
    let value = vec![0x5a; KIB];
    for eviction in [
        None,
        Some(Eviction::LeastRecentlyStored),
        Some(Eviction::LeastRecentlyUsed),
        Some(Eviction::LeastFrequentlyUsed),
    ] {
        let name = eviction.map_or("none", Eviction::name);
        let namespace = store.namespace(&format!("evicts/{name}")).unwrap();
        let max_entries = eviction.map(|_| u64::from(ENTRIES));
        block_on(namespace.set_settings(&NamespaceSettings { max_entries, eviction, ..cache() })).unwrap();
        // As digests do, names come in no order.
        let mut names = (0_u32..).map(|n| n.wrapping_mul(0x9e37_79b9).to_be_bytes());
        let mut put_next = || {
            let name = names.next().unwrap();
            block_on(namespace.put(&name, &value, &PutOptions::default())).unwrap();
        };
        (0..ENTRIES).for_each(|_| put_next());
        row(&format!("put new 1 KiB, eviction {name}, {place}"), KIB, &mut put_next);
        let mut at = 0_u32;
        let newest = block_on(namespace.list(&EntryQuery::default())).unwrap().entries;
        row(&format!("get 1 KiB, eviction {name}, {place}"), KIB, || {
            at = at.wrapping_add(1);
            let name = &newest[at as usize % newest.len()].name;
            black_box(block_on(namespace.get(name.as_bytes(), &GetOptions::default())).unwrap());
        });
    }
}

fn cache() -> NamespaceSettings {
    NamespaceSettings { durability: Kept::Cache, ..NamespaceSettings::default() }
}

fn put(namespace: &Namespace, value: &[u8]) {
    block_on(namespace.put(b"name", value, &PutOptions::default())).unwrap();
}

fn row(name: &str, len: usize, operation: impl FnMut()) {
    rows(name, len, 1, operation);
}

/// Shows one of so many that are done in an operation.
fn rows(name: &str, len: usize, count: usize, mut operation: impl FnMut()) {
    let mut best: Option<(f64, f64)> = None;
    for _ in 0..ROUNDS {
        let (start, cpu, mut operations) = (Instant::now(), cpu_time(), 0_u32);
        while operations == 0 || start.elapsed() < ROUND {
            operation();
            operations += 1;
        }
        let each = 1e6 / f64::from(operations) / count as f64;
        let found = (start.elapsed().as_secs_f64() * each, (cpu_time() - cpu) * each);
        best = Some(best.map_or(found, |best| (best.0.min(found.0), best.1.min(found.1))));
    }
    let (wall, cpu) = best.unwrap_or_default();
    let throughput = if len == 0 { String::new() } else { format!("{:.0}", len as f64 / wall) };
    println!("{name:<60} {wall:>12.1} {cpu:>12.1} {throughput:>10}");
}

/// What this process has used so far, in seconds: the user and system time of `/proc/self/stat`, in ticks of 10 ms.
fn cpu_time() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let behind_name = stat.rsplit(')').next().unwrap();
    let ticks = behind_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<u32>().unwrap());
    f64::from(ticks.sum::<u32>()) / 100.0
}
