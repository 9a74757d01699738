//! Several processes at one secret, which share nothing but the storage; some are killed.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bulla_server::kv;
use pollster::block_on;
use serde_json::json;
use tempfile::TempDir;

use super::ground::{NOW, mount, open, read, request};

const FOLDER: &str = "BULLA_TEST_KV_FOLDER";
const WORK: &str = "BULLA_TEST_KV_WORK";
const PROCESSES: usize = 4;
const ROUNDS: u64 = 25;

/// Begins a piece of work in a process of its own; what it says comes through its standard output.
fn spawn(folder: &Path, work: &str) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["kv::processes::child", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .env(WORK, work)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Says something, unless nobody listens any more: whoever does is about to kill this process.
fn say(text: &str) -> std::io::Result<()> {
    // The harness writes to the same line before.
    let mut stdout = std::io::stdout();
    write!(stdout, "\n> {text}\n").and_then(|()| stdout.flush())
}

/// What the processes do; without a folder, nothing.
#[test]
fn child() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let store = open(Path::new(&folder));
    let secret = mount(&store, "secret");
    match env::var(WORK).unwrap().as_str() {
        "count" => {
            let mut made = 0;
            while made < ROUNDS {
                let before = match block_on(kv::read_data(&store, &secret, "count", None, NOW)) {
                    Ok(read) => {
                        (read.metadata.version, serde_json::to_value(&read.data).unwrap()["n"].as_u64().unwrap())
                    }
                    Err(error) => {
                        assert_eq!(error.status(), 404);
                        (0, 0)
                    }
                };
                let data = request(&json!({ "n": before.1 + 1 }), Some(before.0));
                match block_on(kv::write_data(&store, &secret, "count", &data, NOW)) {
                    Ok(written) => {
                        assert_eq!(written.version, before.0 + 1);
                        made += 1;
                    }
                    Err(error) => assert_eq!(error.code(), "cas_mismatch", "{error:?}"),
                }
            }
        }
        "write" => {
            for n in 0_u64.. {
                // Some lie in entries, some in files of their own.
                let padding = "x".repeat(if n % 3 == 0 { 70_000 } else { 10 });
                let data = request(&json!({ "by": std::process::id(), "n": n, "padding": padding }), None);
                let written = block_on(kv::write_data(&store, &secret, "kept", &data, NOW)).unwrap();
                if say(&format!("{} {n}", written.version)).is_err() {
                    return;
                }
            }
        }
        other => panic!("{other}"),
    }
}

#[test]
fn processes_that_check_and_set_lose_no_update() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    let children: Vec<_> = (0..PROCESSES).map(|_| spawn(folder.path(), "count")).collect();
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    let total = PROCESSES as u64 * ROUNDS;
    let secret = mount(&store, "secret");
    assert_eq!(read(&store, &secret, "count", total), Some(json!({ "n": total })));
}

#[test]
fn what_was_acknowledged_before_a_kill_is_there() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    let secret = mount(&store, "secret");
    let keep = serde_json::from_value(json!({ "max_versions": kv::MAX_VERSIONS })).unwrap();
    block_on(kv::write_metadata(&store, &secret, "kept", &keep, NOW)).unwrap();
    let mut acknowledged = 0;
    for turn in 1..=3 {
        let mut children: Vec<_> = (0..2).map(|_| spawn(folder.path(), "write")).collect();
        let mut said = Vec::new();
        for child in &mut children {
            let id = child.id();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
            let mut answers = lines.filter_map(|line| line.strip_prefix("> ").map(str::to_owned));
            said.extend(answers.by_ref().take(turn * 2).map(|answer| (id, answer)));
        }
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(said.len(), turn * 4);
        let metadata = block_on(kv::read_metadata(&store, &secret, "kept")).unwrap();
        for (id, answer) in said {
            let (version, n) = answer.split_once(' ').unwrap();
            let (version, n): (u64, u64) = (version.parse().unwrap(), n.parse().unwrap());
            // While one is heard, the other writes on, so that older versions may be pruned.
            if !metadata.versions.contains_key(&version) {
                assert!(version < metadata.oldest_version);
                continue;
            }
            let data = read(&store, &secret, "kept", version).unwrap();
            assert_eq!((&data["by"], &data["n"]), (&json!(id), &json!(n)));
            acknowledged += 1;
        }
        for version in metadata.versions.keys() {
            assert!(read(&store, &secret, "kept", *version).is_some(), "version {version} is whole");
        }
    }
    assert!(acknowledged > 0);
    let written = block_on(kv::write_data(&store, &secret, "kept", &request(&json!({}), None), NOW)).unwrap();
    assert!(written.version > acknowledged);
}
