//! Two command lines and this process, which uses the library, on one project at the same time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bulla::blocking::{Namespace, Project};
use bulla::{Error, ExpectedVersion, GetOptions, PutOptions, Settings, StoreError};

use crate::sandbox::{Sandbox, noise, number};

#[test]
fn several_processes_lose_nothing() {
    let seconds = number("BULLA_TEST_SECONDS", 3);
    let sandbox = Sandbox::with_project();
    sandbox.feed(b"0", ["put", "counter"]).succeeds();
    let load = || {
        let identity = sandbox.home().join(".local/share/bulla/identity");
        Settings::builder().environment(false).file(sandbox.path("bulla.toml")).identity(identity).load().unwrap()
    };
    let project = Project::open(load()).unwrap();

    let over = AtomicBool::new(false);
    let added = AtomicU64::new(0);
    let conflicts = AtomicU64::new(0);
    let rounds: Vec<u64> = std::thread::scope(|scope| {
        let mut workers = Vec::new();
        for line in ["one", "two"] {
            let (sandbox, over, added, conflicts) = (&sandbox, &over, &added, &conflicts);
            workers.push(scope.spawn(move || command_line(sandbox, line, over, added, conflicts)));
        }
        let (project, over_, added, conflicts) = (&project, &over, &added, &conflicts);
        workers.push(scope.spawn(move || library(project, over_, added, conflicts)));
        let until = Instant::now() + Duration::from_secs(seconds);
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if workers.iter().any(|worker| worker.is_finished()) {
                break;
            }
            std::thread::park_timeout(left.min(Duration::from_millis(50)));
        }
        over.store(true, Ordering::Relaxed);
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });

    // Every addition that was acknowledged is in the sum, and nothing else.
    let sum = sandbox.run(["get", "counter"]).succeeds();
    assert_eq!(sum.text(), added.load(Ordering::Relaxed).to_string());
    for (writer, rounds) in ["one", "two", "library"].iter().zip(&rounds) {
        assert!(*rounds > 0, "{writer} did nothing");
        for round in 0..*rounds {
            let name = format!("{writer}/{round}");
            let value = project.store("default").unwrap().get(&name).unwrap();
            assert!(value.is_some_and(|value| value == value_of(writer, round)), "{name}");
        }
    }
    sandbox.run(["check"]).succeeds();
    let (added, conflicts) = (added.into_inner(), conflicts.into_inner());
    eprintln!("{seconds} s: rounds {rounds:?}, {added} additions, {conflicts} conflicts");
}

/// Of both kinds: what lies in the database, and what lies in files.
fn value_of(writer: &str, round: u64) -> Vec<u8> {
    noise(if round.is_multiple_of(5) { 100_000 } else { 300 }, round * 3 + writer.len() as u64)
}

fn command_line(sandbox: &Sandbox, line: &str, over: &AtomicBool, added: &AtomicU64, conflicts: &AtomicU64) -> u64 {
    let mut round = 0;
    while !over.load(Ordering::Relaxed) {
        sandbox.feed(&value_of(line, round), ["put", &format!("{line}/{round}")]).succeeds();
        let read = sandbox.run(["get", "counter", "--json"]).succeeds();
        let version = read.json_error()["version"].to_string();
        let next = (read.text().parse::<u64>().unwrap() + 1).to_string();
        let put = sandbox.feed(next.as_bytes(), ["put", "counter", "--json", "--expect-version", &version]);
        if put.code == Some(5) {
            assert_eq!(put.json_error()["code"], "version_mismatch");
            conflicts.fetch_add(1, Ordering::Relaxed);
        } else {
            put.succeeds();
            added.fetch_add(1, Ordering::Relaxed);
        }
        if round.is_multiple_of(4) {
            sandbox.run(["key", "rotate", "store/default"]).succeeds();
            sandbox.run(["ls"]).succeeds();
        }
        round += 1;
    }
    round
}

fn library(project: &Project, over: &AtomicBool, added: &AtomicU64, conflicts: &AtomicU64) -> u64 {
    let entries = project.store("default").unwrap();
    let mut round = 0;
    while !over.load(Ordering::Relaxed) {
        entries.put(format!("library/{round}"), value_of("library", round)).unwrap();
        // Not each time: a command line takes so long from reading to writing that it would never win.
        if round.is_multiple_of(60) {
            add(&entries, added, conflicts);
        }
        if round.is_multiple_of(50) {
            project.key("store/default").unwrap().rotate().unwrap();
        }
        round += 1;
    }
    round
}

fn add(entries: &Namespace, added: &AtomicU64, conflicts: &AtomicU64) {
    let read = entries.get_with("counter", &GetOptions::default()).unwrap().unwrap();
    let next = (String::from_utf8(read.bytes).unwrap().parse::<u64>().unwrap() + 1).to_string();
    let expected = ExpectedVersion::Version(read.stat.version);
    match entries.put_with("counter", next, &PutOptions { expected, ..PutOptions::default() }) {
        Ok(_) => drop(added.fetch_add(1, Ordering::Relaxed)),
        Err(Error::Store(StoreError::VersionMismatch { .. })) => drop(conflicts.fetch_add(1, Ordering::Relaxed)),
        Err(error) => panic!("{error}"),
    }
}
