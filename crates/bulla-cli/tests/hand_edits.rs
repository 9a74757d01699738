//! The database is edited by hand, by somebody who means harm or slips: each edit is refused with a message that says what is wrong, and hides
//! nothing else.

use std::fs;
use std::process::Command;

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::fleet::{Fleet, authorize, enroll, members};
use crate::sandbox::{Run, Sandbox};

type Edit = fn(&mut Value);
/// An edit with what it does, or what is said of it.
type Named = (&'static str, Edit);

const TRUST: &str = ".bulla/trust.json";

/// Length of the signature at the end of a record, with its CBOR head.
const SIGNATURE_LEN: usize = 66;
/// Length of the sealed capability before it: header, message, tag.
const CAPABILITY_LEN: usize = 84 + 4 + 16;

/// A project of an authoriser and a server on the backend that one can edit with any editor.
struct Scene {
    fleet: Fleet,
    server: Sandbox,
    good: Vec<u8>,
}

impl Scene {
    fn new() -> Self {
        let fleet = Fleet::on("json");
        fleet.founder.run(["key", "new", "orders"]).succeeds();
        fleet.founder.run(["key", "new", "bills"]).succeeds();
        let server = fleet.machine("server", false);
        server.run(["verify"]).succeeds();
        let good = fleet.founder.read(TRUST);
        Self { fleet, server, good }
    }

    /// Edits the file as it was, and runs a command on it.
    fn edited(&self, edit: impl FnOnce(&mut Value), arguments: &[&str]) -> Run {
        let mut file: Value = serde_json::from_slice(&self.good).unwrap();
        edit(&mut file);
        self.written(file.to_string().as_bytes(), arguments)
    }

    fn written(&self, text: &[u8], arguments: &[&str]) -> Run {
        self.fleet.founder.write(TRUST, text);
        self.fleet.founder.run(arguments)
    }

    fn restore(&self) {
        self.fleet.founder.write(TRUST, &self.good);
    }
}

/// Returns the places of the documents of one collection.
fn places(file: &Value, collection: &str) -> Vec<usize> {
    let documents = file["documents"].as_array().unwrap();
    (0..documents.len()).filter(|at| documents[*at]["collection"] == collection).collect()
}

/// Returns a document of a collection; they are in the order of their keys.
fn document<'a>(file: &'a mut Value, collection: &str, at: usize) -> &'a mut Value {
    let at = places(file, collection)[at];
    &mut file["documents"][at]
}

fn remove(file: &mut Value, collection: &str, at: usize) {
    let at = places(file, collection)[at];
    file["documents"].as_array_mut().unwrap().remove(at);
}

fn bytes(document: &Value) -> Vec<u8> {
    BASE64.decode(document["base64"].as_str().unwrap().as_bytes()).unwrap()
}

fn set(document: &mut Value, bytes: &[u8]) {
    document["base64"] = json!(BASE64.encode(bytes));
}

#[test]
fn a_file_that_is_no_file_of_documents_is_refused() {
    let scene = Scene::new();
    let half = &scene.good[..scene.good.len() / 2];
    for text in [half, b"", b"{}", b"null", b"[]", b"\xff\xfe", b"{\"format\": \"something else\"}"] {
        let run = scene.written(text, &["list", "--json"]).refuses(4, "backend_corrupt");
        assert!(run.stderr.contains("trust.json"), "{run:?}");
    }
    let edits: [Named; 8] = [
        ("a missing collection", |file| drop(file["documents"][0].as_object_mut().unwrap().remove("collection"))),
        ("a missing value", |file| drop(document(file, "keys", 0).as_object_mut().unwrap().remove("base64"))),
        ("a missing revision", |file| drop(file["documents"][0].as_object_mut().unwrap().remove("revision"))),
        ("a revision in words", |file| file["documents"][0]["revision"] = json!("three")),
        ("a negative revision", |file| file["documents"][0]["revision"] = json!(-1)),
        ("a value that is a number", |file| document(file, "keys", 0)["base64"] = json!(7)),
        ("a value that is no base64", |file| document(file, "keys", 0)["base64"] = json!("not base64!")),
        ("documents that are no list", |file| file["documents"] = json!({})),
    ];
    for (what, edit) in edits {
        let run = scene.edited(edit, &["list", "--json"]);
        assert_eq!(
            (run.code, run.json_error()["code"].as_str()),
            (Some(4), Some("backend_corrupt")),
            "{what}: {run:?}"
        );
    }
    scene.restore();
    scene.fleet.founder.run(["verify"]).succeeds();
}

