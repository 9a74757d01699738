use crate::sandbox::Sandbox;

#[test]
fn keys_are_made_listed_shown_and_rotated() {
    let sandbox = Sandbox::with_project();
    let run = sandbox.run(["key", "new", "shop/orders"]).succeeds();
    assert!(run.stdout.is_empty() && run.stderr.contains("made key shop/orders, aes256-gcm"), "{run:?}");
    sandbox.run(["key", "new", "fast", "--algorithm", "chacha20-poly1305"]).succeeds();

    let listed = sandbox.run(["key", "ls", "--json"]).succeeds().json();
    let names: Vec<_> = listed.iter().map(|key| key["key"].as_str().unwrap()).collect();
    assert_eq!(names, ["default", "fast", "shop/orders"]);
    assert_eq!(listed[1]["algorithm"], "chacha20-poly1305");
    assert_eq!(sandbox.run(["key", "ls"]).succeeds().text().lines().count(), 3);

    let rotated = sandbox.run(["key", "rotate", "shop/orders", "--json"]).succeeds().json();
    assert_eq!(rotated[0]["version"], 2);
    let shown = sandbox.run(["key", "show", "shop/orders", "--json"]).succeeds().json();
    assert_eq!(shown.len(), 3);
    assert_eq!((&shown[0]["versions"]["newest"], &shown[2]["version"]), (&2.into(), &2.into()));
    assert_eq!(shown[2]["id"], rotated[0]["id"]);
    let text = sandbox.run(["key", "show", "shop/orders"]).succeeds();
    assert!(text.text().contains("round-trip aes256-gcm") && text.text().contains("version 2"), "{text:?}");
}

#[test]
fn what_cannot_be_done_to_keys_is_refused() {
    let sandbox = Sandbox::with_project();
    sandbox.run(["key", "new", "default"]).fails(5, "there is a key named `default` already");
    sandbox.run(["key", "new", "../x"]).fails(2, "is no name of a key");
    sandbox.run(["key", "new", "sys/pepper"]).fails(2, "belong to Bulla itself");
    sandbox.run(["key", "rotate", "none"]).fails(3, "there is no key named `none`");
    sandbox.run(["key", "show", "none"]).fails(3, "there is no key named `none`");
    sandbox.run(["seal", "--key", "none"]).fails(3, "there is no key named `none`");
}

#[test]
fn what_an_older_version_sealed_still_opens() {
    let sandbox = Sandbox::with_project();
    let first = sandbox.feed(b"first", ["seal"]).succeeds().stdout;
    sandbox.feed(b"entry", ["put", "name"]).succeeds();
    for _ in 0..3 {
        sandbox.run(["key", "rotate", "default"]).succeeds();
        sandbox.run(["key", "rotate", "store/default"]).succeeds();
    }
    let second = sandbox.feed(b"second", ["seal"]).succeeds().stdout;
    assert_eq!(sandbox.feed(&first, ["open"]).succeeds().stdout, b"first");
    assert_eq!(sandbox.feed(&second, ["open"]).succeeds().stdout, b"second");
    assert_eq!(sandbox.run(["get", "name"]).succeeds().stdout, b"entry");
}

#[test]
fn a_value_opens_under_its_own_key_only() {
    let sandbox = Sandbox::with_project();
    sandbox.run(["key", "new", "orders"]).succeeds();
    let sealed = sandbox.feed(b"x", ["seal", "--key", "orders"]).succeeds().stdout;
    assert_eq!(sandbox.feed(&sealed, ["open", "--key", "orders"]).succeeds().stdout, b"x");
    sandbox.feed(&sealed, ["open"]).fails(4, "key version");
    let other = Sandbox::with_project();
    other.feed(&sealed, ["open"]).fails(4, "key version");
}

#[test]
fn a_deterministic_key_does_not_stream() {
    let sandbox = Sandbox::with_project();
    sandbox.run(["key", "new", "equal", "--algorithm", "aes256-det"]).succeeds();
    sandbox.feed(b"x", ["seal", "--key", "equal"]).fails(2, "cannot stream");
}
