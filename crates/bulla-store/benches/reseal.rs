//! Re-sealing while others read and write: throughput, how long readers wait with and without it, and that it goes on after kills.
//!
//! `cargo bench -p bulla-store --bench reseal -- [MIB]`; 1,024 MiB without a number, half of it in values of 64 KiB that lie in their entries,
//! half in values of 1 MiB that lie in blobs.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench stops at the first surprise, and prints")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use bulla_backend::testing::Random;
use bulla_backend::{Documents, Durability, FileBlobs, SqliteDocuments, SqliteOptions, SystemClock};
use bulla_keyring::{Identity, Keyring, TrustPin};
use bulla_store::{
    Budget, CheckOptions, Depth, GcOptions, GetOptions, Namespace, PutOptions, ResealCounts, Store, WalkEvent,
};
use pollster::block_on;

const SMALL: usize = 64 * 1_024;
const LARGE: usize = 1_024 * 1_024;
const READERS: u64 = 2;
/// How long readers are watched where nothing is sealed anew.
const IDLE: Duration = Duration::from_secs(5);
/// How often a writer replaces a value.
const WRITE_EVERY: Duration = Duration::from_millis(20);
const KILLS: u32 = 12;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [worker, depth, folder, pin] = &arguments[..]
        && worker == "worker"
    {
        let store = open(Path::new(folder), pin.parse().unwrap());
        let counts = reseal(&store.namespace("bench").unwrap(), depth_of(depth));
        println!("{} {} {}", counts.resealed, counts.current, counts.failed);
        return;
    }
    let mib: usize = arguments.first().map_or(1_024, |mib| mib.parse().unwrap());
    let folder = tempfile::tempdir_in(env::var_os("BULLA_BENCH_FOLDER").unwrap_or_else(|| ".".into())).unwrap();
    let (store, keyring) = create(folder.path());
    let names = fill(&store, mib);
    println!("{mib} MiB: {} values of 64 KiB in entries, {} of 1 MiB in blobs", names.small, names.large);

    let idle = watch(&store, &names, || pause(IDLE));
    idle.print("readers beside a writer alone");
    let namespace = store.namespace("bench").unwrap();
    for (depth, bytes) in
        [(Depth::Entries, names.small * SMALL), (Depth::Blobs, names.small * SMALL + names.large * LARGE)]
    {
        rotate(&keyring, &namespace);
        let mut took = Duration::ZERO;
        let watched = watch(&store, &names, || {
            let begun = Instant::now();
            let counts = reseal(&namespace, depth);
            took = begun.elapsed();
            assert!(counts.finished && counts.failed == 0, "{counts:?}");
            println!("{depth:?}: {} entries and {} blobs anew in {took:.2?}", counts.resealed, counts.blobs);
        });
        println!("{depth:?}: {:.0} MiB/s of values", bytes as f64 / LARGE as f64 / took.as_secs_f64());
        watched.print(&format!("readers beside a writer and a re-sealing, {depth:?}"));
        let watched = watch(&store, &names, || kills(&keyring, &namespace, folder.path(), depth, took));
        watched.print(&format!("readers beside a writer and processes that are killed, {depth:?}"));
        check(&store, &names);
    }
}

/// Which values there are.
struct Names {
    small: usize,
    large: usize,
}

impl Names {
    /// Draws a name that stays as it was put.
    fn draw(&self, random: &mut Random) -> (Vec<u8>, usize) {
        let at = random.below((self.small + self.large) as u64);
        if at < self.small as u64 { (small(at), SMALL) } else { (large(at - self.small as u64), LARGE) }
    }
}

fn small(n: u64) -> Vec<u8> {
    format!("small-{n}").into_bytes()
}

fn large(n: u64) -> Vec<u8> {
    format!("large-{n}").into_bytes()
}

/// Values that tell where they belong, so that one of another name does not pass.
fn value(name: &[u8], len: usize) -> Vec<u8> {
    name.iter().copied().cycle().take(len).collect()
}

fn fill(store: &Store, mib: usize) -> Names {
    let names = Names { small: mib * LARGE / 2 / SMALL, large: mib / 2 };
    let namespace = store.namespace("bench").unwrap().with_durability(Durability::Cache);
    for n in 0..names.small as u64 {
        block_on(namespace.put(&small(n), &value(&small(n), SMALL), &PutOptions::default())).unwrap();
    }
    for n in 0..names.large as u64 {
        block_on(namespace.put(&large(n), &value(&large(n), LARGE), &PutOptions::default())).unwrap();
    }
    names
}

/// How long reads took, longest last.
struct Watched {
    reads: Vec<Duration>,
    writes: u64,
}

impl Watched {
    fn print(mut self, what: &str) {
        self.reads.sort_unstable();
        let part = |percent: usize| self.reads[(self.reads.len() - 1) * percent / 100];
        println!(
            "{what}: {} reads, p50 {:.2?}, p99 {:.2?}, longest {:.2?}; {} writes",
            self.reads.len(),
            part(50),
            part(99),
            part(100),
            self.writes
        );
    }
}

