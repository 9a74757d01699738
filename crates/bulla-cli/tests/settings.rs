use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::sandbox::{Run, Sandbox};

fn setting(run: &Run, name: &str) -> (Value, Value) {
    let shown = run.json().into_iter().find(|record| record["setting"] == name).unwrap();
    (shown["value"].clone(), shown["origin"].clone())
}

#[test]
fn every_value_says_where_it_came_from() {
    let sandbox = Sandbox::empty();
    sandbox.write("bulla.toml", "namespace = 'features'\n");
    let mut command = sandbox.command(["config", "show", "--json", "--backend", "json:data"]);
    let run = Run::of(command.env("BULLA_KEY", "orders")).succeeds();
    assert_eq!(setting(&run, "namespace"), ("features".into(), "file".into()));
    assert_eq!(setting(&run, "key"), ("orders".into(), "environment".into()));
    let backend = format!("json:{}", sandbox.path("data").display());
    assert_eq!(setting(&run, "backend"), (backend.into(), "flag".into()));
    assert_eq!(setting(&run, "project"), (Value::Null, "default".into()));
    assert_eq!(setting(&run, "config.ignore_environment"), ("false".into(), "default".into()));

    let text = Run::of(command.env("BULLA_KEY", "orders"));
    assert_eq!(text.succeeds().json().len(), 9);
    let text = sandbox.run(["config", "show"]).succeeds();
    assert!(text.text().lines().any(|line| line.starts_with("namespace ") && line.contains("(file ")), "{text:?}");
}

#[test]
fn the_environment_can_be_refused() {
    let sandbox = Sandbox::empty();
    let mut command = sandbox.command(["config", "show", "--json", "--no-env"]);
    let run = Run::of(command.env("BULLA_KEY", "orders").env("BULLA_NONSENSE", "1")).succeeds();
    assert_eq!(setting(&run, "key"), ("default".into(), "default".into()));
    assert_eq!(setting(&run, "config.ignore_environment"), ("true".into(), "flag".into()));
}

#[test]
fn what_means_nothing_is_an_error() {
    let sandbox = Sandbox::empty();
    let run = Run::of(sandbox.command(["config", "show"]).env("BULLA_KEYS", "x"));
    let run = run.fails(2, "the environment has the unknown setting `BULLA_KEYS`");
    assert!(run.stderr.contains("hint: settings are BULLA_BACKEND"), "{run:?}");
    Run::of(sandbox.command(["config", "show"]).env("BULLA_TEST_ROUNDS", "x")).succeeds();

    sandbox.write("bulla.toml", "colour = 'red'\n");
    sandbox.run(["config", "show"]).fails(2, "has the unknown setting `colour`");
    sandbox.write("bulla.toml", "key = \n");
    sandbox.run(["config", "show"]).fails(2, "line 1");
    sandbox.run(["config", "show", "--config", "none.toml"]).fails(3, "none.toml");
    sandbox.run(["config", "show", "--config", "bulla.toml", "--backend", "postgres://x"]).fails(2, "line 1");
    sandbox.write("bulla.toml", "");
    sandbox.run(["config", "show", "--backend", "postgres://x"]).fails(2, "`backend` (flag --backend) is not valid");
}

#[test]
fn usage_errors_are_told_as_asked_for() {
    let sandbox = Sandbox::empty();
    let run = sandbox.run(["nonsense"]).fails(2, "unrecognized subcommand 'nonsense'");
    assert!(run.stderr.contains("--help"));
    let error = sandbox.run(["--json", "nonsense"]);
    assert_eq!((error.code, error.json_error()["code"].as_str()), (Some(2), Some("usage")));
    sandbox.run(["seal", "x", "--context", "no-equals-sign"]).fails(2, "NAME=VALUE");
    sandbox.run(["key", "new", "x", "--algorithm", "rot13"]).fails(2, "aes256-gcm");
}

#[test]
fn config_init_writes_a_file_that_explains_itself() {
    let sandbox = Sandbox::empty();
    let project = "07".repeat(32);
    sandbox.run(["config", "init", "--project", &project, "--backend", "sqlite:data"]).succeeds();
    let text = String::from_utf8(sandbox.read("bulla.toml")).unwrap();
    assert!(text.contains(&format!("\nproject = \"{project}\"\n")) && text.contains("\nbackend = \"sqlite:data\"\n"));
    assert!(text.contains("# key = \"default\""), "{text}");
    let shown = sandbox.run(["config", "show", "--json"]).succeeds().json();
    let origin = |name: &str| shown.iter().find(|record| record["setting"] == name).unwrap()["origin"].clone();
    assert_eq!((origin("project"), origin("key")), ("file".into(), "default".into()));

    sandbox.run(["config", "init"]).fails(5, "bulla.toml");
    assert_eq!(String::from_utf8(sandbox.read("bulla.toml")).unwrap(), text);
}

#[test]
fn init_follows_config_init() {
    let sandbox = Sandbox::empty();
    sandbox.run(["config", "init"]).succeeds();
    sandbox.run(["init"]).succeeds();
    sandbox.run(["config", "show"]).succeeds();
    sandbox.run(["status"]).succeeds();
}

#[test]
fn config_init_in_a_folder_that_cannot_be_written_fails_cleanly() {
    let sandbox = Sandbox::empty();
    // Even root cannot add a file to what the kernel shows of itself.
    let mut read_only = sandbox.command(["config", "init"]);
    read_only.current_dir("/sys/kernel");
    Run::of(&mut read_only).fails(6, "could not write the settings file");

    let gone = sandbox.path("gone");
    fs::create_dir(&gone).unwrap();
    let mut shell = sandbox.prepare(Command::new("sh"), ["-c", "cd gone && rmdir ../gone && exec \"$0\" config init"]);
    shell.arg(env!("CARGO_BIN_EXE_bulla"));
    let run = Run::of(&mut shell);
    assert!(run.stderr.starts_with("error: ") && !run.stderr.contains("panicked"), "{run:?}");
    assert_ne!(run.code, Some(0));
}
