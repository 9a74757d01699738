//! `bulla fleche`, on directories that fleche itself writes and reads.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::sandbox::{Run, Sandbox};

const KEY: &str = "deadbeefcafe0123456789abcdef0123456789abcdef0123456789abcdef0123";
const NEW_KEY: &str = "aabbccdd0011223344556677aabbccdd0011223344556677aabbccdd00112233";
const PYTHON: &str = "BULLA_TEST_PYTHON";

/// What fleche calls 1, and a pickle of it.
const ONE: &str = "da217d50752f3371d9f8b62a3e72409592bd34b74e14fdac43e2b137bd59f21f";
const ONE_PICKLED: &[u8] = b"\x80\x04K\x01.";

const SAVE: &str = "
from fleche.storage.pickle_file import ValuePickleFile
storage = ValuePickleFile.with_pickle(root='cache')
for value in (1, 'text', [1, [2, 3]], 2.5, b'.' * 100_000):
    print(storage.save(value))
ValuePickleFile.with_pickle(root='cache', compress=True).save('gzipped' * 1000)
";
const LOAD: &str = "
import sys
from fleche.storage.pickle_file import ValuePickleFile
print(repr(ValuePickleFile.with_pickle(root=sys.argv[1]).load(sys.argv[2])))
";

/// Runs Python with fleche, in the sandbox and with a key.
#[track_caller]
fn python(sandbox: &Sandbox, key: &str, arguments: &[&str]) -> String {
    let venv = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/venv/bin/python");
    let python = env::var_os(PYTHON).map_or_else(venv, PathBuf::from);
    let mut command = sandbox.prepare(Command::new(&python), arguments);
    let output = command.env("FLECHE_SECRET_KEY", key).output();
    let hint = format!("make the Python environment with `cargo xtask venv`, or set {PYTHON} to one that has fleche");
    let output = output.unwrap_or_else(|error| panic!("could not run `{}`: {error}; {hint}", python.display()));
    assert!(output.status.success(), "{}\n{hint}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs `bulla fleche` with a key in its environment.
fn with_key<A: AsRef<OsStr>>(sandbox: &Sandbox, key: &str, arguments: impl IntoIterator<Item = A>) -> Run {
    let arguments: Vec<_> = arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect();
    Run::of(
        sandbox.command([OsStr::new("fleche").to_owned()].into_iter().chain(arguments)).env("FLECHE_SECRET_KEY", key),
    )
}

#[test]
fn a_directory_of_fleche_is_listed_verified_read_and_imported() {
    let sandbox = Sandbox::with_project();
    let names: Vec<String> = python(&sandbox, KEY, &["-c", SAVE]).lines().map(str::to_owned).collect();
    let listed = sandbox.run(["fleche", "ls", "cache"]).succeeds();
    assert_eq!(listed.text().lines().count(), 7, "one of the lists has a part of its own");
    assert!(names.iter().all(|name| listed.text().contains(name.as_str())));
    let long = sandbox.run(["fleche", "ls", "--long", "cache"]).succeeds();
    assert!(long.text().contains(&format!("           5 value signed   -    {ONE}\n")), "{}", long.text());
    let records = sandbox.run(["fleche", "ls", "cache", "--json"]).succeeds().json();
    assert_eq!(records.iter().filter(|record| record["gzipped"] == true && record["signed"] == true).count(), 1);

    let verified = with_key(&sandbox, KEY, ["verify", "cache", "--json"]).succeeds().json();
    assert_eq!((&verified[0]["files"], &verified[0]["names_verified"]), (&7.into(), &7.into()));
    assert_eq!(with_key(&sandbox, KEY, ["get", "cache", ONE]).succeeds().stdout, ONE_PICKLED);
    with_key(&sandbox, KEY, ["get", "cache", ONE, "-o", "one"]).succeeds();
    assert_eq!(sandbox.read("one"), ONE_PICKLED);
    with_key(&sandbox, KEY, ["get", "cache", ONE, "-o", "one"]).fails(5, "one");

    let import = ["import", "cache", "-n", "results", "--prefix", "values/", "--tag", "old", "--json"];
    let imported = with_key(&sandbox, KEY, import).succeeds().json();
    assert_eq!((&imported[0]["imported"], &imported[0]["present"]), (&7.into(), &0.into()));
    let imported = with_key(&sandbox, KEY, import).succeeds().json();
    assert_eq!((&imported[0]["imported"], &imported[0]["present"]), (&0.into(), &7.into()));
    let entry = format!("values/{ONE}");
    assert_eq!(sandbox.run(["get", "-n", "results", &entry]).succeeds().stdout, ONE_PICKLED);
    let entry = &sandbox.run(["ls", "-n", "results", &entry, "--json"]).succeeds().json()[0];
    assert_eq!(entry["media_type"], "application/x-python-pickle");
    assert_eq!(entry["tags"], serde_json::json!(["fleche", "fleche:value", "old"]));
}

#[test]
fn what_is_put_is_read_by_fleche() {
    let sandbox = Sandbox::empty();
    for arguments in [&["put", "made/cache", ONE][..], &["put", "made/cache", ONE, "--gzip"]] {
        let mut child = sandbox.command(["fleche"].iter().chain(arguments));
        child.env("FLECHE_SECRET_KEY", format!("{NEW_KEY}:{KEY}"));
        sandbox.write("one", ONE_PICKLED);
        child.stdin(fs::File::open(sandbox.path("one")).unwrap());
        Run::of(&mut child).succeeds();
        assert_eq!(python(&sandbox, NEW_KEY, &["-c", LOAD, "made/cache", ONE]), "1\n");
    }
    assert_eq!(fs::read_dir(sandbox.path("made/cache")).unwrap().count(), 1);
    // The payload is no 2, whatever it is called.
    let two = format!("00{}", &ONE[2..]);
    with_key(&sandbox, KEY, ["put", "made/cache", &two, "one"]).fails(4, ONE);
    with_key(&sandbox, KEY, ["put", "made/cache", &two, "one", "--skip-names"]).succeeds();
    with_key(&sandbox, KEY, ["put", "made/cache", "../one", "one"]).fails(2, "64 of the characters");
    sandbox.write("text", "no pickle");
    with_key(&sandbox, KEY, ["put", "made/cache", &two, "text"]).fails(4, "does not end as a pickle does");
    with_key(&sandbox, "c0ffee", ["put", "made/cache", &two, "one", "--skip-names", "--quiet"])
        .fails(4, "less than 16 bytes");
}

#[test]
fn what_was_tampered_with_is_found_and_left() {
    let sandbox = Sandbox::with_project();
    let names: Vec<String> = python(&sandbox, KEY, &["-c", SAVE]).lines().map(str::to_owned).collect();
    let cache = sandbox.path("cache");
    let original = fs::read(cache.join(ONE)).unwrap();
    fs::write(cache.join(ONE), [b"malicious_payload", &original[..]].concat()).unwrap();
    fs::write(cache.join(&names[1]), &original).unwrap();
    fs::write(cache.join(&names[3]), ONE_PICKLED).unwrap();
    fs::write(cache.join("README"), "hello").unwrap();

    let verified = with_key(&sandbox, KEY, ["verify", "cache"]).fails_late(7, "4 files are refused");
    assert_eq!(verified.text().lines().count(), 4, "{verified:?}");
    let codes = |run: &Run| -> Vec<_> {
        let mut codes: Vec<_> =
            run.json().iter().filter_map(|line| line["finding"].as_str().map(str::to_owned)).collect();
        codes.sort();
        codes
    };
    let all = ["bad_signature", "not_a_digest", "unsigned", "wrong_digest"];
    let verified = with_key(&sandbox, KEY, ["verify", "cache", "--json"]);
    assert_eq!((verified.code, codes(&verified)), (Some(7), all.map(str::to_owned).to_vec()));
    let imported = with_key(&sandbox, KEY, ["import", "cache", "-n", "results", "--json"]);
    assert_eq!((imported.code, codes(&imported)), (Some(7), all.map(str::to_owned).to_vec()));
    assert_eq!(imported.json().last().unwrap()["imported"], 4);
    assert_eq!(sandbox.run(["ls", "-n", "results"]).succeeds().text().lines().count(), 4);

    with_key(&sandbox, KEY, ["get", "cache", ONE, "--json"]).refuses(4, "bad_signature");
    with_key(&sandbox, KEY, ["get", "cache", &names[3], "--json"]).refuses(4, "unsigned");
    with_key(&sandbox, KEY, ["get", "cache", &"0".repeat(64), "--json"]).refuses(3, "not_found");
    with_key(&sandbox, KEY, ["get", "nowhere", ONE, "--json"]).refuses(3, "not_found");
    with_key(&sandbox, NEW_KEY, ["get", "cache", &names[2], "--json"]).refuses(4, "bad_signature");
    with_key(&sandbox, &format!("{NEW_KEY}:{KEY}"), ["get", "cache", &names[2]]).succeeds();
    let listed = sandbox.run(["fleche", "ls", "cache"]).fails_late(7, "no files of fleche");
    assert!(listed.stderr.contains("README"), "{listed:?}");
    assert!(fs::read(cache.join(ONE)).unwrap().starts_with(b"malicious_payload"), "it is where it was");

    // An entry that has another value stays, unless it is to be replaced.
    fs::write(cache.join(ONE), &original).unwrap();
    sandbox.feed(b"another", ["put", ONE, "-n", "results"]).succeeds();
    let imported = with_key(&sandbox, KEY, ["import", "cache", "-n", "results", "--json"]);
    assert!(codes(&imported).contains(&"differs".to_owned()), "{imported:?}");
    assert_eq!(sandbox.run(["get", ONE, "-n", "results"]).succeeds().stdout, b"another");
    with_key(&sandbox, KEY, ["import", "cache", "-n", "results", "--replace"]);
    assert_eq!(sandbox.run(["get", ONE, "-n", "results", "--expect-version", "2"]).succeeds().stdout, ONE_PICKLED);
}

#[test]
fn keys_come_from_the_variable_or_a_private_file() {
    let sandbox = Sandbox::empty();
    sandbox.write("one", ONE_PICKLED);
    with_key(&sandbox, KEY, ["put", "cache", ONE, "one"]).succeeds();

    sandbox.write("key", format!("{NEW_KEY}:{KEY}\n"));
    let by_file = ["fleche", "get", "cache", ONE, "--key-file", "key"];
    sandbox.run(by_file).fails(4, "key");
    fs::set_permissions(sandbox.path("key"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(sandbox.run(by_file).succeeds().stdout, ONE_PICKLED);
    sandbox.run(["fleche", "get", "cache", ONE, "--key-file", "gone"]).fails(3, "gone");

    let missing = sandbox.run(["fleche", "get", "cache", ONE]).fails(2, "FLECHE_SECRET_KEY");
    assert!(missing.stderr.contains("hint: "), "{missing:?}");
    for text in [format!("{KEY}:"), format!(":{KEY}"), "no hex".to_owned(), format!("{KEY}:{}", "00".repeat(16))] {
        let refused = with_key(&sandbox, &text, ["verify", "cache", "--json"]).refuses(2, "invalid_hex_keys");
        assert!(!refused.stderr.contains("deadbeef"), "{refused:?}");
    }
    with_key(&sandbox, "", ["verify", "cache"]).fails(2, "empty");
    let short = with_key(&sandbox, &format!("{KEY}:c0ffee"), ["verify", "cache"]).succeeds();
    assert!(short.stderr.contains("warning: ") && short.stderr.contains("never signs"), "{short:?}");

    // Nothing is verified only where that is said, and where no key says otherwise.
    assert_eq!(sandbox.run(["fleche", "get", "cache", ONE, "--unsigned"]).succeeds().stdout, ONE_PICKLED);
    let done = sandbox.run(["fleche", "verify", "cache", "--unsigned"]).succeeds();
    assert!(done.stderr.contains("verified nothing"), "{done:?}");
    with_key(&sandbox, KEY, ["get", "cache", ONE, "--unsigned"]).fails(2, "is set");
}
