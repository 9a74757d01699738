//! Material that comes in and goes out: sources, import, export, backup of one key.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::sandbox::{Run, Sandbox};

const FIRST: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const SECOND: &str = "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f";

fn secret_file(sandbox: &Sandbox, name: &str, text: &str) {
    sandbox.write(name, text);
    fs::set_permissions(sandbox.path(name), fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_source_gives_the_material_and_each_change_of_it_is_a_version() {
    let sandbox = Sandbox::with_project();
    secret_file(&sandbox, "material", FIRST);
    sandbox.run(["key", "new", "shop/orders", "--source", "hex:file:material"]).succeeds();
    let settings = String::from_utf8(sandbox.read("bulla.toml")).unwrap();
    let line = format!("\"shop/orders\" = \"hex:file:{}\"", sandbox.path("material").display());
    assert!(settings.contains("[sources]\n") && settings.contains(&line), "{settings}");
    let shown = sandbox.run(["config", "show", "--json"]).succeeds().json();
    let source = shown.iter().find(|record| record["setting"] == "sources.shop/orders").unwrap();
    assert_eq!(source["origin"], "file");

    let sealed = sandbox.feed(b"first", ["seal", "--key", "shop/orders"]).succeeds().stdout;
    sandbox.run(["key", "rotate", "shop/orders", "--json"]).refuses(5, "source_unchanged");
    secret_file(&sandbox, "material", SECOND);
    let second = sandbox.feed(b"second", ["seal", "--key", "shop/orders"]).succeeds().stdout;
    let shown = sandbox.run(["key", "show", "shop/orders", "--json"]).succeeds().json();
    assert_eq!((&shown[0]["origin"], &shown[0]["versions"]["newest"]), (&"external".into(), &2.into()));
    assert!(shown[0]["source"].as_str().unwrap().starts_with("hex:file:/"));

    // What was sealed still opens, also where the source is gone; sealing says which source gave nothing.
    fs::remove_file(sandbox.path("material")).unwrap();
    assert_eq!(sandbox.feed(&sealed, ["open", "--key", "shop/orders"]).succeeds().stdout, b"first");
    assert_eq!(sandbox.feed(&second, ["open", "--key", "shop/orders"]).succeeds().stdout, b"second");
    let refused = sandbox.feed(b"x", ["seal", "--key", "shop/orders"]).fails(3, "from its source `hex:file:");
    assert!(refused.stderr.contains("key `shop/orders`"), "{refused:?}");
}

#[test]
fn sources_are_the_environment_files_and_commands() {
    let sandbox = Sandbox::with_project();
    let mut new = sandbox.command(["key", "new", "env", "--source", "hex:env:MATERIAL"]);
    Run::of(new.env("MATERIAL", FIRST)).succeeds();
    let mut seal = sandbox.command(["seal", "--key", "env", "bulla.toml", "-o", "sealed"]);
    Run::of(seal.env("MATERIAL", FIRST)).succeeds();
    sandbox.run(["seal", "--key", "env", "bulla.toml", "-o", "again", "--json"]).refuses(3, "source_missing");
    sandbox.run(["open", "--key", "env", "sealed", "-o", "-"]).succeeds();

    let command = format!("hex:command:printf {SECOND}");
    sandbox.run(["key", "new", "printed", "--algorithm", "ed25519", "--source", &command]).succeeds();
    sandbox.feed(b"x", ["key", "sign", "printed"]).succeeds();
}

#[test]
fn sources_that_cannot_be_are_refused_and_nothing_is_made() {
    let sandbox = Sandbox::with_project();
    let before = sandbox.read("bulla.toml");
    let new = |source: &str| sandbox.run(["key", "new", "orders", "--source", source, "--json"]);
    new("generate").refuses(2, "usage");
    new("vault:x").refuses(2, "usage");
    new("env:NOT_SET").refuses(3, "source_missing");
    new("file:none").refuses(3, "source_missing");
    new("command:false").refuses(6, "source_command");
    new("hex:command:printf xyz").refuses(4, "source_encoding");
    sandbox.write("open-to-all", FIRST);
    fs::set_permissions(sandbox.path("open-to-all"), fs::Permissions::from_mode(0o644)).unwrap();
    new("hex:file:open-to-all").refuses(4, "source_exposed");
    assert_eq!(sandbox.read("bulla.toml"), before);
    sandbox.run(["key", "show", "orders"]).fails(3, "no key named `orders`");
    // A key that is there gets no other source by a slip.
    sandbox
        .run(["key", "new", "default", "--source", "command:printf 0123456789abcdef", "--json"])
        .refuses(5, "already_exists");
    assert_eq!(sandbox.read("bulla.toml"), before);
    sandbox.run(["key", "new", "a", "--source", "env:A", "--external", "x"]).fails(2, "cannot be used with");
}

#[test]
fn sources_stand_in_a_file_that_others_do_not_write() {
    let sandbox = Sandbox::with_project();
    let settings = String::from_utf8(sandbox.read("bulla.toml")).unwrap();
    sandbox.write("named.toml", format!("{settings}\n[sources]\norders = \"command:printf 0123456789abcdef\"\n"));
    sandbox.run(["key", "ls", "--config", "named.toml"]).succeeds();
    fs::set_permissions(sandbox.path("named.toml"), fs::Permissions::from_mode(0o666)).unwrap();
    sandbox.run(["key", "ls", "--config", "named.toml", "--json"]).refuses(2, "settings_foreign");

    for (table, part) in [
        ("\"../x\" = \"env:A\"", "no key can have that name"),
        ("a = 3", "text in quotes"),
        ("a = \"b\"", "`env:NAME`"),
    ] {
        sandbox.write("bulla.toml", format!("{settings}\n[sources]\n{table}\n"));
        sandbox.run(["key", "ls"]).fails(2, part);
    }
    Run::of(sandbox.command(["key", "ls"]).env("BULLA_SOURCES", "x")).fails(2, "");
}

#[test]
fn material_is_brought_in_and_handed_out() {
    let sandbox = Sandbox::with_project();
    sandbox.feed(FIRST.as_bytes(), ["key", "new", "orders", "--external", "-", "--exportable", "yes"]).succeeds();
    let exported = sandbox.run(["key", "export", "orders"]).succeeds();
    assert_eq!(exported.text().trim(), FIRST);
    sandbox.run(["key", "rotate", "orders", "--json"]).refuses(4, "external_key");
    sandbox.run(["key", "set", "orders", "--period", "1d", "--json"]).refuses(2, "bad_setting");

    let imported = sandbox.feed(SECOND.as_bytes(), ["key", "import", "orders", "--json"]).succeeds().json();
    assert_eq!(imported[0]["version"], 2);
    let again = sandbox.feed(FIRST.as_bytes(), ["key", "import", "orders", "--json"]).succeeds().json();
    assert_eq!(again[0]["version"], 1, "no version is made of what the key has");
    sandbox.run(["key", "export", "orders", "--version", "2", "-o", "out", "--encoding", "raw"]).succeeds();
    assert_eq!(sandbox.read("out"), (0x20..0x40).collect::<Vec<u8>>());
    assert_eq!(fs::metadata(sandbox.path("out")).unwrap().permissions().mode() & 0o777, 0o600);

    sandbox.feed(FIRST.as_bytes(), ["key", "new", "other", "--external", "-", "--json"]).refuses(5, "material_in_use");
    sandbox.feed(b"no hex", ["key", "import", "orders"]).fails(2, "holds no material: it is not hex");
    sandbox.feed(b"00", ["key", "import", "orders"]).fails(2, "");
    sandbox.feed(FIRST.as_bytes(), ["key", "import", "default", "--json"]).refuses(4, "generated_key");
    sandbox.run(["key", "export", "default", "--json"]).refuses(4, "not_exportable");
}

#[test]
fn a_key_is_restored_from_its_backup() {
    let sandbox = Sandbox::with_project();
    sandbox.run(["key", "new", "orders", "--deletion", "yes"]).succeeds();
    let sealed = sandbox.feed(b"x", ["seal", "--key", "orders"]).succeeds().stdout;
    sandbox.run(["key", "rotate", "orders"]).succeeds();
    sandbox.run(["key", "backup", "orders", "-o", "orders.backup"]).succeeds();
    sandbox.run(["key", "rm", "orders", "--after", "0s", "--yes"]).succeeds();
    sandbox.feed(&sealed, ["open", "--key", "orders"]).fails(4, "key version");

    let restored = sandbox.run(["key", "restore", "orders.backup", "--json"]).succeeds().json();
    assert_eq!(restored[0]["restored_versions"], 2);
    assert_eq!(sandbox.feed(&sealed, ["open", "--key", "orders"]).succeeds().stdout, b"x");
    assert_eq!(sandbox.run(["key", "restore", "orders.backup", "--json"]).succeeds().json()[0]["restored_versions"], 0);

    let other = Sandbox::with_project();
    other.feed(&sandbox.read("orders.backup"), ["key", "restore", "--json"]).refuses(4, "bad_backup");
    sandbox.feed(b"nonsense", ["key", "restore", "--json"]).refuses(4, "bad_backup");
}
