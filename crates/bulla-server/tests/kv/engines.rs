//! Engines: shared by servers, kept over restarts, and gone with what they had.

use bulla_backend::Timestamp;
use bulla_server::engines::{EnableRequest, Engines, MAX_ENGINES};
use bulla_server::kv;
use bulla_store::{Budget, EntryQuery, Store};
use pollster::block_on;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::door::{Door, KEY, READER, ROOT, get, put};
use super::ground::{NOW, memory, mount, open, request};

fn later(millis: u64) -> Timestamp {
    Timestamp(NOW.0 + millis)
}

fn kv2() -> EnableRequest {
    serde_json::from_value(json!({ "type": "kv-v2" })).unwrap()
}

fn paths(engines: &Engines) -> Vec<String> {
    block_on(engines.list()).unwrap().into_keys().collect()
}

#[test]
fn the_default_engines_are_there_before_anything_is_written() {
    let store = memory();
    assert_eq!(paths(&Engines::new(store.clone())), ["cubbyhole/", "secret/", "sys/", "transit/"]);
    assert!(block_on(store.namespaces()).unwrap().is_empty());
}

#[test]
fn what_is_enabled_is_kept() {
    let folder = TempDir::new().unwrap();
    let engines = Engines::new(open(folder.path()));
    block_on(engines.enable("team/secrets/", &kv2())).unwrap();
    drop(engines);
    assert!(paths(&Engines::new(open(folder.path()))).contains(&"team/secrets/".to_owned()));
}

#[test]
fn of_threads_that_enable_one_path_one_does() {
    let store = memory();
    let made: usize = std::thread::scope(|scope| {
        let enable = |store: Store| move || block_on(Engines::new(store).enable("one", &kv2())).is_ok();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(enable(store.clone()))).collect();
        threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
    });
    assert_eq!(made, 1);
}

#[test]
fn an_engine_is_enabled_tuned_and_disabled() {
    let door = Door::new();
    let body = json!({ "type": "kv", "description": "ours", "options": { "version": "2" }, "config": null });
    assert_eq!(door.ask("POST", "sys/mounts/team/secrets", &body).0, 204);
    assert_eq!(put(&door, "team/secrets/data/a", &json!({ "k": 1 })).0, 200);
    assert_eq!(door.ask("POST", "sys/mounts/team/secrets", &body).0, 400);
    let shown = get(&door, "sys/mounts/team/secrets").1.unwrap();
    assert_eq!(
        (&shown["type"], &shown["options"], &shown["description"]),
        (&json!("kv"), &json!({"version": "2"}), &json!("ours"))
    );
    assert_eq!(get(&door, "sys/mounts").1.unwrap()["team/secrets/"], shown);
    let tune = json!({ "default_lease_ttl": "1h", "description": "theirs", "listing_visibility": "unauth" });
    assert_eq!(door.ask("POST", "sys/mounts/team/secrets/tune", &tune).0, 204);
    let tuned = get(&door, "sys/mounts/team/secrets/tune").1.unwrap();
    assert_eq!((&tuned["default_lease_ttl"], &tuned["description"]), (&json!(3_600), &json!("theirs")));
    let seen = door.send("", "GET", "sys/internal/ui/mounts", "");
    assert_eq!(seen.json["data"]["secret"].as_object().unwrap().keys().collect::<Vec<_>>(), ["team/secrets/"]);
    let seen = door.send(READER, "GET", "sys/internal/ui/mounts/team/secrets/a/b", "");
    assert_eq!((seen.status, &seen.json["data"]["path"]), (200, &json!("team/secrets/")));
    assert_eq!(door.send("", "GET", "sys/internal/ui/mounts/secret", "").status, 403);
    assert_eq!(door.send(READER, "GET", "sys/internal/ui/mounts/nowhere", "").status, 403);
    assert_eq!(door.ask("DELETE", "sys/mounts/team/secrets", &Value::Null).0, 204);
    assert_eq!(get(&door, "team/secrets/data/a").0, 404);
    assert_eq!(get(&door, "sys/mounts/team/secrets").0, 400);
    assert_eq!(door.ask("DELETE", "sys/mounts/team/secrets", &Value::Null).0, 204);
}

