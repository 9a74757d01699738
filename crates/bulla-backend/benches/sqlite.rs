//! The SQLite driver beside rusqlite used directly, in one run, as ratios.
//!
//! `cargo bench -p bulla-backend --bench sqlite`. The peer is what a careful program would write without the driver: the same
//! tables and pragmas, prepared statements, one connection a process behind a mutex. It has no revisions. The two take turns, and
//! the best of several rounds counts.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench stops at the first surprise, and prints")]

use std::{
    env, fs,
    hint::black_box,
    io::{BufRead, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Barrier, Mutex},
    thread,
    time::{Duration, Instant},
};

use bulla_backend::{
    Collection, DocumentKey, Documents, Durability, Expected, Filing, SqliteDocuments, SqliteOptions, Usage, Write,
};
use pollster::block_on;
use rusqlite::{Connection, params};

const DURABLE: Collection = Collection::new("bench", Durability::Durable);
const CACHE: Collection = DURABLE.with_durability(Durability::Cache);
const VALUE: [u8; 1024] = [0x5A; 1024];
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_millis(700);
const ROLE: &str = "BULLA_BENCH_ROLE";

fn main() {
    if let Ok(role) = env::var(ROLE) {
        return work(&role);
    }
    // `cargo bench --bench sqlite -- cache` measures the rows with "cache" in their names.
    let wanted: Vec<_> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| name.contains(wanted.as_str()));
    println!("1 KiB values; CPU is what all threads together use for one operation\n");
    println!("{:<40} {:>10} {:>10} {:>6}   {:>9} {:>9}", "per second", "driver", "rusqlite", "ratio", "CPU", "CPU");
    let writes = |durability, threads| move |store: &dyn Store| write(store, durability, threads);
    let files = |threads| move |store: &dyn Store| file(store, threads);
    let rows: [(&str, &dyn Fn(bool) -> Rate); 10] = [
        ("durable puts, 1 thread", &|is_ours| measure(is_ours, writes(Durability::Durable, 1))),
        ("durable puts, 64 threads", &|is_ours| measure(is_ours, writes(Durability::Durable, 64))),
        ("durable puts, 4 processes × 16 threads", &|is_ours| processes(is_ours, 4, 16)),
        ("cache puts, 1 thread", &|is_ours| measure(is_ours, writes(Durability::Cache, 1))),
        ("cache puts, 64 threads", &|is_ours| measure(is_ours, writes(Durability::Cache, 64))),
        ("filed cache puts, 1 thread", &|is_ours| measure(is_ours, files(1))),
        ("filed cache puts, 64 threads", &|is_ours| measure(is_ours, files(64))),
        ("change marks, 1 thread", &|is_ours| measure(is_ours, mark)),
        ("reads, 1 thread", &|is_ours| measure(is_ours, |store| read(store, 1))),
        ("reads, 2 threads", &|is_ours| measure(is_ours, |store| read(store, 2))),
    ];
    for (name, measured) in rows.into_iter().filter(|(name, _)| is_wanted(name)) {
        row(name, measured);
    }
    if is_wanted("alternating") {
        alternating();
    }
}

/// How fast something was.
#[derive(Debug, Clone, Copy)]
struct Rate {
    operations: u64,
    per_second: f64,
    /// Of one operation, in microseconds.
    cpu: f64,
}

impl Rate {
    fn of(operations: u64, wall: Duration, cpu: Duration) -> Self {
        let each = 1.0 / operations as f64;
        Self { operations, per_second: 1.0 / (wall.as_secs_f64() * each), cpu: cpu.as_secs_f64() * 1e6 * each }
    }
}

/// What is measured: the driver, or its peer.
trait Store: Sync {
    fn put(&self, durability: Durability, key: &[u8]);
    /// Puts a document, not synced, and files it by rank in a group with a limit; the peer knows no groups, and just puts it.
    fn file(&self, key: &[u8], rank: u64);
    fn get(&self, key: &[u8]) -> usize;
    /// Asks what tells whether anything has changed; the peer asks SQLite.
    fn mark(&self) -> u64;
}

impl Store for SqliteDocuments {
    fn put(&self, durability: Durability, key: &[u8]) {
        let collection = DURABLE.with_durability(durability);
        block_on(Documents::put(self, collection, &DocumentKey::new(key).unwrap(), &VALUE, Expected::Any)).unwrap();
    }

    fn file(&self, key: &[u8], rank: u64) {
        let limit = Some(Usage { documents: u64::MAX, bytes: u64::MAX });
        let filing = Filing { group_len: 3, rank: Some(rank), limit, ..Filing::default() };
        let key = DocumentKey::new([b"ns\0", key].concat()).unwrap();
        let write = Write::PutFiled { collection: CACHE, key, value: VALUE.to_vec(), expected: Expected::Any, filing };
        block_on(self.commit(&[write])).unwrap();
    }

