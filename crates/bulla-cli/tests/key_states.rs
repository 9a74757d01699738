//! How a key may be used: its settings, and the states of its versions.

use crate::sandbox::Sandbox;

fn with_key(name: &str, arguments: &[&str]) -> Sandbox {
    let sandbox = Sandbox::with_project();
    sandbox.run([&["key", "new", name], arguments].concat()).succeeds();
    sandbox
}

#[test]
fn keys_are_made_with_settings_and_show_them() {
    let sandbox =
        with_key("orders", &["--period", "30d", "--max-uses", "1000", "--exportable", "yes", "--deletion", "yes"]);
    let shown = sandbox.run(["key", "show", "orders", "--json"]).succeeds().json();
    let settings = &shown[0]["settings"];
    assert_eq!((&settings["period_seconds"], &settings["max_uses"]), (&2_592_000.into(), &1_000.into()));
    assert_eq!((&settings["exportable"], &settings["deletion_allowed"]), (&"yes".into(), &true.into()));
    assert_eq!((&shown[0]["origin"], &shown[0]["public"]), (&"generated".into(), &serde_json::Value::Null));

    let set =
        ["key", "set", "orders", "--period", "none", "--max-uses", "none", "--exportable", "never", "--deletion", "no"];
    sandbox.run(set).succeeds();
    let text = sandbox.run(["key", "show", "orders"]).succeeds();
    for part in [
        "period      none",
        "max uses    none",
        "exportable  never",
        "deletion    not allowed",
        "opens from  version 1",
    ] {
        assert!(text.text().contains(part), "{part}: {text:?}");
    }
    sandbox.run(["key", "set", "orders", "--exportable", "yes", "--json"]).refuses(4, "not_exportable");
}

#[test]
fn settings_that_cannot_be_are_usage_errors() {
    let sandbox = with_key("orders", &[]);
    sandbox.run(["key", "set", "orders"]).fails(2, "no setting to change");
    sandbox.run(["key", "set", "orders", "--period", "30"]).fails(2, "write whole numbers with units");
    sandbox.run(["key", "set", "orders", "--exportable", "perhaps"]).fails(2, "`yes`, `no` or `never`");
    sandbox.run(["key", "set", "orders", "--deletion", "perhaps"]).fails(2, "`yes` or `no`");
    sandbox.run(["key", "set", "orders", "--period", "1s", "--json"]).refuses(2, "bad_setting");
    sandbox.run(["key", "set", "orders", "--min-open", "2", "--json"]).refuses(2, "bad_setting");
    sandbox.run(["key", "set", "none", "--deletion", "yes", "--json"]).refuses(3, "not_found");
    sandbox.run(["key", "new", "other", "--max-uses", "0", "--json"]).refuses(2, "bad_setting");
}

#[test]
fn a_disabled_version_opens_nothing_until_it_is_enabled() {
    let sandbox = with_key("orders", &[]);
    let sealed = sandbox.feed(b"x", ["seal", "--key", "orders"]).succeeds().stdout;
    let run = sandbox.run(["key", "disable", "orders", "1"]).succeeds();
    assert!(run.stderr.contains("it is the newest"), "{run:?}");
    sandbox.feed(&sealed, ["open", "--key", "orders", "--json"]).refuses(4, "version_disabled");
    let refused = sandbox.feed(b"x", ["seal", "--key", "orders"]).fails(4, "is disabled");
    assert!(refused.stderr.contains("bulla key enable orders 1"), "{refused:?}");
    sandbox.run(["key", "rotate", "orders"]).succeeds();
    sandbox.feed(b"x", ["seal", "--key", "orders"]).succeeds();
    sandbox.run(["key", "enable", "orders", "1"]).succeeds();
    assert_eq!(sandbox.feed(&sealed, ["open", "--key", "orders"]).succeeds().stdout, b"x");
    sandbox.run(["key", "disable", "orders", "9", "--json"]).refuses(3, "not_found");
}

