//! Machines are let in, use a project together, and are put out.

use std::fs;
use std::process::Command;

use crate::fleet::{Fleet, authorize, enroll, members, verified_epoch};
use crate::sandbox::{Sandbox, noise};

/// The whole life of a project on three machines: what each command says, and what a machine that was put out can still do.
#[test]
fn three_machines_share_a_project() {
    let fleet = Fleet::on("sqlite");
    let office = &fleet.founder;
    let (laptop, server) = (Sandbox::empty(), Sandbox::empty());
    let again = office.run(["init"]).fails(5, "already initialized");
    assert!(again.stderr.contains("hint: `bulla list` shows its machines"), "{again:?}");

    // Enrol: the request on standard output, what to compare beside it.
    let run = laptop.run(["enroll", "--name", "laptop"]).succeeds();
    let request = run.text().trim_end().to_owned();
    assert!(request.starts_with("bulla-request:v1:") && !request.contains('\n'), "{run:?}");
    let fingerprint = run.stderr.trim_end().strip_prefix("fingerprint of this machine: ").unwrap().to_owned();
    assert_eq!(fingerprint.len(), 64);
    let run = server.run(["enroll", "--name", "server", "-o", "request"]).succeeds();
    assert!(run.stdout.is_empty() && run.stderr.starts_with("wrote the request of server to request\n"), "{run:?}");
    server.run(["enroll", "-o", "request"]).fails(5, "request");

    // Let in: not without a look at the fingerprint.
    let run = office.run(["authorize", &request]).fails(2, "nobody to ask");
    assert!(run.stderr.contains("hint: confirm it with `--fingerprint HEX`"), "{run:?}");
    let mut other = fingerprint.clone();
    other.replace_range(..2, if fingerprint.starts_with("00") { "11" } else { "00" });
    office.run(["authorize", &request, "--fingerprint", &other]).fails(4, &format!("its fingerprint is {fingerprint}"));
    office.run(["authorize", &request, "--fingerprint", &fingerprint[..31]]).fails(2, "at least the first 32");
    assert_eq!(members(office).len(), 1);
    let run = office.run(["authorize", &request, "--fingerprint", &fingerprint[..32], "--authoriser"]).succeeds();
    let said = run.text();
    assert!(said.starts_with("let in laptop, which may use the project and let others in\n"), "{said}");
    assert!(
        said.contains(&fingerprint) && said.contains(&fleet.project()) && said.contains("records, head "),
        "{said}"
    );

    // The last line is what the newcomer runs.
    let command = said.lines().last().unwrap().trim();
    let mut shell = laptop.prepare(Command::new("sh"), ["-c", &format!("bulla() {{ \"$BIN\" \"$@\"; }}; {command}")]);
    assert!(shell.env("BIN", env!("CARGO_BIN_EXE_bulla")).status().unwrap().success(), "{command}");
    assert!(laptop.run(["verify"]).succeeds().text().contains("it may use the project and let others in\n"));

    // The laptop lets the server in, from a file; only to use the project.
    fleet.join(&server);
    server.run(["verify"]).fails(4, "was not let in");
    let copy = server.path("request");
    let server_fingerprint = enroll(&server, "server").fingerprint;
    let arguments = ["authorize", copy.to_str().unwrap(), "--fingerprint", &server_fingerprint];
    laptop.run(arguments).succeeds();
    laptop.run(arguments).fails(5, "is in the project already");
    assert!(server.run(["verify"]).succeeds().text().contains("it may use the project\n"));

    // Every machine sees the same, and which one it is.
    for (machine, name) in [(office, None), (&laptop, Some("laptop")), (&server, Some("server"))] {
        let listed = machine.run(["list"]).succeeds();
        let lines: Vec<_> = listed.text().lines().collect();
        assert_eq!(lines[0], "  FINGERPRINT      NAME                     AUTHORISES CREATED");
        assert_eq!(lines.len(), 4);
        let row = |name: &str| *lines.iter().find(|line| line.contains(&format!(" {name} "))).unwrap();
        let cells: Vec<_> = row("server").trim_start_matches(['*', ' ']).split_whitespace().collect();
        assert_eq!(cells[..3], [&server_fingerprint[..16], "server", "No"]);
        assert_eq!((cells[3].len(), cells[4].len(), cells.len()), (10, 8, 5), "{cells:?}");
        assert!(row("laptop").contains(" Yes "), "{lines:?}");
        if let Some(name) = name {
            assert!(row(name).starts_with("* "), "{lines:?}");
        }
    }

    // Use: each opens what the others sealed. The server lets nobody in, and puts nobody out.
    office.feed(b"before", ["put", "report"]).succeeds();
    server.write("plain", noise(100_000, 1));
    server.run(["seal", "plain", "-o", "before.bulla"]).succeeds();
    assert_eq!(server.run(["get", "report"]).succeeds().stdout, b"before");
    let elsewhere = Sandbox::empty();
    authorize(&server, &enroll(&elsewhere, "friend"), false).refuses(4, "not_authorised");
    server.run(["revoke", "laptop", "--yes"]).fails(4, "may not do this");
    server.run(["rotate"]).fails(4, "may not do this");

    // Put out. The machine has kept a copy of the backend, which nobody can take from it.
    let kept = server.path("kept");
    assert!(Command::new("cp").arg("-r").arg(office.path(".bulla")).arg(&kept).status().unwrap().success());
    office.run(["revoke", "server"]).fails(2, "nobody to ask");
    office.run(["revoke", "nobody", "--yes"]).fails(3, "no machine is named `nobody`");
    office.run(["revoke", "", "--yes"]).fails(2, "not by nothing");
    let run = office.run(["revoke", "server", "--yes"]).succeeds();
    assert!(run.stderr.starts_with("put out server\nwarning: nothing was rotated"), "{run:?}");
    server.run(["get", "report"]).fails(4, "was put out of this project");
    server.run(["verify"]).fails(4, "was put out of this project");
    let mut left = [(office_name(office), Some(true)), ("laptop".to_owned(), Some(true))];
    left.sort();
    assert_eq!(members(&laptop), left);
    let all = laptop.run(["list", "--all"]).succeeds();
    assert!(all.text().lines().any(|line| line.contains(" server ") && line.contains(" by ")), "{all:?}");

    // Let in again, and put out with a rotation, while the store is sealed anew.
    authorize(&laptop, &enroll(&server, "server"), false).succeeds();
    assert_eq!(server.run(["get", "report"]).succeeds().stdout, b"before");
    let run = laptop.run(["revoke", &server_fingerprint[..12], "--yes", "--rotate", "--reseal"]).succeeds();
    assert!(run.stderr.contains("rotated to epoch 2: 3 keys renewed, 3 versions wrapped anew, 0 damaged\n"), "{run:?}");
    assert!(run.stderr.ends_with("sealed 1 of 1 entries of default anew\n"), "{run:?}");
    office.write("plain", noise(100_000, 2));
    office.run(["seal", "plain", "-o", "after.bulla"]).succeeds();

    // Elsewhere everything opens; on the machine that was put out, nothing does here, and nothing sealed after does even with its old copy.
    fs::copy(server.path("before.bulla"), laptop.path("before.bulla")).unwrap();
    fs::copy(office.path("after.bulla"), laptop.path("after.bulla")).unwrap();
    fs::copy(office.path("after.bulla"), server.path("after.bulla")).unwrap();
    for (sealed, seed) in [("before.bulla", 1), ("after.bulla", 2)] {
        assert!(laptop.run(["open", sealed, "-o", "-"]).succeeds().stdout == noise(100_000, seed), "{sealed}");
        server.run(["open", sealed, "-o", "-"]).fails(4, "was put out of this project");
    }
    assert_eq!(laptop.run(["get", "report"]).succeeds().stdout, b"before");
    // The pin would give the old copy away; one who attacks deletes it.
    fs::remove_dir_all(server.home().join(".local/share/bulla/pins")).unwrap();
    let with_copy = |arguments: &[&str]| {
        server.run(arguments.iter().copied().chain(["--backend", &format!("sqlite:{}", kept.display())]))
    };
    assert!(with_copy(&["open", "before.bulla", "-o", "-"]).succeeds().stdout == noise(100_000, 1));
    with_copy(&["open", "after.bulla", "-o", "-"]).fails(4, "key version");
    for machine in [office, &laptop] {
        assert_eq!(verified_epoch(machine), 2);
    }
}

