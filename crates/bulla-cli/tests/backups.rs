//! Backup and restore of a project, also with a kill in the middle.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use crate::fleet::{Fleet, members};
use crate::killed::run_or_kill;
use crate::sandbox::{Sandbox, noise, number};

/// Takes the database away, as a lost disk does; what the machine itself holds stays.
fn lose_database(sandbox: &Sandbox) {
    fs::remove_dir_all(sandbox.path(".bulla")).unwrap();
}

#[test]
fn a_lost_database_comes_back() {
    for scheme in ["sqlite", "json"] {
        let fleet = Fleet::on(scheme);
        let office = &fleet.founder;
        office.write("report", "twelve pages");
        office.run(["key", "new", "reports"]).succeeds();
        office.run(["seal", "report", "--key", "reports"]).succeeds();
        office.run(["key", "rotate", "reports"]).succeeds();
        let backed_up = office.run(["backup", "project.backup", "--json"]).succeeds().json().remove(0);
        assert_eq!(
            (backed_up["machines"].as_array().unwrap().len(), &backed_up["project"]),
            (1, &fleet.project().into())
        );
        assert_eq!(fs::metadata(office.path("project.backup")).unwrap().mode() & 0o777, 0o600);

        let checked = office.run(["restore", "project.backup", "--check", "--json"]).succeeds().json().remove(0);
        assert_eq!((&checked["backup"], &checked["damaged"]), (&backed_up["backup"], &serde_json::json!([])));
        office.run(["restore", "project.backup"]).fails(5, "already initialized");
        lose_database(office);
        office.run(["restore", "project.backup", "--check"]).succeeds();
        assert!(!office.path(".bulla").exists());
        let run = office.run(["restore", "project.backup"]).succeeds();
        assert!(run.stderr.contains(backed_up["backup"].as_str().unwrap()), "{run:?}");
        office.run(["open", "report.bulla", "--key", "reports", "-o", "again"]).succeeds();
        assert_eq!(office.read("again"), b"twelve pages");
        office.run(["key", "rotate", "reports"]).succeeds();
        office.run(["check"]).succeeds();
        let status = office.run(["status", "--json"]).succeeds().json().remove(0);
        assert_eq!((&status["keys"], &status["trust_log"]["length"]), (&2.into(), &backed_up["trust_log"]["length"]));
    }
}

/// Puts entries of several sorts; returns their names and values.
fn put_entries(sandbox: &Sandbox) -> Vec<(String, Vec<u8>)> {
    let lens = [0, 5, 70_000, 300_000];
    let entries: Vec<_> =
        lens.iter().enumerate().map(|(at, len)| (format!("entry/{at}"), noise(*len, at as u64))).collect();
    for (name, value) in &entries {
        sandbox.feed(value, ["put", name]).succeeds();
    }
    entries
}

fn hold_entries(sandbox: &Sandbox, entries: &[(String, Vec<u8>)]) {
    for (name, value) in entries {
        assert!(sandbox.run(["get", name]).succeeds().stdout == *value, "{name}");
    }
}

#[test]
fn entries_come_back_with_the_project_or_without_it() {
    for scheme in ["sqlite", "json"] {
        let fleet = Fleet::on(scheme);
        let office = &fleet.founder;
        let entries = put_entries(office);
        let made = office.run(["backup", "project.backup", "--json"]).succeeds().json().remove(0);
        assert_eq!((&made["entries"], &made["blobs"], &made["refused"]), (&4.into(), &2.into(), &0.into()));
        office.run(["backup", "keys.backup", "--without-entries"]).succeeds();
        assert!(office.read("keys.backup").starts_with(b"BLB\x01"), "as ever");

        lose_database(office);
        let run = office.run(["restore", "project.backup", "--json"]).succeeds().json().remove(0);
        assert_eq!((&run["entries"]["restored"], &run["resumed"]), (&4.into(), &false.into()));
        hold_entries(office, &entries);
        office.run(["check"]).succeeds();

        // The store alone was lost, or a part of it.
        let run = office.run(["restore", "project.backup", "--json"]);
        assert_eq!((run.code, run.json_error()["code"].as_str()), (Some(5), Some("already_exists")));
        office.run(["rm", "entry/3"]).succeeds();
        office.feed(b"newer", ["put", "entry/1"]).succeeds();
        let run = office.run(["restore", "project.backup", "--entries-only", "--json"]).succeeds().json().remove(0);
        let counts = &run["entries"];
        assert_eq!((&counts["restored"], &counts["equal"], &counts["kept"]), (&1.into(), &2.into(), &1.into()));
        assert_eq!(office.run(["get", "entry/1"]).succeeds().stdout, b"newer");
        office.run(["restore", "project.backup", "--entries-only", "--overwrite"]).succeeds();
        hold_entries(office, &entries);
        office.run(["restore", "keys.backup", "--entries-only"]).fails(3, "has no entries");

        // A backup without entries brings the keys back, and what lies in the store opens again.
        let trust = if scheme == "sqlite" { "trust.db" } else { "trust.json" };
        for name in fs::read_dir(office.path(".bulla")).unwrap() {
            let path = name.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with(trust) {
                fs::remove_file(path).unwrap();
            }
        }
        office.run(["restore", "keys.backup"]).succeeds();
        hold_entries(office, &entries);
    }
}

