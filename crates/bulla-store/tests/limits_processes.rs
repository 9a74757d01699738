//! Several processes at one namespace: this test program, started again as its own children.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread;

use bulla_backend::{Documents, FileBlobs, Filing, ListQuery, SqliteDocuments, SqliteOptions, SystemClock, Usage};
use bulla_keyring::{Identity, Keyring, TrustPin};
use bulla_store::{Eviction, ExpectedVersion, Lifetime, Namespace, NamespaceSettings, PutOptions, Store};
use pollster::block_on;
use tempfile::TempDir;

use crate::ground::{ENTRIES, check, pattern, read, value, write};
use crate::limits::{limited, usage};

const ROLE: &str = "BULLA_TEST_ROLE";
const FOLDER: &str = "BULLA_TEST_FOLDER";
const NUMBER: &str = "BULLA_TEST_NUMBER";

const PROCESSES: u64 = 4;
const THREADS: u64 = 4;

/// A project and a store on a disk, as several processes open them.
fn open(folder: &Path) -> (Arc<SqliteDocuments>, Store) {
    let database = |name| Arc::new(SqliteDocuments::open(folder.join(name), SqliteOptions::default()).unwrap());
    let identity = Arc::new(Identity::read_file(&folder.join("identity")).unwrap());
    let pin: TrustPin = fs::read_to_string(folder.join("pin")).unwrap().parse().unwrap();
    let keyring = block_on(Keyring::open(database("trust.db"), identity, pin, Arc::new(SystemClock))).unwrap();
    let entries = database("entries.db");
    let blobs = Arc::new(FileBlobs::open(folder.join("blobs")).unwrap());
    let store = Store::new(Arc::new(keyring), Arc::clone(&entries) as _, blobs, Arc::new(SystemClock));
    (entries, store)
}

fn create(settings: &NamespaceSettings) -> TempDir {
    let folder = TempDir::new().unwrap();
    let identity = Arc::new(Identity::generate().unwrap());
    identity.create_file(&folder.path().join("identity")).unwrap();
    let trust = Arc::new(SqliteDocuments::open(folder.path().join("trust.db"), SqliteOptions::default()).unwrap());
    let machine = "here".parse().unwrap();
    let keyring = block_on(Keyring::create(trust, identity, &machine, Arc::new(SystemClock))).unwrap();
    fs::write(folder.path().join("pin"), keyring.pin().to_string()).unwrap();
    drop(keyring);
    let (_, store) = open(folder.path());
    block_on(store.namespace("cache").unwrap().set_settings(settings)).unwrap();
    folder
}

struct Other {
    child: Child,
    stdin: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Other {
    fn start(role: &str, folder: &Path, number: u64) -> Self {
        let mut command = Command::new("/proc/self/exe");
        command.args(["--exact", "limits_processes::child", "--nocapture", "--test-threads=1"]);
        command.env(ROLE, role).env(FOLDER, folder).env(NUMBER, number.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, said) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, stdin, said }
    }

    /// What the child says next, apart from what the test harness does.
    fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.said.read_line(&mut line).unwrap() > 0, "the child has ended");
            // The harness leaves its own line open before the first of ours.
            if let Some((_, words)) = line.trim_end().split_once("said ") {
                return words.to_owned();
            }
        }
    }

    fn ask(&mut self, words: &str) -> String {
        writeln!(self.stdin, "{words}").unwrap();
        self.hear()
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn end(mut self) {
        drop(self.stdin);
        assert!(self.child.wait().unwrap().success());
    }
}

fn say(words: &str) {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "said {words}").unwrap();
    stdout.flush().unwrap();
}

/// What the children of the tests below do. In the test program itself there is nothing to do.
#[test]
fn child() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let number: u64 = env::var(NUMBER).unwrap().parse().unwrap();
    let (_, store) = open(Path::new(&folder));
    let namespace = store.namespace("cache").unwrap();
    match env::var(ROLE).unwrap().as_str() {
        "fill" => fill(&namespace, number),
        "obey" => obey(&namespace),
        other => panic!("there is no role {other}"),
    }
}

/// Puts with several threads, as long as nobody stops it.
fn fill(namespace: &Namespace, number: u64) {
    say("filling");
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for round in 0_u64.. {
                    let name = (((number * THREADS + thread) << 32) + round).to_be_bytes();
                    // Every hundredth has a blob.
                    let len = if round % 100 == 99 { 80_000 } else { 200 + (round * 379 % 3_000) as usize };
                    write(namespace, &name, &pattern(len, 1));
                    if round % 4 == 0 {
                        value(namespace, &name);
                    }
                }
            });
        }
    });
}

