//! Secrets through the whole road of a request: envelopes, permissions, and what clients of Vault rely on.

use bulla_server::{Audit, Requires, kv};
use serde_json::{Value, json};

use super::door::{CHANGER, Door, KEY, MAKER, READER, ROOT, get, put};

#[test]
fn what_is_deleted_is_not_found_but_told_of() {
    let door = Door::new();
    let written = door.send(ROOT, "POST", "secret/data/a", r#"{"options":{},"data":{"k":"v"}}"#);
    assert_eq!((written.status, &written.json["data"]["version"]), (200, &json!(1)));
    for name in ["request_id", "lease_id", "renewable", "lease_duration", "wrap_info", "warnings", "auth"] {
        assert!(written.json.get(name).is_some(), "{name}");
    }
    assert_eq!(door.send(ROOT, "DELETE", "secret/data/a", "").status, 204);
    let gone = door.send(ROOT, "GET", "secret/data/a", "");
    assert_eq!((gone.status, &gone.json["data"]["data"]), (404, &Value::Null));
    assert_eq!(gone.json["data"]["metadata"]["version"], json!(1));
    assert_ne!(gone.json["data"]["metadata"]["deletion_time"], json!(""));
    assert!(gone.json.get("errors").is_none());
    assert_eq!(door.ask("POST", "secret/undelete/a", &json!({ "versions": [1] })).0, 204);
    assert_eq!(get(&door, "secret/data/a").1.unwrap()["data"], json!({ "k": "v" }));
    assert_eq!(door.ask("POST", "secret/destroy/a", &json!({ "versions": ["1"] })).0, 204);
    let gone = door.send(ROOT, "GET", "secret/data/a?version=1", "");
    assert_eq!((gone.status, &gone.json["data"]["metadata"]["destroyed"]), (404, &json!(true)));
    // What never was has no data at all.
    let none = door.send(ROOT, "GET", "secret/data/b", "");
    assert_eq!((none.status, none.json.get("data")), (404, None));
    assert_eq!(door.ask("DELETE", "secret/metadata/a", &Value::Null).0, 204);
    assert_eq!(get(&door, "secret/metadata/a").0, 404);
}

#[test]
fn a_write_that_expects_another_version_is_told_so() {
    let door = Door::new();
    let write = |cas: Value| {
        let body = json!({ "data": { "k": 1 }, "options": { "cas": cas } }).to_string();
        let reply = door.send(ROOT, "POST", "secret/data/a", &body);
        (reply.status, reply.json["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(write(json!(1)), (400, "cas_mismatch".to_owned()));
    assert_eq!(write(json!(0)).0, 200);
    assert_eq!(write(json!(0)), (400, "cas_mismatch".to_owned()));
    assert_eq!(write(json!("1")).0, 200);
    assert_eq!(door.ask("POST", "secret/config", &json!({ "cas_required": true, "max_versions": null })).0, 204);
    assert_eq!(write(json!(null)), (400, "cas_required".to_owned()));
    let refused = door.send(ROOT, "POST", "secret/data/a", r#"{"data":{"k":1}}"#);
    assert_eq!(refused.json["errors"], json!(["check-and-set parameter required for this call"]));
}

#[test]
fn a_patch_changes_a_part() {
    let door = Door::new();
    put(&door, "secret/data/a", &json!({ "kept": 1, "gone": 2, "in": { "x": 1, "y": 2 } }));
    let patch = json!({ "data": { "gone": null, "in": { "y": 3 } }, "options": { "cas": 1 } });
    let (status, patched) = door.ask("PATCH", "secret/data/a", &patch);
    assert_eq!((status, &patched.unwrap()["version"]), (200, &json!(2)));
    assert_eq!(get(&door, "secret/data/a").1.unwrap()["data"], json!({ "kept": 1, "in": { "x": 1, "y": 3 } }));
    assert_eq!(door.ask("PATCH", "secret/data/a", &patch).0, 400);
    assert_eq!(door.ask("PATCH", "secret/data/none", &json!({ "data": {} })).0, 404);
    let subkeys = get(&door, "secret/subkeys/a?depth=1").1.unwrap();
    assert_eq!(subkeys["subkeys"], json!({ "in": null, "kept": null }));
    door.ask("DELETE", "secret/data/a", &Value::Null);
    let gone = door.send(ROOT, "PATCH", "secret/data/a", r#"{"data":{}}"#);
    assert_eq!((gone.status, &gone.json["data"]["version"]), (404, &json!(2)));
    assert_eq!(get(&door, "secret/subkeys/a").0, 404);
}

#[test]
fn what_is_noted_about_a_secret_is_kept_with_it() {
    let door = Door::new();
    let notes = json!({ "max_versions": 2, "delete_version_after": "1h", "custom_metadata": { "owner": "me" } });
    assert_eq!(door.ask("POST", "secret/metadata/a/b", &notes).0, 204);
    for n in 0..3 {
        put(&door, "secret/data/a/b", &json!({ "n": n }));
    }
    let shown = get(&door, "secret/metadata/a/b").1.unwrap();
    assert_eq!((&shown["current_version"], &shown["oldest_version"]), (&json!(3), &json!(2)));
    assert_eq!(shown["versions"].as_object().unwrap().keys().collect::<Vec<_>>(), ["2", "3"]);
    assert_ne!(shown["versions"]["3"]["deletion_time"], json!(""));
    assert_eq!(get(&door, "secret/data/a/b?version=1").0, 404);
    let read = get(&door, "secret/data/a/b?version=3").1.unwrap();
    assert_eq!(read["metadata"]["custom_metadata"], json!({ "owner": "me" }));
    let patch = json!({ "custom_metadata": { "owner": null, "team": "us" }, "delete_version_after": null });
    assert_eq!(door.ask("PATCH", "secret/metadata/a/b", &patch).0, 204);
    let shown = get(&door, "secret/metadata/a/b").1.unwrap();
    assert_eq!(
        (&shown["custom_metadata"], &shown["delete_version_after"], &shown["max_versions"]),
        (&json!({ "team": "us" }), &json!("0s"), &json!(2))
    );
    for (target, keys) in [("secret/metadata", json!(["a/"])), ("secret/metadata/a/", json!(["b"]))] {
        assert_eq!(door.ask("LIST", target, &Value::Null).1.unwrap()["keys"], keys, "{target}");
        assert_eq!(get(&door, &format!("{target}?list=true")).1.unwrap()["keys"], keys, "{target}");
    }
    assert_eq!(door.ask("LIST", "secret/metadata/none", &Value::Null).0, 404);
}

#[test]
fn an_engine_without_versions_is_spoken_to_at_its_root() {
    let door = Door::new();
    assert_eq!(door.ask("POST", "sys/mounts/kv", &json!({ "type": "kv", "options": { "version": "1" } })).0, 204);
    assert_eq!(door.ask("POST", "kv/a/b", &json!({ "k": "v", "n": null })).0, 204);
    assert_eq!(door.ask("PUT", "kv/data/c", &json!({ "k": "v" })).0, 204);
    let read = door.send(ROOT, "GET", "kv/a/b", "");
    assert_eq!(
        (&read.json["data"], &read.json["lease_duration"]),
        (&json!({ "k": "v", "n": null }), &json!(2_764_800))
    );
    assert_eq!(door.ask("LIST", "kv", &Value::Null).1.unwrap()["keys"], json!(["a/", "data/"]));
    assert_eq!(get(&door, "kv/?list=true").1.unwrap()["keys"], json!(["a/", "data/"]));
    assert_eq!(door.ask("POST", "kv/a/b", &json!({})).0, 400);
    assert_eq!(door.ask("POST", "kv/a/b", &json!([1])).0, 400);
    assert_eq!(door.ask("DELETE", "kv/a/b", &Value::Null).0, 204);
    assert_eq!(get(&door, "kv/a/b").0, 404);
    assert_eq!(door.ask("PATCH", "kv/a/b", &json!({})).0, 405);
}

#[test]
fn whoever_may_read_may_not_write() {
    let door = Door::new();
    put(&door, "secret/data/a", &json!({ "k": 1 }));
    let all = [
        ("GET", "secret/data/a", 200),
        ("GET", "secret/metadata/a", 200),
        ("GET", "secret/subkeys/a", 200),
        ("GET", "secret/config", 200),
        ("LIST", "secret/metadata", 200),
        ("POST", "secret/data/a", 403),
        ("PUT", "secret/data/a", 403),
        ("PATCH", "secret/data/a", 403),
        ("DELETE", "secret/data/a", 403),
        ("POST", "secret/delete/a", 403),
        ("POST", "secret/undelete/a", 403),
        ("POST", "secret/destroy/a", 403),
        ("POST", "secret/metadata/a", 403),
        ("PATCH", "secret/metadata/a", 403),
        ("DELETE", "secret/metadata/a", 403),
        ("POST", "secret/config", 403),
    ];
    for (method, target, expected) in all {
        assert_eq!(door.send(READER, method, target, "").status, expected, "{method} {target}");
        assert_eq!(door.send(KEY, method, target, "").status, 403, "{method} {target}");
    }
    for (id, requires, audit) in &*door.guard.asked.lock().unwrap() {
        let is_looked_at = ["kv2.read-metadata", "kv2.subkeys", "kv2.read-config", "kv2.list"].contains(id);
        let expected = match *id {
            "kv2.read" => ("read:secrets", Audit::Reveal),
            "kv2.write-config" => ("write:secrets", Audit::Administer),
            _ if is_looked_at => ("read:secrets", Audit::Look),
            _ => ("write:secrets", Audit::Change),
        };
        let Requires::Permission(permission, _) = requires else { panic!("{id} lets everybody in") };
        assert_eq!((*permission, *audit), expected, "{id}");
    }
}

#[test]
fn who_may_make_secrets_need_not_change_them_and_the_other_way_round() {
    let door = Door::new();
    door.ask("POST", "sys/mounts/kv", &json!({ "type": "kv" }));
    for (target, body) in [
        ("secret/data/a", r#"{"data":{"k":1}}"#),
        ("secret/metadata/b", r#"{"max_versions":1}"#),
        ("kv/a", r#"{"k":1}"#),
    ] {
        let status = |token| door.send(token, "POST", target, body).status;
        let statuses = [status(CHANGER), status(MAKER), status(MAKER), status(CHANGER)];
        let done = if target == "secret/data/a" { 200 } else { 204 };
        assert_eq!(statuses, [403, done, 403, done], "{target}");
    }
}

#[test]
fn bodies_and_queries_are_read_strictly() {
    let door = Door::new();
    let bodies = [
        r#"{"data":{"a":1,"a":2}}"#,
        r#"{"data":{"a":12345678901234567890123}}"#,
        r#"{"data":{"a":1},"options":{"cass":1}}"#,
        r#"{"data":"text"}"#,
        r#"{"data":null}"#,
        r#"{"data":[]}"#,
        r#"{}"#,
        r#"[]"#,
        r#"{"data":{"#,
        "",
    ];
    for body in bodies {
        assert_eq!(door.send(ROOT, "POST", "secret/data/a", body).status, 400, "{body}");
    }
    let deep = |depth: usize| format!(r#"{{"data":{}1{}}}"#, r#"{"a":"#.repeat(depth), "}".repeat(depth));
    assert_eq!(door.send(ROOT, "POST", "secret/data/a", &deep(31)).status, 200);
    assert_eq!(door.send(ROOT, "POST", "secret/data/a", &deep(100)).status, 400);
    let long = json!({ "data": { "k": "x".repeat(kv::MAX_SECRET_LEN) } }).to_string();
    assert_eq!(door.send(ROOT, "POST", "secret/data/a", &long).status, 413);
    for query in ["version=x", "version=-1", "version=1&version=1", "other=1", "version=99999999999999999999"] {
        assert_eq!(get(&door, &format!("secret/data/a?{query}")).0, 400, "{query}");
    }
    assert_eq!(get(&door, "secret/data/a?version=").0, 200);
}

#[test]
fn hostile_paths_lead_nowhere_and_reach_nothing_else() {
    let door = Door::new();
    put(&door, "secret/data/a", &json!({ "k": 1 }));
    door.send(READER, "POST", "cubbyhole/mine", r#"{"k":1}"#);
    let paths = [
        "secret/data/../config",
        "secret/data/%2e%2e/config",
        "secret/data//a",
        "secret//data/a",
        "secret/data/a%2Fb",
        "secret%2Fdata/a",
        "secret/data/a%00",
        "secret/data/a%0a",
        "secret/data/%e2%80%ae",
        "secret/data/%ff",
        "secret/data/%zz",
        "secret/data/",
        "secret/data",
        "secret/data/a/",
        "Secret/data/a",
        "secret/Data/a",
        "cubbyhole/../secret/data/a",
        "cubbyhole/%2e",
        "secrets/data/a",
        "sys/mounts/../mounts",
    ];
    for path in paths {
        for (method, body) in [("GET", ""), ("POST", r#"{"data":{"k":2}}"#), ("DELETE", "")] {
            let status = door.send(ROOT, method, path, body).status;
            assert!([400, 404, 405].contains(&status), "{method} {path}: {status}");
        }
    }
    assert_eq!(get(&door, "secret/data/a").1.unwrap()["data"], json!({ "k": 1 }));
    let long = format!("secret/data/{}", "a".repeat(kv::MAX_PATH_LEN));
    assert_eq!(put(&door, &long, &json!({ "k": 1 })).0, 200);
    assert_eq!(put(&door, &format!("{long}a"), &json!({ "k": 1 })).0, 400);
}

#[test]
fn every_endpoint_is_described() {
    let door = Door::new();
    let described = door.send("", "GET", "openapi.json", "");
    let paths = described.json["paths"].as_object().unwrap();
    for path in ["/v1/{kv2_mount}/data/{path}", "/v1/{kv1_mount}/{path}", "/v1/{cubbyhole_mount}/{path}"] {
        assert!(paths.contains_key(path), "{path}");
    }
    for path in ["/v1/sys/mounts", "/v1/sys/mounts/{path}", "/v1/sys/mounts/{path}/tune", "/v1/sys/remount"] {
        assert!(paths.contains_key(path), "{path}");
    }
    let ours = ["kv1", "kv2", "cubbyhole", "mounts", "auth-mounts"];
    let ours = door.app.table().endpoints().filter(|one| ours.contains(&one.id().split('.').next().unwrap()));
    assert_eq!(ours.filter(|endpoint| endpoint.summary().ends_with('.')).count(), 36);
}