#[test]
fn the_last_authoriser_stays() {
    let fleet = Fleet::on("sqlite");
    let office = office_name(&fleet.founder);
    fleet.machine("server", false);
    fleet.founder.run(["recovery", "new"]).succeeds();
    // One for recovery does not count.
    fleet.founder.run(["revoke", &office, "--yes"]).fails(4, "without a machine that may authorise");
    let laptop = fleet.machine("laptop", true);
    laptop.run(["revoke", &office, "--yes"]).succeeds();
    fleet.founder.run(["list"]).fails(4, "was put out");
    laptop.run(["revoke", "laptop", "--yes"]).fails(4, "without a machine that may authorise");
}

#[test]
fn a_machine_is_named_by_its_name_or_an_unambiguous_beginning() {
    let fleet = Fleet::on("sqlite");
    let office = &fleet.founder;
    let fingerprints: Vec<_> = (0..17).map(|number| enrolled(&fleet, &format!("machine-{number}"))).collect();
    // Of 17 fingerprints, two begin with the same digit.
    let digits = "0123456789abcdef".chars().map(|digit| digit.to_string());
    let shared = |digit: &String| fingerprints.iter().filter(|fingerprint| fingerprint.starts_with(digit)).count() > 1;
    let digit = digits.into_iter().find(shared).unwrap();
    let run = office.run(["revoke", &digit, "--yes"]).fails(2, "begins the fingerprints of several machines");
    for fingerprint in fingerprints.iter().filter(|fingerprint| fingerprint.starts_with(&digit)) {
        assert!(run.stderr.contains(&fingerprint[..16]) && !run.stderr.contains(&fingerprint[..17]), "{run:?}");
    }
    assert_eq!(members(office).len(), 18, "nobody was put out");
    office.run(["revoke", "machine-3", "--yes"]).succeeds();
    office.run(["revoke", &fingerprints[4], "--yes"]).succeeds();
    office.run(["revoke", "machine-", "--yes"]).fails(3, "no machine is named");
    // Friendly names are unique, and free again once their machine is out.
    let taken = enroll(&Sandbox::empty(), "machine-5");
    authorize(office, &taken, false).refuses(5, "already_exists");
    authorize(office, &enroll(&Sandbox::empty(), "machine-3"), false).succeeds();
}

