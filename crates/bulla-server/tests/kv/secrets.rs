//! What a secret does in time, and what it looks like in the store.

use bulla_backend::Timestamp;
use bulla_server::engines::{EnableRequest, Engines};
use bulla_server::kv::{self, VersionsRequest};
use bulla_store::{EntryQuery, NamespaceName, Store};
use pollster::block_on;
use serde_json::json;

use super::door::{Door, ROOT, get, put};
use super::ground::{NOW, memory, mount, read, request};

fn later(millis: u64) -> Timestamp {
    Timestamp(NOW.0 + millis)
}

/// Lists the names of the entries of a mount.
fn names(store: &Store, path: &str) -> Vec<String> {
    let namespace = store.namespace(&format!("secrets/{}", mount(store, path).id)).unwrap();
    let page = block_on(namespace.list(&EntryQuery::default())).unwrap();
    page.entries.iter().map(|entry| entry.name.to_string()).collect()
}

#[test]
fn a_version_is_hidden_when_its_time_has_come_and_no_job_is_needed() {
    let (store, path) = (memory(), "a");
    let secret = mount(&store, "secret");
    let lifetime = serde_json::from_value(json!({ "delete_version_after": "2s" })).unwrap();
    block_on(kv::write_metadata(&store, &secret, path, &lifetime, NOW)).unwrap();
    let written = block_on(kv::write_data(&store, &secret, path, &request(&json!({"k": 1}), None), NOW)).unwrap();
    assert_eq!(written.deletion_time.0, Some(later(2_000)));
    let at = |now| block_on(kv::read_data(&store, &secret, path, None, now)).unwrap();
    assert_eq!((at(later(1_999)).status().as_u16(), at(later(2_000)).status().as_u16()), (200, 404));
    assert_eq!(at(later(2_000)).metadata, written);
    // It is still a version: a write that expects none is refused, and a patch finds nothing.
    let refused = block_on(kv::write_data(&store, &secret, path, &request(&json!({}), Some(0)), later(3_000)));
    assert_eq!(refused.unwrap_err().code(), "cas_mismatch");
    let patched = block_on(kv::patch_data(&store, &secret, path, &request(&json!({}), None), later(3_000))).unwrap();
    assert_eq!(patched.status(), 404);
    // Undeleted, it lives as long as a new one.
    let first = VersionsRequest { versions: vec![1] };
    block_on(kv::undelete_versions(&store, &secret, path, &first, later(3_000))).unwrap();
    assert_eq!((at(later(4_999)).status().as_u16(), at(later(5_000)).status().as_u16()), (200, 404));
}

#[test]
fn the_shorter_lifetime_holds_and_the_mount_can_forbid_all() {
    let store = memory();
    let secret = mount(&store, "secret");
    let configure = |config| {
        block_on(kv::write_config(&store, &secret, &serde_json::from_value(config).unwrap())).unwrap();
    };
    let written = |path: &str, after: &str| {
        let request_of = serde_json::from_value(json!({ "delete_version_after": after })).unwrap();
        block_on(kv::write_metadata(&store, &secret, path, &request_of, NOW)).unwrap();
        let written = block_on(kv::write_data(&store, &secret, path, &request(&json!({"k": 1}), None), NOW)).unwrap();
        written.deletion_time.0.map(|moment| (moment.0 - NOW.0) / 1_000)
    };
    configure(json!({ "delete_version_after": "10h" }));
    assert_eq!(
        [written("a", "20h"), written("a", "5h"), written("a", "0s")],
        [Some(36_000), Some(18_000), Some(36_000)]
    );
    configure(json!({ "delete_version_after": "-1s" }));
    assert_eq!(written("a", "5h"), None);
    configure(json!({ "delete_version_after": 0 }));
    assert_eq!(written("a", "5h"), Some(18_000));
}

