//! The state of the server, whatever has no door, and the client for callers without async; on OpenBao.

use bulla_client::{ClientError, Expect, Method, blocking};
use serde_json::{Value, json};

use crate::openbao::OpenBao;
use crate::setting::{Setting, fresh, root};

#[tokio::test]
async fn a_sealed_server_is_healthy_enough_to_say_so() {
    // One of its own: others go on working.
    let server = OpenBao::start("");
    let client = root(&server.url()).attempts(1).build().unwrap();
    let health = client.sys().health().await.unwrap();
    assert_eq!((health.initialized, health.sealed, health.standby), (true, false, false));
    assert!(health.version.starts_with("2."), "{health:?}");
    let status = client.sys().seal_status().await.unwrap();
    assert_eq!((status.sealed, &*status.kind, status.threshold, status.shares), (false, "shamir", 1, 1));

    client.request(Method::PUT, "sys/seal", None).await.unwrap();
    assert!(client.sys().health().await.unwrap().sealed);
    assert!(client.sys().seal_status().await.unwrap().sealed);
    let refused = client.kv("secret").read("a").await.unwrap_err();
    assert!(matches!(refused, ClientError::Busy { retry_after: None, .. }), "{refused}");
    assert!(refused.to_string().contains("sealed"), "{refused}");
}

#[tokio::test]
async fn whatever_has_no_door_can_be_asked() {
    let setting = Setting::shared();
    let client = setting.root();
    let policy = fresh("policy");
    let path = format!("sys/policies/acl/{policy}");
    let body = json!({ "policy": "path \"secret/*\" { capabilities = [\"read\"] }" });
    assert_eq!(client.request(Method::PUT, &path, Some(&body)).await.unwrap(), Value::Null);
    let list = Method::from_bytes(b"LIST").unwrap();
    let listed = client.request(list, "sys/policies/acl", None).await.unwrap();
    assert!(listed["data"]["keys"].as_array().unwrap().contains(&json!(policy)));
    let listed = client.request(Method::GET, "sys/policies/acl?list=true", None).await.unwrap();
    assert!(listed["data"]["keys"].as_array().unwrap().contains(&json!(policy)));
    assert_eq!(client.request(Method::DELETE, &path, None).await.unwrap(), Value::Null);
    let refused = client.request(Method::POST, "sys/mounts/x", Some(&json!({ "type": "nothing" }))).await.unwrap_err();
    assert!(matches!(refused, ClientError::Invalid(_)), "{refused}");
    for path in ["", "../sys/seal", "sys/%2e%2e/x", "a b"] {
        let refused = client.request(Method::GET, path, None).await.unwrap_err();
        assert!(matches!(refused, ClientError::Path(_)), "{path:?}: {refused}");
    }
}

#[tokio::test]
async fn a_mount_says_what_it_is() {
    let setting = Setting::shared();
    let client = setting.root();
    for (kind, version, is_versioned) in [("kv", "1", false), ("kv", "2", true), ("transit", "", false)] {
        let options = if version.is_empty() { json!({}) } else { json!({ "version": version }) };
        let name = setting.mount(kind, options).await;
        let mount = client.sys().mount(&format!("{name}/some/where")).await.unwrap();
        assert_eq!((mount.path.clone(), &*mount.kind), (format!("{name}/"), kind));
        assert_eq!(mount.is_versioned(), is_versioned, "{mount:?}");
    }
    let refused = client.sys().mount("no-such-mount/x").await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused(_)), "{refused}");
}

#[tokio::test]
async fn a_namespace_is_a_world_of_its_own() {
    let setting = Setting::shared();
    let (client, name) = (setting.root(), fresh("team"));
    client.request(Method::POST, &format!("sys/namespaces/{name}"), None).await.unwrap();
    let within = root(&setting.url()).namespace(&*name).build().unwrap();
    let mount = json!({ "type": "kv", "options": { "version": "2" } });
    within.request(Method::POST, "sys/mounts/secrets", Some(&mount)).await.unwrap();
    within.kv("secrets").put("a", &json!({ "b": "c" }), Expect::Nothing).await.unwrap();
    assert!(matches!(client.kv("secrets").read("a").await, Err(ClientError::NotFound(_))));
    let through_path = client.kv(&format!("{name}/secrets")).read("a").await.unwrap();
    assert_eq!(through_path.data.text("b"), Some("c"));
}

#[test]
fn callers_without_async_wait() {
    let setting = Setting::shared();
    let client = blocking::Client::new(setting.root()).unwrap();
    assert!(client.wait(client.client().sys().health()).unwrap().initialized);
    // From several threads at once, too.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| client.wait(client.client().token().lookup_self()).unwrap());
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let refused = client.wait(client.client().sys().health()).unwrap_err();
        assert!(matches!(refused, ClientError::WithinRuntime), "{refused}");
        // Nor does it matter where it is dropped.
        drop(client);
    });
}