#[test]
fn only_administrators_see_and_change_what_is_mounted() {
    let door = Door::new();
    let requests = [
        ("GET", "sys/mounts"),
        ("GET", "sys/mounts/secret"),
        ("GET", "sys/mounts/secret/tune"),
        ("POST", "sys/mounts/secret/tune"),
        ("POST", "sys/mounts/x"),
        ("DELETE", "sys/mounts/secret"),
        ("POST", "sys/remount"),
        ("GET", "sys/remount/status/x"),
        ("GET", "sys/auth"),
        ("GET", "sys/auth/token"),
        ("GET", "sys/auth/token/tune"),
    ];
    for (method, target) in requests {
        for token in ["", READER, KEY] {
            assert_eq!(door.send(token, method, target, "").status, 403, "{token} {method} {target}");
        }
    }
    for target in ["sys/auth", "sys/auth/token", "sys/auth/approle/tune"] {
        assert_eq!(get(&door, target).0, 200, "{target}");
        assert_eq!(door.ask("POST", target, &json!({})).0, 405, "{target}");
    }
    assert_eq!(get(&door, "sys/auth/ldap").0, 400);
}

#[test]
fn an_engine_is_moved_with_what_it_has() {
    let door = Door::new();
    put(&door, "secret/data/a", &json!({ "k": 1 }));
    let moved = door.ask("POST", "sys/remount", &json!({ "from": "secret/", "to": "team/kv" }));
    assert_eq!(moved.0, 200);
    let id = moved.1.unwrap()["migration_id"].as_str().unwrap().to_owned();
    assert_eq!(get(&door, "team/kv/data/a").1.unwrap()["data"], json!({ "k": 1 }));
    assert_eq!(get(&door, "secret/data/a").0, 404);
    let (status, shown) = get(&door, &format!("sys/remount/status/{id}"));
    let expected = json!({ "source_mount": "secret/", "target_mount": "team/kv/", "status": "success" });
    assert_eq!((status, &shown.unwrap()["migration_info"]), (200, &expected));
    assert_eq!(get(&door, "sys/remount/status/other").0, 404);
    // Another engine at the old path has nothing of it.
    assert_eq!(door.ask("POST", "sys/mounts/secret", &json!({ "type": "kv-v2" })).0, 204);
    assert_eq!(get(&door, "secret/data/a").0, 404);
    let bad = [("secret", "team"), ("secret", "store"), ("secret", "sys/x"), ("none", "x"), ("cubbyhole", "x")];
    for (from, to) in
        bad.into_iter().chain([("transit", "x"), ("secret", "a//b"), ("", "x"), ("secret", ""), ("secret", "a/tune")])
    {
        assert_eq!(door.ask("POST", "sys/remount", &json!({ "from": from, "to": to })).0, 400, "{from} {to}");
    }
}

/// Counts the entries of a namespace.
fn count(store: &Store, id: &str) -> usize {
    let namespace = store.namespace(&format!("secrets/{id}")).unwrap();
    block_on(namespace.list(&EntryQuery::default())).unwrap().entries.len()
}

#[test]
fn a_disabled_engine_is_out_of_reach_at_once_and_swept_in_steps() {
    let door = Door::new();
    let old = mount(&door.store, "secret");
    for n in 0..150 {
        block_on(kv::write_data(&door.store, &old, &format!("a/{n}"), &request(&json!({ "k": n }), None), NOW))
            .unwrap();
    }
    assert_eq!(door.ask("DELETE", "sys/mounts/secret", &json!(null)).0, 204);
    assert_eq!(get(&door, "secret/data/a/1").0, 404);
    assert_eq!(door.ask("POST", "sys/mounts/secret", &json!({ "type": "kv-v2" })).0, 204);
    assert_eq!(get(&door, "secret/data/a/1").0, 404);
    put(&door, "secret/data/new", &json!({ "k": 1 }));
    // Not before every server knows of it.
    let budget = Budget { entries: 64, ..Budget::UNLIMITED };
    let counts = block_on(door.engines.sweep(&budget, later(59_000))).unwrap();
    assert_eq!((counts.removed, counts.left), (0, 1));
    let mut steps = 0;
    loop {
        let counts = block_on(door.engines.sweep(&budget, later(60_000))).unwrap();
        assert!(counts.removed <= 64);
        steps += 1;
        if counts.left == 0 {
            break;
        }
    }
    assert!((3..=5).contains(&steps), "{steps}");
    assert_eq!(count(&door.store, &old.id), 0);
    assert_eq!(get(&door, "secret/data/new").0, 200);
}

