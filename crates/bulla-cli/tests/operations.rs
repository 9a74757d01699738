use std::thread;

use crate::sandbox::{Sandbox, noise};

#[test]
fn numbers_are_counted() {
    let sandbox = Sandbox::with_project();
    assert_eq!(sandbox.run(["incr", "hits"]).succeeds().text(), "1\n");
    assert_eq!(sandbox.run(["incr", "hits", "41"]).succeeds().text(), "42\n");
    assert_eq!(sandbox.run(["incr", "hits", "-50"]).succeeds().text(), "-8\n");
    assert_eq!(sandbox.run(["incr", "other", "--initial", "100", "--json"]).succeeds().json()[0]["number"], 101);
    assert_eq!(sandbox.run(["get", "hits"]).succeeds().text(), "-8");
    sandbox.feed(b"x", ["put", "text"]).succeeds();
    sandbox.run(["incr", "text"]).fails(5, "holds no number");
    sandbox.feed(b"9223372036854775807\n", ["put", "most"]).succeeds();
    sandbox.run(["incr", "most"]).fails(5, "bounds of a 64-bit integer");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..5).for_each(|_| drop(sandbox.run(["incr", "shared"]).succeeds())));
        }
    });
    assert_eq!(sandbox.run(["get", "shared"]).succeeds().text(), "20");
}

#[test]
fn lifetimes_are_changed() {
    let sandbox = Sandbox::with_project();
    sandbox.run(["expire", "n", "--ttl", "9"]).fails(3, "there is no entry");
    sandbox.feed(b"v", ["put", "n"]).succeeds();
    assert_eq!(sandbox.run(["expire", "n", "--ttl", "3600", "--json"]).succeeds().json()[0]["version"], 2);
    assert!(sandbox.run(["ls", "--json"]).succeeds().json()[0]["expires"].is_string());
    sandbox.run(["expire", "n", "--never", "--expect-version", "1"]).fails(5, "expected was version 1");
    sandbox.run(["expire", "n", "--never", "--ttl", "1"]).fails(2, "cannot be used with");
    sandbox.run(["expire", "n", "--never", "--expect-version", "2"]).succeeds();
    assert!(sandbox.run(["ls", "--json"]).succeeds().json()[0]["expires"].is_null());
    sandbox.run(["expire", "n", "--ttl", "0"]).succeeds();
    sandbox.run(["get", "n"]).fails(3, "there is no entry");
}

#[test]
fn many_are_cleared() {
    let sandbox = Sandbox::with_project();
    for (name, tag) in [("a/1", "x"), ("a/2", "y"), ("b", "x"), ("c", "y")] {
        sandbox.feed(b"v", ["put", name, "--tag", tag]).succeeds();
    }
    sandbox.feed(b"v", ["put", "a/1", "-n", "other"]).succeeds();
    assert_eq!(sandbox.run(["tags"]).succeeds().text(), "2\tx\n2\ty\n");
    assert_eq!(sandbox.run(["tags", "--json"]).succeeds().json()[1]["entries"], 2);
    sandbox.run(["clear"]).fails(2, "required");
    sandbox.run(["clear", "--prefix", "a/", "--all"]).fails(2, "cannot be used with");
    assert_eq!(sandbox.run(["clear", "--tag", "x", "--json"]).succeeds().json()[0]["removed"], 2);
    assert_eq!(sandbox.run(["ls"]).succeeds().text(), "a/2\nc\n");
    sandbox.run(["clear", "--prefix", "a/"]).succeeds();
    sandbox.run(["clear", "--all"]).fails(2, "nobody to ask");
    assert_eq!(sandbox.run(["ls"]).succeeds().text(), "c\n");
    sandbox.run(["clear", "--all", "--yes"]).succeeds();
    assert_eq!(sandbox.run(["ls"]).succeeds().text(), "");
    assert_eq!(sandbox.run(["ls", "-n", "other"]).succeeds().text(), "a/1\n");
}

#[test]
fn contents_are_named_after_themselves() {
    let sandbox = Sandbox::with_project();
    for len in [0, 100, 200_000] {
        let value = noise(len, 3);
        sandbox.write("value", &value);
        let name = sandbox.run(["content", "put", "value"]).succeeds().text().to_owned();
        assert_eq!(sandbox.feed(&value, ["content", "put"]).succeeds().text(), name);
        let name = name.trim();
        assert!(sandbox.run(["content", "get", name]).succeeds().stdout == value);
        sandbox.run(["content", "get", name, "-o", "out", "--force"]).succeeds();
        assert!(sandbox.read("out") == value);
        sandbox.feed(b"another", ["put", name]).succeeds();
        sandbox.run(["content", "get", name]).fails(4, "is not the content that it is named after");
        sandbox.run(["content", "put", "value"]).succeeds();
        assert!(sandbox.run(["content", "get", name]).succeeds().stdout == value);
    }
    sandbox.run(["content", "get", "value"]).fails(2, "names no content");
    let absent = format!("content/{}", "0".repeat(80));
    sandbox.run(["content", "get", &absent]).fails(3, "there is no entry");
}

#[test]
fn what_commands_write_is_kept() {
    let sandbox = Sandbox::with_project();
    // Each run leaves a letter.
    let memo = |name: &str, script: &str| sandbox.run(["memo", name, "--", "sh", "-c", script]);
    let script = "printf x >> runs; printf hello";
    for _ in 0..3 {
        assert_eq!(memo("greeting", script).succeeds().text(), "hello");
    }
    assert_eq!(sandbox.read("runs"), b"x");
    let json = sandbox.run(["memo", "greeting", "--json", "--", "false"]).succeeds();
    assert_eq!(json.stdout, b"hello");
    memo("broken", "printf partial; exit 3").fails(1, "the command failed");
    sandbox.run(["get", "broken"]).fails(3, "there is no entry");
    sandbox.run(["memo", "none", "--", "no-such-program"]).fails(1, "could not be computed");
    sandbox.run(["memo", "none"]).fails(2, "required");
    // Several at once: one runs the command.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let slow = "printf y >> slow; sleep 1; printf done";
                assert_eq!(memo("slow", slow).succeeds().text(), "done");
            });
        }
    });
    assert_eq!(sandbox.read("slow"), b"y");
}