#[test]
fn versions_below_the_lowest_do_not_open() {
    let sandbox = with_key("orders", &[]);
    let sealed = sandbox.feed(b"x", ["seal", "--key", "orders"]).succeeds().stdout;
    sandbox.run(["key", "rotate", "orders"]).succeeds();
    sandbox.run(["key", "set", "orders", "--min-open", "2"]).succeeds();
    sandbox.feed(&sealed, ["open", "--key", "orders", "--json"]).refuses(4, "below_minimum");
    sandbox.run(["key", "set", "orders", "--min-open", "1"]).succeeds();
    assert_eq!(sandbox.feed(&sealed, ["open", "--key", "orders"]).succeeds().stdout, b"x");
}

#[test]
fn a_version_can_be_taken_back_until_it_is_destroyed() {
    let sandbox = with_key("orders", &[]);
    let sealed = sandbox.feed(b"x", ["seal", "--key", "orders"]).succeeds().stdout;
    sandbox.run(["key", "destroy", "orders", "1", "--json"]).refuses(4, "newest_version");
    sandbox.run(["key", "rotate", "orders"]).succeeds();

    let run = sandbox.run(["key", "destroy", "orders", "1", "--after", "2d"]).succeeds();
    assert!(run.stderr.contains("can be taken back for 2d"), "{run:?}");
    sandbox.feed(&sealed, ["open", "--key", "orders", "--json"]).refuses(4, "version_destroyed");
    let shown = sandbox.run(["key", "show", "orders", "--json"]).succeeds().json();
    assert_eq!(shown[1]["state"], "destroying");
    assert!(shown[1]["destroyed_from"].is_string());
    assert!(sandbox.run(["key", "purge"]).succeeds().stderr.contains("destroyed 0 versions"));
    sandbox.run(["key", "undelete", "orders", "1"]).succeeds();
    assert_eq!(sandbox.feed(&sealed, ["open", "--key", "orders"]).succeeds().stdout, b"x");

    sandbox.run(["key", "destroy", "orders", "1", "--after", "0s"]).fails(2, "has to be confirmed");
    sandbox.run(["key", "destroy", "orders", "1", "--after", "0s", "--yes"]).succeeds();
    sandbox.run(["key", "undelete", "orders", "1", "--json"]).refuses(4, "version_destroyed");
    let shown = sandbox.run(["key", "show", "orders", "--json"]).succeeds().json();
    assert_eq!((&shown[1]["state"], &shown[2]["state"]), (&"destroyed".into(), &"enabled".into()));
}

#[test]
fn a_key_is_deleted_once_that_is_allowed() {
    let sandbox = with_key("orders", &[]);
    sandbox.run(["key", "rm", "orders", "--json"]).refuses(4, "deletion_not_allowed");
    sandbox.run(["key", "set", "orders", "--deletion", "yes"]).succeeds();
    sandbox.run(["key", "rm", "orders"]).succeeds();
    sandbox.feed(b"x", ["seal", "--key", "orders", "--json"]).refuses(4, "key_deleted");
    sandbox.run(["key", "undelete", "orders"]).succeeds();
    sandbox.feed(b"x", ["seal", "--key", "orders"]).succeeds();
    sandbox.run(["key", "rm", "orders", "--after", "0s"]).fails(2, "has to be confirmed");
    sandbox.run(["key", "rm", "orders", "--after", "0s", "--yes"]).succeeds();
    sandbox.run(["key", "show", "orders"]).fails(3, "no key named `orders`");
    // One that is made under the name begins above what the old one had.
    sandbox.run(["key", "new", "orders"]).succeeds();
    let shown = sandbox.run(["key", "show", "orders", "--json"]).succeeds().json();
    assert!(shown[0]["versions"]["first"].as_u64() > Some(1), "{shown:?}");
}

#[test]
fn rotation_that_is_due_happens_once() {
    let sandbox = with_key("counted", &["--max-uses", "2"]);
    assert!(sandbox.run(["key", "rotate", "counted", "--due"]).succeeds().stderr.contains("not due"));
    sandbox.run(["key", "rotate"]).fails(2, "required");
    for _ in 0..2 {
        sandbox.feed(b"x", ["seal", "--key", "counted"]).succeeds();
    }
    let rotated = sandbox.run(["key", "rotate", "--due", "--json"]).succeeds().json();
    assert_eq!((rotated.len(), &rotated[0]["key"], &rotated[0]["version"]), (1, &"counted".into(), &2.into()));
    assert!(sandbox.run(["key", "rotate", "--due"]).succeeds().stderr.contains("no key is due"));
}
