//! Material of keys that a Vault keeps, with `OpenBao` as the Vault.

use std::process::Command;

use bulla_client::{Client, Expect, Method, Token, blocking};
use serde_json::{Value, json};

use self::openbao::{OpenBao, ROOT, free_port, write_private};
use crate::sandbox::{Run, Sandbox};

#[path = "../../bulla-client/tests/openbao.rs"]
mod openbao;

const FIRST: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const SECOND: &str = "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f";

/// A server, a client that may do everything there, and a project.
struct World {
    server: OpenBao,
    client: blocking::Client,
    sandbox: Sandbox,
}

impl World {
    fn new() -> Self {
        let server = OpenBao::start("");
        let client = Client::builder(&server.url()).unwrap().token(Token::new(ROOT.to_owned()).unwrap());
        let client = blocking::Client::new(client.build().unwrap()).unwrap();
        Self { server, client, sandbox: Sandbox::with_project() }
    }

    /// Writes a secret that has one field, `key`, in the mount with versions that there is from the beginning.
    fn put(&self, path: &str, value: &Value) {
        let secret = json!({ "key": value });
        self.client.wait(self.client.client().kv("secret").put(path, &secret, Expect::Anything)).unwrap();
    }

    fn request(&self, path: &str, body: &Value) -> Value {
        self.client.wait(self.client.client().request(Method::POST, path, Some(body))).unwrap()
    }

    /// Prepares a run with a server in its environment.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command(arguments);
        command.env("VAULT_ADDR", self.server.url()).env("VAULT_TOKEN", ROOT);
        command
    }

    fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.command(arguments))
    }

    fn new_key(&self, name: &str, source: &str) -> Command {
        self.command(&["key", "new", name, "--source", source, "--json"])
    }
}

#[test]
fn material_comes_from_a_secret_and_each_change_of_it_is_a_version() {
    let world = World::new();
    world.put("shop/orders", &FIRST.into());
    world.run(&["key", "new", "orders", "--source", "hex:vault:secret/shop/orders#key"]).succeeds();
    let settings = String::from_utf8(world.sandbox.read("bulla.toml")).unwrap();
    assert!(settings.contains("\"hex:vault:secret/shop/orders#key\""), "{settings}");
    assert!(!settings.contains(ROOT) && !settings.contains(FIRST) && !settings.contains("127.0.0.1"), "{settings}");

    world.sandbox.write("plain", b"first");
    world.run(&["seal", "--key", "orders", "plain", "-o", "first"]).succeeds();
    world.run(&["key", "rotate", "orders", "--json"]).refuses(5, "source_unchanged");
    world.put("shop/orders", &SECOND.into());
    world.run(&["seal", "--key", "orders", "plain", "-o", "second"]).succeeds();
    let shown = world.run(&["key", "show", "orders", "--json"]).succeeds().json();
    assert_eq!((&shown[0]["origin"], &shown[0]["versions"]["newest"]), (&"external".into(), &2.into()));
    assert_eq!(shown[0]["source"], "hex:vault:secret/shop/orders#key");

    // Where there is no server, what was sealed opens, and nothing is sealed.
    for sealed in ["first", "second"] {
        let run = world.sandbox.run(["open", "--key", "orders", sealed, "-o", "-"]).succeeds();
        assert_eq!(run.stdout, b"first");
    }
    let run = world.sandbox.run(["seal", "--key", "orders", "plain", "-o", "third"]);
    let run = run.fails(3, "neither BULLA_ADDR nor VAULT_ADDR says which server to ask");
    assert!(run.stderr.contains("key `orders`") && run.stderr.contains("secret/shop/orders#key"), "{run:?}");
}