#[test]
fn a_cascade_puts_out_whom_the_machine_let_in() {
    let fleet = Fleet::on("sqlite");
    let (first, second) = (fleet.machine("first", true), Sandbox::empty());
    authorize(&first, &enroll(&second, "second"), true).succeeds();
    fleet.join(&second);
    authorize(&second, &enroll(&Sandbox::empty(), "third"), false).succeeds();
    let other = fleet.machine("other", false);
    let run = fleet.founder.run(["revoke", "first", "--cascade", "--yes", "--json"]).succeeds();
    let mut out: Vec<_> =
        run.json()[0]["put_out"].as_array().unwrap().iter().map(|machine| machine["name"].clone()).collect();
    out.sort_by_key(|name| name.to_string());
    assert_eq!(out, ["first", "second", "third"]);
    assert_eq!(members(&other).len(), 2);
}

#[test]
fn requests_come_as_text_file_or_standard_input() {
    let fleet = Fleet::on("json");
    let office = &fleet.founder;
    let requests: Vec<_> = ["a", "b", "c"].iter().map(|name| enroll(&Sandbox::empty(), name)).collect();
    office.write("request", format!("\n{}\n\n", requests[1].text));
    office.run(["authorize", &requests[0].text, "--fingerprint", &requests[0].fingerprint]).succeeds();
    office.run(["authorize", "request", "--fingerprint", &requests[1].fingerprint]).succeeds();
    let text = requests[2].text.as_bytes();
    office.feed(text, ["authorize", "-", "--fingerprint", &requests[2].fingerprint]).succeeds();
    assert_eq!(members(office).len(), 4);

    office.run(["authorize", "none"]).fails(3, "none");
    office.write("noise", noise(5_000, 1));
    office.run(["authorize", "noise"]).fails(4, "the request cannot be used");
    // Bound to another project, or altered in transit.
    let elsewhere = Fleet::on("json");
    let bound = enroll(&elsewhere.founder, "bound");
    authorize(office, &bound, false).refuses(4, "other_project");
    let good = &requests[0].text;
    for at in (20..good.len()).step_by(97) {
        let mut altered = good.clone();
        let with = if altered.as_bytes()[at] == b'A' { "B" } else { "A" };
        altered.replace_range(at..=at, with);
        office.run(["authorize", &altered]).fails(4, "the request cannot be used");
    }
    office.run(["authorize", &good[..good.len() - 4]]).fails(4, "the request cannot be used");
}

