//! `revoke --rotate` is killed at any moment, and another machine completes it.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::Value;

use crate::fleet::{Fleet, authorize, enroll, members, verified_epoch};
use crate::sandbox::{Run, Sandbox, noise, number};

const KEYS: u64 = 12;

const LEASES: &str = "collection = (SELECT id FROM collection WHERE name = 'leases')";

#[test]
fn a_rotation_that_was_killed_is_completed_elsewhere() {
    let rounds = number("BULLA_TEST_ROUNDS", 8);
    let fleet = Fleet::on("sqlite");
    let office = &fleet.founder;
    for key in 0..KEYS {
        office.run(["key", "new", &format!("key-{key}")]).succeeds();
    }
    office.feed(b"before", ["put", "report"]).succeeds();
    let laptop = fleet.machine("laptop", true);
    let leaver = Sandbox::empty();
    fleet.join(&leaver);
    let request = enroll(&leaver, "leaver");
    let usual = {
        authorize(office, &request, false).succeeds();
        let clock = Instant::now();
        office.run(["revoke", "leaver", "--rotate", "--yes"]).succeeds();
        clock.elapsed()
    };
    let mut epoch = verified_epoch(office);
    assert_eq!(epoch, 2);

    let mut killed_in = Vec::new();
    for round in 0..rounds {
        authorize(&laptop, &request, false).succeeds();
        let name = format!("sealed-{round}");
        seal(&leaver, &name, round);
        // Spread over a little more than a whole run, in an order that does not repeat.
        let delay = usual * u32::try_from((round * 37 + 11) % 110).unwrap() / 100;
        kill_after(office, &["revoke", "leaver", "--rotate", "--yes"], delay);

        let phase = phase_of(&laptop);
        killed_in.push(phase.clone());
        let is_in = members(&laptop).iter().any(|(name, _)| name == "leaver");
        // Everything opens meanwhile, wherever it was stopped.
        assert!(open(&laptop, &leaver, &name) == noise(5_000, round), "round {round}, {phase}");
        assert_eq!(laptop.run(["get", "report"]).succeeds().stdout, b"before");
        if is_in {
            laptop.run(["revoke", "leaver", "--rotate", "--yes"]).succeeds();
        } else if phase != "done" {
            end_lease(&fleet);
            laptop.run(["rotate", "--resume"]).succeeds();
        }
        assert_eq!(phase_of(&laptop), "done");
        epoch += 1;
        for machine in [office, &laptop] {
            assert_eq!(verified_epoch(machine), epoch, "round {round}, {phase}");
        }
        for earlier in 0..=round {
            assert!(open(office, &leaver, &format!("sealed-{earlier}")) == noise(5_000, earlier));
        }
        leaver.run(["get", "report"]).fails(4, "was put out");
    }
    eprintln!("{rounds} rounds, killed in: {}", killed_in.join(", "));
}

#[test]
fn status_tells_of_a_rotation_and_of_who_does_it() {
    let fleet = Fleet::on("sqlite");
    let office = &fleet.founder;
    let status = |machine: &Sandbox| machine.run(["status", "--json"]).succeeds().json().remove(0);
    let before = status(office);
    assert_eq!(
        (&before["epoch"], &before["rotation"], &before["machines"]["in"]),
        (&1.into(), &Value::Null, &1.into())
    );
    let run = office.run(["rotate", "--json"]).succeeds().json().remove(0);
    assert_eq!(
        (&run["epoch"], &run["keys"], &run["versions"], &run["damaged"]),
        (&2.into(), &2.into(), &2.into(), &0.into())
    );
    let after = status(office);
    assert_eq!((&after["rotation"]["phase"], &after["rotation"]["done"]), (&"done".into(), &true.into()));
    assert!(!office.run(["status"]).succeeds().text().contains("rotation"));

    // Another one holds the lease: nobody else begins, and they are told who.
    hold_lease(&fleet);
    let run = office.run(["rotate"]).fails(5, "is under way already, by machine");
    assert!(run.stderr.contains("hint: `bulla status` shows how far it is"), "{run:?}");
    end_lease(&fleet);
    office.run(["rotate"]).succeeds();
    assert_eq!(verified_epoch(office), 3);
}

#[test]
fn a_damaged_row_holds_up_no_rotation() {
    let fleet = Fleet::on("sqlite");
    let office = &fleet.founder;
    for key in ["bills", "orders"] {
        office.run(["key", "new", key]).succeeds();
    }
    spoil(&fleet, "keys", "bills");
    let run = office.run(["rotate"]);
    assert_eq!(run.code, Some(7), "{run:?}");
    assert!(run.text().contains("key `bills` is corrupt"), "{run:?}");
    assert!(run.stderr.contains("rotated to epoch 2: 3 keys renewed"), "{run:?}");
    let verified = office.run(["verify", "--json"]);
    assert_eq!((verified.code, &verified.json()[1]["of_older_epochs"]), (Some(7), &0.into()), "{verified:?}");
}

