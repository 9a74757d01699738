//! What FACT encrypted at rest, written here by the library that it uses.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::sandbox::{Run, Sandbox};

const PASSPHRASE: &str = "correct horse battery staple";
const WITH_PASSPHRASE: [&str; 2] = ["--passphrase-file", "phrase"];

/// A project, and the passphrase in a file.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_project();
    sandbox.write("phrase", format!("{PASSPHRASE}\n"));
    fs::set_permissions(sandbox.path("phrase"), Permissions::from_mode(0o600)).unwrap();
    sandbox
}

/// Has FACT's scheme write files and entries.
fn fact(sandbox: &Sandbox, asked: &Value) -> Value {
    const VARIABLE: &str = "BULLA_TEST_PYTHON";
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = std::env::var_os(VARIABLE).map_or_else(|| root.join("../../target/venv/bin/python"), PathBuf::from);
    let hint = format!(
        "make the Python environment with `cargo xtask venv`, or set {VARIABLE} to an interpreter that has the packages of \
         spec/requirements.txt"
    );
    let mut child = Command::new(&python)
        .arg(root.join("tests/fact_peer.py"))
        .arg(sandbox.work())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("could not run `{}`: {error}; {hint}", python.display()));
    child.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{hint}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn files(sandbox: &Sandbox, files: Value) {
    fact(sandbox, &json!({ "passphrase": PASSPHRASE, "files": files }));
}

fn import<'a>(sandbox: &Sandbox, arguments: impl IntoIterator<Item = &'a str>) -> Run {
    sandbox.run(["import", "fact"].into_iter().chain(WITH_PASSPHRASE).chain(arguments))
}

/// Name and code of each failure, in order.
fn failures(run: &Run) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let failed = |record: Value| record.get("error").map(|error| (text(&record["name"]), text(&error["code"])));
    run.json().into_iter().filter_map(failed).collect()
}

#[test]
fn an_encrypted_file_is_sealed_anew() {
    let sandbox = sandbox();
    files(&sandbox, json!({ "report.txt.encrypted": "größe", "empty.encrypted": "", "odd": "name" }));
    let then = SystemTime::UNIX_EPOCH + Duration::new(1_600_000_000, 123_456_789);
    File::open(sandbox.path("report.txt.encrypted")).unwrap().set_modified(then).unwrap();
    fs::set_permissions(sandbox.path("report.txt.encrypted"), Permissions::from_mode(0o640)).unwrap();

    let all = ["report.txt.encrypted", "empty.encrypted", "odd", "--json"];
    let run = import(&sandbox, all).succeeds();
    assert_eq!(run.json().pop().unwrap()["imported"], 3);
    let metadata = fs::metadata(sandbox.path("report.txt.bulla")).unwrap();
    assert_eq!((metadata.mode() & 0o777, metadata.modified().unwrap()), (0o640, then));
    for (name, expected) in [("report.txt", "größe"), ("empty", ""), ("odd", "name")] {
        sandbox.run(["open", &format!("{name}.bulla"), "-o", "opened", "--force"]).succeeds();
        assert_eq!(sandbox.read("opened"), expected.as_bytes());
    }
    assert!(sandbox.path("report.txt.encrypted").exists(), "what was there stays");

    // Nothing is done twice, and nothing else is replaced.
    assert_eq!(import(&sandbox, all).succeeds().json().pop().unwrap()["unchanged"], 3);
    sandbox.run(["seal", "phrase", "-o", "empty.bulla", "--force"]).succeeds();
    let run = import(&sandbox, all);
    assert_eq!((run.code, failures(&run)), (Some(5), vec![("empty.encrypted".into(), "file_exists".into())]));
    import(&sandbox, all.into_iter().chain(["--force"])).succeeds();
    assert_eq!(sandbox.run(["open", "empty.bulla", "-o", "-"]).succeeds().stdout, b"");
}