#[test]
fn two_persons_let_a_machine_in() {
    let fleet = Fleet::on("sqlite");
    let office = &fleet.founder;
    office.run(["policy", "set", "--two-person", "on"]).fails(4, "only one");
    let laptop = fleet.machine("laptop", true);
    assert_eq!(office.run(["policy", "show"]).succeeds().text(), "two-person off\n");
    office.run(["policy", "set", "--two-person", "on"]).succeeds();
    assert_eq!(laptop.run(["policy", "show"]).succeeds().text(), "two-person on\n");

    let server = Sandbox::empty();
    let request = enroll(&server, "server");
    fleet.join(&server);
    let asked = authorize(office, &request, false).succeeds().json().remove(0);
    let position = asked["waits_for_approval"].to_string();
    let run = server.run(["verify"]).fails(4, "no copy is wrapped to it");
    assert!(run.stderr.contains("hint: if it waits for a second authoriser, have it approved"), "{run:?}");
    assert_eq!(members(office).len(), 2);
    let status = laptop.run(["status"]).succeeds();
    let waits = format!("record {position}: machine server ({}) may use the project", request.fingerprint);
    assert!(status.text().contains(&waits), "{status:?}");

    office.run(["approve", &position, "--yes"]).fails(4, "was made by this machine");
    laptop.run(["approve", "99", "--yes"]).fails(3, "does not wait");
    laptop.run(["approve", &position]).fails(2, "nobody to ask");
    let run = laptop.run(["approve", &position, "--yes"]).succeeds();
    assert!(run.stderr.starts_with(&format!("approved: {waits}")), "{run:?}");
    server.run(["verify"]).succeeds();
    assert_eq!(laptop.run(["status", "--json"]).succeeds().json()[0]["pending"], serde_json::json!([]));

    // A request that waits can be withdrawn, by either.
    let position =
        authorize(&laptop, &enroll(&Sandbox::empty(), "mistake"), true).succeeds().json()[0]["waits_for_approval"]
            .clone();
    let run = office.run(["revoke", "mistake", "--yes"]).succeeds();
    assert_eq!(run.stderr, "withdrew the request of mistake\n");
    office.run(["approve", &position.to_string(), "--yes"]).fails(3, "does not wait");

    // The rule goes as it came: by two.
    let run = laptop.run(["policy", "set", "--two-person", "off"]).succeeds();
    assert_eq!(run.text(), "two-person on\n");
    let position = run.stderr.trim_end().rsplit(' ').next().unwrap();
    office.run(["approve", position, "--yes"]).succeeds();
    assert_eq!(laptop.run(["policy", "show"]).succeeds().text(), "two-person off\n");
}

#[test]
fn a_request_is_asked_about_at_the_terminal() {
    let fleet = Fleet::on("sqlite");
    for (name, answer, code) in [("first", "no\n", 1), ("second", "\n", 1), ("third", "yes\n", 0)] {
        let request = enroll(&Sandbox::empty(), name);
        let run = fleet.founder.at_terminal(answer, ["authorize", &request.text]);
        let shown = &run.stderr;
        assert_eq!(run.code, Some(code), "{run:?}");
        assert!(shown.contains(name) && shown.contains(&request.fingerprint), "{shown}");
        assert!(shown.contains("Type `yes` to go on"), "{shown}");
    }
    let mut names: Vec<_> = members(&fleet.founder).into_iter().map(|(name, _)| name).collect();
    names.retain(|name| ["first", "second", "third"].contains(&name.as_str()));
    assert_eq!(names, ["third"]);
    let run = fleet.founder.at_terminal("yes\n", ["revoke", "third"]);
    assert_eq!((run.code, members(&fleet.founder).len()), (Some(0), 1), "{run:?}");
}

/// Lets a machine in and returns its fingerprint.
fn enrolled(fleet: &Fleet, name: &str) -> String {
    let request = enroll(&Sandbox::empty(), name);
    authorize(&fleet.founder, &request, false).succeeds();
    request.fingerprint
}

/// Returns the name of the machine that made the project: that of this one in the network.
fn office_name(office: &Sandbox) -> String {
    let listed = office.run(["list", "--json"]).succeeds().json();
    let this = listed.iter().find(|record| record["this_machine"] == true).unwrap();
    this["name"].as_str().unwrap().to_owned()
}
