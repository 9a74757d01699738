use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use crate::sandbox::{Run, Sandbox};

#[test]
fn init_makes_a_project_that_opens() {
    let sandbox = Sandbox::empty();
    let run = sandbox.run(["init"]).succeeds();
    assert!(run.stdout.is_empty() && run.stderr.contains("made project "), "{run:?}");
    assert_eq!(sandbox.names(), [".bulla", "bulla.toml"]);

    let identity = sandbox.home().join(".local/share/bulla/identity");
    assert_eq!(fs::metadata(identity).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(sandbox.path(".bulla")).unwrap().mode() & 0o777, 0o700);

    let settings = String::from_utf8(sandbox.read("bulla.toml")).unwrap();
    let status = sandbox.run(["status", "--json"]).succeeds().json().remove(0);
    let project = status["project"].as_str().unwrap();
    assert_eq!(settings, format!("project = \"{project}\"\nbackend = \"sqlite:.bulla\"\n"));
    assert_eq!((project.len(), &status["keys"], &status["trust_log"]["remembered"]), (64, &1.into(), &true.into()));

    let text = sandbox.run(["status"]).succeeds();
    assert!(text.text().contains(project) && text.stderr.is_empty());
}

#[test]
fn init_twice_is_refused() {
    let sandbox = Sandbox::with_project();
    let settings = sandbox.read("bulla.toml");
    sandbox.run(["init"]).fails(5, "already initialized");
    assert_eq!(sandbox.read("bulla.toml"), settings);

    let error = sandbox.run(["init", "--json"]).json_error();
    assert_eq!(error["code"], "already_initialized");
    assert!(error["hint"].as_str().is_some_and(|hint| !hint.is_empty()));
}

#[test]
fn a_project_in_memory_is_not_made() {
    let sandbox = Sandbox::empty();
    sandbox.run(["init", "--backend", "memory:"]).fails(2, "would be gone");
    assert!(sandbox.names().is_empty());
}

#[test]
fn an_interrupted_init_is_finished_by_the_next() {
    let sandbox = Sandbox::with_project();
    let settings = sandbox.read("bulla.toml");
    // What a kill before the last steps leaves.
    fs::remove_file(sandbox.path("bulla.toml")).unwrap();
    fs::remove_dir_all(sandbox.home().join(".local/share/bulla/pins")).unwrap();
    sandbox.run(["status"]).fails(3, "there is no project here");
    sandbox.run(["init"]).succeeds();
    assert_eq!(sandbox.read("bulla.toml"), settings);
}

#[test]
fn init_does_not_adopt_a_project_that_is_in_use() {
    let sandbox = Sandbox::with_project();
    let copy = sandbox.path("elsewhere");
    fs::create_dir(&copy).unwrap();
    assert!(
        Command::new("cp")
            .args(["-r", ".bulla", "elsewhere"])
            .current_dir(sandbox.path(""))
            .status()
            .unwrap()
            .success()
    );
    let run = Run::of(sandbox.command(["init"]).current_dir(&copy)).fails(5, "of this machine, which");
    assert!(run.stderr.contains("hint: if it is the one you want"), "{run:?}");
    assert!(!copy.join("bulla.toml").exists());
}

#[test]
fn of_many_inits_at_once_one_makes_the_project() {
    let sandbox = Sandbox::empty();
    let children: Vec<_> = (0..6).map(|_| sandbox.spawn_fed(["init"])).collect();
    let mut codes: Vec<_> = children.into_iter().map(|child| Run::end_of(child).code).collect();
    codes.sort();
    assert_eq!(codes, [Some(0), Some(5), Some(5), Some(5), Some(5), Some(5)]);
    sandbox.run(["status"]).succeeds();
}

#[test]
fn projects_of_one_machine_share_its_identity() {
    let sandbox = Sandbox::with_project();
    let fingerprint = |sandbox: &Sandbox, config: &str| {
        sandbox.run(["status", "--json", "--config", config]).succeeds().json()[0]["fingerprint"].clone()
    };
    sandbox.run(["init", "--config", "other.toml", "--backend", "json:other"]).succeeds();
    assert_eq!(fingerprint(&sandbox, "bulla.toml"), fingerprint(&sandbox, "other.toml"));
    assert!(sandbox.path("other/trust.json").exists());
}