/// Does what standard input says, line by line.
fn obey(namespace: &Namespace) {
    for line in std::io::stdin().lines().map_while(Result::ok) {
        match line.split_once(' ') {
            Some(("put", value)) => drop(write(namespace, b"n", value.as_bytes())),
            Some(("expire", _)) => {
                let lifetime = Lifetime::Until(bulla_backend::Timestamp(1));
                block_on(namespace.put(b"n", b"v", &PutOptions { lifetime, ..PutOptions::default() })).unwrap();
            }
            _ => drop(block_on(namespace.remove(b"n", ExpectedVersion::Any)).unwrap()),
        }
        say("done");
    }
}

/// Counts again what is there.
fn recount(documents: &SqliteDocuments) -> Usage {
    let mut counted = Usage::default();
    let mut query = ListQuery::default();
    // All are ranked, and none is due; what they refer to is known to their filing only.
    let filed = block_on(documents.lowest(ENTRIES, b"cache\0", 1_000)).unwrap();
    assert!(filed.len() < 1_000, "they are compared in one piece");
    loop {
        let page = block_on(documents.list(ENTRIES, &query)).unwrap();
        for document in page.documents {
            let filing: Filing = filed.iter().find(|filed| filed.key == document.key).unwrap().filing;
            counted.documents += 1;
            counted.bytes += documents.share(&document.key, document.value.len(), &filing);
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return counted,
        }
    }
}

#[test]
fn a_limit_holds_at_every_moment_while_four_processes_put_and_are_killed() {
    let settings = [
        (limited(Some(600), None, Some(Eviction::LeastRecentlyStored)), "entries"),
        (limited(None, Some(1_500_000), Some(Eviction::LeastRecentlyUsed)), "bytes"),
        (limited(Some(500), Some(1_200_000), Some(Eviction::LeastFrequentlyUsed)), "both"),
    ];
    for (settings, what) in settings {
        let folder = create(&settings);
        let (documents, store) = open(folder.path());
        let namespace = store.namespace("cache").unwrap();
        let limit = settings.limit().unwrap();
        let share = |usage: Usage| {
            (usage.documents as f64 / limit.documents as f64).max(usage.bytes as f64 / limit.bytes as f64)
        };
        let mut number = 0;
        let mut start = || {
            number += 1;
            let mut other = Other::start("fill", folder.path(), number);
            assert_eq!(other.hear(), "filling");
            other
        };
        let mut others: Vec<_> = (0..PROCESSES).map(|_| start()).collect();
        let (mut samples, mut highest, mut kills, mut changes) = (0_u64, 0.0_f64, 0, 0_u64);
        let mut last = Usage::default();
        // As long as it takes to be full, and then some more of everything.
        while kills < 6 {
            let seen = usage(&namespace);
            highest = highest.max(share(seen));
            assert!(share(seen) <= 1.01, "{what}: {seen:?} where {limit:?} is the limit");
            samples += 1;
            changes += u64::from(seen != last);
            last = seen;
            if highest > 0.85 && changes > 50 * (kills + 1) {
                others.remove(0).kill();
                kills += 1;
                others.push(start());
            }
        }
        for other in others {
            other.kill();
        }
        assert_eq!(documents.check().unwrap(), [""; 0], "{what}: the totals are those of a recount");
        let counted = usage(&namespace);
        assert_eq!(recount(&documents), counted, "{what}");
        // A kill leaves blobs without entries at most.
        let (counts, findings) = check(&store);
        assert_eq!((counts.damaged, counts.missing_blobs), (0, 0), "{what}: {findings:?}");
        write(&namespace, b"goes on", b"v");
        println!(
            "{what}: {samples} samples, highest {highest:.4} of the limit, {kills} kills, {changes} changes seen; {counted:?} in the end"
        );
    }
}

#[test]
fn what_another_process_did_is_not_hidden_by_memory() {
    let folder = create(&NamespaceSettings { memory_tier: true, ..NamespaceSettings::default() });
    let (_, store) = open(folder.path());
    let namespace = store.namespace("cache").unwrap();
    let mut other = Other::start("obey", folder.path(), 0);
    for round in 0..200 {
        let text = format!("value {round}");
        assert_eq!(other.ask(&format!("put {text}")), "done");
        for _ in 0..3 {
            assert_eq!(read(&namespace, b"n").unwrap(), text.as_bytes());
        }
        let gone = if round % 2 == 0 { "remove" } else { "expire at-once" };
        assert_eq!(other.ask(gone), "done");
        assert_eq!(value(&namespace, b"n"), None);
        write(&namespace, b"n", b"ours");
        assert_eq!(read(&namespace, b"n").unwrap(), b"ours");
        assert_eq!(read(&namespace, b"n").unwrap(), b"ours");
    }
    other.end();
    assert_eq!(usage(&namespace).documents, 1);
}
