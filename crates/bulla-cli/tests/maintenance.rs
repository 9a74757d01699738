//! Keeping a store in order through the program: re-sealing, checking, collecting, compacting, and the figures.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::{Connection, params};
use serde_json::Value;

use crate::killed::run_or_kill;
use crate::sandbox::{Sandbox, noise, number};

const SMALL: usize = 300;
const LARGE: usize = 150_000;

/// Puts small values and large ones, and returns their names.
fn fill(sandbox: &Sandbox, count: u64) -> Vec<String> {
    let names: Vec<_> = (0..count).map(|n| format!("entry-{n}")).collect();
    for (name, n) in names.iter().zip(0..) {
        sandbox.feed(&content(n), ["put", name]).succeeds();
    }
    names
}

fn content(n: u64) -> Vec<u8> {
    noise(if n.is_multiple_of(3) { LARGE } else { SMALL }, n)
}

fn all_is_there(sandbox: &Sandbox, names: &[String]) {
    for (name, n) in names.iter().zip(0..) {
        assert!(sandbox.run(["get", name]).succeeds().stdout == content(n), "{name}");
    }
}

fn last(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    sandbox.run(arguments).succeeds().json().pop().unwrap()
}

fn rotate(sandbox: &Sandbox) {
    sandbox.run(["key", "rotate", "store/default"]).succeeds();
}

