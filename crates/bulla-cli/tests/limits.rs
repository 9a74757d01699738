use std::fs;
use std::path::Path;

use crate::sandbox::{Sandbox, noise};

fn names(sandbox: &Sandbox) -> String {
    sandbox.run(["ls"]).succeeds().text().replace('\n', " ")
}

#[test]
fn a_full_namespace_refuses_and_one_with_a_policy_makes_room() {
    let sandbox = Sandbox::with_project();
    sandbox.run(["namespace", "set", "--max-entries", "3"]).succeeds();
    for name in ["a", "b", "c"] {
        sandbox.feed(b"v", ["put", name]).succeeds();
    }
    sandbox.feed(b"v", ["put", "d"]).fails(8, "is full");
    sandbox.feed(b"anew", ["put", "a"]).succeeds();
    assert_eq!(sandbox.feed(b"v", ["put", "d", "--json"]).json_error()["code"], "limit_reached");
    assert_eq!(names(&sandbox), "a b c ");
    sandbox.run(["evict"]).fails(2, "no limit and eviction policy");

    // The entries that are there take part in it, and what is read by a process of its own counts.
    sandbox.run(["namespace", "set", "--eviction", "least-recently-used"]).succeeds();
    assert_eq!(sandbox.run(["get", "b"]).succeeds().stdout, b"v");
    sandbox.feed(b"v", ["put", "d"]).succeeds();
    assert_eq!(names(&sandbox), "a b d ");
    let evicted = sandbox.run(["evict", "--to-entries", "1", "--json"]).succeeds().json();
    assert_eq!((&evicted[0]["evicted"], &evicted[0]["entries"]), (&2.into(), &1.into()));
    assert_eq!(names(&sandbox), "d ");
    let evicted = sandbox.run(["evict", "--to-bytes", "0"]).succeeds();
    assert!(evicted.stderr.contains("evicted 1 entries"), "{evicted:?}");
    assert_eq!(names(&sandbox), "");
}

#[test]
fn what_alone_passes_the_limit_is_refused_while_it_comes() {
    let sandbox = Sandbox::with_project();
    sandbox.run(["namespace", "set", "--max-bytes", "100000", "--eviction", "least-recently-stored"]).succeeds();
    sandbox.feed(b"v", ["put", "a"]).succeeds();
    for len in [100_000, 5_000_000] {
        let error = sandbox.feed(&noise(len, 1), ["put", "large", "--json"]).json_error();
        assert_eq!(error["code"], "over_limit");
        sandbox.feed(&noise(len, 1), ["put", "large"]).fails(8, "raise the limit");
    }
    assert_eq!(names(&sandbox), "a ");
}

#[test]
fn sensitive_values_are_encrypted_where_others_are_not() {
    let sandbox = Sandbox::with_project();
    sandbox.run(["namespace", "set", "--mode", "authenticated"]).succeeds();
    sandbox.feed(b"a value that all may see", ["put", "plain"]).succeeds();
    sandbox.feed(b"a value that nobody may see", ["put", "secret", "--sensitive"]).succeeds();
    assert_eq!(sandbox.run(["get", "secret"]).succeeds().stdout, b"a value that nobody may see");
    let mut stored = Vec::new();
    read_all(&sandbox.work(), &mut stored);
    let holds = |text: &[u8]| stored.windows(text.len()).any(|window| window == text);
    assert!(holds(b"that all may see") && !holds(b"that nobody may see"));
}

fn read_all(folder: &Path, stored: &mut Vec<u8>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { read_all(&path, stored) } else { stored.extend(fs::read(&path).unwrap()) }
    }
}