#[test]
fn the_newest_version_is_one_entry_and_others_have_their_own() {
    let store = memory();
    let secret = mount(&store, "secret");
    let write =
        |n: u64| block_on(kv::write_data(&store, &secret, "a/b", &request(&json!({ "n": n }), None), NOW)).unwrap();
    write(1);
    assert_eq!(names(&store, "secret"), ["s/a/b"]);
    write(2);
    assert_eq!(names(&store, "secret"), ["s/a/b", "v/a/b\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x01"]);
    for n in 3..=15 {
        write(n);
    }
    assert_eq!(names(&store, "secret").len(), 10);
    assert_eq!(read(&store, &secret, "a/b", 6), Some(json!({ "n": 6 })));
    assert_eq!(read(&store, &secret, "a/b", 15), Some(json!({ "n": 15 })));
    // What is destroyed is gone at once, and what is removed leaves nothing behind.
    let destroyed = VersionsRequest { versions: vec![7, 15] };
    block_on(kv::destroy_versions(&store, &secret, "a/b", &destroyed)).unwrap();
    assert_eq!(names(&store, "secret").len(), 9);
    assert_eq!(read(&store, &secret, "a/b", 15), None);
    write(16);
    assert_eq!(names(&store, "secret").len(), 8);
    block_on(kv::delete_metadata(&store, &secret, "a/b")).unwrap();
    assert_eq!(names(&store, "secret"), [""; 0]);
}

#[test]
fn as_many_versions_as_can_be_kept_are_changed_at_once() {
    let store = memory();
    let secret = mount(&store, "secret");
    let keep = |max: u64| {
        let request = serde_json::from_value(json!({ "max_versions": max })).unwrap();
        block_on(kv::write_metadata(&store, &secret, "a", &request, NOW)).unwrap();
    };
    // Large ones, which count twice in a transaction.
    let data = json!({ "k": "x".repeat(70_000) });
    keep(kv::MAX_VERSIONS);
    for _ in 0..kv::MAX_VERSIONS + 2 {
        block_on(kv::write_data(&store, &secret, "a", &request(&data, None), NOW)).unwrap();
    }
    assert_eq!(names(&store, "secret").len(), 50);
    keep(1);
    block_on(kv::write_data(&store, &secret, "a", &request(&data, None), NOW)).unwrap();
    assert_eq!(names(&store, "secret"), ["s/a"]);
    keep(kv::MAX_VERSIONS);
    for _ in 0..kv::MAX_VERSIONS {
        block_on(kv::write_data(&store, &secret, "a", &request(&data, None), NOW)).unwrap();
    }
    block_on(kv::delete_metadata(&store, &secret, "a")).unwrap();
    assert_eq!(names(&store, "secret"), [""; 0]);
}

#[test]
fn everything_that_lies_in_the_store_is_sensitive() {
    let door = Door::new();
    put(&door, "secret/data/a", &json!({ "k": 1 }));
    put(&door, "secret/data/a", &json!({ "k": 2 }));
    door.ask("PUT", "secret/config", &json!({ "max_versions": 5 }));
    door.ask("POST", "sys/mounts/kv1", &json!({ "type": "kv" }));
    door.ask("PUT", "kv1/a", &json!({ "k": 1 }));
    door.ask("PUT", "cubbyhole/a", &json!({ "k": 1 }));
    let mut seen = 0;
    for namespace in block_on(door.store.namespaces()).unwrap() {
        let namespace: &NamespaceName = &namespace;
        let entries = door.store.namespace(namespace.as_str()).unwrap();
        for entry in block_on(entries.list(&EntryQuery::default())).unwrap().entries {
            assert!(entry.stat.unwrap().sensitive, "{namespace} {}", entry.name);
            seen += 1;
        }
    }
    assert_eq!(seen, 6);
}

