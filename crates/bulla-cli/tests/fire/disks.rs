//! A server whose disk fills up, and one whose disk fails.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::Client;
use super::serving::{Done, Ends, Serving, arguments, events, root};
use crate::disks::on_own_disk;
use crate::sandbox::{Run, Sandbox};

/// How long it may take until a server has seen that there is room again.
const SOON: Duration = Duration::from_secs(20);
/// What a server answers where the audit log cannot be written.
const UNRECORDED: &str = "audit_unavailable";

#[test]
fn on_a_full_disk_a_server_does_and_shows_nothing_that_it_cannot_record() {
    on_own_disk(
        "fire::disks::on_a_full_disk_a_server_does_and_shows_nothing_that_it_cannot_record",
        "size=32m",
        |disk| {
            let sandbox = Sandbox::empty_in(disk);
            sandbox.run(["init"]).succeeds();
            let root = root(&sandbox);
            let server = Serving::start(&sandbox);
            let mut client = server.client(&root);
            client.good("POST", "transit/keys/k", "{}");
            let sealed = client.good("POST", "transit/encrypt/k", r#"{"plaintext": "AAAA"}"#);
            let decrypt = json!({ "ciphertext": sealed["data"]["ciphertext"] }).to_string();

            let (ends, done) = (AtomicBool::new(false), Done::default());
            let written = thread::scope(|scope| {
                let workers: Vec<_> = (0..3)
                    .map(|worker| {
                        let (client, ends, done) = (server.client(&root), &ends, &done);
                        scope.spawn(move || write(client, worker, ends, done))
                    })
                    .collect();
                let stop = Ends(&ends);
                done.wait_for(50);
                let filler = fill(disk);
                let refused = |client: &mut Client, method: &str, path: &str, body: &str| {
                    let begun = Instant::now();
                    loop {
                        // What is left of the last block may take one more.
                        let reply = client.ask(method, path, body).unwrap();
                        if reply.status == 503 {
                            return reply.json;
                        }
                        assert!(begun.elapsed() < SOON, "{method} {path} still goes on: {reply:?}");
                    }
                };
                for (method, path, body) in [
                    ("POST", "transit/decrypt/k", &*decrypt),
                    ("POST", "transit/keys/another", "{}"),
                    ("POST", "auth/token/create", "{}"),
                    ("PUT", "sys/policies/acl/p", r#"{"policy": "path \"a\" { capabilities = [\"read\"] }"}"#),
                ] {
                    let error = refused(&mut client, method, path, body);
                    assert_eq!(error["code"], json!(UNRECORDED), "{method} {path}: {error}");
                }
                let health = client.ask("GET", "sys/seal-status", "").unwrap();
                assert_eq!(health.status, 200, "what reveals nothing goes on");
                let begun = Instant::now();
                let unready = loop {
                    let ready = client.ask("GET", "/readyz", "").unwrap();
                    if ready.status == 503 {
                        break ready.json;
                    }
                    assert!(begun.elapsed() < SOON, "it says that it is ready: {ready:?}");
                };
                assert!(unready.to_string().contains("audit"), "it says why not: {unready}");

                // Room again, and no restart.
                fs::remove_file(filler).unwrap();
                let begun = Instant::now();
                while client.ask("POST", "transit/decrypt/k", &decrypt).unwrap().status != 200 {
                    assert!(begun.elapsed() < SOON, "it does not go on");
                }
                while client.ask("GET", "/readyz", "").unwrap().status != 200 {
                    assert!(begun.elapsed() < SOON, "it does not get ready");
                }
                done.wait_for(50);
                drop(stop);
                workers.into_iter().map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
            });

            // What is there was asked for, and is on record; what was acknowledged is there.
            let mut made = Vec::new();
            for (worker, acknowledged) in written.iter().enumerate() {
                let listed = client.good("LIST", &format!("secret/metadata/f{worker}"), "");
                let keys: Vec<u64> = listed["data"]["keys"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|key| key.as_str().unwrap().parse().unwrap())
                    .collect();
                assert!(
                    acknowledged.iter().all(|number| keys.contains(number)),
                    "{acknowledged:?} are not all in {keys:?}"
                );
                made.extend(keys.into_iter().map(|number| format!("secret/data/f{worker}/{number}")));
            }
            server.stop();
            sandbox.run(["audit", "verify"]).succeeds();
            let events = events(&sandbox);
            let intents: Vec<&str> = events
                .iter()
                .filter(|event| event["action"] == "kv2.write" && event["phase"] == "intent")
                .map(|event| event["resource"].as_str().unwrap())
                .collect();
            for path in &made {
                assert!(intents.contains(&path.as_str()), "{path} was written, and nothing says so");
            }
            assert!(written.iter().all(|numbers| numbers.len() > 5), "{written:?}");
            eprintln!("{} secrets, {} events", made.len(), events.len());
        },
    );
}

/// Writes secrets until it is told to end; returns the numbers of those that were acknowledged.
fn write(mut client: Client, worker: usize, ends: &AtomicBool, done: &Done) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    for number in 1.. {
        if ends.load(Ordering::Relaxed) {
            break;
        }
        let reply = client.ask("POST", &format!("secret/data/f{worker}/{number}"), r#"{"data": {"k": "v"}}"#).unwrap();
        match reply.status {
            200 => {
                acknowledged.push(number);
                done.one_more();
            }
            // The log is full, or the store is; the third is said of what was done and cannot be recorded as done.
            503 | 507 | 500 => {}
            _ => panic!("{reply:?}"),
        }
    }
    acknowledged
}

/// Leaves no room on a disk; returns the file that takes it.
fn fill(disk: &Path) -> std::path::PathBuf {
    let path = disk.join("filler");
    let mut file = File::create(&path).unwrap();
    let mut len = 1 << 20;
    while len > 0 {
        if file.write_all(&vec![1; len]).is_err() {
            len /= 2;
        }
    }
    path
}

/// The names of more files of the log than a server comes to make while its disk fails.
const SEGMENTS: u32 = 500;
/// The calls that write to a disk, or wait for it.
const CALLS: &str = "pwrite64,write,fsync,fdatasync,ftruncate";

#[test]
fn whichever_call_of_a_command_fails_what_was_done_is_on_record() {
    let sandbox = Sandbox::with_project();
    let put = |sandbox: &Sandbox, value: &str, inject: &str| -> (Run, usize) {
        let log = sandbox.path("calls");
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-e", &format!("trace={CALLS}"), "-o"]).arg(&log);
        if !inject.is_empty() {
            command.args(["-e", inject]);
        }
        sandbox.write("value", value);
        command.arg(env!("CARGO_BIN_EXE_bulla"));
        let run = Run::of(&mut sandbox.prepare(command, ["put", "note", "value", "--json"]));
        let injected = fs::read_to_string(&log).unwrap().matches("(INJECTED)").count();
        (run, injected)
    };
    let puts = |sandbox: &Sandbox| {
        let events = events(sandbox);
        let of = |phase: &str| {
            events.iter().filter(|event: &&Value| event["action"] == "cli.put" && event["phase"] == phase).count()
        };
        (of("intent"), of("outcome"))
    };
    let (first, injected) = put(&sandbox, "0", "");
    first.succeeds();
    assert_eq!(injected, 0);
    let (mut value, mut failed, mut done) = ("0".to_owned(), 0, 0);
    for call in CALLS.split(',') {
        for number in 1.. {
            let next = format!("{call} {number}");
            let (run, injected) = put(&sandbox, &next, &format!("inject={call}:error=EIO:when={number}"));
            if injected == 0 {
                assert!(number > 1 || ["ftruncate", "write"].contains(&call), "{call} is not called at all");
                run.succeeds();
                value = next;
                break;
            }
            let there = sandbox.run(["get", "note"]).succeeds();
            match run.code {
                Some(0) => {
                    assert_eq!(there.text(), next, "{call} {number}: what was acknowledged is not there");
                    done += 1;
                }
                Some(_) => {
                    assert!(there.text() == value || there.text() == next, "{call} {number}: {there:?}");
                    failed += 1;
                }
                None => panic!("{call} {number}: {run:?}"),
            }
            there.text().clone_into(&mut value);
            sandbox.run(["audit", "verify"]).succeeds();
            let (intents, outcomes) = puts(&sandbox);
            assert_eq!(intents, outcomes, "{call} {number}: each intent has an outcome, or is said to be unknown");
        }
    }
    let version = sandbox.run(["ls", "--json"]).succeeds().json()[0]["version"].as_u64().unwrap();
    let (intents, _) = puts(&sandbox);
    assert!(version <= intents as u64, "{version} were written, {intents} are on record");
    assert!(failed > 10, "{failed} failed, {done} went on");
    eprintln!("{failed} runs failed, {done} went on; {version} versions, {intents} on record");
}

#[test]
fn a_server_whose_log_cannot_be_made_durable_shows_nothing_and_goes_on_when_it_can() {
    let sandbox = Sandbox::with_project();
    let root = root(&sandbox);
    let server = Serving::start(&sandbox);
    let mut client = server.client(&root);
    client.good("POST", "transit/keys/k", "{}");
    client.good("POST", "secret/data/a", r#"{"data": {"k": "v"}}"#);
    server.stop();

    // The log's own files, and no others: from the twelfth time on nothing reaches the disk any more. After a failure it goes on in another file.
    let log = sandbox.home().join(".local/share/bulla/audit");
    let project = fs::read_dir(log).unwrap().next().unwrap().unwrap().path();
    let mut command = Command::new("strace");
    // With `-D` the process that is started is the server, and not the one that watches it.
    command.args([
        "-D",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=fdatasync",
        "-e",
        "inject=fdatasync:error=EIO:when=12+",
    ]);
    for segment in 0..SEGMENTS {
        command.arg("-P").arg(project.join(format!("segment-{segment:010}")));
    }
    command.arg(env!("CARGO_BIN_EXE_bulla"));
    let server = Serving::run(sandbox.prepare(command, arguments("127.0.0.1:0", &[])));
    let mut client = server.client(&root);
    let (mut shown, mut written) = (0, 0);
    let begun = Instant::now();
    loop {
        let read = client.ask("GET", "secret/data/a", "").unwrap();
        let write = client.ask("POST", &format!("secret/data/n{written}"), r#"{"data": {"k": "v"}}"#).unwrap();
        shown += u64::from(read.status == 200);
        written += u64::from(write.status == 200);
        if (read.status, write.status) == (503, 503) {
            assert_eq!((&read.json["code"], &write.json["code"]), (&json!(UNRECORDED), &json!(UNRECORDED)));
            break;
        }
        assert!(begun.elapsed() < SOON, "{read:?} {write:?}");
    }
    assert!(shown > 0 && written > 0, "{shown} shown, {written} written");
    assert_eq!(client.ask("GET", "sys/seal-status", "").unwrap().status, 200);
    server.kill();

    sandbox.run(["audit", "verify"]).succeeds();
    let server = Serving::start(&sandbox);
    let mut client = server.client(&root);
    for number in 0..written {
        client.good("GET", &format!("secret/data/n{number}"), "");
    }
    let listed = client.good("LIST", "secret/metadata", "");
    let there = listed["data"]["keys"].as_array().unwrap().len() as u64;
    server.stop();
    let events = events(&sandbox);
    let count = |action: &str, phase: &str| {
        events.iter().filter(|event| event["action"] == action && event["phase"] == phase).count() as u64
    };
    assert!(there <= count("kv2.write", "intent"), "{there} secrets are there");
    assert!(shown <= count("kv2.read", "notice"), "what was shown is on record");
}
