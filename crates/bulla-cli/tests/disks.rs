//! Disks that are mounted read-only, and disks that are full: real ones, of their own.
//!
//! A test that needs one starts this program again in a mount namespace, where a user without rights may mount what is in memory.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use bulla::Settings;
use bulla::blocking::{Namespace, Project};

use crate::sandbox::{Run, Sandbox, noise};

/// Says, in the namespace, which folder the disk is to be mounted at.
const DISK: &str = "BULLA_TEST_DISK";
/// Says, in a writer, which sandbox it writes in.
const WRITER: &str = "BULLA_TEST_WRITER";

const UNSHARE: [&str; 4] = ["--user", "--map-root-user", "--mount", "--"];
const NEEDS: &str = "this test mounts disks of its own: it needs `unshare` and `mount` (util-linux), and a system that lets users make \
                     namespaces (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0, user.max_user_namespaces > 0)";

/// The longest that any run of the program takes here, many times over: nothing waits, or tries again, for what does not come.
const LONGEST: Duration = Duration::from_secs(30);

const SMALL: &[u8] = b"a small value";
const LARGE: usize = 300_000;

/// Does what a test, whose whole name is given, does on a disk of its own, in a program and a namespace of its own.
pub(crate) fn on_own_disk(test: &str, options: &str, body: impl FnOnce(&Path)) {
    if let Some(folder) = env::var_os(DISK) {
        let folder = PathBuf::from(folder);
        mount(
            &[OsStr::new("-t"), OsStr::new("tmpfs"), OsStr::new("-o"), OsStr::new(options), OsStr::new("none")],
            &folder,
        );
        return body(&folder);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut probe = Command::new("unshare");
    probe.args(UNSHARE).args(["mount", "-t", "tmpfs", "none"]).arg(folder.path());
    match probe.output() {
        Ok(output) if output.status.success() => {}
        refused => panic!("{NEEDS}: {refused:?}"),
    }
    let mut again = Command::new("unshare");
    again.args(UNSHARE).arg(env::current_exe().unwrap());
    again.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(DISK, folder.path());
    let run = Run::of(&mut again);
    assert!(run.code == Some(0) && run.text().contains("1 passed"), "{}\n{}", run.text(), run.stderr);
}

fn mount(arguments: &[&OsStr], folder: &Path) {
    let run = Run::of(Command::new("mount").args(arguments).arg(folder));
    assert_eq!(run.code, Some(0), "{NEEDS}: {run:?}");
}

fn remount(options: &str, folder: &Path) {
    mount(&[OsStr::new("-o"), OsStr::new(options)], folder);
}

/// Runs the program, and sees to it that it does not take long.
fn run<const N: usize>(sandbox: &Sandbox, arguments: [&str; N]) -> Run {
    let clock = Instant::now();
    let run = sandbox.run(arguments);
    assert!(clock.elapsed() < LONGEST, "{arguments:?}: {run:?}");
    run
}

/// A process that writes by the library, and stays.
struct Writer {
    child: Child,
    words: ChildStdin,
    said: Box<dyn Iterator<Item = String>>,
}

impl Writer {
    fn start(sandbox: &Path) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "disks::writer", "--nocapture", "--test-threads=1"]).env(WRITER, sandbox);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let words = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        // The harness leaves its own line open before the first of ours.
        let said = lines.filter_map(|line| line.split_once("said ").map(|(_, words)| words.to_owned()));
        Self { child, words, said: Box::new(said) }
    }

    /// Has it put a value, and waits until that is done.
    fn put(&mut self, name: &str, len: usize, seed: u64) {
        writeln!(self.words, "{name} {len} {seed}").unwrap();
        assert_eq!(self.said.next().as_deref(), Some(name));
    }

    /// Has it count upwards until it is killed.
    fn count(&mut self) {
        writeln!(self.words, "count").unwrap();
        assert_eq!(self.said.next().as_deref(), Some("counting"));
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// What a writer does. In the test program itself there is nothing to do.
#[test]
fn writer() {
    let Some(sandbox) = env::var_os(WRITER) else { return };
    let (_project, entries) = open(Path::new(&sandbox));
    let say = |words: &str| {
        println!("said {words}");
        std::io::stdout().flush().unwrap();
    };
    for line in std::io::stdin().lines().map_while(Result::ok) {
        if line == "count" {
            for count in 0_u32.. {
                entries.put("count", count.to_be_bytes()).unwrap();
                entries.put("count-in-blob", count.to_be_bytes().repeat(20_000)).unwrap();
                if count == 0 {
                    say("counting");
                }
            }
        }
        let [name, len, seed] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        entries.put(name, noise(len.parse().unwrap(), seed.parse().unwrap())).unwrap();
        say(name);
    }
}

/// Opens the project of a sandbox by the library.
fn open(sandbox: &Path) -> (Project, Namespace) {
    let identity = sandbox.join("home/.local/share/bulla/identity");
    let settings = Settings::builder().folder(sandbox.join("work")).environment(false).identity(identity);
    let project = Project::open(settings.load().unwrap()).unwrap();
    let entries = project.store("default").unwrap();
    (project, entries)
}

/// Makes a project with some of everything, and returns it as it is to be found.
fn project(folder: &Path, backend: &str) -> Sandbox {
    let sandbox = Sandbox::empty_in(folder);
    sandbox.run(["init", "--backend", backend]).succeeds();
    sandbox.feed(SMALL, ["put", "small"]).succeeds();
    sandbox.feed(&noise(LARGE, 1), ["put", "large"]).succeeds();
    sandbox.feed(b"replaced", ["put", "middle"]).succeeds();
    sandbox.feed(&noise(20_000, 2), ["put", "middle"]).succeeds();
    sandbox.run(["key", "rotate", "store/default"]).succeeds();
    sandbox.feed(b"brief", ["put", "brief", "--ttl", "1s"]).succeeds();
    if backend.starts_with("sqlite") {
        // Reading is noted there.
        sandbox
            .run([
                "namespace",
                "set",
                "--namespace",
                "cache",
                "--max-entries",
                "10",
                "--eviction",
                "least-recently-used",
            ])
            .succeeds();
    }
    sandbox.feed(b"cached", ["put", "c", "--namespace", "cache"]).succeeds();
    sandbox.run(["memo", "computed", "--", "echo", "once"]).succeeds();
    Run::of(Command::new("sleep").arg("1"));
    sandbox.write("file", noise(100_000, 3));
    sandbox.run(["seal", "file", "-o", "sealed"]).succeeds();
    // What a writer of a blob that was killed has left.
    fs::write(sandbox.path(".bulla/blobs/tmp/left.1-0"), b"half").unwrap();
    sandbox
}

/// Reads all there is, in every way.
fn all_is_read(sandbox: &Sandbox) {
    let get = |name, namespace| run(sandbox, ["get", name, "--namespace", namespace]).succeeds().stdout;
    assert_eq!(get("small", "default"), SMALL);
    assert!(get("large", "default") == noise(LARGE, 1));
    assert!(get("middle", "default") == noise(20_000, 2));
    for _ in 0..2 {
        assert_eq!(get("c", "cache"), b"cached");
    }
    run(sandbox, ["get", "brief"]).fails_late(3, "there is no entry");
    assert_eq!(run(sandbox, ["memo", "computed", "--", "echo", "again"]).succeeds().stdout, b"once\n");
    assert_eq!(run(sandbox, ["open", "sealed", "-o", "-"]).succeeds().stdout, noise(100_000, 3));
    let names = run(sandbox, ["ls"]).succeeds();
    assert!(["small", "large", "middle"].iter().all(|name| names.text().contains(name)), "{names:?}");

    let checked = run(sandbox, ["check", "--json"]).succeeds().json().pop().unwrap();
    assert_eq!((&checked["damaged"], &checked["orphan_blobs"]), (&0.into(), &0.into()));
    run(sandbox, ["check", "--resume", "--quarantine"]).succeeds();
    assert!(!run(sandbox, ["status"]).succeeds().text().contains("not remembered"), "nothing is newer than the pin");
    run(sandbox, ["verify"]).succeeds();
    for command in ["list", "stats", "tags"] {
        run(sandbox, [command]).succeeds();
    }
    for [command, part] in
        [["key", "ls"], ["namespace", "ls"], ["namespace", "show"], ["quarantine", "ls"], ["config", "show"]]
    {
        run(sandbox, [command, part]).succeeds();
    }

    // What is read goes elsewhere.
    let elsewhere = tempfile::tempdir().unwrap();
    let to = |name: &str| elsewhere.path().join(name).to_str().unwrap().to_owned();
    run(sandbox, ["get", "large", "-o", &to("large")]).succeeds();
    assert!(fs::read(to("large")).unwrap() == noise(LARGE, 1));
    run(sandbox, ["export", &to("archive")]).succeeds();
    run(sandbox, ["seal", "file", "-o", &to("sealed")]).succeeds();
    run(sandbox, ["backup", &to("backup")]).succeeds();
    let copy = format!("sqlite:{}", to("copy"));
    run(sandbox, ["restore", &to("backup"), "--backend", &copy]).succeeds();
    assert!(run(sandbox, ["get", "large", "--backend", &copy]).succeeds().stdout == noise(LARGE, 1));
}

/// Everything that writes says why it cannot, at once.
fn nothing_is_written(sandbox: &Sandbox) {
    let refused = |arguments: &[&str]| {
        let clock = Instant::now();
        let run = sandbox.feed(&noise(LARGE, 9), arguments);
        assert!(clock.elapsed() < LONGEST, "{arguments:?}: {run:?}");
        let said = run.stderr.to_lowercase();
        assert!(run.code == Some(6) && run.stdout.is_empty(), "{arguments:?}: {run:?}");
        assert!(
            said.contains("read-only") && said.contains("hint: ") && said.contains("mount"),
            "{arguments:?}: {run:?}"
        );
    };
    refused(&["put", "large"]);
    refused(&["put", "new", "file"]);
    refused(&["put", "new", "bulla.toml"]);
    refused(&["rm", "small"]);
    refused(&["expire", "small", "--ttl", "1h"]);
    refused(&["incr", "counter"]);
    refused(&["memo", "missing", "--", "sh", "-c", "echo computed >&2"]);
    refused(&["clear", "--all", "--yes"]);
    refused(&["content", "put", "file"]);
    refused(&["namespace", "set", "--namespace", "other", "--max-entries", "3"]);
    refused(&["gc"]);
    refused(&["compact"]);
    refused(&["reseal", "--deep"]);
    refused(&["evict", "--namespace", "cache", "--to-entries", "0"]);
    refused(&["key", "new", "other"]);
    refused(&["key", "rotate", "default"]);
    refused(&["rotate"]);
    refused(&["get", "large", "-o", "copy"]);
    refused(&["export", "archive"]);
    refused(&["backup", "project.backup"]);
    let left = run(sandbox, ["ls", "--json"]).succeeds().json().len();
    assert_eq!(left, 4);
}

/// Takes away what SQLite keeps in memory that processes share: as a copy of the files does that leaves it out.
fn remove(sandbox: &Sandbox, suffixes: &[&str]) {
    for name in ["trust.db", "entries.db"] {
        for suffix in suffixes {
            fs::remove_file(sandbox.path(format!(".bulla/{name}{suffix}"))).unwrap();
        }
    }
}

fn log_len(sandbox: &Sandbox) -> u64 {
    fs::metadata(sandbox.path(".bulla/entries.db-wal")).unwrap().len()
}

#[test]
fn a_project_on_a_read_only_disk_is_read_and_not_written() {
    on_own_disk("disks::a_project_on_a_read_only_disk_is_read_and_not_written", "size=64m", |disk| {
        let sandbox = project(disk, "sqlite:.bulla");
        assert_eq!(log_len(&sandbox), 0);
        for missing in [&[][..], &["-shm"], &["-wal"], &["-turn", "-lock"]] {
            remount("remount,rw", disk);
            remove(&sandbox, missing);
            remount("remount,ro", disk);
            all_is_read(&sandbox);
            nothing_is_written(&sandbox);
        }
        remount("remount,rw", disk);
        sandbox.feed(b"anew", ["put", "small"]).succeeds();
        sandbox.run(["check"]).succeeds();
    });
}

#[test]
fn a_project_in_json_files_on_a_read_only_disk_is_read_and_not_written() {
    on_own_disk("disks::a_project_in_json_files_on_a_read_only_disk_is_read_and_not_written", "size=64m", |disk| {
        let sandbox = project(disk, "json:.bulla");
        remount("remount,ro", disk);
        all_is_read(&sandbox);
        let refused = sandbox.feed(SMALL, ["put", "new"]).fails(6, "ead-only");
        assert!(refused.stderr.contains("mount"), "{refused:?}");
    });
}

#[test]
fn what_is_damaged_on_a_read_only_disk_is_reported_and_stays() {
    on_own_disk("disks::what_is_damaged_on_a_read_only_disk_is_reported_and_stays", "size=64m", |disk| {
        let sandbox = Sandbox::empty_in(disk);
        sandbox.run(["init"]).succeeds();
        sandbox.feed(&noise(LARGE, 1), ["put", "large"]).succeeds();
        sandbox.feed(SMALL, ["put", "small"]).succeeds();
        for folder in fs::read_dir(sandbox.path(".bulla/blobs")).unwrap() {
            for blob in fs::read_dir(folder.unwrap().path()).unwrap() {
                OpenOptions::new().append(true).open(blob.unwrap().path()).unwrap().write_all(b"more").unwrap();
            }
        }
        remount("remount,ro", disk);
        for _ in 0..2 {
            run(&sandbox, ["get", "large", "--json"]).refuses(4, "damaged");
            let checked = run(&sandbox, ["check", "--quarantine", "--json"]);
            let counts = checked.json().pop().unwrap();
            assert_eq!((checked.code, &counts["damaged"], &counts["moved"]), (Some(7), &1.into(), &0.into()));
        }
        sandbox.run(["quarantine", "add", "large"]).fails(6, "ead-only");
        assert!(run(&sandbox, ["quarantine", "ls"]).succeeds().stdout.is_empty());
        assert_eq!(run(&sandbox, ["get", "small"]).succeeds().stdout, SMALL);
    });
}

#[test]
fn a_pin_that_cannot_be_written_is_held_against_the_log_all_the_same() {
    on_own_disk("disks::a_pin_that_cannot_be_written_is_held_against_the_log_all_the_same", "size=64m", |disk| {
        let sandbox = Sandbox::empty_in(disk);
        sandbox.run(["init"]).succeeds();
        sandbox.feed(SMALL, ["put", "small"]).succeeds();
        let copied = Run::of(Command::new("cp").arg("-a").args([".bulla", "older"]).current_dir(sandbox.work()));
        assert_eq!(copied.code, Some(0), "{copied:?}");
        sandbox.run(["rotate"]).succeeds();
        // The same machine, with a pin elsewhere: the one that is read below falls behind.
        let elsewhere = sandbox.path("identity");
        fs::copy(sandbox.home().join(".local/share/bulla/identity"), &elsewhere).unwrap();
        sandbox.run(["rotate", "--identity", elsewhere.to_str().unwrap()]).succeeds();
        remount("remount,ro", disk);
        assert!(run(&sandbox, ["status"]).succeeds().text().contains("not remembered"));
        assert_eq!(run(&sandbox, ["get", "small"]).succeeds().stdout, SMALL);
        run(&sandbox, ["get", "small", "--backend", "sqlite:older", "--json"]).refuses(4, "rollback");
    });
}

#[test]
fn what_a_killed_writer_left_in_the_log_is_read_on_a_read_only_disk() {
    on_own_disk("disks::what_a_killed_writer_left_in_the_log_is_read_on_a_read_only_disk", "size=64m", |disk| {
        let sandbox = project(disk, "sqlite:.bulla");
        let mut writer = Writer::start(disk);
        writer.put("small", 100, 11);
        writer.put("late", 1_000, 12);
        writer.put("late-in-blob", LARGE, 13);
        writer.kill();
        let is_read = || {
            assert!(log_len(&sandbox) > 0);
            remount("remount,ro", disk);
            for (name, len, seed) in
                [("small", 100, 11), ("late", 1_000, 12), ("late-in-blob", LARGE, 13), ("large", LARGE, 1)]
            {
                assert!(run(&sandbox, ["get", name]).succeeds().stdout == noise(len, seed), "{name}");
            }
            run(&sandbox, ["check"]).succeeds();
            sandbox.feed(SMALL, ["put", "small"]).fails(6, "ead-only");
        };
        is_read();
        remount("remount,rw", disk);
        remove(&sandbox, &["-shm"]);
        is_read();
    });
}

#[test]
fn a_reader_on_a_read_only_mount_sees_what_is_written_through_another() {
    on_own_disk("disks::a_reader_on_a_read_only_mount_sees_what_is_written_through_another", "size=256m", |disk| {
        let (writable, read_only) = (disk.join("writable"), disk.join("read-only"));
        for folder in [&writable, &read_only] {
            fs::create_dir(folder).unwrap();
        }
        let sandbox = project(&writable, "sqlite:.bulla");
        mount(&[OsStr::new("--bind"), writable.as_os_str()], &read_only);
        remount("remount,ro,bind", &read_only);
        let reader = Sandbox::found_in(&read_only);
        let refused = OpenOptions::new().append(true).open(reader.path("bulla.toml")).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);

        // As if there had never been a writer: this one makes the index of the log while a reader does without.
        remove(&sandbox, &["-shm", "-wal"]);
        let (_project, entries) = open(&read_only);
        assert_eq!(entries.get("small").unwrap().unwrap(), SMALL);
        let mut seed = 100;
        for _ in 0..3 {
            let mut writer = Writer::start(&writable);
            for _ in 0..5 {
                for (name, len) in [("small", 100), ("large", LARGE)] {
                    seed += 1;
                    writer.put(name, len, seed);
                    assert!(entries.get(name).unwrap().unwrap() == noise(len, seed), "{name}");
                    assert!(run(&reader, ["get", name]).succeeds().stdout == noise(len, seed), "{name}");
                }
            }
            run(&reader, ["check"]).succeeds();

            // As a writer leaves the index of the log that is killed while it changes it; this one mends it when it writes.
            let index = OpenOptions::new().write(true).open(sandbox.path(".bulla/entries.db-shm")).unwrap();
            index.write_all_at(&[0xA5; 48], 0).unwrap();
            for _ in 0..2 {
                assert!(entries.get("large").unwrap().unwrap() == noise(LARGE, seed));
                assert!(run(&reader, ["get", "large"]).succeeds().stdout == noise(LARGE, seed));
            }
            seed += 1;
            writer.put("large", LARGE, seed);
            assert!(entries.get("large").unwrap().unwrap() == noise(LARGE, seed));
            assert!(entries.put("small", SMALL).unwrap_err().to_string().contains("read-only"));
            writer.kill();
            assert!(entries.get("large").unwrap().unwrap() == noise(LARGE, seed));
            run(&reader, ["check"]).succeeds();
        }

        // Through checkpoints, logs begun anew, and kills.
        let mut counts = 0;
        for _ in 0..3 {
            let mut writer = Writer::start(&writable);
            writer.count();
            let (mut least, clock) = (0, Instant::now());
            while clock.elapsed() < Duration::from_secs(2) {
                let count = u32::from_be_bytes(entries.get("count").unwrap().unwrap().try_into().unwrap());
                assert!(count >= least, "{count} after {least}");
                (least, counts) = (count, counts + u32::from(count > least));
                let in_blob = entries.get("count-in-blob").unwrap().unwrap();
                assert_eq!(in_blob.len(), 80_000);
                assert!(in_blob[..4].to_vec() >= count.saturating_sub(1).to_be_bytes().to_vec());
            }
            writer.kill();
            remove(&sandbox, &["-shm"]);
        }
        println!("{counts} values seen anew");
        assert!(counts > 10);
        sandbox.run(["check"]).succeeds();
    });
}

