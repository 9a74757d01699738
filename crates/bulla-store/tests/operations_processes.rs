//! The same in several processes, which share nothing but the storage; some are killed.

use std::env;
use std::fs;
use std::future::Future;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use bulla_backend::{Documents, FileBlobs, SqliteDocuments, SqliteOptions, SystemClock};
use bulla_keyring::{Identity, Keyring, TrustPin};
use bulla_store::{ComputeOptions, GetOptions, PutOptions, Store, StoreError, Waiter};
use pollster::block_on;
use tempfile::TempDir;

use crate::ground::{read, value, write};

const FOLDER: &str = "BULLA_TEST_OPERATIONS_FOLDER";
const WORK: &str = "BULLA_TEST_OPERATIONS_WORK";
const PROCESSES: u8 = 4;
const ACCOUNTS: u8 = 5;

/// Opens the store in a folder as one process of several, making the project if there is none.
fn open(folder: &Path) -> Store {
    let trust: Arc<dyn Documents> =
        Arc::new(SqliteDocuments::open(folder.join("trust.db"), SqliteOptions::default()).unwrap());
    let clock = Arc::new(SystemClock);
    let keyring = if folder.join("pin").exists() {
        let identity = Arc::new(Identity::read_file(&folder.join("identity")).unwrap());
        let pin: TrustPin = fs::read_to_string(folder.join("pin")).unwrap().parse().unwrap();
        block_on(Keyring::open(trust, identity, pin, clock.clone())).unwrap()
    } else {
        let identity = Identity::generate().unwrap();
        identity.create_file(&folder.join("identity")).unwrap();
        let machine = "here".parse().unwrap();
        let keyring = block_on(Keyring::create(trust, Arc::new(identity), &machine, clock.clone())).unwrap();
        fs::write(folder.join("pin"), keyring.pin().to_string()).unwrap();
        keyring
    };
    let documents = SqliteDocuments::open(folder.join("entries.db"), SqliteOptions::default()).unwrap();
    let blobs = FileBlobs::open(folder.join("blobs")).unwrap();
    Store::new(Arc::new(keyring), Arc::new(documents), Arc::new(blobs), clock)
}

/// Waits on the thread, which has nothing else to do.
struct Blocking;

impl Waiter for Blocking {
    fn wait(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let (_sender, receiver) = mpsc::channel::<()>();
            let _ = receiver.recv_timeout(duration);
        })
    }
}

/// Begins a piece of work in a process of its own; what it says comes through its standard output.
fn spawn(folder: &Path, work: &str) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["operations_processes::child", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .env(WORK, work)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs one piece of work in each of several processes, and returns what they said.
fn run(folder: &Path, work: &str) -> Vec<String> {
    let children: Vec<_> = (0..PROCESSES).map(|_| spawn(folder, work)).collect();
    children
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success());
            let text = String::from_utf8(output.stdout).unwrap();
            text.lines().filter_map(|line| line.strip_prefix("> ")).collect::<Vec<_>>().join("\n")
        })
        .collect()
}

fn say(text: &str) {
    // The harness writes to the same line before.
    let mut stdout = std::io::stdout();
    write!(stdout, "\n> {text}\n").and_then(|()| stdout.flush()).unwrap();
}

/// What the processes do; without a folder, nothing.
#[test]
fn child() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let store = open(Path::new(&folder));
    let namespace = store.namespace("shared").unwrap();
    match env::var(WORK).unwrap().as_str() {
        "increment" => {
            for _ in 0..200 {
                block_on(namespace.increment(b"number", 1, 0)).unwrap();
            }
        }
        "add" => {
            let added =
                (0..50_u8).filter(|n| block_on(namespace.add(&[*n], b"v", &PutOptions::default())).unwrap().is_some());
            say(&added.count().to_string());
        }
        "compute" => {
            let mut computed = 0;
            for n in 0..10_u8 {
                let compute = || {
                    computed += 1;
                    async move {
                        Blocking.wait(Duration::from_millis(20)).await;
                        Ok::<_, std::io::Error>(vec![n])
                    }
                };
                let options = ComputeOptions::default();
                let got = block_on(namespace.get_or_compute(&[b'c', n], &options, &Blocking, compute)).unwrap();
                assert_eq!(got.bytes, [n]);
            }
            say(&computed.to_string());
        }
        "compute for ever" => {
            let compute = || async {
                say("computing");
                std::future::pending::<Result<Vec<u8>, std::io::Error>>().await
            };
            let options = ComputeOptions { lease: Duration::from_secs(2), ..ComputeOptions::default() };
            let _ = block_on(namespace.get_or_compute(b"slow", &options, &Blocking, compute));
        }
        "transfer" => {
            let mut seed = std::process::id();
            let mut draw = |bound: u32| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 16) % bound
            };
            for round in 0.. {
                let from = u8::try_from(draw(u32::from(ACCOUNTS))).unwrap();
                let to = (from + 1 + u8::try_from(draw(u32::from(ACCOUNTS) - 1)).unwrap()) % ACCOUNTS;
                match transfer(&store, from, to, draw(40)) {
                    Ok(()) | Err(StoreError::TransactionConflict(_) | StoreError::Conflict(_)) => {}
                    Err(error) => panic!("{error}"),
                }
                if round % 5 == 4 {
                    say("moved");
                }
            }
        }
        other => panic!("{other}"),
    }
}

