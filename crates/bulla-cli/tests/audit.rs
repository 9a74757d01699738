//! The machines that are in are compared with those that should be.

use crate::fleet::{Fleet, authorize, enroll, members};
use crate::sandbox::Sandbox;

#[test]
fn unexpected_machines_are_found() {
    let fleet = Fleet::on("sqlite");
    let office = &fleet.founder;
    let founder = members(office).remove(0).0;
    let laptop = fleet.machine("laptop", true);
    let request = enroll(&Sandbox::empty(), "server");
    authorize(&laptop, &request, false).succeeds();
    let audit = |lines: &str| {
        office.write("expected", lines);
        office.run(["audit", "machines", "--expect", "expected"])
    };

    let all =
        format!("# who should be in\n{founder}   # the office\nlaptop authorise\n\n{} use\n", request.fingerprint);
    let run = audit(&all).succeeds();
    assert!(run.stdout.is_empty() && run.stderr == "3 machines are in, 3 were expected\n", "{run:?}");

    // Nobody expects the laptop; a machine is missing.
    let run = audit(&format!("{founder}\nserver\ngone\n"));
    assert_eq!(run.code, Some(7), "{run:?}");
    let lines: Vec<_> = run.text().lines().collect();
    assert_eq!(lines.len(), 2, "{run:?}");
    assert!(lines[0].starts_with("unexpected authoriser: laptop ("), "{run:?}");
    assert!(lines[0].contains(&format!(" by {founder} (")), "who let it in: {run:?}");
    assert_eq!(lines[1], "missing: gone is expected and not in");
    assert!(run.stderr.contains("error: 2 findings are not as expected\nhint: docs/runbooks.md"), "{run:?}");

    // The server is in, but may do less than expected, and the laptop more.
    let run = audit(&format!("{founder}\nlaptop use\nserver authorise\n"));
    assert_eq!((run.code, run.text().matches("other capability: ").count()), (Some(7), 2), "{run:?}");
    let run = audit(&format!("{founder}\nlaptop\n"));
    assert!(run.text().starts_with("unexpected machine: server ("), "{run:?}");

    // For an alert: one object a line, and a code that is stable.
    office.write("expected", &founder);
    let run = office.run(["audit", "machines", "--expect", "expected", "--json"]);
    assert_eq!((run.code, run.json_error()["code"].as_str()), (Some(7), Some("unexpected_machines")));
    let found = run.json();
    let laptop = found.iter().find(|record| record["name"] == "laptop").unwrap();
    assert_eq!((&laptop["finding"], &laptop["alarming"]), (&"unexpected_authoriser".into(), &true.into()));
    assert_eq!(laptop["granted_by_name"], founder.as_str());
    assert_eq!((&found.last().unwrap()["unexpected"], &found.last().unwrap()["machines"]), (&2.into(), &3.into()));
}

#[test]
fn a_retired_authoriser_is_told_and_no_alarm() {
    let fleet = Fleet::on("sqlite");
    let laptop = fleet.machine("laptop", true);
    authorize(&laptop, &enroll(&Sandbox::empty(), "server"), false).succeeds();
    fleet.founder.run(["revoke", "laptop", "--yes"]).succeeds();
    let founder = members(&fleet.founder).into_iter().map(|(name, _)| name).find(|name| name != "server").unwrap();
    let list = format!("{founder}\nserver\n");
    let run = fleet.founder.feed(list.as_bytes(), ["audit", "machines", "--expect", "-"]).succeeds();
    assert!(run.text().starts_with("let in by one put out: server ("), "{run:?}");
    assert!(run.text().contains(" by laptop (") && run.text().contains(", put out since)"), "{run:?}");
}

#[test]
fn a_list_that_cannot_be_read_is_an_error() {
    let fleet = Fleet::on("json");
    let office = &fleet.founder;
    office.run(["audit", "machines"]).fails(2, "--expect");
    office.run(["audit", "machines", "--expect", "none"]).fails(3, "none");
    office.write("expected", "laptop\nserver admin\n");
    office.run(["audit", "machines", "--expect", "expected"]).fails(2, "line 2: a line is NAME");
    office.write("expected", b"\xff");
    office.run(["audit", "machines", "--expect", "expected"]).fails(1, "expected");
    // An empty list expects nobody.
    office.write("expected", "");
    assert_eq!(office.run(["audit", "machines", "--expect", "expected"]).code, Some(7));
}
