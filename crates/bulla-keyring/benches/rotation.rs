//! What a key with many versions costs: to open its project, to seal, to open its oldest value, and to rotate it; and what sealing and opening cost
//! by the name of a key.
//!
//! `cargo bench -p bulla-keyring`. Each line is measured by a process of its own, on SQLite, so that its memory is that line's.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench stops at the first surprise, and prints")]

use std::env;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bulla_backend::{
    Collection, Documents, Expected, ListQuery, MAX_COMMIT_WRITES, MemoryDocuments, SqliteDocuments, SqliteOptions,
    SystemClock, Write,
};
use bulla_keyring::format::{KEY_IDS, KEY_VERSIONS, KEYS, TRUST_LOG, WRAPS};
use bulla_keyring::{Algorithm, Identity, KeyName, Keyring, TrustPin};
use bulla_seal::Context;
use pollster::block_on;

const ROTATIONS: usize = 200;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(200);

fn main() {
    // A child's task comes by the environment: `cargo bench` hands over arguments of its own.
    if let Ok(folder) = env::var("BULLA_BENCH_FOLDER") {
        return measure(Path::new(&folder));
    }
    println!(
        "{:<31} {:>9} {:>11} {:>13} {:>11} {:>11} {:>11} {:>9} {:>9}",
        "", "open, ms", "random, ms", "1st seal, µs", "oldest, µs", "rotate, µs", "median, µs", "HWM, MiB", "RSS, MiB"
    );
    let mut project = Project::begin();
    for versions in [1, 100, 10_000, 100_000] {
        project.rotate_to(versions);
        row(&format!("{versions} versions"), &project);
    }
    let mut project = Project::begin();
    project.rotate_to(1);
    for number in 0..10_000 {
        let name: KeyName = format!("many/{number}").parse().unwrap();
        block_on(project.keyring.create_key(&name, Algorithm::default())).unwrap();
    }
    row("1 version, beside 10,000 keys", &project);
    println!();
    by_name();
}

/// A project in memory, of which copies are measured.
struct Project {
    documents: MemoryDocuments,
    identity: Arc<Identity>,
    keyring: Keyring,
    oldest: Vec<u8>,
    versions: u64,
}

impl Project {
    fn begin() -> Self {
        let (documents, identity) = (MemoryDocuments::new(), Arc::new(Identity::generate().unwrap()));
        let trust = Arc::new(documents.clone());
        let machine = "bench".parse().unwrap();
        let keyring = block_on(Keyring::create(trust, Arc::clone(&identity), &machine, Arc::new(SystemClock))).unwrap();
        block_on(keyring.create_key(&orders(), Algorithm::default())).unwrap();
        let oldest = block_on(keyring.seal(&orders(), &context(&keyring), b"the oldest value")).unwrap();
        Self { documents, identity, keyring, oldest, versions: 1 }
    }

    fn rotate_to(&mut self, versions: u64) {
        while self.versions < versions {
            self.versions = block_on(self.keyring.rotate_key(&orders())).unwrap().number;
        }
    }

    /// Copies everything to a database on disk.
    fn copy_to(&self, folder: &Path) {
        let target = SqliteDocuments::open(folder.join("trust.db"), SqliteOptions::default()).unwrap();
        for collection in [TRUST_LOG, WRAPS, KEYS, KEY_VERSIONS, KEY_IDS] {
            self.copy_collection(&target, collection);
        }
        self.identity.create_file(&folder.join("identity")).unwrap();
        fs::write(folder.join("pin"), self.keyring.pin().to_string()).unwrap();
        fs::write(folder.join("oldest"), &self.oldest).unwrap();
    }

    fn copy_collection(&self, target: &SqliteDocuments, collection: Collection) {
        let mut query = ListQuery::default();
        loop {
            let page = block_on(self.documents.list(collection, &query)).unwrap();
            for documents in page.documents.chunks(MAX_COMMIT_WRITES) {
                let put = |document: &bulla_backend::Document| Write::Put {
                    collection,
                    key: document.key.clone(),
                    value: document.value.clone(),
                    expected: Expected::Absent,
                };
                let writes: Vec<Write> = documents.iter().map(put).collect();
                block_on(target.commit(&writes)).unwrap();
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return,
            }
        }
    }
}