    fn mark(&self) -> u64 {
        block_on(self.change_mark(CACHE)).unwrap().unwrap().0
    }

    fn get(&self, key: &[u8]) -> usize {
        block_on(Documents::get(self, CACHE, &DocumentKey::new(key).unwrap())).unwrap().unwrap().value.len()
    }
}

/// rusqlite, used directly.
struct Direct {
    write: Mutex<(Connection, Durability)>,
    read: PathBuf,
}

impl Direct {
    fn open(path: &Path) -> Self {
        let connection = Connection::open(path).unwrap();
        connection.busy_timeout(Duration::from_secs(60)).unwrap();
        connection.pragma_update(None, "page_size", 8192).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.pragma_update(None, "synchronous", "FULL").unwrap();
        connection
            .execute_batch(
                "CREATE TABLE IF NOT EXISTS document (id INTEGER PRIMARY KEY, collection INTEGER NOT NULL, key BLOB NOT NULL,
                 value BLOB NOT NULL, UNIQUE (collection, key)) STRICT",
            )
            .unwrap();
        Self { write: Mutex::new((connection, Durability::Durable)), read: path.to_owned() }
    }
}

thread_local! {
    /// The connection by which this thread reads.
    static READING: std::cell::RefCell<Option<(PathBuf, Connection)>> = const { std::cell::RefCell::new(None) };
}

impl Store for Direct {
    fn put(&self, durability: Durability, key: &[u8]) {
        let mut write = self.write.lock().unwrap();
        if write.1 != durability {
            let level = if durability == Durability::Durable { "FULL" } else { "NORMAL" };
            write.0.pragma_update(None, "synchronous", level).unwrap();
            write.1 = durability;
        }
        let upsert = "INSERT INTO document (collection, key, value) VALUES (1, ?1, ?2)
                      ON CONFLICT (collection, key) DO UPDATE SET value = excluded.value";
        write.0.prepare_cached(upsert).unwrap().execute(params![key, VALUE]).unwrap();
    }

    fn file(&self, key: &[u8], _rank: u64) {
        self.put(Durability::Cache, key);
    }

    fn mark(&self) -> u64 {
        let (connection, _) = &*self.write.lock().unwrap();
        connection
            .prepare_cached("PRAGMA data_version")
            .unwrap()
            .query_row([], |row| row.get::<_, i64>(0))
            .unwrap()
            .unsigned_abs()
    }

    fn get(&self, key: &[u8]) -> usize {
        READING.with_borrow_mut(|reading| {
            if reading.as_ref().is_none_or(|(path, _)| *path != self.read) {
                *reading = Some((self.read.clone(), Connection::open(&self.read).unwrap()));
            }
            let (_, connection) = reading.as_ref().unwrap();
            let mut select =
                connection.prepare_cached("SELECT value FROM document WHERE collection = 1 AND key = ?1").unwrap();
            let value: Vec<u8> = select.query_row([key], |row| row.get(0)).unwrap();
            value.len()
        })
    }
}

fn key(number: usize) -> [u8; 8] {
    // Scattered, as digests and random names are.
    (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()
}

/// Runs one measurement on a fresh database of either kind.
fn measure<T>(is_ours: bool, measured: impl FnOnce(&dyn Store) -> T) -> T {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("bench.db");
    if is_ours {
        measured(&SqliteDocuments::open(path, SqliteOptions::default()).unwrap())
    } else {
        measured(&Direct::open(&path))
    }
}

/// Measures the driver and its peer by turns, and prints the best of each.
fn row(name: &str, measured: &dyn Fn(bool) -> Rate) {
    let mut best: [Option<Rate>; 2] = [None, None];
    for _ in 0..ROUNDS {
        for (is_ours, best) in [true, false].into_iter().zip(&mut best) {
            let rate = measured(is_ours);
            if best.is_none_or(|best| best.per_second < rate.per_second) {
                *best = Some(rate);
            }
        }
    }
    let [ours, direct] = best.map(Option::unwrap);
    let ratio = ours.per_second / direct.per_second;
    println!(
        "{name:<40} {:>10.0} {:>10.0} {ratio:>6.2}   {:>6.1} µs {:>6.1} µs",
        ours.per_second, direct.per_second, ours.cpu, direct.cpu
    );
}

fn write(store: &dyn Store, durability: Durability, threads: usize) -> Rate {
    // Makes the tables, and lets the threads begin together.
    store.put(durability, b"first");
    during(threads, |thread, number| store.put(durability, &key(thread << 32 | number)))
}

fn file(store: &dyn Store, threads: usize) -> Rate {
    store.file(b"first", 0);
    during(threads, |thread, number| store.file(&key(thread << 32 | number), number as u64))
}

fn mark(store: &dyn Store) -> Rate {
    store.put(Durability::Cache, b"first");
    during(1, |_, _| {
        black_box(store.mark());
    })
}

fn read(store: &dyn Store, threads: usize) -> Rate {
    const DOCUMENTS: usize = 10_000;
    for number in 0..DOCUMENTS {
        store.put(Durability::Cache, &key(number));
    }
    during(threads, |_, number| {
        black_box(store.get(&key(number * 7 % DOCUMENTS)));
    })
}

/// Lets threads do something over and over for a while. They know their number, and how often they did it.
fn during(threads: usize, operation: impl Fn(usize, usize) + Sync) -> Rate {
    let (start, operation) = (Barrier::new(threads + 1), &operation);
    thread::scope(|scope| {
        let run = |thread: usize| {
            let start = &start;
            move || {
                start.wait();
                let begun = Instant::now();
                (0..).take_while(|_| begun.elapsed() < ROUND).inspect(|number| operation(thread, *number)).count()
                    as u64
            }
        };
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(run(thread))).collect();
        start.wait();
        let (begun, before) = (Instant::now(), cpu_time("self"));
        let operations = running.into_iter().map(|thread| thread.join().unwrap()).sum();
        Rate::of(operations, begun.elapsed(), cpu_time("self") - before)
    })
}