#[test]
fn commands_without_a_project_say_so() {
    let sandbox = Sandbox::empty();
    for arguments in [&["status"][..], &["ls"], &["get", "x"], &["put", "x"], &["check"], &["key", "ls"], &["seal"]] {
        let run = sandbox.run(arguments).fails(3, "there is no project here");
        assert!(run.stderr.contains("hint: `bulla init`"), "{run:?}");
    }
    assert!(sandbox.names().is_empty());
}

#[test]
fn a_project_is_found_from_folders_below() {
    let sandbox = Sandbox::with_project();
    fs::create_dir_all(sandbox.path("a/b")).unwrap();
    sandbox.feed(b"x", ["put", "name"]).succeeds();
    let run = Run::of(sandbox.command(["get", "name"]).current_dir(sandbox.path("a/b")));
    assert_eq!(run.succeeds().stdout, b"x");
}

#[test]
fn another_machine_is_refused() {
    let sandbox = Sandbox::with_project();
    let other = Sandbox::with_project();
    let theirs = other.home().join(".local/share/bulla/identity");
    let run = sandbox.run(["status", "--identity", theirs.to_str().unwrap()]);
    run.fails(4, "was not let in");
}

#[test]
fn an_exposed_identity_is_refused() {
    let sandbox = Sandbox::with_project();
    let identity = sandbox.home().join(".local/share/bulla/identity");
    let mut permissions = fs::metadata(&identity).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
    fs::set_permissions(&identity, permissions).unwrap();
    sandbox.run(["status"]).fails(4, "others can use this identity");
}

#[test]
fn another_database_in_the_place_of_ours_is_refused() {
    let sandbox = Sandbox::with_project();
    let other = Sandbox::with_project();
    fs::remove_dir_all(sandbox.path(".bulla")).unwrap();
    fs::rename(other.path(".bulla"), sandbox.path(".bulla")).unwrap();
    let run = sandbox.run(["status", "--json"]);
    assert_eq!((run.code, run.json_error()["code"].as_str()), (Some(4), Some("other_project")));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let sandbox = Sandbox::with_project();
    sandbox.feed(&[7; 300_000], ["put", "large"]).succeeds();
    for arguments in
        [&["get", "large"][..], &["ls"], &["config", "show"], &["man"], &["completions", "bash"], &["--help"]]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = sandbox.command(arguments).stdout(writer).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let run = Run::end_of(child);
        assert_eq!((run.code, run.stderr.as_str()), (Some(141), ""), "{arguments:?}");
    }
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let sandbox = Sandbox::with_project();
    sandbox.feed(b"x", ["put", "name"]).succeeds();
    for arguments in [&["get", "name"][..], &["ls"], &["status"], &["man"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let child = sandbox.command(arguments).stdout(full).stderr(std::process::Stdio::piped()).spawn().unwrap();
        Run::end_of(child).fails(6, "standard output");
    }
}

#[test]
fn a_missing_database_is_not_made_anew() {
    let sandbox = Sandbox::with_project();
    fs::remove_dir_all(sandbox.path(".bulla")).unwrap();
    let run = sandbox.run(["status"]);
    assert!(matches!(run.code, Some(3 | 6)), "{run:?}");
    assert!(!Path::new(&sandbox.path(".bulla/trust.db")).exists());
}

#[test]
fn an_older_copy_of_the_settings_is_no_way_around_the_pin() {
    let sandbox = Sandbox::with_project();
    let pins = sandbox.home().join(".local/share/bulla/pins");
    let pin = fs::read_dir(&pins).unwrap().next().unwrap().unwrap().path();
    let mut text = String::new();
    fs::File::open(&pin).unwrap().read_to_string(&mut text).unwrap();
    // As if this machine had seen more of the trust log than the database now has.
    let parts: Vec<_> = text.trim_end().split(' ').collect();
    fs::write(&pin, format!("{} 99 {}\n", parts[0], "ab".repeat(32))).unwrap();
    let run = sandbox.run(["status", "--json"]);
    assert_eq!((run.code, run.json_error()["code"].as_str()), (Some(4), Some("rollback")));

    fs::write(&pin, "nonsense\n").unwrap();
    assert_eq!(sandbox.run(["status", "--json"]).json_error()["code"], "bad_pin");
}
