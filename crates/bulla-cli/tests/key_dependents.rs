//! What depends on a key, and letting its old versions go.

use crate::sandbox::{Run, Sandbox};

fn depending(run: Run) -> (Vec<(u64, u64)>, u64) {
    let mut records = run.json();
    let all = records.pop().unwrap();
    let versions =
        records.iter().map(|record| (record["version"].as_u64().unwrap(), record["entries"].as_u64().unwrap()));
    (versions.collect(), all["entries"].as_u64().unwrap())
}

#[test]
fn trimming_is_refused_until_nothing_depends_on_what_goes() {
    let sandbox = Sandbox::with_project();
    for name in ["a", "b"] {
        sandbox.feed(b"value", ["put", name, "--namespace", "features"]).succeeds();
    }
    sandbox.feed(b"value", ["put", "n", "--namespace", "other"]).succeeds();
    sandbox.run(["key", "rotate", "store/features"]).succeeds();
    sandbox.feed(b"value", ["put", "b", "--namespace", "features"]).succeeds();

    let all = sandbox.run(["key", "where", "store/features", "--json"]).succeeds();
    assert_eq!(depending(all), (vec![(1, 1), (2, 1)], 2));
    let one = sandbox.run(["key", "where", "store/features", "--version", "1", "--json"]).succeeds();
    assert_eq!(depending(one), (vec![(1, 1)], 1));
    let text = sandbox.run(["key", "where", "store/features"]).succeeds();
    assert!(text.text().contains("2 of 3 entries"), "{text:?}");
    assert_eq!(depending(sandbox.run(["key", "where", "default", "--json"]).succeeds()), (vec![], 0));

    let trim = ["key", "trim", "store/features", "--below", "2", "--yes"];
    let refused = sandbox.run(trim).fails(5, "1 entries are sealed under version 1");
    assert!(refused.stderr.contains("bulla rotate --reseal"), "{refused:?}");
    // Refused, it has changed nothing: the old entry still opens.
    assert_eq!(sandbox.run(["get", "a", "--namespace", "features"]).succeeds().stdout, b"value");
    sandbox.run(["key", "trim", "store/features", "--below", "2", "--yes", "--json"]).refuses(5, "in_use");

    sandbox.feed(b"anew", ["put", "a", "--namespace", "features"]).succeeds();
    sandbox.run(["key", "trim", "store/features", "--below", "2"]).fails(2, "has to be confirmed");
    assert!(sandbox.run(trim).succeeds().stderr.contains("removed 1 versions"));
    let shown = sandbox.run(["key", "show", "store/features", "--json"]).succeeds().json();
    assert_eq!(shown[0]["versions"]["first"], 2);
    assert_eq!(sandbox.run(["get", "a", "--namespace", "features"]).succeeds().stdout, b"anew");
    assert!(sandbox.run(trim).succeeds().stderr.contains("removed 0 versions"));
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let sandbox = Sandbox::with_project();
    sandbox.run(["key", "where", "none", "--json"]).refuses(3, "not_found");
    sandbox.run(["key", "where", "default", "--version", "7", "--json"]).refuses(3, "not_found");
    sandbox.run(["key", "trim", "default", "--below", "2", "--yes", "--json"]).refuses(4, "newest_version");
    sandbox.run(["key", "trim", "default"]).fails(2, "--below");
}

#[test]
fn destroying_says_what_will_be_lost() {
    let sandbox = Sandbox::with_project();
    sandbox.feed(b"value", ["put", "a"]).succeeds();
    sandbox.run(["key", "rotate", "store/default"]).succeeds();
    let run = sandbox.run(["key", "destroy", "store/default", "1"]).succeeds();
    assert!(run.stderr.contains("1 entries and 0 states of key flows depend on it"), "{run:?}");
    sandbox.run(["get", "a", "--json"]).refuses(4, "version_destroyed");
    sandbox.run(["key", "undelete", "store/default", "1"]).succeeds();
    assert_eq!(sandbox.run(["get", "a"]).succeeds().stdout, b"value");
}