#[test]
fn a_folder_is_imported_as_if_it_had_been_sealed() {
    let sandbox = sandbox();
    // Only the suffix goes; the source took it out of folders' names too.
    files(
        &sandbox,
        json!({ "data.encrypted/a.encrypted": "1", "data.encrypted/b/c.encrypted": "2", "data.encrypted/x.encrypted.gz": "3" }),
    );
    symlink("..", sandbox.path("data.encrypted/up")).unwrap();
    let run = import(&sandbox, ["data.encrypted", "--json"]).succeeds();
    let numbers = run.json().pop().unwrap();
    assert_eq!((&numbers["imported"], &numbers["left"], &numbers["other"]), (&2.into(), &1.into(), &1.into()));
    sandbox.run(["open", "-r", "data.encrypted", "-o", "back"]).succeeds();
    assert_eq!((sandbox.read("back/a"), sandbox.read("back/b/c")), (b"1".to_vec(), b"2".to_vec()));
    // Bound to where they lie, unless that is not wanted.
    fs::rename(sandbox.path("data.encrypted/b/c.bulla"), sandbox.path("data.encrypted/b/d.bulla")).unwrap();
    sandbox.run(["open", "-r", "data.encrypted", "-o", "back"]).fails_late(4, "not opened");
    import(&sandbox, ["data.encrypted", "--movable", "--force"]).succeeds();
    assert_eq!(sandbox.run(["open", "data.encrypted/b/c.bulla", "-o", "-"]).succeeds().stdout, b"2");
}

#[test]
fn what_does_not_open_is_refused_alike_and_leaves_nothing() {
    let sandbox = sandbox();
    files(&sandbox, json!({ "good.encrypted": "1", "altered.encrypted": "2", "cut.encrypted": "3" }));
    let mut altered = sandbox.read("altered.encrypted");
    altered[40] = if altered[40] == b'A' { b'B' } else { b'A' };
    sandbox.write("altered.encrypted", &altered);
    let cut = sandbox.read("cut.encrypted");
    sandbox.write("cut.encrypted", &cut[..cut.len() - 4]);
    sandbox.write("none.encrypted", "not a token");
    sandbox.write("nothing.encrypted", "");
    let all = ["altered", "cut", "good", "none", "nothing"].map(|name| format!("{name}.encrypted"));
    let run = import(&sandbox, all.iter().map(String::as_str).chain(["--json"]));
    assert_eq!((run.code, run.json_error()["code"].as_str()), (Some(4), Some("incomplete")));
    let refused: Vec<_> = failures(&run).into_iter().collect();
    let expected =
        ["altered", "cut", "none", "nothing"].map(|name| (format!("{name}.encrypted"), "cannot_open".into()));
    assert_eq!(refused, expected);
    let messages: Vec<_> =
        run.json().iter().filter_map(|record| record["error"]["message"].as_str().map(str::to_owned)).collect();
    assert!(messages.windows(2).all(|pair| pair[0] == pair[1]), "{messages:?}");
    let sealed: Vec<_> =
        sandbox.names().into_iter().filter(|name| name.ends_with(".bulla") && name != ".bulla").collect();
    assert_eq!(sealed, ["good.bulla"]);

    fs::remove_file(sandbox.path("good.bulla")).unwrap();
    sandbox.write("phrase", "another");
    import(&sandbox, ["good.encrypted"]).fails_late(4, "not imported");
    assert!(!sandbox.path("good.bulla").exists());
    import(&sandbox, ["missing.encrypted"]).fails_late(3, "not imported");
}

#[test]
fn cache_entries_become_entries() {
    let sandbox = sandbox();
    let value = json!({ "answer": 42, "text": "ä\u{1f600}", "list": [1.5, null, true] });
    let entries = fact(
        &sandbox,
        &json!({
            "passphrase": PASSPHRASE,
            "files": { "cache/blob.encrypted": "bytes" },
            "entries": {
                "user:7": { "value": value, "sensitive": true },
                "plain": { "value": "in the clear", "sensitive": false },
                "forged": { "value": 1, "sensitive": true },
                "single": { "value": [1, 2], "sensitive": true },
            },
        }),
    );
    let mut many = entries.clone();
    let single = many.as_object_mut().unwrap().remove("single").unwrap();
    many["forged"]["checksum"] = "0".repeat(64).into();
    many["odd"] = json!(["no entry"]);
    sandbox.write("cache/many.json", many.to_string());
    sandbox.write("cache/single.json", single.to_string());
    sandbox.write("cache/broken.json", "{");
    sandbox.write("cache/notes.txt", "not for this");

    let run = import(&sandbox, ["cache", "--namespace", "fact", "--ttl", "3600", "--json"]);
    assert_eq!(run.code, Some(4), "{run:?}");
    let expected = [
        ("broken.json", "not_an_entry"),
        ("forged", "checksum"),
        ("odd", "not_an_entry"),
        ("plain", "unauthenticated"),
    ];
    let mut failed = failures(&run);
    failed.sort();
    assert_eq!(failed, expected.map(|(name, code)| (name.to_owned(), code.to_owned())));
    assert_eq!(run.json().pop().unwrap()["imported"], 3);
    let got = |name: &str| sandbox.run(["get", name, "-n", "fact"]).succeeds().stdout;
    assert_eq!(serde_json::from_slice::<Value>(&got("user:7")).unwrap(), value);
    assert_eq!((got("single"), got("blob")), (b"[1, 2]".to_vec(), b"bytes".to_vec()));
    let listed = sandbox.run(["ls", "-n", "fact", "--json"]).succeeds().json();
    let entry = listed.iter().find(|entry| entry["name"] == "user:7").unwrap();
    assert_eq!(entry["media_type"], "application/json");
    assert!(entry["expires"].is_string(), "{entry}");

    // Who wrote it, nobody can say; so it is said that it is wanted.
    sandbox.write("plain.json", json!({ "plain": many["plain"] }).to_string());
    import(&sandbox, ["plain.json", "-n", "fact", "--plain"]).succeeds();
    assert_eq!(got("plain"), b"\"in the clear\"");
}