#[test]
fn a_full_disk_loses_nothing_and_takes_writes_again_once_there_is_room() {
    on_own_disk("disks::a_full_disk_loses_nothing_and_takes_writes_again_once_there_is_room", "size=3m", |disk| {
        let sandbox = Sandbox::empty_in(disk);
        sandbox.run(["init"]).succeeds();
        fs::write(disk.join("ballast"), noise(200_000, 99)).unwrap();
        let mut put = Vec::new();
        let refused = loop {
            let (name, len) = (format!("entry-{}", put.len()), if put.len() % 2 == 0 { 30_000 } else { 100_000 });
            let value = noise(len, put.len() as u64);
            let run = sandbox.feed(&value, ["put", &name]);
            if run.code != Some(0) {
                break run;
            }
            put.push((name, value));
        };
        assert!(put.len() > 4, "{refused:?}");
        refused.fails(6, "make room on the disk");
        for small in [false, true, true, true] {
            // Whatever still finds room is an entry like all others.
            let (name, value) = (format!("after-{}", put.len()), noise(if small { 1_000 } else { 500_000 }, 7));
            let run = sandbox.feed(&value, ["put", &name, "--json"]);
            if run.code == Some(0) {
                put.push((name, value));
            } else {
                let code = run.json_error()["code"].as_str().unwrap_or_default().to_owned();
                assert!(run.code == Some(6) && ["backend_full", "audit_storage"].contains(&&*code), "{run:?}");
            }
        }
        let all_is_there = |put: &[(String, Vec<u8>)]| {
            for (name, value) in put {
                assert!(run(&sandbox, ["get", name]).succeeds().stdout == *value, "{name}");
            }
            run(&sandbox, ["check"]).succeeds();
        };
        all_is_there(&put);

        // A deletion needs room too: it is on record before it is done.
        let (gone, _) = put.swap_remove(1);
        let refused = sandbox.run(["rm", &gone]);
        println!("{} values; removing one of them: {refused:?}", put.len());
        fs::remove_file(disk.join("ballast")).unwrap();
        sandbox.run(["rm", &gone]).succeeds();
        sandbox.run(["gc", "--min-age", "0s"]).succeeds();
        sandbox.feed(b"there is room", ["put", "anew"]).succeeds();
        put.push(("anew".to_owned(), b"there is room".to_vec()));
        all_is_there(&put);
    });
}