#[test]
fn keys_stay_when_their_engine_goes() {
    let door = Door::new();
    assert_eq!(door.ask("POST", "transit/keys/orders", &json!({})).0, 200);
    assert_eq!(door.ask("DELETE", "sys/mounts/transit", &json!(null)).0, 204);
    assert_eq!(get(&door, "transit/keys/orders").0, 404);
    assert_eq!(block_on(door.engines.sweep(&Budget::UNLIMITED, later(100_000))).unwrap().left, 0);
    assert_eq!(door.ask("POST", "sys/mounts/transit", &json!({ "type": "transit" })).0, 204);
    assert_eq!(get(&door, "transit/keys/orders").0, 200);
}

#[test]
fn what_no_engine_can_be_is_refused_by_name() {
    let door = Door::new();
    let bodies = [
        json!({ "type": "kv", "local": true }),
        json!({ "type": "kv", "seal_wrap": "true" }),
        json!({ "type": "kv", "plugin_name": "x" }),
        json!({ "type": "kv-v1", "options": { "version": "2" } }),
        json!({ "type": "transit", "options": { "version": 1 } }),
        json!({ "type": "kv", "unknown": 1 }),
        json!({ "type": "kv", "description": "x".repeat(513) }),
        json!({ "type": "kv", "config": { "default_lease_ttl": "2h", "max_lease_ttl": "1h" } }),
        json!({ "type": "kv", "config": { "default_lease_ttl": "-1h" } }),
        json!({ "type": "cubbyhole" }),
        json!({}),
    ];
    for body in bodies {
        assert_eq!(door.ask("POST", "sys/mounts/x", &body).0, 400, "{body}");
    }
    let paths = ["store/x", "machines", "livez", "sys", "auth/x", "a%20b", "%C3%BC", "-a", "a..b", "a//b", "a/b/tune"];
    for path in paths {
        // The last one is where the engine before it is tuned.
        let body = if path.ends_with("tune") { json!({}) } else { json!({ "type": "kv" }) };
        assert_eq!(door.ask("POST", &format!("sys/mounts/{path}"), &body).0, 400, "{path}");
    }
    assert_eq!(door.ask("POST", "sys/mounts/a%2Fb", &json!({ "type": "kv" })).0, 404);
    let long = format!("sys/mounts/{}", "a/".repeat(8) + "a");
    assert_eq!(door.ask("POST", &long, &json!({ "type": "kv" })).0, 400);
    let harmless = json!({ "type": "kv", "local": false, "seal_wrap": null, "description": null, "config": null,
        "options": null, "plugin_name": "", "plugin_version": null, "external_entropy_access": false });
    assert_eq!(door.ask("POST", "sys/mounts/x", &harmless).0, 204);
    // What the command line of Vault sends.
    let usual = json!({ "type": "kv", "description": "", "config": { "options": null, "default_lease_ttl": "",
        "max_lease_ttl": "", "force_no_cache": false }, "local": false, "seal_wrap": false,
        "external_entropy_access": false, "options": { "version": "2" } });
    assert_eq!(door.ask("POST", "sys/mounts/y", &usual).0, 204);
    assert_eq!(put(&door, "y/data/a", &json!({ "k": 1 })).0, 200);
    let misplaced = json!({ "type": "kv", "config": { "options": { "version": "2" } } });
    assert_eq!(door.ask("POST", "sys/mounts/z", &misplaced).0, 400);
    assert_eq!(door.ask("DELETE", "sys/mounts/cubbyhole", &Value::Null).0, 400);
    assert_eq!(door.send(ROOT, "GET", "cubbyhole/x", "").status, 404);
}

#[test]
fn there_are_not_more_engines_than_there_may_be() {
    let engines = Engines::new(memory());
    let request: EnableRequest =
        serde_json::from_value(json!({ "type": "kv", "description": "x".repeat(512) })).unwrap();
    for n in 3..MAX_ENGINES {
        block_on(engines.enable(&format!("m{n}"), &request)).unwrap();
    }
    assert_eq!(block_on(engines.enable("more", &request)).unwrap_err().status(), 400);
    assert_eq!(paths(&engines).len(), MAX_ENGINES + 1);
}