#[test]
fn entries_are_put_once_and_replaced_only_on_demand() {
    let sandbox = sandbox();
    let made = json!({ "passphrase": PASSPHRASE, "entries": { "a": { "value": 1, "sensitive": true } } });
    sandbox.write("cache.json", fact(&sandbox, &made).to_string());
    let arguments = ["cache.json", "-n", "fact", "--json"];
    assert_eq!(import(&sandbox, arguments).succeeds().json().pop().unwrap()["imported"], 1);
    assert_eq!(import(&sandbox, arguments).succeeds().json().pop().unwrap()["unchanged"], 1);
    sandbox.feed(b"2", ["put", "a", "-n", "fact"]).succeeds();
    let run = import(&sandbox, arguments);
    assert_eq!((run.code, failures(&run)), (Some(5), vec![("a".into(), "already_exists".into())]));
    import(&sandbox, arguments.into_iter().chain(["--force"])).succeeds();
    assert_eq!(sandbox.run(["get", "a", "-n", "fact"]).succeeds().stdout, b"1");
    import(&sandbox, ["cache.json", "-n", "fact", "--context", "a=b"]).fails(2, "bound to their names");
}

#[test]
fn the_passphrase_comes_from_a_file_a_descriptor_or_a_terminal_and_from_nowhere_else() {
    let sandbox = sandbox();
    files(&sandbox, json!({ "a.encrypted": "1" }));
    // Not from the variable that FACT read it from.
    let mut command = sandbox.command(["import", "fact", "a.encrypted", "--json"]);
    command.env("FACT_MASTER_KEY", PASSPHRASE);
    Run::of(&mut command).refuses(2, "passphrase_needed");
    fs::set_permissions(sandbox.path("phrase"), Permissions::from_mode(0o644)).unwrap();
    import(&sandbox, ["a.encrypted"]).fails(4, "others can read this passphrase");
    import(&sandbox, ["a.encrypted", "--passphrase-fd", "0"]).fails(2, "cannot be used with");

    sandbox.feed(PASSPHRASE.as_bytes(), ["import", "fact", "a.encrypted", "--passphrase-fd", "0"]).succeeds();
    assert_eq!(sandbox.run(["open", "a.bulla", "-o", "-"]).succeeds().stdout, b"1");
}

#[test]
fn a_fernet_key_is_taken_as_it_is() {
    let sandbox = sandbox();
    let key = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
    fact(&sandbox, &json!({ "fernet_key": key, "files": { "a.encrypted": "1" } }));
    sandbox.write("key", format!("{key}\n"));
    let arguments = ["import", "fact", "a.encrypted", "--fernet-key-file", "key"];
    sandbox.run(arguments).fails(4, "others can read");
    fs::set_permissions(sandbox.path("key"), Permissions::from_mode(0o600)).unwrap();
    sandbox.run(arguments).succeeds();
    assert_eq!(sandbox.run(["open", "a.bulla", "-o", "-"]).succeeds().stdout, b"1");
    sandbox.write("key", PASSPHRASE);
    sandbox.run(arguments).fails(2, "not a Fernet key");
}