#[test]
fn secrets_are_found_with_and_without_versions_and_with_few_rights() {
    let world = World::new();
    world.request("sys/mounts/team/one", &json!({ "type": "kv", "options": { "version": "1" } }));
    world.request("sys/mounts/team/two", &json!({ "type": "kv", "options": { "version": "2" } }));
    // No two keys have the same material.
    let fill = |name: &str| {
        let material = data_encoding::HEXLOWER.encode(&bulla_seal::sha256(name.as_bytes()));
        world.put("shop/orders", &material.as_str().into());
        world.request("team/one/shop/orders", &json!({ "key": material }));
        world.request("team/two/data/shop/orders", &json!({ "data": { "key": material } }));
    };
    for (name, source) in [
        ("by-name", "hex:vault:secret/shop/orders#key"),
        ("by-path", "hex:vault:secret/data/shop/orders#key"),
        ("unversioned", "hex:vault:team/one/shop/orders#key"),
        ("deeper", "hex:vault:team/two/shop/orders#key"),
        ("deeper-by-path", "hex:vault:team/two/data/shop/orders#key"),
        ("as-text", "vault:secret/shop/orders#key"),
    ] {
        fill(name);
        Run::of(&mut world.new_key(name, source)).succeeds();
    }

    let policy = "path \"secret/data/shop/*\" { capabilities = [\"read\"] }";
    world.request("sys/policies/acl/shop", &json!({ "policy": policy }));
    let made = world.request("auth/token/create", &json!({ "policies": ["shop"] }));
    let token = made["auth"]["client_token"].as_str().unwrap();
    let file = write_private(&world.sandbox.home().join(".vault-token"), token);
    for (name, source) in [("few-by-name", "secret/shop/orders"), ("few-by-path", "secret/data/shop/orders")] {
        fill(name);
        let mut new = world.new_key(name, &format!("hex:vault:{source}#key"));
        Run::of(new.env_remove("VAULT_TOKEN")).succeeds();
    }
    fill("bulla");
    // The variables of another server's family do not count, and its token least of all.
    let mut new = world.new_key("bulla", "hex:vault:secret/data/shop/orders#key");
    let alone = Run::of(new.env("BULLA_ADDR", world.server.url())).refuses(3, "source_missing");
    assert!(alone.stderr.contains("BULLA_TOKEN_FILE"), "{alone:?}");
    assert!(!alone.stderr.contains(token), "{alone:?}");
    new.env("BULLA_TOKEN_FILE", &file).env("VAULT_ADDR", "http://127.0.0.1:1");
    Run::of(&mut new).succeeds();
}

#[test]
fn a_secret_that_cannot_be_had_is_named_and_nothing_is_made() {
    let world = World::new();
    let before = world.sandbox.read("bulla.toml");
    world.put("number", &json!(12_345_678));
    world.put("empty", &json!(""));
    world.put("words", &json!("s3cret words"));
    let check = |source: &str, code: i32, stable: &str, part: &str| {
        let run = Run::of(&mut world.new_key("orders", source)).refuses(code, stable);
        let message = run.json_error()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(part) && message.contains(source), "{message}");
        for secret in ["s3cret", "12345678", ROOT] {
            assert!(!run.stderr.contains(secret), "{run:?}");
        }
    };
    check("vault:secret/none#key", 3, "source_missing", "GET secret/data/none: status 404");
    check("vault:secret/number#other", 3, "source_missing", "the secret `secret/number` has no field `other`");
    check("vault:secret/number#key", 4, "source_refused", "the field `key` of the secret `secret/number` is not text");
    check("vault:secret/empty#key", 6, "source_empty", "the field `key` of the secret `secret/empty`");
    check("hex:vault:secret/words#key", 4, "source_encoding", "`hex:vault:secret/words#key`");
    check("vault:nowhere/a#key", 4, "source_refused", "GET sys/internal/ui/mounts/nowhere/a: status 403");

    let mut new = world.new_key("orders", "vault:secret/words#key");
    let refused = Run::of(new.env("VAULT_TOKEN", "wrong-token")).refuses(4, "source_refused");
    assert!(refused.json_error()["hint"].as_str().unwrap().contains("policies"), "{refused:?}");
    assert!(!refused.stderr.contains("wrong-token"), "{refused:?}");
    let mut new = world.new_key("orders", "vault:secret/words#key");
    Run::of(new.env("VAULT_ADDR", format!("http://127.0.0.1:{}", free_port()))).refuses(6, "source_unavailable");
    Run::of(new.env("VAULT_ADDR", "http://vault.example.org:8200")).refuses(4, "source_refused");
    Run::of(new.env("VAULT_ADDR", "https://localhost:1").env("VAULT_CACERT", "none.pem")).refuses(3, "source_missing");
    Run::of(new.env("VAULT_ADDR", "nowhere")).refuses(6, "source_unavailable");
    assert_eq!(world.sandbox.read("bulla.toml"), before);
}
