//! What Vault's operators ask for, and how it is declined.

use serde_json::json;

use super::setting::World;

#[tokio::test]
async fn what_there_is_nothing_to_do_for_is_declined_with_the_reason() {
    let world = World::new().await;
    assert_eq!(world.ask(None, "GET", "sys/init", "").await.ok().json, json!({"initialized": true}));
    let shares = r#"{"secret_shares": 5, "secret_threshold": 3}"#;
    for (credential, method, path, body) in [
        (None, "PUT", "sys/init", shares),
        (None, "PUT", "sys/unseal", r#"{"key": "abcd"}"#),
        (Some(world.root.as_str()), "PUT", "sys/seal", ""),
        (Some(world.root.as_str()), "PUT", "sys/audit/file", r#"{"type": "file", "options": {"file_path": "/tmp/a"}}"#),
        (Some(world.root.as_str()), "DELETE", "sys/audit/bulla", ""),
    ] {
        let got = world.ask(credential, method, path, body).await;
        got.refused(400, "unsupported");
        assert!(!got.text("/hint").is_empty() && !got.json.to_string().contains("abcd"), "{got:?}");
    }
    world.ask(None, "PUT", "sys/seal", "").await.refused(403, "no_credential");
    let devices = world.root("GET", "sys/audit", "").await.ok();
    assert_eq!(devices.at("/data/bulla~1/type"), &json!("bulla"));
    let folder = world.folder.path().to_str().unwrap();
    assert!(!devices.json.to_string().contains(folder));
}