#[test]
fn a_backup_is_whole_or_not_there() {
    let sandbox = Sandbox::with_project();
    sandbox.write("project.backup", "something else");
    let run = sandbox.run(["backup", "project.backup", "--json"]);
    assert_eq!((run.code, run.json_error()["code"].as_str()), (Some(5), Some("file_exists")));
    assert_eq!(sandbox.read("project.backup"), b"something else");
    sandbox.run(["backup", "project.backup", "--force"]).succeeds();
    assert!(sandbox.read("project.backup").starts_with(b"BLB\x02"));
    sandbox.run(["backup", "nowhere/project.backup"]).fails(3, "nowhere/project.backup");
    assert_eq!(sandbox.names(), [".bulla", "bulla.toml", "project.backup"], "nothing else is left behind");
}

#[test]
fn what_is_no_good_backup_is_refused_and_nothing_is_made() {
    let (sandbox, other) = (Sandbox::with_project(), Sandbox::with_project());
    sandbox.run(["backup", "good"]).succeeds();
    other.run(["backup", "theirs"]).succeeds();
    let good = sandbox.read("good");
    sandbox.write("cut", &good[..good.len() - 1]);
    sandbox.write("theirs", other.read("theirs"));
    sandbox.write("noise", "no backup");
    lose_database(&sandbox);
    let codes = [
        ("cut", 4, "damaged_backup"),
        ("theirs", 4, "other_project"),
        ("noise", 4, "not_a_backup"),
        ("none", 3, "file_not_found"),
    ];
    for (file, code, name) in codes {
        let run = sandbox.run(["restore", file, "--json"]);
        assert_eq!((run.code, run.json_error()["code"].as_str()), (Some(code), Some(name)), "{file}");
        assert!(!sandbox.path(".bulla").exists(), "{file}");
    }
    // Settings that name no project do not take the backup's word for it.
    let newcomer = Sandbox::empty();
    newcomer.write("good", &good);
    let run = newcomer.run(["restore", "good"]).fails(3, "the settings name no project");
    assert!(run.stderr.contains("hint: the backup says that it is of project "), "{run:?}");
    assert_eq!(newcomer.names(), ["good"]);
    // A machine that was never let in.
    let settings = String::from_utf8(sandbox.read("bulla.toml")).unwrap();
    other.write("bulla.toml", settings);
    other.write("good", &good);
    lose_database(&other);
    let run = other.run(["restore", "good"]).fails(4, "is not sealed to machine");
    assert!(run.stderr.contains("hint: `--recovery` opens it"), "{run:?}");
}

#[test]
fn machines_that_have_seen_more_wait_for_an_authoriser() {
    let fleet = Fleet::on("sqlite");
    let office = &fleet.founder;
    let laptop = fleet.machine("laptop", true);
    office.run(["backup", "older"]).succeeds();
    let server = fleet.machine("server", false);
    office.run(["key", "new", "late"]).succeeds();
    office.write("report", "twelve pages");
    office.run(["seal", "report", "--key", "late"]).succeeds();
    laptop.run(["status"]).succeeds();
    office.run(["backup", "longer"]).succeeds();

    lose_database(office);
    let run = office.run(["restore", "older", "--json"]).succeeds().json().remove(0);
    assert_eq!(run["refused_by_this_machine"], true);
    for machine in [office, &laptop] {
        let run = machine.run(["status", "--json"]);
        assert_eq!((run.code, run.json_error()["code"].as_str()), (Some(4), Some("rollback")));
    }
    office.run(["accept-rollback", "--yes"]).succeeds();
    for machine in [office, &laptop] {
        assert_eq!(members(machine).len(), 2);
    }
    // What was done since is undone: the server is not in, and the key is not there.
    assert_eq!(server.run(["status"]).code, Some(4));
    assert_ne!(office.run(["open", "report.bulla", "--key", "late", "-o", "-"]).code, Some(0));

    // In one step.
    fleet.machine("server-2", false);
    lose_database(office);
    let run = office.run(["restore", "older", "--accept-rollback", "--json"]).succeeds().json().remove(0);
    assert_eq!(run["refused_by_this_machine"], false);
    assert_eq!(members(&laptop).len(), 2);

    // What was void stays so, however long its log was.
    lose_database(office);
    let run = office.run(["restore", "longer", "--json"]).succeeds().json().remove(0);
    assert_eq!(run["refused_by_this_machine"], true);
}

