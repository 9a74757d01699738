use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::{fs, iter};

use rusqlite::{Connection, params};
use serde_json::Value;

use crate::sandbox::{Sandbox, noise};

#[test]
fn values_of_any_length_come_back() {
    let sandbox = Sandbox::with_project();
    for len in [0, 1, 65_536, 65_537, 3_000_000] {
        let value = noise(len, 7);
        sandbox.write("value", &value);
        let name = len.to_string();
        sandbox.run(["put", &name, "value"]).succeeds();
        assert!(sandbox.run(["get", &name]).succeeds().stdout == value, "{len}");
        sandbox.run(["get", &name, "-o", &format!("{name}.out")]).succeeds();
        assert!(sandbox.read(format!("{name}.out")) == value, "{len}");
    }
    sandbox.run(["get", "1", "-o", "1.out"]).fails(5, "1.out");
    sandbox.run(["get", "0", "-o", "1.out", "--force"]).succeeds();
    assert_eq!(sandbox.read("1.out"), b"");
    let checked = sandbox.run(["check", "--json"]).succeeds().json();
    assert_eq!((&checked[0]["entries"], &checked[0]["damaged"]), (&5.into(), &0.into()));
    assert_eq!(sandbox.run(["check"]).succeeds().text(), "");
}

#[test]
fn versions_can_be_expected() {
    let sandbox = Sandbox::with_project();
    let put = |expect: &str| sandbox.feed(b"x", ["put", "name", "--json", "--expect-version", expect]);
    assert_eq!(put("0").succeeds().json()[0]["version"], 1);
    assert_eq!(put("0").json_error()["code"], "version_mismatch");
    assert_eq!(put("1").succeeds().json()[0]["version"], 2);
    sandbox.run(["get", "name", "--expect-version", "2"]).succeeds();
    sandbox.run(["get", "name", "--expect-version", "1"]).fails(5, "is at version 2, expected was version 1");
    sandbox.run(["rm", "name", "--expect-version", "1"]).fails(5, "expected was version 1");
    sandbox.run(["rm", "name", "--expect-version", "2"]).succeeds();
    sandbox.run(["rm", "name"]).fails(3, "there is no entry");
    sandbox.run(["get", "name"]).fails(3, "there is no entry");
}

#[test]
fn listings_show_what_entries_say() {
    let sandbox = Sandbox::with_project();
    let options = ["--ttl", "3600", "--media-type", "text/plain", "--tag", "a", "--tag", "b"];
    sandbox.feed(b"hello", ["put", "report/1"].into_iter().chain(options)).succeeds();
    sandbox.feed(b"x", ["put", "report/2"]).succeeds();
    sandbox.feed(b"x", ["put", "other"]).succeeds();
    sandbox.feed(b"x", ["put", "elsewhere", "-n", "features"]).succeeds();

    assert_eq!(sandbox.run(["ls"]).succeeds().text(), "other\nreport/1\nreport/2\n");
    assert_eq!(sandbox.run(["ls", "report/", "-0"]).succeeds().text(), "report/1\0report/2\0");
    assert_eq!(sandbox.run(["ls", "--namespace", "features"]).succeeds().text(), "elsewhere\n");
    assert_eq!(sandbox.run(["ls", "none"]).succeeds().text(), "");
    assert!(sandbox.run(["ls", "-l", "report/1"]).succeeds().text().contains("text/plain report/1"));

    let listed = sandbox.run(["ls", "report/1", "--json"]).succeeds().json().remove(0);
    assert_eq!((&listed["name"], &listed["bytes"], &listed["version"]), (&"report/1".into(), &5.into(), &1.into()));
    assert_eq!(listed["tags"], Value::from(["a", "b"].as_slice()));
    assert!(listed["expires"].as_str().unwrap() > listed["created"].as_str().unwrap());

    // The record of a value that goes to standard output is on standard error.
    let got = sandbox.run(["get", "report/1", "--json"]).succeeds();
    assert_eq!((got.stdout.as_slice(), got.json_error()["media_type"].as_str()), (&b"hello"[..], Some("text/plain")));
    let status = sandbox.run(["status", "--json"]).succeeds().json().remove(0);
    assert_eq!(status["namespaces"], Value::from(["default", "features"].as_slice()));
}