#[test]
fn rotate_and_reseal_cover_the_whole_store() {
    let fleet = Fleet::on("sqlite");
    let office = &fleet.founder;
    for (namespace, entries) in [("default", 3), ("features", 2)] {
        for entry in 0..entries {
            office.feed(b"x", ["put", &format!("entry-{entry}"), "--namespace", namespace]).succeeds();
        }
    }
    let records = office.run(["rotate", "--reseal", "--json"]).succeeds().json();
    let counts = |namespace: &str| {
        let record = records.iter().find(|record| record["namespace"] == namespace).unwrap();
        (record["resealed"].as_u64(), record["current"].as_u64(), record["failed"].as_u64())
    };
    assert_eq!(counts("default"), (Some(3), Some(0), Some(0)));
    assert_eq!(counts("features"), (Some(2), Some(0), Some(0)));
    office.run(["check"]).succeeds();
    office.run(["revoke", "x", "--reseal"]).fails(2, "--rotate");
}

fn seal(machine: &Sandbox, name: &str, seed: u64) {
    machine.write("plain", noise(5_000, seed));
    machine.run(["seal", "plain", "-o", name]).succeeds();
}

fn open(machine: &Sandbox, sealed_on: &Sandbox, name: &str) -> Vec<u8> {
    machine.feed(&fs::read(sealed_on.path(name)).unwrap(), ["open"]).succeeds().stdout
}

/// Returns which phase of a rotation is under way, if one is.
fn phase_of(machine: &Sandbox) -> String {
    let status = machine.run(["status", "--json"]).succeeds().json().remove(0);
    status["rotation"]["phase"].as_str().unwrap_or("none").to_owned()
}

fn kill_after(machine: &Sandbox, arguments: &[&str], delay: Duration) {
    let mut command = machine.command(arguments);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let run = std::thread::scope(|scope| {
        let waiter = scope.spawn(move || Run::end_of(child));
        let until = Instant::now() + delay;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if waiter.is_finished() {
                break;
            }
            std::thread::park_timeout(left.min(Duration::from_millis(5)));
        }
        if !waiter.is_finished() {
            // It may just have ended; its number is still this child's until the thread is joined, or nobody's.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        waiter.join().unwrap()
    });
    assert!(matches!(run.code, None | Some(0)), "neither done nor killed: {run:?}");
}

fn trust(fleet: &Fleet) -> Connection {
    Connection::open(fleet.founder.path(".bulla/trust.db")).unwrap()
}

/// Ends the lease of one who died, for which others would otherwise wait 15 seconds.
fn end_lease(fleet: &Fleet) {
    trust(fleet).execute(&format!("DELETE FROM document WHERE {LEASES}"), []).unwrap();
}

/// Puts a lease back as it was taken last, as far in the future as a holder may.
fn hold_lease(fleet: &Fleet) {
    let select = format!("SELECT value FROM document WHERE {LEASES}");
    let mut row: Vec<u8> = trust(fleet).query_row(&select, [], |row| row.get(0)).unwrap();
    fleet.founder.write("now", b"");
    let now = fs::metadata(fleet.founder.path("now")).unwrap().modified().unwrap();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    // The last item is the end, 0 once it was given back.
    assert_eq!(row.pop(), Some(0));
    row.push(0x1b);
    row.extend_from_slice(&(u64::try_from(now.as_millis()).unwrap() + 30_000).to_be_bytes());
    trust(fleet).execute(&format!("UPDATE document SET value = ?1 WHERE {LEASES}"), [row]).unwrap();
}

/// Flips the last bit of a document.
fn spoil(fleet: &Fleet, collection: &str, key: &str) {
    let place = "collection = (SELECT id FROM collection WHERE name = ?1) AND key = ?2";
    let named = rusqlite::params![collection, key.as_bytes()];
    let select = format!("SELECT value FROM document WHERE {place}");
    let mut row: Vec<u8> = trust(fleet).query_row(&select, named, |row| row.get(0)).unwrap();
    *row.last_mut().unwrap() ^= 1;
    let update = format!("UPDATE document SET value = ?3 WHERE {place}");
    trust(fleet).execute(&update, rusqlite::params![collection, key.as_bytes(), row]).unwrap();
}
