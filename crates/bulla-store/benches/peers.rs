//! The store beside the caches that people use today: fleche (signed), diskcache and joblib, each by a process of its own.
//!
//! `cargo bench -p bulla-store --bench peers`, after `cargo xtask venv`. Rounds alternate between us and the peers; the median counts. CPU is
//! what all threads together use for one operation. Ratios are theirs over ours: above 1 we are faster.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench stops at the first surprise, and prints"
)]

mod place;

use std::cell::Cell;
use std::env;
use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use bulla_backend::Durability;
use bulla_store::{GetOptions, Kept, Namespace, NamespaceSettings, NewEntry, PutOptions, Store};
use pollster::block_on;

use crate::place::{cpu_time, disk_usage, median};

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(1_000);
/// So many names of small values are written and read in turn, and of large ones.
const NAMES: [u32; 2] = [1_000, 4];
const KIB: usize = 1_024;
const MIB: usize = 1_024 * KIB;
/// Names and values of the process that a parent starts again as its child.
const ROLE: &str = "BULLA_BENCH_ROLE";

fn main() {
    if let Ok(role) = env::var(ROLE) {
        return child(&role);
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = place::store(folder.path());
    println!("{:<34} {:>11} {:>11}   ratios of wall and CPU time, theirs over ours", "", "wall, µs", "CPU, µs");
    compare(&store, "get 1 KiB", "get-1KiB", KIB, get, &["fleche", "diskcache", "joblib"]);
    compare(&store, "get 1 KiB, held in memory", "get-1KiB", KIB, get, &["fleche", "diskcache", "joblib"]);
    compare(&store, "put 1 KiB, cache", "put-1KiB", KIB, put_cached, &["fleche", "diskcache", "joblib"]);
    compare(&store, "put 1 KiB, cache, 64 at once", "put-1KiB", KIB, put_many, &["fleche", "diskcache", "joblib"]);
    compare(&store, "get 1 MiB", "get-1MiB", MIB, get, &["fleche", "diskcache", "joblib"]);
    compare(&store, "put 1 MiB, durable", "put-1MiB", MIB, put_durable, &["fleche", "diskcache", "joblib"]);
    compare(&store, "put 64 MiB, durable", "put-64MiB", 64 * MIB, put_durable, &["fleche", "diskcache", "joblib"]);
    drop(store);
    many_writers(folder.path());
    size_on_disk();
}

/// Measures one kind of work of ours and of the peers, round by round.
fn compare(
    store: &Store,
    title: &str,
    work: &str,
    len: usize,
    operation: fn(&Namespace, u32, &[u8]) -> u32,
    peers: &[&str],
) {
    let names = NAMES[usize::from(len > KIB)];
    let value: Vec<u8> = (0..=255).cycle().take(len).collect();
    let namespace = store.namespace(&title.replace([' ', ','], "_")).unwrap();
    let memory_tier = title.ends_with("in memory");
    let settings = NamespaceSettings { memory_tier, durability: Kept::Cache, ..NamespaceSettings::default() };
    block_on(namespace.set_settings(&settings)).unwrap();
    for name in 0..names {
        block_on(namespace.put(&name.to_be_bytes(), &value, &PutOptions::default())).unwrap();
    }
    let mut ours = [Vec::new(), Vec::new()];
    let mut theirs = vec![[Vec::new(), Vec::new()]; peers.len()];
    for _ in 0..ROUNDS {
        let (begun, used, done) = (Instant::now(), cpu_time("self"), Cell::new(0));
        while done.get() == 0 || begun.elapsed() < ROUND {
            done.set(done.get() + operation(&namespace, done.get() % names, &value));
        }
        let each = 1e6 / f64::from(done.get());
        ours[0].push(begun.elapsed().as_secs_f64() * each);
        ours[1].push((cpu_time("self") - used).as_secs_f64() * each);
        for (peer, figures) in peers.iter().zip(&mut theirs) {
            let measured = peer_figures(peer, work);
            figures[0].push(measured["wall"].as_f64().unwrap());
            figures[1].push(measured["cpu"].as_f64().unwrap());
        }
    }
    let [wall, cpu] = ours.map(median);
    let ratios: Vec<_> = peers
        .iter()
        .zip(theirs)
        .map(|(peer, figures)| {
            let [theirs_wall, theirs_cpu] = figures.map(median);
            format!("{peer} {:.1} {:.1} ({theirs_cpu:.0} µs)", theirs_wall / wall, theirs_cpu / cpu)
        })
        .collect();
    println!("{title:<34} {wall:>11.1} {cpu:>11.1}   {}", ratios.join(", "));
}

fn get(namespace: &Namespace, name: u32, _: &[u8]) -> u32 {
    black_box(block_on(namespace.get(&name.to_be_bytes(), &GetOptions::default())).unwrap());
    1
}

fn put_cached(namespace: &Namespace, name: u32, value: &[u8]) -> u32 {
    block_on(namespace.put(&name.to_be_bytes(), value, &PutOptions::default())).unwrap();
    1
}

fn put_durable(namespace: &Namespace, name: u32, value: &[u8]) -> u32 {
    let namespace = namespace.clone().with_durability(Durability::Durable);
    put_cached(&namespace, name, value)
}

fn put_many(namespace: &Namespace, name: u32, value: &[u8]) -> u32 {
    let names: Vec<_> = (0..64).map(|at| ((name + at) % NAMES[0]).to_be_bytes()).collect();
    let entries: Vec<_> = names.iter().map(|name| NewEntry::new(name, value)).collect();
    for outcome in block_on(namespace.put_many(&entries)) {
        outcome.unwrap();
    }
    64
}

/// Runs one measurement of a peer.
fn peer_figures(peer: &str, work: &str) -> serde_json::Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = env::var_os("BULLA_PYTHON").map_or_else(|| root.join("../../target/venv/bin/python"), PathBuf::from);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let output = Command::new(&python)
        .arg(root.join("benches/peers.py"))
        .args([peer, work, &ROUND.as_secs_f64().to_string()])
        .arg(folder.path())
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask venv` first", python.display()));
    assert!(output.status.success(), "{peer} failed at {work}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Durable puts of 1 KiB by many threads of one process, and of four.
fn many_writers(folder: &Path) {
    for (processes, threads) in [(1, 1), (1, 64), (4, 16)] {
        let rates = (0..ROUNDS).map(|_| {
            let mut children: Vec<_> = (0..processes)
                .map(|number| {
                    let role = format!("{number} {threads} {}", folder.display());
                    let mut command = Command::new(env::current_exe().unwrap());
                    command.env(ROLE, role).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
                })
                .collect();
            let mut outputs: Vec<_> =
                children.iter_mut().map(|child| BufReader::new(child.stdout.take().unwrap()).lines()).collect();
            for output in &mut outputs {
                assert_eq!(output.next().unwrap().unwrap(), "ready");
            }
            for child in &mut children {
                child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
            }
            let done = outputs.iter_mut().map(|output| output.next().unwrap().unwrap().parse::<f64>().unwrap()).sum();
            for mut child in children {
                assert!(child.wait().unwrap().success());
            }
            done
        });
        let rate: f64 = median(rates.collect::<Vec<f64>>()) / ROUND.as_secs_f64();
        println!("durable puts of 1 KiB, {processes} processes × {threads} threads: {rate:.0} a second");
    }
}

fn child(role: &str) {
    let [number, threads, folder] = role.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
    let threads: u32 = threads.parse().unwrap();
    let namespace = place::store(Path::new(folder)).namespace("writers").unwrap();
    block_on(namespace.put(number.as_bytes(), b"", &PutOptions::default())).unwrap();
    println!("ready");
    assert_eq!(std::io::stdin().lines().next().unwrap().unwrap(), "go");
    let start = Barrier::new(threads as usize);
    let done: u64 = thread::scope(|scope| {
        let run = |thread: u32| {
            let (start, namespace, number) = (&start, &namespace, &number);
            move || {
                start.wait();
                let begun = Instant::now();
                let put = |at: &u64| {
                    let name = format!("{number}/{thread}/{at}");
                    block_on(namespace.put(name.as_bytes(), &[0x5a; KIB], &PutOptions::default())).unwrap();
                };
                (0..).take_while(|_| begun.elapsed() < ROUND).inspect(put).count() as u64
            }
        };
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(run(thread))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    println!("{done}");
}

/// Bytes on disk for each byte of payload: 20,000 values of 1 KiB that expire, in a namespace with a limit and a policy.
fn size_on_disk() {
    const ENTRIES: u32 = 20_000;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = place::store(folder.path());
    let empty = disk_usage(folder.path());
    let namespace = store.namespace("size").unwrap();
    let settings = NamespaceSettings {
        durability: Kept::Cache,
        lifetime: Some(Duration::from_hours(1)),
        max_entries: Some(u64::from(2 * ENTRIES)),
        eviction: Some(bulla_store::Eviction::LeastRecentlyUsed),
        ..NamespaceSettings::default()
    };
    block_on(namespace.set_settings(&settings)).unwrap();
    for number in 0..ENTRIES {
        // Names as digests are, so that they come in no order.
        let name = format!("{:032x}", u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        block_on(namespace.put(name.as_bytes(), &[0x5a; KIB], &PutOptions::default())).unwrap();
    }
    drop((namespace, store));
    let payload = f64::from(ENTRIES) * KIB as f64;
    let ours = (disk_usage(folder.path()) - empty) as f64 / payload;
    let theirs = ["fleche", "diskcache", "joblib"].map(|peer| {
        let figures = peer_figures(peer, "get-1KiB");
        format!("{peer} {:.2}", figures["disk_per_payload"].as_f64().unwrap())
    });
    println!("bytes on disk for a byte of payload, 1 KiB entries: {ours:.2}; {}", theirs.join(", "));
}