#[test]
fn a_trust_log_that_was_edited_is_refused() {
    let scene = Scene::new();
    let edits: [(&str, &str, Edit); 7] = [
        ("record 1 is missing", "trust_log", |file| remove(file, "trust_log", 1)),
        ("record 2 is not well-formed", "trust_log", |file| set(document(file, "trust_log", 2), b"\x82\x00\x00")),
        ("record 3 was made for another position", "trust_log", |file| {
            let first = bytes(document(file, "trust_log", 1));
            set(document(file, "trust_log", 3), &first);
        }),
        ("record 3 was made for another position", "trust_log", |file| {
            let (one, other) = (bytes(document(file, "trust_log", 3)), bytes(document(file, "trust_log", 2)));
            set(document(file, "trust_log", 2), &other);
            set(document(file, "trust_log", 3), &other);
            assert_ne!(one, other);
        }),
        // The flag of the authoriser in the place of the server's.
        ("record 3 does not carry its author's signature", "trust_log", |file| {
            let theirs = bytes(document(file, "trust_log", 1));
            let mut ours = bytes(document(file, "trust_log", 3));
            let flag = |record: &[u8]| record.len() - SIGNATURE_LEN - CAPABILITY_LEN..record.len() - SIGNATURE_LEN;
            let (from, to) = (flag(&theirs), flag(&ours));
            assert_ne!(theirs[from.clone()], ours[to.clone()]);
            ours[to].copy_from_slice(&theirs[from]);
            set(document(file, "trust_log", 3), &ours);
        }),
        ("the trust log went back", "rollback", |file| remove(file, "trust_log", 3)),
        ("there is no project in this database", "not_found", |file| {
            while !places(file, "trust_log").is_empty() {
                remove(file, "trust_log", 0);
            }
        }),
    ];
    for (message, code, edit) in edits {
        for machine in [&scene.fleet.founder, &scene.server] {
            scene.edited(edit, &["status"]);
            if code != "rollback" {
                // What a machine remembers would tell it first that something is wrong, and not what.
                fs::remove_dir_all(machine.home().join(".local/share/bulla/pins")).unwrap();
            }
            let run = machine.run(["list", "--json"]);
            assert_eq!(run.json_error()["code"], code, "{message}: {run:?}");
            assert!(run.stderr.contains(message), "{message}: {run:?}");
            assert!(!run.stderr.contains("panicked") && matches!(run.code, Some(3 | 4)), "{run:?}");
            scene.restore();
            machine.run(["list"]).succeeds();
        }
    }
    scene.restore();
    assert_eq!(members(&scene.server).len(), 2);
}

#[test]
fn a_bad_row_hides_no_other() {
    let scene = Scene::new();
    // In the order of their names: bills, default, orders.
    let spoilt = scene.edited(|file| set(document(file, "keys", 0), b"\x81\x00"), &["key", "ls"]);
    assert_eq!((spoilt.code, spoilt.text().lines().count()), (Some(7), 2), "{spoilt:?}");
    assert!(spoilt.stderr.contains("key `bills` is corrupt"), "{spoilt:?}");
    let verified = scene.fleet.founder.run(["verify", "--json"]);
    assert_eq!((verified.code, verified.json()[0]["finding"].as_str()), (Some(7), Some("corrupt")), "{verified:?}");
    assert_eq!((&verified.json()[1]["keys"], &verified.json()[1]["damaged"]), (&3.into(), &1.into()));

    // A version that is missing, one that is another key's, one with a flipped bit; each by its name, the rest as it was.
    let edits: [Named; 3] = [
        ("is missing", |file| remove(file, "key_versions", 0)),
        ("altered, or brought from elsewhere", |file| {
            let theirs = bytes(document(file, "key_versions", 2));
            set(document(file, "key_versions", 0), &theirs);
        }),
        ("altered, or brought from elsewhere", |file| {
            let mut row = bytes(document(file, "key_versions", 0));
            let last = row.len() - 1;
            row[last] ^= 1;
            set(document(file, "key_versions", 0), &row);
        }),
    ];
    for (message, edit) in edits {
        let run = scene.edited(edit, &["verify"]);
        assert_eq!(run.code, Some(7), "{message}: {run:?}");
        let first = run.text().lines().next().unwrap();
        assert!(first.starts_with("version 1 of key `bills` is corrupt") && first.contains(message), "{run:?}");
        assert!(run.text().contains("keys: 4 with 3 versions verified"), "{run:?}");
        let founder = &scene.fleet.founder;
        founder.write("plain", b"x");
        founder.run(["seal", "plain", "-o", "-", "--key", "bills"]).fails(4, "version 1 of key `bills`");
        founder.run(["seal", "plain", "-o", "-", "--key", "orders"]).succeeds();
    }
}