/// Does some work while readers read values that must be what they were, and a writer replaces others.
fn watch(store: &Store, names: &Names, work: impl FnOnce()) -> Watched {
    let (done, writes) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|reader| {
                let (namespace, done) = (store.namespace("bench").unwrap(), &done);
                scope.spawn(move || {
                    let mut random = Random::new(reader);
                    let mut reads = Vec::new();
                    while !done.load(Ordering::SeqCst) {
                        let (name, len) = names.draw(&mut random);
                        let begun = Instant::now();
                        let got = block_on(namespace.get(&name, &GetOptions::default())).unwrap();
                        reads.push(begun.elapsed());
                        assert!(got.bytes == value(&name, len), "a value is what was put there");
                    }
                    reads
                })
            })
            .collect();
        let (writes, over) = (&writes, &done);
        scope.spawn(move || {
            let namespace = store.namespace("bench").unwrap();
            for n in (0_u64..64).cycle() {
                let (name, len) =
                    if n % 4 == 0 { (format!("written-{n}"), LARGE) } else { (format!("written-{n}"), SMALL) };
                block_on(namespace.put(name.as_bytes(), &value(name.as_bytes(), len), &PutOptions::default())).unwrap();
                writes.fetch_add(1, Ordering::SeqCst);
                if over.load(Ordering::SeqCst) {
                    break;
                }
                pause(WRITE_EVERY);
            }
        });
        work();
        done.store(true, Ordering::SeqCst);
        let reads = readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect();
        Watched { reads, writes: writes.load(Ordering::SeqCst) }
    })
}

fn reseal(namespace: &Namespace, depth: Depth) -> ResealCounts {
    block_on(namespace.reseal(depth, &Budget::UNLIMITED, &mut |_| {})).unwrap()
}

/// Has processes of their own seal everything anew, each killed at a random moment, until one comes to the end.
fn kills(keyring: &Keyring, namespace: &Namespace, folder: &Path, depth: Depth, whole: Duration) {
    rotate(keyring, namespace);
    let mut random = Random::new(7);
    let (mut killed, begun) = (0, Instant::now());
    loop {
        let mut command = Command::new(env::current_exe().unwrap());
        let pin = keyring.pin().to_string();
        command.args(["worker", name_of(depth)]).arg(folder).arg(pin).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        if killed < KILLS {
            pause(whole.mul_f64(random.below(1_000) as f64 / 1_000.0 / f64::from(KILLS) * 2.0));
            child.kill().unwrap();
        }
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            let counts = String::from_utf8(output.stdout).unwrap();
            println!(
                "{depth:?}: finished behind {killed} kills in {:.2?}; anew, already so, refused: {}",
                begun.elapsed(),
                counts.trim()
            );
            return;
        }
        killed += 1;
    }
}

fn check(store: &Store, names: &Names) {
    let counts = block_on(store.gc(&GcOptions { min_age: Duration::ZERO }, &Budget::UNLIMITED, &mut |_| {})).unwrap();
    let checked = block_on(store.check(&CheckOptions::default(), &Budget::UNLIMITED, &mut |event| {
        if let WalkEvent::Found(finding) = event {
            println!("{finding}");
        }
    }));
    let checked = checked.unwrap();
    assert!(checked.is_clean() && checked.ok >= (names.small + names.large) as u64, "{checked:?}");
    println!(
        "check: {} entries verify, nothing else; gc before it removed {} blobs of kills",
        checked.ok, counts.deleted
    );
}

fn rotate(keyring: &Keyring, namespace: &Namespace) {
    block_on(keyring.rotate_key(namespace.name().key())).unwrap();
}

/// Waits without sleeping in code that might be a library's.
fn pause(duration: Duration) {
    let (_open, never) = mpsc::channel::<()>();
    assert!(never.recv_timeout(duration).is_err(), "nobody sends");
}

fn depth_of(name: &str) -> Depth {
    if name == "blobs" { Depth::Blobs } else { Depth::Entries }
}

fn name_of(depth: Depth) -> &'static str {
    match depth {
        Depth::Blobs => "blobs",
        Depth::Entries => "entries",
    }
}

fn create(folder: &Path) -> (Store, Arc<Keyring>) {
    let identity = Identity::generate().unwrap();
    identity.create_file(&folder.join("identity")).unwrap();
    fs::create_dir_all(folder.join("blobs")).unwrap();
    let trust: Arc<dyn Documents> = database(folder, "trust.db");
    let machine = "bench".parse().unwrap();
    let created = Keyring::create(trust, Arc::new(identity), &machine, Arc::new(SystemClock));
    let keyring = Arc::new(block_on(created).unwrap());
    (over(folder, &keyring), keyring)
}

fn open(folder: &Path, pin: TrustPin) -> Store {
    let identity = Arc::new(Identity::read_file(&folder.join("identity")).unwrap());
    let trust: Arc<dyn Documents> = database(folder, "trust.db");
    let keyring = Arc::new(block_on(Keyring::open(trust, identity, pin, Arc::new(SystemClock))).unwrap());
    over(folder, &keyring)
}

fn over(folder: &Path, keyring: &Arc<Keyring>) -> Store {
    let blobs = FileBlobs::open(folder.join("blobs")).unwrap();
    Store::new(Arc::clone(keyring), database(folder, "entries.db"), Arc::new(blobs), Arc::new(SystemClock))
}

fn database(folder: &Path, name: &str) -> Arc<SqliteDocuments> {
    Arc::new(SqliteDocuments::open(folder.join(name), SqliteOptions::default()).unwrap())
}