#[test]
fn names_are_any_bytes() {
    let sandbox = Sandbox::with_project();
    let name = OsStr::from_bytes(b"caf\xe9\n");
    sandbox.write("value", b"x");
    sandbox.run([OsStr::new("put"), name, OsStr::new("value")]).succeeds();
    assert_eq!(sandbox.run([OsStr::new("get"), name]).succeeds().stdout, b"x");
    assert_eq!(sandbox.run(["ls"]).succeeds().text(), "caf\\xe9\\n\n");
    assert_eq!(sandbox.run(["ls", "-0"]).succeeds().stdout, b"caf\xe9\n\0");
    assert_eq!(sandbox.run(["ls", "--json"]).succeeds().json()[0]["name_base64"], "Y2Fm6Qo=");

    let long: String = iter::repeat_n('x', 1_025).collect();
    sandbox.feed(b"x", ["put", &long]).fails(2, "name");
    sandbox.feed(b"x", ["put", ""]).fails(2, "name");
    sandbox.feed(b"x", ["put", "x", "--namespace", "../x"]).fails(2, "namespace");
}

#[test]
fn what_cannot_be_put_leaves_nothing() {
    let sandbox = Sandbox::with_project();
    sandbox.run(["put", "name", "missing"]).fails(3, "missing");
    sandbox.run(["put", "name", "."]).fails(1, "directory");
    sandbox.feed(b"x", ["put", "name", "--media-type", ""]).fails(2, "media type");
    assert_eq!(sandbox.run(["ls"]).succeeds().text(), "");
}

#[test]
fn damage_is_found_refused_and_hides_nothing() {
    let sandbox = Sandbox::with_project();
    for name in ["a", "b", "c"] {
        sandbox.feed(name.as_bytes(), ["put", name]).succeeds();
    }
    sandbox.feed(&noise(200_000, 1), ["put", "large"]).succeeds();
    flip_row(&sandbox, b"default\0b");
    let blob = blob_files(&sandbox).remove(0);
    let mut bytes = fs::read(&blob).unwrap();
    bytes[150_000] ^= 1;
    fs::write(&blob, bytes).unwrap();

    let listed = sandbox.run(["ls"]);
    assert_eq!((listed.code, listed.text()), (Some(7), "a\nc\nlarge\n"));
    assert!(listed.stderr.contains("`b` in namespace `default`"), "{listed:?}");
    let listed = sandbox.run(["ls", "--json"]);
    assert_eq!((listed.code, &listed.json()[1]["error"]["code"]), (Some(7), &"damaged".into()));

    let checked = sandbox.run(["check"]);
    assert_eq!((checked.code, checked.text().lines().count()), (Some(7), 2), "{checked:?}");
    let checked = sandbox.run(["check", "--json"]).json();
    assert_eq!(checked.iter().filter(|record| record["finding"] == "damaged").count(), 2);
    assert_eq!((&checked[2]["entries"], &checked[2]["damaged"]), (&2.into(), &2.into()));

    sandbox.run(["get", "b"]).fails(4, "the sealed value is damaged");
    sandbox.run(["get", "b"]).fails(4, "lies in quarantine");
    sandbox.run(["get", "large", "-o", "out"]).fails(4, "was altered");
    assert!(!sandbox.names().iter().any(|name| name.contains("out")), "{:?}", sandbox.names());
    assert_eq!(sandbox.run(["ls"]).succeeds().text(), "a\nc\n");
}