#[test]
fn copies_of_data_keys_are_checked() {
    let scene = Scene::new();
    // Without a copy a machine cannot get in; what others have is none of its business.
    let all_but_the_log = |file: &mut Value| {
        while !places(file, "wraps").is_empty() {
            remove(file, "wraps", 0);
        }
    };
    let run = scene.edited(all_but_the_log, &["list"]);
    assert_eq!(run.code, Some(4), "{run:?}");
    assert!(run.stderr.contains("data key of epoch 1") || run.stderr.contains("was not let in"), "{run:?}");
    // Each copy in the other's place, where it opens for nobody.
    let swapped = |file: &mut Value| {
        let (one, other) = (bytes(document(file, "wraps", 0)), bytes(document(file, "wraps", 1)));
        set(document(file, "wraps", 0), &other);
        set(document(file, "wraps", 1), &one);
    };
    let run = scene.edited(swapped, &["list"]);
    assert!(run.code == Some(4) && run.stderr.contains("data key of epoch 1"), "{run:?}");
    scene.server.run(["list"]).fails(4, "data key of epoch 1");
    // One that is spoilt hinders one machine.
    let spoilt = |file: &mut Value| set(document(file, "wraps", 0), b"\x80");
    scene.edited(spoilt, &["list"]);
    let codes = [&scene.fleet.founder, &scene.server].map(|machine| machine.run(["list"]).code);
    assert!(codes == [Some(0), Some(4)] || codes == [Some(4), Some(0)], "{codes:?}");
}

#[test]
fn documents_of_another_project_are_refused() {
    let scene = Scene::new();
    let other = Scene::new();
    let theirs: Value = serde_json::from_slice(&other.good).unwrap();
    let key = theirs["documents"][places(&theirs, "keys")[0]].clone();
    let run = scene.edited(|file| document(file, "keys", 0)["base64"] = key["base64"].clone(), &["verify"]);
    assert_eq!(run.code, Some(7), "{run:?}");
    assert!(run.text().starts_with("key `bills` is corrupt"), "{run:?}");
    // All of it.
    scene.written(&other.good, &["list", "--json"]).refuses(4, "other_project");
    // And the project of ours, pinned wrongly.
    scene.restore();
    let stranger = Sandbox::empty();
    let pinned = other.fleet.project();
    stranger.run(["config", "init", "--project", &pinned, "--backend", &scene.fleet.backend()]).succeeds();
    enroll(&stranger, "stranger");
    stranger.run(["list", "--json"]).refuses(4, "other_project");
}

#[test]
fn an_older_copy_is_refused_until_an_authoriser_accepts_it() {
    let scene = Scene::new();
    let (office, server) = (&scene.fleet.founder, &scene.server);
    let laptop = scene.fleet.machine("laptop", true);
    office.run(["revoke", "server", "--yes"]).succeeds();
    laptop.run(["list"]).succeeds();

    // Put back by one who was put out.
    scene.restore();
    let run = office.run(["list"]).fails(4, "the trust log went back");
    assert!(run.stderr.contains("hint: if an older copy was restored on purpose, `bulla accept-rollback`"), "{run:?}");
    // The copy is older than the laptop.
    laptop.run(["list"]).fails(4, "was not let in");
    server.run(["accept-rollback", "--yes"]).fails(4, "may not do this");
    laptop.run(["accept-rollback", "--yes"]).fails(4, "was not let in");

    // Restored on purpose.
    office.run(["accept-rollback"]).fails(2, "nobody to ask");
    let run = office.run(["accept-rollback", "--yes"]).succeeds();
    assert!(run.stderr.starts_with("accepted: the trust log goes on from "), "{run:?}");
    assert!(run.stderr.contains("who was put out since the copy was made is in again"), "{run:?}");
    assert_eq!(members(office).len(), 2);
    office.run(["revoke", "server", "--yes"]).succeeds();
    authorize(office, &enroll(&laptop, "laptop"), true).succeeds();
    assert_eq!(members(&laptop).len(), 2);
    server.run(["list"]).fails(4, "was put out");

    // The same copy once more is refused again.
    scene.restore();
    office.run(["list"]).fails(4, "the trust log went back");
    laptop.run(["list"]).fails(4, "was not let in");
}

#[test]
fn a_stolen_database_opens_for_nobody_else() {
    let scene = Scene::new();
    scene.fleet.founder.feed(b"secret", ["put", "report"]).succeeds();
    let thief = Sandbox::empty();
    let backend = scene.fleet.founder.path(".bulla");
    assert!(Command::new("cp").arg("-r").arg(backend).arg(thief.path(".bulla")).status().unwrap().success());
    thief.run(["config", "init", "--project", &scene.fleet.project(), "--backend", "json:.bulla"]).succeeds();
    thief.run(["get", "report"]).fails(3, "identity");
    enroll(&thief, "thief");
    thief.run(["get", "report"]).fails(4, "was not let in");
    // Nor does the copy of a data key that is another's, under one's own name.
    let mut file: Value = serde_json::from_slice(&fs::read(thief.path(".bulla/trust.json")).unwrap()).unwrap();
    let fingerprint = enroll(&thief, "thief").fingerprint;
    let mut key = data_encoding::HEXLOWER.decode(fingerprint.as_bytes()).unwrap();
    let wrap = document(&mut file, "wraps", 0);
    let theirs = BASE64.decode(wrap["key_base64"].as_str().unwrap().as_bytes()).unwrap();
    key.extend_from_slice(&theirs[32..]);
    wrap["key_base64"] = json!(BASE64.encode(&key));
    thief.write(".bulla/trust.json", file.to_string());
    thief.run(["get", "report"]).fails(4, "");
}
