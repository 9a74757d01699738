use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::sandbox::{Run, Sandbox};

/// Writes a passphrase to a file that only its owner can read; returns its path.
fn passphrase(sandbox: &Sandbox, name: &str, text: &str) -> std::path::PathBuf {
    let path = sandbox.home().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn an_identity_is_protected_used_and_set_free() {
    let sandbox = Sandbox::with_project();
    let first = passphrase(&sandbox, "first", "correct horse\n");
    let second = passphrase(&sandbox, "second", "battery staple\n");
    let shown = |run: Run| run.succeeds().json()[0].clone();
    let before = shown(sandbox.run(["identity", "show", "--json"]));
    assert_eq!(before["protection"], "plain");

    let with = |path: &std::path::Path, arguments: &[&str]| {
        Run::of(sandbox.command(arguments).env("BULLA_PASSPHRASE_FILE", path))
    };
    let after = shown(with(&first, &["identity", "protect", "--json"]));
    assert_eq!((&after["protection"], &after["fingerprint"]), (&"passphrase".into(), &before["fingerprint"]));
    assert_eq!(shown(sandbox.run(["identity", "show", "--json"])), after);
    let text = sandbox.run(["identity", "show"]).succeeds();
    assert!(text.text().contains("Argon2id, 64 MiB, 3 passes, 4 lanes"), "{text:?}");

    sandbox.run(["key", "ls"]).fails(4, "is protected by a passphrase, and none was given");
    assert_eq!(sandbox.run(["key", "ls", "--json"]).json_error()["code"], "passphrase_needed");
    with(&second, &["key", "ls"]).fails(4, "the passphrase does not unlock this identity");
    with(&first, &["key", "ls"]).succeeds();

    let second_path = second.to_str().unwrap();
    with(&first, &["identity", "protect", "--new-passphrase-file", second_path]).succeeds();
    with(&first, &["key", "ls"]).fails(4, "does not unlock");
    with(&second, &["key", "ls"]).succeeds();

    with(&first, &["identity", "unprotect"]).fails(4, "does not unlock");
    let free = shown(with(&second, &["identity", "unprotect", "--json"]));
    assert_eq!(free, before);
    sandbox.run(["key", "ls"]).succeeds();
}

#[test]
fn a_passphrase_that_others_can_read_is_refused() {
    let sandbox = Sandbox::with_project();
    let path = passphrase(&sandbox, "passphrase", "correct horse\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = Run::of(sandbox.command(["identity", "protect"]).env("BULLA_PASSPHRASE_FILE", &path));
    let refused = refused.fails(4, "others can read this passphrase");
    assert!(!refused.stderr.contains("horse"), "{refused:?}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, "\n").unwrap();
    Run::of(sandbox.command(["identity", "protect"]).env("BULLA_PASSPHRASE_FILE", &path))
        .fails(2, "a passphrase has 1 to 1024 bytes");
    Run::of(sandbox.command(["identity", "protect"]).env("BULLA_PASSPHRASE_FILE", sandbox.home().join("none")))
        .fails(3, "could not read the passphrase file");
    sandbox.run(["identity", "show"]).succeeds();
}