#[test]
fn what_lies_in_quarantine_is_listed_put_back_and_destroyed() {
    let sandbox = Sandbox::with_project();
    for name in ["a", "b"] {
        sandbox.feed(name.as_bytes(), ["put", name]).succeeds();
    }
    sandbox.feed(&noise(200_000, 1), ["put", "large"]).succeeds();
    flip_row(&sandbox, b"default\0b");
    let blob = blob_files(&sandbox).remove(0);
    let bytes = fs::read(&blob).unwrap();
    fs::remove_file(&blob).unwrap();
    sandbox.run(["rm", "b"]).fails(4, "damaged");
    for _ in 0..2 {
        sandbox.run(["get", "large", "-o", "out"]).fails(4, "missing");
    }
    sandbox.run(["quarantine", "add", "large"]).succeeds();
    let listed = sandbox.run(["quarantine", "ls"]).succeeds();
    assert_eq!(listed.text().lines().count(), 2, "{listed:?}");
    let listed = sandbox.run(["quarantine", "ls", "--json"]).succeeds().json();
    let id = |name: &str| {
        let found = listed.iter().find(|record| record["name"] == name).unwrap();
        found["id"].as_str().unwrap().to_owned()
    };
    assert_eq!(listed.iter().find(|record| record["name"] == "large").unwrap()["code"], "missing_blob");

    sandbox.run(["quarantine", "restore", &id("b")]).fails(4, "damaged");
    sandbox.run(["quarantine", "restore", &id("large")]).fails(4, "missing");
    fs::write(&blob, &bytes).unwrap();
    sandbox.feed(b"new", ["put", "large"]).succeeds();
    sandbox.run(["quarantine", "restore", &id("large")]).fails(5, "there is an entry");
    sandbox.run(["rm", "large"]).succeeds();
    sandbox.run(["quarantine", "restore", &id("large")]).succeeds();
    assert!(sandbox.run(["get", "large"]).succeeds().stdout == noise(200_000, 1));

    sandbox.run(["quarantine", "rm", &id("large")]).fails(3, "no quarantine record");
    sandbox.run(["quarantine", "rm", "nonsense"]).fails(2, "32 digits");
    sandbox.run(["quarantine", "rm"]).fails(2, "required");
    sandbox.run(["get", "b"]).fails(4, "quarantine");
    sandbox.run(["quarantine", "rm", "--all"]).succeeds();
    sandbox.run(["get", "b"]).fails(3, "there is no entry");
    assert_eq!(sandbox.run(["quarantine", "ls"]).succeeds().text(), "");
    sandbox.run(["quarantine", "add", "a"]).fails(3, "opens, or is not there");
    assert_eq!(sandbox.run(["get", "a"]).succeeds().stdout, b"a");
}

#[test]
fn namespaces_are_kept_as_they_are_set() {
    let sandbox = Sandbox::with_project();
    sandbox.run(["namespace", "set", "-n", "cache"]).fails(2, "no setting to change");
    sandbox.run(["namespace", "set", "-n", "cache", "--eviction", "lru"]).fails(2, "least-recently-used");
    sandbox.run(["namespace", "set", "-n", "cache", "--eviction", "least-recently-used"]).fails(2, "needs a limit");
    sandbox.run(["namespace", "set", "-n", "cache", "--ttl", "0s"]).fails(2, "less than a millisecond");
    let settings = ["--ttl", "12h", "--on-tamper", "miss", "--durability", "cache", "--blinded-names", "yes"];
    sandbox.run(["namespace", "set", "-n", "cache"].into_iter().chain(settings)).succeeds();
    sandbox.feed(b"v", ["put", "who/alice", "-n", "cache"]).succeeds();
    sandbox.feed(b"v", ["put", "plain"]).succeeds();

    let shown = sandbox.run(["namespace", "show", "-n", "cache"]).succeeds();
    for line in
        ["mode          sealed", "blinded-names yes", "on-tamper     miss", "ttl           12h", "max-bytes     none"]
    {
        assert!(shown.text().contains(line), "{line}: {shown:?}");
    }
    let shown = sandbox.run(["namespace", "show", "-n", "cache", "--json"]).succeeds().json().remove(0);
    assert_eq!((&shown["ttl_ms"], &shown["max_bytes"]), (&43_200_000.into(), &Value::Null));
    assert_eq!(sandbox.run(["namespace", "ls"]).succeeds().text(), "cache\ndefault\n");
    assert!(sandbox.run(["ls", "-l", "-n", "cache"]).succeeds().text().contains("who/alice"));
    assert_eq!(sandbox.run(["ls", "who/", "-n", "cache"]).succeeds().text(), "who/alice\n");
    sandbox.run(["ls", "wh", "-n", "cache"]).fails(2, "whole segments");
    sandbox.run(["namespace", "set", "-n", "cache", "--blinded-names", "no"]).fails(2, "before the first entry");
    sandbox.run(["namespace", "set", "-n", "cache", "--ttl", "none", "--mode", "authenticated"]).succeeds();
    let shown = sandbox.run(["namespace", "show", "-n", "cache", "--json"]).succeeds().json().remove(0);
    assert_eq!(
        (&shown["ttl_ms"], &shown["mode"], &shown["blinded_names"]),
        (&Value::Null, &"authenticated".into(), &true.into())
    );
}

