//! Entries go from one project to another, through files and pipes, also with a kill in the middle.

use std::time::Instant;

use crate::killed::run_or_kill;
use crate::sandbox::{Sandbox, noise, number};

#[test]
fn entries_go_to_another_project_through_a_pipe() {
    let (from, to) = (Sandbox::with_project(), Sandbox::with_project());
    let large = noise(200_000, 1);
    from.feed(b"small", ["put", "a/\u{e4}", "--media-type", "text/plain", "--tag", "x", "-n", "orders"]).succeeds();
    from.feed(&large, ["put", "large", "-n", "orders"]).succeeds();
    from.feed(b"elsewhere", ["put", "other"]).succeeds();

    let archive = from.run(["export", "-n", "orders"]).succeeds();
    assert!(archive.stderr.is_empty());
    let run = to.feed(&archive.stdout, ["import", "entries", "-n", "mine", "--json"]).succeeds().json().remove(0);
    assert_eq!((&run["imported"], &run["equal"]), (&2.into(), &0.into()));
    assert!(to.run(["get", "large", "-n", "mine"]).succeeds().stdout == large);
    let listed = to.run(["ls", "-n", "mine", "--json"]).succeeds().json();
    assert_eq!((&listed[0]["media_type"], &listed[0]["tags"]), (&"text/plain".into(), &serde_json::json!(["x"])));
    assert_eq!(to.run(["ls"]).succeeds().text(), "");

    // Sealed on its way, it is opened first.
    from.run(["export", "archive", "-n", "orders"]).succeeds();
    assert_eq!(from.read("archive")[..30], archive.stdout[..30]);
    from.run(["export", "archive", "-n", "orders"]).fails(5, "exists");
    from.run(["seal", "archive"]).succeeds();
    from.run(["import", "entries", "archive.bulla"]).fails(4, "not an archive");
}

#[test]
fn conflicts_and_damage_have_codes() {
    let sandbox = Sandbox::with_project();
    sandbox.feed(b"one", ["put", "n"]).succeeds();
    sandbox.run(["export", "archive"]).succeeds();
    sandbox.feed(b"two", ["put", "n"]).succeeds();
    sandbox.run(["import", "entries", "archive", "--json"]).refuses(5, "entry_exists");
    sandbox.run(["import", "entries", "archive", "--on-conflict", "skip"]).succeeds();
    assert_eq!(sandbox.run(["get", "n"]).succeeds().stdout, b"two");
    sandbox.run(["import", "entries", "archive", "--on-conflict", "replace"]).succeeds();
    assert_eq!(sandbox.run(["get", "n"]).succeeds().stdout, b"one");
    sandbox.run(["import", "entries", "archive", "--on-conflict", "perhaps", "--json"]).refuses(2, "usage");

    let archive = sandbox.read("archive");
    sandbox.write("cut", &archive[..archive.len() - 1]);
    sandbox.write("noise", "no archive");
    for (file, code, name) in [
        ("cut", 4, "damaged_archive"),
        ("noise", 4, "not_an_archive"),
        ("bulla.toml", 4, "not_an_archive"),
        ("none", 3, "file_not_found"),
    ] {
        sandbox.run(["import", "entries", file, "--json"]).refuses(code, name);
    }
}

#[test]
fn an_import_that_is_killed_is_completed_by_the_next() {
    let rounds = number("BULLA_TEST_ROUNDS", 6);
    let sandbox = Sandbox::with_project();
    let entries: Vec<_> =
        (0..40_u64).map(|at| (format!("e{at}"), noise(if at % 8 == 0 { 100_000 } else { 50 }, at))).collect();
    for (name, value) in &entries {
        sandbox.feed(value, ["put", name, "-n", "from"]).succeeds();
    }
    sandbox.run(["export", "archive", "-n", "from"]).succeeds();
    let clock = Instant::now();
    sandbox.run(["import", "entries", "archive", "-n", "usual"]).succeeds();
    let usual = clock.elapsed();
    let mut killed = 0;
    for round in 1..=rounds {
        let namespace = format!("round{round}");
        let import = ["import", "entries", "archive", "-n", &namespace];
        for attempt in 1_u64.. {
            let delay = usual * u32::try_from((round * 37 + attempt * 23) % 110).unwrap() / 100;
            if run_or_kill(&sandbox, &import, delay + usual / 10 * u32::try_from(attempt).unwrap()) {
                break;
            }
            killed += 1;
            // Each entry that is there is whole.
            for name in sandbox.run(["ls", "-n", &namespace]).succeeds().text().lines() {
                let value = &entries.iter().find(|(known, _)| known == name).unwrap().1;
                assert!(sandbox.run(["get", name, "-n", &namespace]).succeeds().stdout == *value, "{name}");
            }
        }
        let listed = sandbox.run(["ls", "-n", &namespace]).succeeds();
        assert_eq!(listed.text().lines().count(), entries.len());
    }
    let checked = sandbox.run(["check", "--json"]).json().pop().unwrap();
    assert_eq!((&checked["damaged"], &checked["missing_blobs"]), (&0.into(), &0.into()));
    eprintln!("{rounds} rounds, {killed} imports killed; a whole one took {usual:?}");
}
