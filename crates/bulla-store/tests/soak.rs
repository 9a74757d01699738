//! Four processes that put, remove, expire, evict, seal anew, collect and compact in one store, and are killed in the middle of it.
//!
//! `BULLA_TEST_SECONDS` is how long they are.

use std::collections::HashMap;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bulla_backend::testing::Random;
use bulla_backend::{Documents, FileBlobs, SqliteDocuments, SqliteOptions, SystemClock};
use bulla_keyring::{Identity, Keyring, KeyringError, TrustPin};
use bulla_store::{
    Budget, CheckOptions, Depth, Eviction, ExpectedVersion, GcOptions, GetOptions, Kept, Lifetime, Namespace,
    NamespaceSettings, PutOptions, Store, StoreError, StoreOptions,
};
use pollster::block_on;
use tempfile::TempDir;

use crate::ground::pattern;

const FOLDER: &str = "BULLA_TEST_FOLDER";
const NUMBER: &str = "BULLA_TEST_NUMBER";
const PROCESSES: usize = 4;
/// Each process has names of its own in the vault, so that what it was told last is what must be there.
const NAMES: u64 = 24;
/// Some lie in their entry, some in blobs.
const LENGTHS: [usize; 4] = [20, 3_000, 66_000, 200_000];
const CACHE_BYTES: u64 = 2_000_000;

/// Opens the store in a folder as one process of several.
fn open(folder: &Path) -> (Store, Arc<Keyring>) {
    let trust: Arc<dyn Documents> =
        Arc::new(SqliteDocuments::open(folder.join("trust.db"), SqliteOptions::default()).unwrap());
    let identity = Arc::new(Identity::read_file(&folder.join("identity")).unwrap());
    let pin: TrustPin = fs::read_to_string(folder.join("pin")).unwrap().parse().unwrap();
    let keyring = Arc::new(block_on(Keyring::open(trust, identity, pin, Arc::new(SystemClock))).unwrap());
    let documents = Arc::new(SqliteDocuments::open(folder.join("entries.db"), SqliteOptions::default()).unwrap());
    let blobs = Arc::new(FileBlobs::open(folder.join("blobs")).unwrap());
    let clock = Arc::new(SystemClock);
    (Store::with_options(Arc::clone(&keyring), documents, blobs, clock, StoreOptions::default()), keyring)
}

/// Makes a project, a vault that loses nothing, and a cache with a limit.
fn make(folder: &Path) -> Store {
    let trust: Arc<dyn Documents> =
        Arc::new(SqliteDocuments::open(folder.join("trust.db"), SqliteOptions::default()).unwrap());
    let identity = Identity::generate().unwrap();
    identity.create_file(&folder.join("identity")).unwrap();
    let machine = "soak".parse().unwrap();
    let created = Keyring::create(trust, Arc::new(identity), &machine, Arc::new(SystemClock));
    fs::write(folder.join("pin"), block_on(created).unwrap().pin().to_string()).unwrap();
    let (store, _) = open(folder);
    let settings = NamespaceSettings {
        durability: Kept::Cache,
        max_bytes: Some(CACHE_BYTES),
        eviction: Some(Eviction::LeastRecentlyUsed),
        memory_tier: true,
        ..NamespaceSettings::default()
    };
    block_on(store.namespace("cache").unwrap().set_settings(&settings)).unwrap();
    block_on(store.namespace("vault").unwrap().set_settings(&NamespaceSettings::default())).unwrap();
    store
}

/// What a process writes down before and after each change of the vault: what it is about to do, and that it was answered.
struct Diary(File);

impl Diary {
    fn open(folder: &Path, number: u64) -> Self {
        let path = folder.join(format!("diary-{number}"));
        Self(OpenOptions::new().create(true).append(true).open(path).unwrap())
    }