/// Measures several processes on one database.
fn processes(is_ours: bool, processes: usize, threads: usize) -> Rate {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("bench.db");
    let role = |number: usize| format!("{is_ours} {number} {threads} {}", path.display());
    // One after the other: SQLite, used directly, does not wait where two processes change the journal mode at once.
    let opened = |number| {
        let mut child = child(&role(number));
        let mut output = BufReader::new(child.stdout.take().unwrap());
        assert_eq!(line(&mut output), "ready");
        (child, output)
    };
    let (mut children, mut outputs): (Vec<_>, Vec<_>) = (0..processes).map(opened).unzip();
    let cpu = |children: &[Child]| children.iter().map(|child| cpu_time(&child.id().to_string())).sum::<Duration>();
    let (begun, before) = (Instant::now(), cpu(&children));
    for child in &mut children {
        child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }
    let operations = outputs.iter_mut().map(|output| line(output).parse::<u64>().unwrap()).sum();
    let rate = Rate::of(operations, begun.elapsed(), cpu(&children) - before);
    for mut child in children {
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
    rate
}

fn child(role: &str) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(ROLE, role).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

fn line(input: &mut impl BufRead) -> String {
    let mut line = String::new();
    input.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// What a child does.
fn work(role: &str) {
    let [is_ours, number, threads, path] = role.splitn(4, ' ').collect::<Vec<_>>().try_into().unwrap();
    let [number, threads] = [number, threads].map(|count| count.parse::<usize>().unwrap());
    let store: Box<dyn Store> = if is_ours == "true" {
        Box::new(SqliteDocuments::open(path, SqliteOptions::default()).unwrap())
    } else {
        Box::new(Direct::open(Path::new(path)))
    };
    println!("ready");
    assert_eq!(line(&mut std::io::stdin().lock()), "go");
    let rate =
        during(threads, |thread, at| store.put(Durability::Durable, &key((number * threads + thread) << 32 | at)));
    println!("{}", rate.operations);
    // The parent reads what we have used before we end.
    assert_eq!(line(&mut std::io::stdin().lock()), "");
}

/// Returns the user and system time of all threads of a process, ended ones too (`proc_pid_stat(5)`: in ticks of 10 ms).
fn cpu_time(process: &str) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// Measures what it costs to change between synced and other commits: by a pragma on one connection, or by a second one.
fn alternating() {
    const COMMITS: usize = 10_000;
    // In memory: a sync costs nothing there, so that the change itself is seen.
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let run = |name: &str, first: usize, stores: [&Direct; 2]| {
        let begun = Instant::now();
        let before = cpu_time("self");
        for number in 0..COMMITS {
            // A value that is there already would not be written at all.
            let number = number + first;
            let durability = [Durability::Durable, Durability::Cache][number % 2];
            stores[number % 2].put(durability, &key(number));
        }
        let (wall, cpu) = (begun.elapsed(), cpu_time("self") - before);
        let each = |time: Duration| time.as_secs_f64() * 1e6 / COMMITS as f64;
        println!("alternating commits on tmpfs, {name}: {:.1} µs each, {:.1} µs of CPU", each(wall), each(cpu));
    };
    for round in 0..ROUNDS {
        let path = folder.path().join(format!("{round}.db"));
        let (one, other) = (Direct::open(&path), Direct::open(&path));
        run("one connection and a pragma", 0, [&one, &one]);
        run("two connections", COMMITS, [&one, &other]);
    }
}
