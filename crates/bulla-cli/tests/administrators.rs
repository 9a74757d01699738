//! Several administrators at once, on one backend: what each was told stands.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::fleet::{Fleet, authorize, enroll, enroll_as, members, verified_epoch};
use crate::sandbox::{Run, Sandbox, number};

const ADMINISTRATORS: usize = 8;

/// What all of them were told.
#[derive(Debug, Default)]
struct Told {
    /// By name, whether the machine is in.
    machines: Mutex<BTreeMap<String, bool>>,
    rotations: AtomicU64,
    /// How often another was at it, and the work was left to them.
    busy: AtomicU64,
    /// How often the work took longer than the lease on it, and another went on with it.
    lost: AtomicU64,
    operations: AtomicU64,
}

#[test]
fn administrators_at_once_lose_no_update() {
    administer_at_once(&Fleet::on("sqlite"));
}

#[cfg(feature = "postgres")]
#[test]
fn administrators_at_once_lose_no_update_on_postgres() {
    administer_at_once(&Fleet::on_postgres());
}

fn administer_at_once(fleet: &Fleet) {
    let operations = number("BULLA_TEST_OPERATIONS", 48);
    fleet.founder.feed(b"before", ["put", "report"]).succeeds();
    let administrators: Vec<_> = (1..ADMINISTRATORS).map(|it| fleet.machine(&format!("admin-{it}"), true)).collect();
    let told = Told::default();
    let clock = Instant::now();
    std::thread::scope(|scope| {
        for (number, administrator) in administrators.iter().chain([&fleet.founder]).enumerate() {
            let told = &told;
            scope.spawn(move || administrate(administrator, number, operations, told));
        }
    });
    let took = clock.elapsed();

    let expected: Vec<_> = told.machines.into_inner().unwrap().into_iter().collect();
    let listed = members(&fleet.founder);
    for (name, is_in) in &expected {
        assert_eq!(listed.iter().any(|(listed, _)| listed == name), *is_in, "{name}");
    }
    let stay = expected.iter().filter(|(_, is_in)| *is_in).count();
    assert_eq!(listed.len(), stay + ADMINISTRATORS);
    // Each rotation that was told of began an epoch, or completed one; who lost the lease may have begun one too.
    let (rotations, lost) = (told.rotations.into_inner(), told.lost.into_inner());
    let epoch = verified_epoch(&fleet.founder);
    assert!(
        (2..=1 + rotations + lost).contains(&epoch),
        "epoch {epoch} after {rotations} rotations, and {lost} that lost the lease"
    );
    for administrator in &administrators {
        assert_eq!((verified_epoch(administrator), members(administrator)), (epoch, listed.clone()));
        assert_eq!(administrator.run(["get", "report"]).succeeds().stdout, b"before");
    }
    eprintln!(
        "{} operations of {ADMINISTRATORS} administrators in {took:?}: {} machines let in, {} put out, {rotations} rotations, {lost} lost the lease, {} were left to others",
        told.operations.into_inner().min(operations),
        expected.len(),
        expected.len() - stay,
        told.busy.into_inner(),
    );
}

/// Lets machines in, puts every other one out again, and rotates, until enough was done by all.
fn administrate(machine: &Sandbox, number: usize, operations: u64, told: &Told) {
    let newcomer = Sandbox::empty();
    for round in 0.. {
        if told.operations.fetch_add(1, Ordering::Relaxed) >= operations {
            break;
        }
        if round % 4 == 3 {
            rotate(machine, told);
            continue;
        }
        let name = format!("machine-{number}-{round}");
        let request = enroll_as(&newcomer, &name);
        authorize(machine, &request, false).succeeds();
        told.machines.lock().unwrap().insert(name.clone(), true);
        if round % 2 == 1 {
            let by = if round % 4 == 1 { &name } else { &request.fingerprint };
            machine.run(["revoke", by, "--yes"]).succeeds();
            told.machines.lock().unwrap().insert(name, false);
        }
    }
}

fn rotate(machine: &Sandbox, told: &Told) {
    let run: Run = machine.run(["rotate", "--json"]);
    match run.code {
        Some(0) => told.rotations.fetch_add(1, Ordering::Relaxed),
        _ => {
            assert_eq!(run.code, Some(5), "{run:?}");
            match run.json_error()["code"].as_str() {
                Some("busy") => told.busy.fetch_add(1, Ordering::Relaxed),
                Some("lease_lost") => told.lost.fetch_add(1, Ordering::Relaxed),
                _ => panic!("{run:?}"),
            }
        }
    };
}

#[test]
fn rotations_of_one_key_and_authorisations_lose_no_update() {
    rotate_and_authorise_at_once(&Fleet::on("sqlite"));
}

#[cfg(feature = "postgres")]
#[test]
fn rotations_of_one_key_and_authorisations_lose_no_update_on_postgres() {
    rotate_and_authorise_at_once(&Fleet::on_postgres());
}

