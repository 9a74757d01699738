//! How many secrets are read and written a second.
//!
//! `cargo bench -p bulla-server --bench kv`. The best of several rounds counts; reads are of one thread, writes of several.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench stops at the first surprise, and prints")]
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bulla_backend::{
    Blobs, Clock as _, Documents, FileBlobs, MemoryBlobs, MemoryDocuments, SqliteDocuments, SqliteOptions, SystemClock,
};
use bulla_keyring::{Identity, Keyring};
use bulla_server::engines::Engines;
use bulla_server::kv::{self, WriteRequest};
use bulla_store::Store;
use pollster::block_on;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(400);
const THREADS: u64 = 16;

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
    let documents = SqliteDocuments::open(folder.path().join("entries.db"), SqliteOptions::default()).unwrap();
    let blobs = FileBlobs::open(folder.path().join("blobs")).unwrap();
    let places = [
        ("memory", store(Arc::new(MemoryDocuments::new()), Arc::new(MemoryBlobs::new()))),
        ("SQLite and files", store(Arc::new(documents), Arc::new(blobs))),
    ];
    println!("{:<60} {:>12}", "", "a second");
    for (place, store) in places {
        bench(place, &store);
    }
}

fn bench(place: &str, store: &Store) {
    let now = SystemClock.now();
    let engines = block_on(Engines::new(store.clone()).table()).unwrap();
    let request: WriteRequest =
        serde_json::from_str(r#"{"data":{"user":"app","password":"correct horse battery staple"}}"#).unwrap();
    let engine = engines.at("secret").unwrap();
    for _ in 0..12 {
        block_on(kv::write_data(store, engine, "app/database", &request, now)).unwrap();
    }
    for (what, version) in [("newest", None), ("older", Some(5))] {
        row(&format!("read the {what} version, as JSON, {place}"), || {
            let read = block_on(kv::read_data(store, engine, "app/database", version, now)).unwrap();
            black_box(serde_json::to_vec(&read).unwrap());
        });
    }
    let written = AtomicU64::new(0);
    let began = Instant::now();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (request, written) = (&request, &written);
            scope.spawn(move || {
                for n in 0_u64.. {
                    if began.elapsed() > ROUND * 5 {
                        break;
                    }
                    let path = format!("app/{thread}/{}", n % 16);
                    block_on(kv::write_data(store, engine, &path, request, now)).unwrap();
                    written.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let count = u32::try_from(written.into_inner()).unwrap();
    print(&format!("write durably, {THREADS} threads, {place}"), f64::from(count) / began.elapsed().as_secs_f64());
}

fn row(name: &str, mut work: impl FnMut()) {
    let mut best: f64 = 0.0;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let mut count = 0_u32;
        while began.elapsed() < ROUND {
            work();
            count += 1;
        }
        best = best.max(f64::from(count) / began.elapsed().as_secs_f64());
    }
    print(name, best);
}

fn print(name: &str, rate: f64) {
    println!("{name:<60} {rate:>12.0}");
}