#[test]
fn null_stands_for_nothing_said() {
    let door = Door::new();
    put(&door, "secret/data/a", &json!({ "k": 1 }));
    let body = json!({ "data": { "k": 2 }, "options": { "cas": null } });
    assert_eq!(door.ask("PUT", "secret/data/a", &body).0, 200);
    assert_eq!(door.ask("PUT", "secret/data/a", &json!({ "data": null, "options": null })).0, 400);
    let nothing =
        json!({ "max_versions": null, "cas_required": null, "delete_version_after": null, "custom_metadata": null });
    door.ask("PUT", "secret/metadata/a", &json!({ "max_versions": 7, "custom_metadata": { "a": "b" } }));
    let before = get(&door, "secret/metadata/a");
    assert_eq!(door.ask("PUT", "secret/metadata/a", &nothing).0, 204);
    assert_eq!(get(&door, "secret/metadata/a"), before);
    // In a merge patch it sets back.
    assert_eq!(door.ask("PATCH", "secret/metadata/a", &nothing).0, 204);
    let after = get(&door, "secret/metadata/a").1.unwrap();
    assert_eq!((&after["max_versions"], &after["custom_metadata"]), (&json!(0), &json!(null)));
}

#[test]
fn what_a_secret_without_versions_says_of_its_life_is_told() {
    let door = Door::new();
    door.ask("POST", "sys/mounts/kv1", &json!({ "type": "kv", "config": { "default_lease_ttl": "1h" } }));
    for (ttl, expected) in [(json!("90s"), 90), (json!(60), 60), (json!("x"), 3_600), (json!(null), 3_600)] {
        door.ask("PUT", "kv1/a", &json!({ "ttl": ttl }));
        assert_eq!(door.send(ROOT, "GET", "kv1/a", "").json["lease_duration"], expected, "{ttl}");
    }
}

#[test]
fn a_folder_is_listed_without_reading_what_lies_deeper() {
    let door = Door::new();
    let secret = mount(&door.store, "secret");
    for n in 0..100 {
        for path in [format!("top/{n:03}"), format!("top/deep/{n}/x"), format!("top/sub{:02}/y{n}", n % 10)] {
            block_on(kv::write_data(&door.store, &secret, &path, &request(&json!({ "k": 1 }), None), NOW)).unwrap();
        }
    }
    let keys = |target: &str| -> Vec<String> {
        let answer = door.ask("LIST", target, &json!(null)).1.unwrap();
        serde_json::from_value(answer["keys"].clone()).unwrap()
    };
    let mut expected: Vec<_> = (0..100).map(|n| format!("{n:03}")).collect();
    expected.push("deep/".to_owned());
    expected.extend((0..10).map(|n| format!("sub{n:02}/")));
    assert_eq!(keys("secret/metadata/top"), expected);
    assert_eq!(keys("secret/metadata/"), ["top/"]);
    assert_eq!(keys("secret/metadata/top/deep").len(), 100);
    // Page by page it is the same.
    let (mut paged, mut after) = (Vec::new(), String::new());
    while door.ask("LIST", &format!("secret/metadata/top?limit=7&after={after}"), &json!(null)).0 == 200 {
        paged.extend(keys(&format!("secret/metadata/top?limit=7&after={after}")));
        after.clone_from(paged.last().unwrap());
    }
    assert_eq!(paged, expected);
}

#[test]
fn futures_can_be_sent_to_other_threads() {
    fn is_send<T: Send>(_: &T) {}
    let store = memory();
    let secret = mount(&store, "secret");
    let data = request(&json!({}), None);
    is_send(&kv::read_data(&store, &secret, "a", None, NOW));
    is_send(&kv::write_data(&store, &secret, "a", &data, NOW));
    is_send(&kv::patch_data(&store, &secret, "a", &data, NOW));
    is_send(&kv::delete_metadata(&store, &secret, "a"));
    let versions = VersionsRequest::default();
    is_send(&kv::destroy_versions(&store, &secret, "a", &versions));
    let config = kv::ConfigRequest::default();
    is_send(&kv::write_config(&store, &secret, &config));
    let engines = Engines::new(store.clone());
    is_send(&engines.enable("a", &EnableRequest::default()));
    is_send(&engines.sweep(&bulla_store::Budget::UNLIMITED, NOW));
}
