//! The 24 words let a machine in when none is left.

use std::fs;

use crate::fleet::{Fleet, enroll, members, verified_epoch};
use crate::sandbox::Sandbox;

#[test]
fn words_recover_a_project_that_lost_its_machines() {
    let sandbox = Sandbox::empty();
    let run = sandbox.run(["init", "--recovery"]).succeeds();
    let words = run.text().trim_end().to_owned();
    assert_eq!(words.split(' ').count(), 24, "{run:?}");
    assert!(run.stderr.contains("write the 24 words down, on paper") && !run.stderr.contains(&words[..20]), "{run:?}");
    sandbox.feed(b"kept", ["put", "report"]).succeeds();
    let listed = sandbox.run(["list"]).succeeds();
    assert!(listed.text().lines().any(|line| line.contains(" recovery ") && line.contains(" Yes ")), "{listed:?}");
    let project = sandbox.run(["status", "--json"]).succeeds().json()[0]["project"].as_str().unwrap().to_owned();

    // The only machine burns; the backend is left.
    fs::remove_dir_all(sandbox.home()).unwrap();
    let backend = format!("sqlite:{}", sandbox.path(".bulla").display());
    let spare = Sandbox::empty();
    spare.feed(words.as_bytes(), ["recover"]).fails(3, "there is no project here");
    spare.run(["config", "init", "--project", &project, "--backend", &backend]).succeeds();
    spare.feed(b"abandon abandon", ["recover"]).fails(4, "these are 2");
    spare
        .feed(format!("{} zoo", &words[..words.rfind(' ').unwrap()]).as_bytes(), ["recover"])
        .fails(4, "no recovery words");
    spare.feed(foreign_words().as_bytes(), ["recover"]).fails(4, "was not let in");
    spare.write("words", format!("  {}\n", words.to_uppercase().replace(' ', "\n")));
    let run = spare.run(["recover", "words", "--name", "spare"]).succeeds();
    assert!(run.stderr.starts_with("spare (") && run.stderr.contains("bulla revoke NAME --rotate"), "{run:?}");
    assert_eq!(spare.run(["get", "report"]).succeeds().stdout, b"kept");
    assert!(members(&spare).contains(&("spare".to_owned(), Some(true))));
    // Once more does no harm.
    spare.run(["recover", "words"]).succeeds();
    assert_eq!(members(&spare).len(), 3);

    // The words were typed into a computer: others take their place, and what they could read is rotated away.
    let lost =
        members(&spare).into_iter().map(|(name, _)| name).find(|name| !["spare", "recovery"].contains(&name.as_str()));
    spare.run(["revoke", &lost.unwrap(), "--yes"]).succeeds();
    let record = spare.run(["recovery", "new", "--name", "recovery-2", "--json"]).succeeds().json().remove(0);
    assert_eq!(record["words"].as_str().unwrap().split(' ').count(), 24);
    spare.run(["revoke", "recovery", "--rotate", "--yes"]).succeeds();
    let late = Sandbox::empty();
    late.run(["config", "init", "--project", &project, "--backend", &backend]).succeeds();
    late.feed(words.as_bytes(), ["recover"]).fails(4, "was put out");
    late.feed(record["words"].as_str().unwrap().as_bytes(), ["recover", "--name", "late"]).succeeds();
    assert_eq!(verified_epoch(&late), 2);
}

#[test]
fn a_machine_that_may_only_use_the_project_is_recovered_too() {
    let fleet = Fleet::on("sqlite");
    let words = fleet.founder.run(["recovery", "new"]).succeeds().text().to_owned();
    fleet.founder.run(["recovery", "new"]).fails_late(5, "is in the project already");
    let server = fleet.machine("server", false);
    server.feed(words.as_bytes(), ["recover"]).succeeds();
    assert!(members(&server).contains(&("server".to_owned(), Some(true))));
    // Another machine of that name is not taken for it.
    let other = Sandbox::empty();
    fleet.join(&other);
    other.feed(words.as_bytes(), ["recover", "--name", "server"]).fails(5, "is in the project already");
    enroll(&other, "other");
}

fn foreign_words() -> String {
    Sandbox::empty().run(["init", "--recovery"]).succeeds().text().to_owned()
}

#[test]
fn where_two_have_to_agree_the_words_accept_an_older_copy() {
    let fleet = Fleet::on("json");
    let office = &fleet.founder;
    let words = office.run(["recovery", "new"]).succeeds().text().to_owned();
    let laptop = fleet.machine("laptop", true);
    office.run(["policy", "set", "--two-person", "on"]).succeeds();
    let trust = office.path(".bulla/trust.json");
    let older = fs::read(&trust).unwrap();
    laptop.run(["revoke", "office-is-not-there", "--yes"]).fails(3, "no machine is named");
    office.run(["rotate"]).succeeds();
    assert_eq!(verified_epoch(&laptop), 2);
    let run = office.run(["rotate", "--resume"]).succeeds();
    assert!(run.stderr.contains("no rotation is under way"), "{run:?}");

    fs::write(&trust, older).unwrap();
    office.run(["verify"]).fails(4, "went back");
    office.run(["accept-rollback", "--yes", "--json"]).refuses(4, "recovery_only");
    office.feed(words.as_bytes(), ["accept-rollback", "--yes", "--recovery"]).succeeds();
    assert_eq!(verified_epoch(&laptop), 1);
}