/// Half of the operations make a version of the same key, half let a machine in; each is a process, and eight run at once.
fn rotate_and_authorise_at_once(fleet: &Fleet) {
    let operations = number("BULLA_TEST_OPERATIONS", 48);
    fleet.founder.run(["key", "new", "shared"]).succeeds();
    fleet.founder.write("plain", b"before");
    fleet.founder.run(["seal", "plain", "-o", "sealed", "--key", "shared"]).succeeds();
    let administrators: Vec<_> = (1..ADMINISTRATORS).map(|it| fleet.machine(&format!("admin-{it}"), true)).collect();
    let (begun, versions, machines) = (AtomicU64::new(0), Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let clock = Instant::now();
    std::thread::scope(|scope| {
        for administrator in administrators.iter().chain([&fleet.founder]) {
            let (begun, versions, machines) = (&begun, &versions, &machines);
            scope.spawn(move || {
                let newcomer = Sandbox::empty();
                loop {
                    let operation = begun.fetch_add(1, Ordering::Relaxed);
                    if operation >= operations {
                        break;
                    }
                    if operation.is_multiple_of(2) {
                        let rotated = administrator.run(["key", "rotate", "shared", "--json"]).succeeds().json();
                        versions.lock().unwrap().push(rotated[0]["version"].as_u64().unwrap());
                    } else {
                        let name = format!("machine-{operation}");
                        authorize(administrator, &enroll_as(&newcomer, &name), false).succeeds();
                        machines.lock().unwrap().push((name, Some(false)));
                    }
                }
            });
        }
    });
    let took = clock.elapsed();

    // Each was told of a version of its own, and none is missing.
    let mut versions = versions.into_inner().unwrap();
    versions.sort_unstable();
    assert_eq!(versions, (2..=operations.div_ceil(2) + 1).collect::<Vec<_>>());
    let mut expected = machines.into_inner().unwrap();
    let listed = members(&fleet.founder);
    expected.extend(listed.iter().filter(|(_, authorises)| *authorises == Some(true)).cloned());
    expected.sort();
    assert_eq!((listed.len() as u64, &listed), (operations / 2 + ADMINISTRATORS as u64, &expected));
    for machine in administrators.iter().chain([&fleet.founder]) {
        let shown = machine.run(["key", "show", "shared", "--json"]).succeeds().json();
        let numbers: Vec<_> = shown.iter().filter_map(|record| record["version"].as_u64()).collect();
        assert_eq!(numbers, (1..=versions.len() as u64 + 1).collect::<Vec<_>>());
        assert_eq!((verified_epoch(machine), members(machine)), (1, listed.clone()));
        let sealed = fleet.founder.read("sealed");
        assert_eq!(machine.feed(&sealed, ["open", "--key", "shared"]).succeeds().stdout, b"before");
    }
    eprintln!(
        "{operations} operations of {ADMINISTRATORS} processes at once in {took:?}: {} rotations of one key, {} machines let in",
        versions.len(),
        listed.len() - ADMINISTRATORS,
    );
}

/// Of many that let the same machine in, or different ones under the same name, one does.
#[test]
fn one_name_goes_to_one_machine() {
    let fleet = Fleet::on("sqlite");
    let administrators: Vec<_> = (1..4).map(|it| fleet.machine(&format!("admin-{it}"), true)).collect();
    let requests: Vec<_> = administrators.iter().map(|_| enroll(&Sandbox::empty(), "server")).collect();
    let runs: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = administrators
            .iter()
            .zip(&requests)
            .map(|(administrator, request)| scope.spawn(move || authorize(administrator, request, false)))
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let mut codes: Vec<_> = runs.iter().map(|run| run.code).collect();
    codes.sort();
    assert_eq!(codes, [Some(0), Some(5), Some(5)], "{runs:?}");
    let won = runs.iter().position(|run| run.code == Some(0)).unwrap();
    let listed = fleet.founder.run(["list", "--json"]).succeeds().json();
    let server: Vec<_> = listed.iter().filter(|record| record["name"] == "server").collect();
    assert_eq!(server.len(), 1);
    assert_eq!(server[0]["fingerprint"], requests[won].fingerprint.as_str());
}

/// Of two that put each other out at once, one is left.
#[test]
fn authorisers_that_put_each_other_out_leave_one() {
    for _ in 0..number("BULLA_TEST_ROUNDS", 3) {
        let fleet = Fleet::on("sqlite");
        let laptop = fleet.machine("laptop", true);
        let office = members(&laptop).into_iter().map(|(name, _)| name).find(|name| name != "laptop").unwrap();
        let (first, second) = std::thread::scope(|scope| {
            let first = scope.spawn(|| fleet.founder.run(["revoke", "laptop", "--yes"]));
            let second = scope.spawn(|| laptop.run(["revoke", &office, "--yes"]));
            (first.join().unwrap(), second.join().unwrap())
        });
        let mut codes = [first.code, second.code];
        codes.sort();
        assert_eq!(codes, [Some(0), Some(4)], "{first:?} {second:?}");
        let left = if first.code == Some(0) { &fleet.founder } else { &laptop };
        assert_eq!(members(left).len(), 1);
    }
}