#[test]
fn the_recovery_words_alone_restore() {
    let fleet = Fleet::on("sqlite");
    let office = &fleet.founder;
    let words = office.run(["recovery", "new"]).succeeds().stdout;
    office.write("report", "twelve pages");
    office.run(["seal", "report"]).succeeds();
    office.run(["backup", "project.backup"]).succeeds();

    // The building burnt down. What is left: the words, the project id, and the backup.
    let newcomer = Sandbox::empty();
    for file in ["project.backup", "report.bulla"] {
        newcomer.write(file, office.read(file));
    }
    newcomer.run(["config", "init", "--project", &fleet.project(), "--backend", "sqlite:.bulla"]).succeeds();
    newcomer.run(["restore", "project.backup"]).fails(3, "identity");
    newcomer.write("wrong", "abandon ".repeat(23) + "art");
    newcomer.run(["restore", "project.backup", "--recovery=wrong"]).fails(4, "is not sealed to machine");
    assert!(!newcomer.path(".bulla").exists());
    newcomer.feed(&words, ["restore", "project.backup", "--recovery", "--name", "phoenix"]).succeeds();
    newcomer.run(["open", "report.bulla", "-o", "report"]).succeeds();
    assert_eq!(newcomer.read("report"), b"twelve pages");
    assert!(members(&newcomer).contains(&("phoenix".to_owned(), Some(true))));
}

#[test]
fn a_restore_that_is_killed_is_completed_by_the_next() {
    let rounds = number("BULLA_TEST_ROUNDS", 10);
    let sandbox = Sandbox::with_project();
    let keys = make_keys(&sandbox, 150) + 1;
    let entries = put_entries(&sandbox);
    sandbox.write("report", "twelve pages");
    sandbox.run(["seal", "report", "--key", "many/7"]).succeeds();
    sandbox.run(["backup", "project.backup"]).succeeds();
    lose_database(&sandbox);
    let clock = Instant::now();
    sandbox.run(["restore", "project.backup"]).succeeds();
    let usual = clock.elapsed();

    let (mut killed, mut between) = (0, 0);
    for round in 1..=rounds {
        lose_database(&sandbox);
        for attempt in 1.. {
            // Spread over a little more than a whole run, in an order that does not repeat, and longer each time.
            let delay = usual * u32::try_from((round * 37 + attempt * 11) % 120).unwrap() / 100;
            if run_or_kill(
                &sandbox,
                &["restore", "project.backup"],
                delay + usual / 20 * u32::try_from(attempt).unwrap(),
            ) {
                break;
            }
            killed += 1;
            // Until the last document is there, there is no project; then there is all of it.
            let status = sandbox.run(["status"]);
            if status.code == Some(0) {
                break;
            }
            assert!(matches!(status.code, Some(3 | 6)), "{status:?}");
            between += u64::from(sandbox.path(".bulla/trust.db").exists());
        }
        let status = sandbox.run(["status", "--json"]).succeeds().json().remove(0);
        assert_eq!(status["keys"], keys);
        sandbox.run(["open", "report.bulla", "--key", "many/7", "-o", "again", "--force"]).succeeds();
        assert_eq!(sandbox.read("again"), b"twelve pages");
        hold_entries(&sandbox, &entries);
        sandbox.run(["restore", "project.backup"]).fails(5, "already initialized");
        sandbox.run(["check"]).succeeds();
    }
    eprintln!(
        "{rounds} rounds, {killed} restores killed, {between} of them with a database begun; a whole one took {usual:?}"
    );
    assert!(usual > Duration::ZERO);
}

/// Makes many keys in this process; returns how many there are then.
fn make_keys(sandbox: &Sandbox, count: u64) -> u64 {
    let settings = bulla::Settings::builder()
        .environment(false)
        .file(sandbox.path("bulla.toml"))
        .give(
            bulla::Setting::Identity,
            sandbox.home().join(".local/share/bulla/identity"),
            bulla::Origin::Flag("--identity"),
        )
        .load()
        .unwrap();
    let project = bulla::blocking::Project::open(settings).unwrap();
    for key in 0..count {
        project.create_key(&format!("many/{key}")).unwrap();
    }
    count + 1
}
