//! API keys.

use serde_json::json;

use super::setting::World;

const SELF: &str = "auth/token/lookup-self";

#[tokio::test]
async fn an_api_key_is_made_shown_rolled_and_revoked() {
    let world = World::new().await;
    world.user("ann", &[("user", None), ("viewer", None)]).await;
    let body = r#"{"owner": "ann", "environment": "test", "ttl": "30d", "roles": ["user"], "permissions": "use:keys,read:store",
        "pattern": "keys/**", "requests_per_minute": 100, "label": "the shop"}"#;
    let made = world.root("POST", "keys", body).await.ok();
    let (key, id) = (made.text("/data/key"), made.text("/data/id"));
    assert!(key.starts_with("bulla_test_"));
    let shown = world.root("GET", &format!("keys/{id}"), "").await.ok();
    assert_eq!((shown.text("/data/owner"), shown.text("/data/label")), ("ann".into(), "the shop".into()));
    assert_eq!(shown.at("/data/permissions"), &json!(["use:keys", "read:store"]));
    assert!(!shown.json.to_string().contains(&key[28..]) && shown.at("/data/last_used").is_null());
    world.ask(Some(&key), "GET", SELF, "").await.ok();
    assert!(world.root("GET", &format!("users/ann/keys/{id}"), "").await.ok().at("/data/last_used").is_string());
    world.root("GET", &format!("users/bob/keys/{id}"), "").await.refused(404, "unknown_api_key");

    let rolled = world.root("POST", &format!("keys/{id}/roll"), r#"{"overlap": "1h"}"#).await.ok();
    let successor = rolled.text("/data/key");
    assert_eq!(rolled.text("/data/predecessor"), id);
    for good in [&key, &successor] {
        world.ask(Some(good), "GET", SELF, "").await.ok();
    }
    world.root("POST", &format!("keys/{id}/roll"), "{}").await.refused(400, "api_key_ended");
    let second = rolled.text("/data/id");
    let third = world.root("POST", &format!("users/ann/keys/{second}/roll"), "").await.ok();
    world.ask(Some(&successor), "GET", SELF, "").await.refused(403, "bad_credential");

    let third_id = third.text("/data/id");
    let revoke = format!("keys/{third_id}/revoke");
    world.root("POST", &revoke, r#"{"reason": "boredom"}"#).await.refused(400, "invalid_field");
    let body = r#"{"reason": "compromised", "text": "it was in a log"}"#;
    assert_eq!(world.root("POST", &revoke, body).await.status, 204);
    let shown = world.root("GET", &format!("keys/{third_id}"), "").await.ok();
    assert_eq!(shown.at("/data/revoked/reason"), &json!("compromised"));
    assert_eq!(shown.at("/data/revoked/text"), &json!("it was in a log"));

    assert_eq!(world.root("LIST", "keys", "").await.at("/data/keys").as_array().unwrap().len(), 4);
    assert_eq!(world.root("LIST", "users/ann/keys", "").await.at("/data/keys").as_array().unwrap().len(), 4);
    world.root("LIST", "users/bob/keys", "").await.refused(404, "unknown_user");
    world.root("POST", "keys/forget", "{}").await.refused(400, "invalid_field");
    assert_eq!(world.root("POST", "keys/forget", r#"{"ended_for": "1h"}"#).await.at("/data/forgotten"), &json!(0));
}

#[tokio::test]
async fn what_cannot_be_asked_of_a_key_is_refused_by_name() {
    let world = World::new().await;
    world.user("ann", &[("user", None)]).await;
    for (body, code) in [
        ("{}", "invalid_field"),
        (r#"{"owner": "nobody"}"#, "unknown_user"),
        (r#"{"owner": "ann", "roles": ["admin"]}"#, "unknown_role"),
        (r#"{"owner": "ann", "environment": "LIVE"}"#, "invalid_input"),
        (r#"{"owner": "ann", "ttl": "10000d"}"#, "invalid_input"),
        (r#"{"owner": "ann", "permissions": ["fly:kites"]}"#, "invalid_field"),
        (r#"{"owner": "ann", "pattern": "/"}"#, "invalid_field"),
        (r#"{"owner": "ann", "requests_per_minute": -1}"#, ""),
        (r#"{"owner": "ann", "secret": "mine"}"#, ""),
    ] {
        let got = world.root("POST", "keys", body).await;
        assert_eq!(got.status, 400, "{body} {got:?}");
        assert!(code.is_empty() || got.text("/code") == code, "{body} {got:?}");
    }
    world.root("POST", "users/ann/keys", r#"{"owner": "ann"}"#).await.refused(400, "invalid_field");
    world.root("GET", "keys/short", "").await.refused(400, "invalid_field");
    world.root("GET", "keys/0123456789abcdef", "").await.refused(404, "unknown_api_key");
}