fn row(what: &str, project: &Project) {
    let folder = tempfile::tempdir().unwrap();
    project.copy_to(folder.path());
    let child = Command::new(env::current_exe().unwrap()).env("BULLA_BENCH_FOLDER", folder.path()).output().unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    println!("{what:<31} {}", String::from_utf8_lossy(&child.stdout).trim_end());
}

/// Measures one project, and prints the columns.
fn measure(folder: &Path) {
    let identity = Arc::new(Identity::read_file(&folder.join("identity")).unwrap());
    let pin: TrustPin = fs::read_to_string(folder.join("pin")).unwrap().parse().unwrap();
    let oldest = fs::read(folder.join("oldest")).unwrap();
    let begun = Instant::now();
    let trust = Arc::new(SqliteDocuments::open(folder.join("trust.db"), SqliteOptions::default()).unwrap());
    let keyring = block_on(Keyring::open(trust, identity, pin, Arc::new(SystemClock))).unwrap();
    let opened = begun.elapsed();
    let context = context(&keyring);
    // A process seeds its generator at its first use, whatever that is for.
    let (random, _) = timed(|| keyring.random(1).unwrap());
    let (sealed, _) = timed(|| block_on(keyring.seal(&orders(), &context, b"42")).unwrap());
    let (found, _) = timed(|| block_on(keyring.open_sealed(&orders(), &context, &oldest)).unwrap());
    let rotate = || block_on(keyring.rotate_key(&orders())).unwrap();
    let mut rotations: Vec<Duration> = (0..ROTATIONS).map(|_| timed(rotate).0).collect();
    rotations.sort_unstable();
    let mean = rotations.iter().sum::<Duration>() / u32::try_from(ROTATIONS).unwrap();
    println!(
        "{:>9.2} {:>11.2} {:>13.0} {:>11.0} {:>11.0} {:>11.0} {:>9.1} {:>9.1}",
        micros(opened) / 1e3,
        micros(random) / 1e3,
        micros(sealed),
        micros(found),
        micros(mean),
        micros(rotations[ROTATIONS / 2]),
        memory("VmHWM:"),
        memory("VmRSS:"),
    );
}

/// Measures sealing and opening of 64 bytes by the name of a key, in a process that does it often.
fn by_name() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = SqliteDocuments::open(folder.path().join("trust.db"), SqliteOptions::default()).unwrap();
    let places: [(&str, Arc<dyn Documents>); 2] =
        [("memory", Arc::new(MemoryDocuments::new())), ("SQLite", Arc::new(sqlite))];
    for (place, trust) in places {
        let identity = Arc::new(Identity::generate().unwrap());
        let machine = "bench".parse().unwrap();
        let keyring = block_on(Keyring::create(trust, identity, &machine, Arc::new(SystemClock))).unwrap();
        block_on(keyring.create_key(&orders(), Algorithm::default())).unwrap();
        let context = context(&keyring);
        let message = [0x5a; 64];
        let sealed = block_on(keyring.seal(&orders(), &context, &message)).unwrap();
        let seal = best(|| block_on(keyring.seal(&orders(), &context, &message)).unwrap());
        let open = best(|| block_on(keyring.open_sealed(&orders(), &context, &sealed)).unwrap());
        println!("by name, 64 bytes, {place}: seal {seal:.2} µs, open {open:.2} µs");
    }
}

/// Returns the time of one call in microseconds, the best of several rounds.
fn best<T>(mut call: impl FnMut() -> T) -> f64 {
    let round = || {
        let (begun, mut calls) = (Instant::now(), 0_u32);
        while begun.elapsed() < ROUND {
            (0..100).for_each(|_| drop(black_box(call())));
            calls += 100;
        }
        begun.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
    };
    std::iter::repeat_with(round).take(ROUNDS).fold(f64::INFINITY, f64::min)
}

fn timed<T>(call: impl FnOnce() -> T) -> (Duration, T) {
    let begun = Instant::now();
    let answer = call();
    (begun.elapsed(), answer)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Reads how much memory this process has or had, in MiB.
fn memory(field: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let kib = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    kib.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1_024.0
}

fn orders() -> KeyName {
    "orders".parse().unwrap()
}

fn context(keyring: &Keyring) -> Context {
    Context::user(&keyring.project()).uint("row", 1).build().unwrap()
}