    fn note(&mut self, line: &str) {
        // One write: a kill leaves a line whole or not at all.
        self.0.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

/// What must be in the vault by the diaries: for each name the value that was answered last, or any that was begun after it.
fn expected(folder: &Path) -> HashMap<String, Vec<Option<u64>>> {
    let mut names = HashMap::<String, Vec<Option<u64>>>::new();
    for number in 0..PROCESSES {
        let Ok(diary) = File::open(folder.join(format!("diary-{number}"))) else { continue };
        for line in BufReader::new(diary).lines() {
            let line = line.unwrap();
            let [what, name, seed] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
            let seed = seed.parse::<u64>().ok();
            let possible = names.entry(name.to_owned()).or_insert_with(|| vec![None]);
            match what {
                "begin" => possible.push(seed),
                "done" => *possible = vec![seed],
                _ => panic!("{line}"),
            }
        }
    }
    names
}

fn content(seed: u64) -> Vec<u8> {
    let len = LENGTHS[usize::try_from(seed).unwrap() % LENGTHS.len()];
    let mut content = pattern(len, u8::try_from(seed % 251).unwrap());
    content[..8].copy_from_slice(&seed.to_be_bytes());
    content
}

/// What the children of the test below do until they are killed. In the test program itself there is nothing to do.
#[test]
fn child() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let [number, turn]: [u64; 2] =
        env::var(NUMBER).unwrap().split('/').map(|part| part.parse().unwrap()).collect::<Vec<_>>().try_into().unwrap();
    let (store, keyring) = open(folder);
    let mut diary = Diary::open(folder, number);
    let mut random = Random::new(number << 32 | turn);
    println!("said ready");
    for step in 0_u64.. {
        act((&store, &keyring), &mut diary, &mut random, number, turn << 20 | step);
    }
}

fn act((store, keyring): (&Store, &Keyring), diary: &mut Diary, random: &mut Random, number: u64, seed: u64) {
    let [vault, cache] = ["vault", "cache"].map(|name| store.namespace(name).unwrap());
    let name = format!("{number}/{}", random.below(NAMES));
    let mine = name.as_bytes();
    match random.below(100) {
        0..40 => {
            diary.note(&format!("begin {name} {seed}"));
            block_on(vault.put(mine, &content(seed), &PutOptions::default())).unwrap();
            diary.note(&format!("done {name} {seed}"));
        }
        40..45 => {
            diary.note(&format!("begin {name} none"));
            block_on(vault.remove(mine, ExpectedVersion::Any)).unwrap();
            diary.note(&format!("done {name} none"));
        }
        45..75 => {
            let lifetime = Lifetime::For(Duration::from_millis(200 + random.below(2_000)));
            let name = seed.to_string();
            let put =
                block_on(cache.put(name.as_bytes(), &content(seed), &PutOptions { lifetime, ..PutOptions::default() }));
            put.unwrap();
        }
        75..85 => {
            let others = format!("{}/{}", random.below(PROCESSES as u64), random.below(NAMES));
            if let Some(value) = value(&vault, others.as_bytes()) {
                assert_eq!(value, content(u64::from_be_bytes(value[..8].try_into().unwrap())), "a wrong value");
            }
        }
        85..89 => drop(block_on(store.expire_due(&some(random))).unwrap()),
        89..91 => drop(block_on(cache.evict(None, &some(random))).unwrap()),
        91..94 => {
            let depth = if random.below(2) == 0 { Depth::Entries } else { Depth::Blobs };
            let counts = block_on(vault.reseal(depth, &some(random), &mut |_| {})).unwrap();
            assert_eq!(counts.failed, 0);
        }
        94..96 => drop(block_on(store.gc(&GcOptions::default(), &some(random), &mut |_| {})).unwrap()),
        96..98 => drop(block_on(store.compact(&some(random), &mut |_| {})).unwrap()),
        _ if random.below(20) == 0 => match block_on(keyring.rotate_key(vault.name().key())) {
            Ok(_) | Err(KeyringError::Conflict { .. } | KeyringError::Busy { .. }) => {}
            Err(error) => panic!("{error}"),
        },
        _ => {}
    }
}

fn some(random: &mut Random) -> Budget {
    Budget { entries: 1 + random.below(40), ..Budget::UNLIMITED }
}

fn value(namespace: &Namespace, name: &[u8]) -> Option<Vec<u8>> {
    match block_on(namespace.get(name, &GetOptions::default())) {
        Ok(value) => Some(value.bytes),
        Err(StoreError::NotFound(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

fn start(folder: &Path, number: usize, turn: u64) -> Child {
    let mut child = Command::new("/proc/self/exe")
        .args(["--exact", "soak::child", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(NUMBER, format!("{number}/{turn}"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let ready = output.lines().map_while(Result::ok).any(|line| line.ends_with("said ready"));
    assert!(ready, "process {number} did not open the store");
    child
}

#[test]
fn killed_processes_lose_nothing_and_limits_hold() {
    let seconds = env::var("BULLA_TEST_SECONDS").map_or(6, |seconds| seconds.parse().unwrap());
    let folder = TempDir::new().unwrap();
    let store = make(folder.path());
    let cache = store.namespace("cache").unwrap();
    let mut random = Random::new(0x50a7);
    let mut children: Vec<_> = (0..PROCESSES).map(|number| start(folder.path(), number, 0)).collect();
    let (mut kills, mut samples, mut highest) = (0, 0, 0);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(seconds) {
        let until = Instant::now() + Duration::from_millis(50 + random.below(250));
        while Instant::now() < until {
            let usage = block_on(cache.usage()).unwrap().unwrap();
            highest = highest.max(usage.bytes);
            samples += 1;
            assert!(usage.bytes <= CACHE_BYTES + CACHE_BYTES / 100, "the limit of {CACHE_BYTES} was passed: {usage:?}");
            thread::yield_now();
        }
        let number = usize::try_from(random.below(PROCESSES as u64)).unwrap();
        let status = children[number].try_wait().unwrap();
        assert_eq!(status, None, "process {number} ended by itself");
        children[number].kill().unwrap();
        children[number].wait().unwrap();
        kills += 1;
        children[number] = start(folder.path(), number, kills);
    }
    for mut child in children {
        assert_eq!(child.try_wait().unwrap(), None, "a process ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    drop((cache, store));

    let (store, _) = open(folder.path());
    let vault = store.namespace("vault").unwrap();
    let expected = expected(folder.path());
    for (name, possible) in &expected {
        let found = value(&vault, name.as_bytes());
        assert!(possible.iter().any(|seed| seed.map(content) == found), "{name} is none of {possible:?}");
    }
    let gc = block_on(store.gc(&GcOptions { min_age: Duration::ZERO }, &Budget::UNLIMITED, &mut |_| {}));
    assert!(gc.unwrap().finished);
    let mut findings = Vec::new();
    let counts = block_on(store.check(&CheckOptions::default(), &Budget::UNLIMITED, &mut |event| {
        if let bulla_store::WalkEvent::Found(finding) = event {
            findings.push(finding.to_string());
        }
    }));
    let counts = counts.unwrap();
    assert!(counts.is_clean() && counts.recent_blobs == 0 && findings.is_empty(), "{counts:?} {findings:?}");
    println!(
        "{seconds} s: {kills} kills, {} names, {samples} samples of the limit, at most {highest} of {CACHE_BYTES} bytes",
        expected.len()
    );
}
