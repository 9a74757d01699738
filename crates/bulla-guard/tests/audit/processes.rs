//! Several processes at one log, killed in the middle of it: this test program, started again as its own children.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bulla_backend::{RealDisk, SystemClock};
use bulla_guard::audit::{Log, Outcome, Verdict};
use bulla_keyring::Identity;
use bulla_seal::ProjectId;
use pollster::block_on;
use tempfile::TempDir;

use super::ground::{Ground, event, numbers};

const FOLDER: &str = "BULLA_TEST_AUDIT_FOLDER";
const NUMBER: &str = "BULLA_TEST_AUDIT_NUMBER";
const PROCESSES: u64 = 3;
const THREADS: u64 = 3;
const ROUNDS: u64 = 5;

/// The log in a folder, as one process of several opens it: same machine, same project.
fn open(folder: &Path) -> (Ground, Log) {
    let identity = Arc::new(Identity::read_file(&folder.join("identity")).unwrap());
    let ground = Ground { identity, ..Ground::on(Arc::new(RealDisk), &folder.join("audit")) };
    let mut options = ground.options();
    options.project = ProjectId([7; 32]);
    options.clock = Arc::new(SystemClock);
    options.segment_len = 40_000;
    options.checkpoint_events = 100;
    let log = Log::open(Arc::clone(&ground.disk), &ground.folder, options).unwrap();
    (ground, log)
}

/// What the children of the test below do until they are killed. In the test program itself there is nothing to do.
#[test]
fn child() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let number: u64 = env::var(NUMBER).unwrap().parse().unwrap();
    let folder = Path::new(&folder);
    let (_, log) = open(folder);
    let diary = OpenOptions::new().create(true).append(true).open(folder.join(format!("diary-{number}"))).unwrap();
    let diary = Mutex::new(diary);
    println!("said ready");
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (log, diary) = (&log, &diary);
            scope.spawn(move || {
                for step in 0_u64.. {
                    let mine = number << 32 | thread << 24 | step;
                    if step % 5 == 0 {
                        let intent = block_on(log.intent(event(mine))).unwrap();
                        block_on(intent.outcome(Outcome::Success)).unwrap();
                    } else {
                        block_on(log.append(event(mine))).unwrap();
                    }
                    // One write: a kill leaves a line whole or not at all.
                    diary.lock().unwrap().write_all(format!("{mine}\n").as_bytes()).unwrap();
                }
            });
        }
    });
}

#[expect(clippy::zombie_processes, reason = "the caller kills it and waits; a test that fails here ends the program")]
fn start(folder: &Path, number: u64) -> Child {
    let mut command = Command::new("/proc/self/exe");
    command.args(["--exact", "audit::processes::child", "--nocapture", "--test-threads=1"]);
    command.env(FOLDER, folder).env(NUMBER, number.to_string());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    loop {
        let mut line = String::new();
        assert!(said.read_line(&mut line).unwrap() > 0, "the child has ended");
        if line.contains("said ready") {
            return child;
        }
    }
}

#[test]
fn nothing_that_was_acknowledged_is_lost_by_processes_that_are_killed() {
    let folder = TempDir::new().unwrap();
    Identity::generate().unwrap().create_file(&folder.path().join("identity")).unwrap();
    drop(open(folder.path()));
    let wait = Mutex::new(());
    let condition = std::sync::Condvar::new();
    for round in 0..ROUNDS {
        let mut children: Vec<_> =
            (0..PROCESSES).map(|number| start(folder.path(), round * PROCESSES + number)).collect();
        for child in &mut children {
            // Long enough for some work, and not for all to be killed at once.
            let until = Instant::now() + Duration::from_millis(60 + 37 * (round % 3));
            while let Some(left) = until.checked_duration_since(Instant::now()) {
                drop(condition.wait_timeout(wait.lock().unwrap(), left).unwrap());
            }
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
    let (ground, log) = open(folder.path());
    drop(log);
    let origin = bulla_guard::audit::Origin::of(&ProjectId([7; 32]), ground.identity.public());
    let reader = bulla_guard::audit::LogReader::new(Arc::clone(&ground.disk), &ground.folder, origin);
    let found: std::collections::HashSet<u64> = numbers(&reader).into_iter().collect();
    let mut acknowledged = 0;
    for number in 0..PROCESSES * ROUNDS {
        let diary = fs::read_to_string(folder.path().join(format!("diary-{number}"))).unwrap();
        for line in diary.lines() {
            assert!(found.contains(&line.parse().unwrap()), "{line}");
            acknowledged += 1;
        }
    }
    assert!(acknowledged > 50, "{acknowledged}");
    let verdict = reader.verify(None);
    assert!(matches!(verdict, Verdict::Ok(_)), "{verdict}");
    // Whoever was killed between intent and outcome has an outcome by now.
    let mut open = std::collections::BTreeSet::new();
    for stored in reader.events(0).unwrap() {
        let stored = stored.unwrap();
        let event = stored.event().unwrap();
        match (event.outcome, event.intent) {
            (None, _) => drop(open.insert(stored.index)),
            (_, Some(intent)) => assert!(open.remove(&intent)),
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?}");
    let left = fs::read_dir(&ground.folder)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("process-"));
    assert_eq!(left.count(), 0);
}