fn transfer(store: &Store, from: u8, to: u8, sum: u32) -> Result<(), StoreError> {
    let namespace = store.namespace("bank")?;
    block_on(async {
        let mut transaction = store.transaction()?;
        let balance = |bytes: Option<Vec<u8>>| amount(&bytes.unwrap());
        let left = balance(transaction.get(&namespace, &[from]).await?);
        let right = balance(transaction.get(&namespace, &[to]).await?);
        let sum = sum.min(left);
        // Some balances lie in blobs, by what follows them.
        let written = |balance: u32| {
            let len = if balance.is_multiple_of(5) { 70_000 } else { 0 };
            [balance.to_string().as_bytes(), &vec![b' '; len]].concat()
        };
        transaction.put(&namespace, &[from], &written(left - sum), &PutOptions::default())?;
        transaction.put(&namespace, &[to], &written(right + sum), &PutOptions::default())?;
        transaction.commit().await
    })
}

fn amount(bytes: &[u8]) -> u32 {
    std::str::from_utf8(bytes.trim_ascii()).unwrap().parse().unwrap()
}

/// Waits until a process says something.
fn hear(child: &mut Child, times: usize) {
    let stdout = child.stdout.take().unwrap();
    let mut said = BufReader::new(stdout).lines().map_while(Result::ok).filter(|line| line.starts_with("> "));
    assert!(said.nth(times - 1).is_some(), "the process ended early");
}

#[test]
fn processes_count_exactly() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    run(folder.path(), "increment");
    let expected = (u32::from(PROCESSES) * 200).to_string();
    assert_eq!(read(&store.namespace("shared").unwrap(), b"number").unwrap(), expected.as_bytes());
}

#[test]
fn of_processes_that_add_one_name_one_does() {
    let folder = TempDir::new().unwrap();
    drop(open(folder.path()));
    let added = run(folder.path(), "add").iter().map(|said| said.parse::<u32>().unwrap()).sum::<u32>();
    assert_eq!(added, 50);
}

#[test]
fn processes_compute_once() {
    let folder = TempDir::new().unwrap();
    drop(open(folder.path()));
    let computed = run(folder.path(), "compute").iter().map(|said| said.parse::<u32>().unwrap()).sum::<u32>();
    assert_eq!(computed, 10);
}

#[test]
fn a_killed_process_is_followed_once_its_lease_ends() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    let namespace = store.namespace("shared").unwrap();
    let mut child = spawn(folder.path(), "compute for ever");
    hear(&mut child, 1);
    let compute = || async { Ok::<_, std::io::Error>(b"v".to_vec()) };
    let hasty = ComputeOptions { patience: Duration::from_millis(50), ..ComputeOptions::default() };
    let busy = block_on(namespace.get_or_compute(b"slow", &hasty, &Blocking, compute)).unwrap_err();
    assert_eq!(busy.code(), "computation_busy");
    child.kill().unwrap();
    child.wait().unwrap();
    let got = block_on(namespace.get_or_compute(b"slow", &ComputeOptions::default(), &Blocking, compute)).unwrap();
    assert_eq!(got.bytes, b"v");
}

#[test]
fn money_that_killed_processes_moved_is_all_there() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    let bank = store.namespace("bank").unwrap();
    for account in 0..ACCOUNTS {
        write(&bank, &[account], b"100");
    }
    for turn in 1..=4 {
        let mut children: Vec<_> = (0..PROCESSES).map(|_| spawn(folder.path(), "transfer")).collect();
        hear(&mut children[0], turn);
        for mut child in children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let total: u32 = (0..ACCOUNTS).map(|account| amount(&value(&bank, &[account]).unwrap())).sum();
        assert_eq!(total, u32::from(ACCOUNTS) * 100);
    }
    let moves: u64 =
        (0..ACCOUNTS).map(|account| block_on(bank.stat(&[account], &GetOptions::default())).unwrap().version - 1).sum();
    assert!(moves > 0 && moves.is_multiple_of(2), "each move changed two accounts: {moves}");
}