#[test]
fn lost_and_damaged_settings_stop_writers_until_they_are_set_anew_and_readers_not() {
    for (change, says) in [
        ("DELETE FROM document WHERE key = ?1", "settings of namespace `default` are gone"),
        (
            "UPDATE document SET value = substr(value, 1, length(value) - 1) WHERE key = ?1",
            "settings of namespace `default` are refused",
        ),
    ] {
        for blinded in ["no", "yes"] {
            let sandbox = Sandbox::with_project();
            sandbox.run(["namespace", "set", "--blinded-names", blinded]).succeeds();
            sandbox.feed(b"v", ["put", "who/alice"]).succeeds();
            let database = Connection::open(sandbox.path(".bulla/entries.db")).unwrap();
            assert_eq!(database.execute(change, params![b"default"]).unwrap(), 1);
            drop(database);
            assert_eq!(sandbox.run(["get", "who/alice"]).succeeds().stdout, b"v");
            assert_eq!(sandbox.run(["ls", "who/"]).succeeds().text(), "who/alice\n");
            sandbox.run(["get", "none"]).fails(4, says);
            sandbox.feed(b"w", ["put", "who/alice"]).fails(4, says);
            let refused = sandbox.feed(b"w", ["put", "who/alice"]).fails(4, "`bulla namespace set --anew`");
            assert!(refused.stderr.contains("restore them from a backup"), "{refused:?}");
            sandbox.run(["rm", "who/alice"]).fails(4, says);
            sandbox.run(["namespace", "set", "--ttl", "12h"]).fails(4, says);
            let listed = sandbox.run(["namespace", "ls"]).fails_late(7, "the settings of 1 namespaces cannot be read");
            assert!(listed.stderr.contains(says), "{listed:?}");
            sandbox.run(["namespace", "set", "--anew", "--blinded-names", blinded]).succeeds();
            sandbox.feed(b"w", ["put", "who/alice"]).succeeds();
            assert_eq!(sandbox.run(["get", "who/alice"]).succeeds().stdout, b"w");
        }
    }
}

#[test]
fn the_json_backend_does_the_same() {
    let sandbox = Sandbox::empty();
    sandbox.run(["init", "--backend", "json:data"]).succeeds();
    let settings = String::from_utf8(sandbox.read("bulla.toml")).unwrap();
    assert!(settings.contains("backend = \"json:data\"\n"), "{settings}");
    sandbox.feed(b"small", ["put", "small"]).succeeds();
    sandbox.feed(&noise(100_000, 2), ["put", "large"]).succeeds();
    sandbox.run(["key", "rotate", "store/default"]).succeeds();
    assert_eq!(sandbox.run(["get", "small"]).succeeds().stdout, b"small");
    assert!(sandbox.run(["get", "large"]).succeeds().stdout == noise(100_000, 2));
    sandbox.run(["check"]).succeeds();
}

fn flip_row(sandbox: &Sandbox, key: &[u8]) {
    let database = Connection::open(sandbox.path(".bulla/entries.db")).unwrap();
    let select = "SELECT value FROM document WHERE key = ?1";
    let mut value: Vec<u8> = database.query_row(select, params![key], |row| row.get(0)).unwrap();
    let end = value.len() - 1;
    value[end] ^= 1;
    database.execute("UPDATE document SET value = ?2 WHERE key = ?1", params![key, value]).unwrap();
}

fn blob_files(sandbox: &Sandbox) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![sandbox.path(".bulla/blobs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}