fn blobs(sandbox: &Sandbox) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![sandbox.path(".bulla/blobs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_blob = |path: &Path| path.file_name().is_some_and(|name| name.len() >= 60);
            if path.is_dir() {
                folders.push(path);
            } else if is_blob(&path) {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

#[test]
fn resealing_lets_old_versions_go() {
    let sandbox = Sandbox::with_project();
    let names = fill(&sandbox, 6);
    sandbox.feed(b"elsewhere", ["put", "n", "--namespace", "other"]).succeeds();
    rotate(&sandbox);
    let trim = ["key", "trim", "store/default", "--below", "2", "--yes"];
    sandbox.run(trim).fails(5, "6 entries and 1 settings or records in quarantine are sealed under version 1");

    let before = blobs(&sandbox);
    let told = sandbox.run(["reseal", "--json"]).succeeds().json();
    assert_eq!(told.len(), 2, "a line for each namespace");
    assert_eq!(
        (&told[0]["namespace"], &told[0]["resealed"], &told[0]["records"]),
        (&"default".into(), &6.into(), &1.into())
    );
    assert_eq!((&told[1]["namespace"], &told[1]["current"]), (&"other".into(), &1.into()));
    assert_eq!(blobs(&sandbox), before, "blobs stay");
    all_is_there(&sandbox, &names);
    assert!(sandbox.run(trim).succeeds().stderr.contains("removed 1 versions"));
    all_is_there(&sandbox, &names);

    let again = last(&sandbox, &["reseal", "--namespace", "default", "--json"]);
    assert_eq!((&again["resealed"], &again["current"]), (&0.into(), &6.into()));
    let deep = sandbox.run(["reseal", "--namespace", "default", "--deep", "--rate", "100000000"]).succeeds();
    assert!(deep.stderr.contains("sealed 2 of 6 entries of default anew, and 2 blobs"), "{deep:?}");
    assert!(blobs(&sandbox).len() == 2 && blobs(&sandbox).iter().all(|blob| !before.contains(blob)));
    all_is_there(&sandbox, &names);
    sandbox.run(["check"]).succeeds();
}

#[test]
fn rotating_everything_with_reseal_leaves_nothing_under_old_versions() {
    let sandbox = Sandbox::with_project();
    let names = fill(&sandbox, 4);
    sandbox.run(["rotate", "--reseal"]).succeeds();
    let left = last(&sandbox, &["key", "where", "store/default", "--version", "1", "--json"]);
    assert_eq!((&left["entries"], &left["records"]), (&0.into(), &0.into()));
    sandbox.run(["key", "trim", "store/default", "--below", "2", "--yes"]).succeeds();
    all_is_there(&sandbox, &names);
}

#[test]
fn a_resealing_that_is_killed_again_and_again_comes_to_its_end() {
    let rounds = number("BULLA_TEST_ROUNDS", 8);
    let sandbox = Sandbox::with_project();
    let names = fill(&sandbox, 12);
    let clock = Instant::now();
    rotate(&sandbox);
    let usual = clock.elapsed();
    let mut killed = 0;
    for round in 1..=rounds {
        let deep: &[&str] = if round.is_multiple_of(2) { &["reseal", "--deep"] } else { &["reseal"] };
        let delay = usual * u32::try_from(round * 37 % 120).unwrap() / 100;
        killed += u64::from(!run_or_kill(&sandbox, deep, delay));
        all_is_there(&sandbox, &names);
        if round.is_multiple_of(3) {
            rotate(&sandbox);
        }
    }
    for arguments in [&["reseal", "--json"][..], &["reseal", "--deep", "--json"]] {
        let counts = last(&sandbox, arguments);
        assert_eq!(
            (&counts["failed"], counts["current"].as_u64().unwrap() + counts["resealed"].as_u64().unwrap()),
            (&0.into(), 12)
        );
    }
    last(&sandbox, &["gc", "--min-age", "0s", "--json"]);
    let checked = last(&sandbox, &["check", "--json"]);
    assert_eq!((&checked["entries"], &checked["recent_blobs"]), (&12.into(), &0.into()));
    all_is_there(&sandbox, &names);
    assert_eq!(blobs(&sandbox).len(), 4);
    eprintln!("{rounds} rounds, {killed} killed");
}

#[test]
fn collecting_removes_what_nobody_needs() {
    let sandbox = Sandbox::with_project();
    let names = fill(&sandbox, 4);
    let whole = blobs(&sandbox);
    // As a writer leaves it that is killed before it wrote the entry: a blob of an id of its own.
    let mut orphan = whole[0].clone();
    let name = orphan.file_name().unwrap().to_string_lossy().into_owned();
    let last_digit = if name.ends_with('0') { "1" } else { "0" };
    orphan.set_file_name(format!("{}{last_digit}", &name[..name.len() - 1]));
    fs::copy(&whole[0], &orphan).unwrap();
    let young = last(&sandbox, &["gc", "--json"]);
    assert_eq!((&young["deleted"], &young["recent"], &young["kept"]), (&0.into(), &1.into(), &0.into()));
    let text = sandbox.run(["gc", "--min-age", "0s"]).succeeds();
    assert!(
        text.stderr.contains(&format!("and 1 blobs of {} bytes", fs::metadata(&whole[0]).unwrap().len())),
        "{text:?}"
    );
    assert_eq!(blobs(&sandbox), whole);
    all_is_there(&sandbox, &names);

    // While something is damaged, nothing is known of what it refers to.
    fs::copy(&whole[0], &orphan).unwrap();
    flip_row(&sandbox, b"default\0entry-1");
    let kept = sandbox.run(["gc", "--min-age", "0s", "--json"]).succeeds().json();
    assert_eq!(
        (&kept[0]["finding"], &kept[1]["kept"], &kept[1]["refused"]),
        (&"orphan_blob".into(), &1.into(), &1.into())
    );
    sandbox.run(["gc", "--min-age", "soon"]).fails(2, "--min-age");
}

#[test]
fn a_check_can_be_gone_on_with_and_asked_to_quarantine() {
    let sandbox = Sandbox::with_project();
    fill(&sandbox, 4);
    let whole = last(&sandbox, &["check", "--json"]);
    // Nothing is under way: it begins anew.
    assert_eq!(last(&sandbox, &["check", "--resume", "--rate", "1000000000", "--json"]), whole);
    flip_row(&sandbox, b"default\0entry-1");
    sandbox.run(["check"]).fails_late(7, "check found 1 damaged entries");
    let moved = sandbox.run(["check", "--quarantine", "--json"]);
    assert_eq!((moved.code, &moved.json()[1]["moved"]), (Some(7), &1.into()));
    let after = last(&sandbox, &["check", "--json"]);
    assert_eq!((&after["entries"], &after["quarantined"], &after["damaged"]), (&3.into(), &1.into(), &0.into()));
}

#[test]
fn the_figures_are_right() {
    let sandbox = Sandbox::with_project();
    fill(&sandbox, 6);
    sandbox.feed(b"v", ["put", "n", "--namespace", "other"]).succeeds();
    rotate(&sandbox);
    sandbox.feed(b"anew", ["put", "entry-1"]).succeeds();
    let told = sandbox.run(["stats", "--full", "--json"]).succeeds().json();
    assert_eq!(told.len(), 3);
    let (stats, all) = (&told[0], &told[2]);
    assert_eq!((&stats["namespace"], &stats["entries"], &stats["refused"]), (&"default".into(), &6.into(), &0.into()));
    assert_eq!((&stats["blobs"], &stats["blob_bytes"]), (&2.into(), &(2 * LARGE).into()));
    assert_eq!(stats["value_bytes"], (2 * LARGE + 3 * SMALL + 4) as u64);
    assert_eq!(stats["versions"], serde_json::json!({ "1": 5, "2": 1 }));
    let bytes: u64 = blobs(&sandbox).iter().map(|blob| fs::metadata(blob).unwrap().len()).sum();
    assert_eq!((&all["blobs"], &all["blob_bytes"]), (&2.into(), &bytes.into()));
    let quick = sandbox.run(["stats", "--namespace", "default", "--json"]).succeeds().json();
    assert_eq!((quick.len(), &quick[0]["entries"], &quick[0]["mode"]), (1, &6.into(), &"sealed".into()));
    assert!(sandbox.run(["stats"]).succeeds().text().contains("default: 6 entries, "));
}

#[test]
fn compacting_gives_room_back() {
    let sandbox = Sandbox::with_project();
    for n in 0..30_u64 {
        sandbox.feed(&noise(60_000, n), ["put", &format!("n{n}")]).succeeds();
    }
    for n in 1..30 {
        sandbox.run(["rm", &format!("n{n}")]).succeeds();
    }
    let before = last(&sandbox, &["stats", "--json"])["database_bytes"].as_u64().unwrap();
    let counts = last(&sandbox, &["compact", "--json"]);
    let after = last(&sandbox, &["stats", "--json"])["database_bytes"].as_u64().unwrap();
    assert!(after < before / 2 && counts["total"] == after, "{before} became {after}: {counts}");
    assert!(sandbox.run(["get", "n0"]).succeeds().stdout == noise(60_000, 0));
    sandbox.run(["check"]).succeeds();
    assert!(sandbox.run(["compact"]).succeeds().stderr.contains("gave 0 bytes back"));
}

fn flip_row(sandbox: &Sandbox, key: &[u8]) {
    let database = Connection::open(sandbox.path(".bulla/entries.db")).unwrap();
    let select = "SELECT value FROM document WHERE key = ?1";
    let mut value: Vec<u8> = database.query_row(select, params![key], |row| row.get(0)).unwrap();
    let end = value.len() - 1;
    value[end] ^= 1;
    database.execute("UPDATE document SET value = ?2 WHERE key = ?1", params![key, value]).unwrap();
}
