//! Tokens.

use std::time::Duration;

use serde_json::json;

use super::setting::{World, network};

const SELF: &str = "auth/token/lookup-self";

#[tokio::test]
async fn a_token_is_made_looked_up_renewed_and_revoked() {
    let world = World::new().await;
    world.access().put_policy(&"a".parse().unwrap(), r#"path "a" { capabilities = ["read"] }"#).await.unwrap();
    let body = r#"{"policies": ["a"], "ttl": "1h", "explicit_max_ttl": "2h", "num_uses": null, "display_name": "ci",
        "meta": {"a": "b"}, "renewable": true, "type": "service", "id": null, "entity_alias": ""}"#;
    let made = world.root("POST", "auth/token/create", body).await.ok();
    let (token, accessor) = (made.text("/auth/client_token"), made.text("/auth/accessor"));
    assert_eq!(made.at("/auth/policies"), &json!(["a", "default"]));
    assert_eq!(made.at("/auth/token_policies"), &json!(["a", "default"]));
    assert_eq!((made.at("/auth/lease_duration"), made.at("/auth/renewable")), (&json!(3600), &json!(true)));
    assert_eq!((made.at("/auth/token_type"), made.at("/auth/orphan")), (&json!("service"), &json!(false)));
    assert_eq!((made.at("/auth/entity_id"), made.at("/auth/metadata")), (&json!(""), &json!(null)));
    assert_eq!(made.at("/warnings").as_array().unwrap().len(), 1, "meta is not kept");
    assert_eq!((made.at("/data"), made.at("/lease_duration")), (&json!(null), &json!(0)));

    for method in ["GET", "POST"] {
        let own = world.ask(Some(&token), method, SELF, "").await.ok();
        assert_eq!((own.text("/data/id"), own.text("/data/accessor")), (token.clone(), accessor.clone()));
        assert_eq!((own.text("/data/display_name"), own.text("/data/kind")), ("token-ci".into(), "token".into()));
        assert_eq!((own.at("/data/creation_ttl"), own.at("/data/explicit_max_ttl")), (&json!(3600), &json!(7200)));
        assert!(own.at("/data/ttl").as_u64().unwrap() <= 3600 && own.text("/data/expire_time").ends_with('Z'));
    }
    let looked = world.root("POST", "auth/token/lookup", &json!({"token": token}).to_string()).await.ok();
    assert_eq!(looked.text("/data/accessor"), accessor);
    let by = json!({"accessor": accessor}).to_string();
    let looked = world.root("POST", "auth/token/lookup-accessor", &by).await.ok();
    assert_eq!((looked.text("/data/id").as_str(), looked.at("/data/policies")), ("", &json!(["a", "default"])));
    let listed = world.root("LIST", "auth/token/accessors", "").await.ok();
    assert!(listed.at("/data/keys").as_array().unwrap().contains(&json!(accessor)));

    let renewed = world.ask(Some(&token), "POST", "auth/token/renew-self", r#"{"increment": "30m"}"#).await.ok();
    assert_eq!((renewed.text("/auth/client_token"), renewed.at("/auth/lease_duration")), (token.clone(), &json!(1800)));
    let renewed =
        world.root("PUT", "auth/token/renew", &json!({"token": token, "increment": 60}).to_string()).await.ok();
    assert_eq!((renewed.text("/auth/client_token"), renewed.at("/auth/lease_duration")), (token.clone(), &json!(60)));
    let renewed = world.root("POST", "auth/token/renew-accessor", &by).await.ok();
    assert_eq!((renewed.text("/auth/client_token"), renewed.at("/auth/lease_duration")), (String::new(), &json!(3600)));

    assert_eq!(world.ask(Some(&token), "POST", "auth/token/revoke-self", "").await.status, 204);
    world.ask(Some(&token), "GET", SELF, "").await.refused(403, "bad_credential");
    world.root("POST", "auth/token/lookup", &json!({"token": token}).to_string()).await.refused(403, "unknown_token");
    world.root("POST", "auth/token/renew", &json!({"token": token}).to_string()).await.refused(400, "unknown_token");
}

#[tokio::test]
async fn children_end_with_their_parent_and_orphans_do_not() {
    let world = World::new().await;
    let sudo = r#"path "auth/token/create" { capabilities = ["update", "sudo"] }
        path "auth/token/create-orphan" { capabilities = ["update"] }"#;
    let parent = world.token("sudo", sudo).await;
    let child = world.ask(Some(&parent), "POST", "auth/token/create", "{}").await.ok().text("/auth/client_token");
    let grandchild = world.ask(Some(&child), "POST", "auth/token/create", "{}").await.ok().text("/auth/client_token");
    let orphan = world.ask(Some(&parent), "POST", "auth/token/create-orphan", "{}").await.ok();
    assert_eq!(orphan.at("/auth/orphan"), &json!(true));
    let by_flag = world.ask(Some(&parent), "POST", "auth/token/create", r#"{"no_parent": true}"#).await.ok();
    assert_eq!(by_flag.at("/auth/orphan"), &json!(true));
    assert_eq!(world.root("POST", "auth/token/revoke", &json!({"token": parent}).to_string()).await.status, 204);
    for ended in [&parent, &child, &grandchild] {
        world.ask(Some(ended), "GET", SELF, "").await.refused(403, "bad_credential");
    }
    for living in [orphan, by_flag] {
        world.ask(Some(&living.text("/auth/client_token")), "GET", SELF, "").await.ok();
        let by = json!({"accessor": living.text("/auth/accessor")}).to_string();
        assert_eq!(world.root("POST", "auth/token/revoke-accessor", &by).await.status, 204);
        world.ask(Some(&living.text("/auth/client_token")), "GET", SELF, "").await.refused(403, "bad_credential");
    }
    // The two that came from the one that was revoked.
    let swept = world.root("POST", "auth/token/tidy", "").await.ok();
    assert_eq!(swept.at("/data/deleted"), &json!(2));
}

#[tokio::test]
async fn a_token_is_bound_to_its_time_its_uses_and_its_addresses() {
    let world = World::new().await;
    let make = async |body: &str| world.root("POST", "auth/token/create", body).await.ok().text("/auth/client_token");
    let twice = make(r#"{"policies": ["default"], "num_uses": "2"}"#).await;
    world.ask(Some(&twice), "POST", "auth/token/create", "{}").await.refused(403, "permission_denied");
    // The last use is a good one.
    let last = world.ask(Some(&twice), "GET", SELF, "").await.ok();
    assert_eq!(last.text("/data/kind"), "token");
    world.ask(Some(&twice), "GET", SELF, "").await.refused(403, "bad_credential");

    let near = make(r#"{"policies": ["default"], "bound_cidrs": "192.0.2.0/24, 2001:db8::/32"}"#).await;
    for (from, is_good) in [("192.0.2.9", true), ("2001:db8::5", true), ("198.51.100.1", false), ("::1", false)] {
        let got = world.ask_from(network(from), Some(&near), "GET", SELF, "").await;
        assert_eq!(got.status == 200, is_good, "{from}");
    }
    let short = make(r#"{"policies": ["default"], "ttl": 1}"#).await;
    world.ask(Some(&short), "GET", SELF, "").await.ok();
    world.clock.advance(Duration::from_millis(1_100));
    world.ask_from(network("192.0.2.77"), Some(&short), "GET", SELF, "").await.refused(403, "bad_credential");
    let fixed = make(r#"{"policies": ["default"], "renewable": false}"#).await;
    world.ask(Some(&fixed), "POST", "auth/token/renew-self", "").await.refused(400, "not_renewable");
}

#[tokio::test]
async fn whoever_is_known_by_something_else_finds_out_as_what() {
    let world = World::new().await;
    let key = world.user("ann", &[("viewer", None)]).await;
    let own = world.ask(Some(&key), "GET", SELF, "").await.ok();
    assert_eq!((own.text("/data/kind"), own.text("/data/user")), ("api_key".into(), "ann".into()));
    assert_eq!((own.at("/data/roles"), own.at("/data/renewable")), (&json!(["viewer"]), &json!(false)));
    assert_eq!(own.text("/data/accessor"), key.split('_').nth(2).unwrap());
    assert!(own.at("/data/ttl").as_u64().unwrap() > 89 * 86_400);
    world.ask(Some(&key), "POST", "auth/token/renew-self", "{}").await.refused(400, "not_renewable");
    world.ask(Some(&key), "POST", "auth/token/revoke-self", "").await.refused(400, "not_a_token");
    let mut local = network("192.0.2.1");
    let address = bulla_server::Address::Local { user: bulla::this_user(), group: 0, process: None };
    local.address = address;
    let own = world.ask_from(local, None, "GET", SELF, "").await.ok();
    assert_eq!((own.text("/data/kind"), own.at("/data/roles")), ("peer".into(), &json!(["admin"])));
}

#[tokio::test]
async fn what_cannot_be_asked_of_a_token_is_refused_by_name() {
    let world = World::new().await;
    for (body, field) in [
        (r#"{"id": "mine"}"#, "id"),
        (r#"{"entity_alias": "a"}"#, "entity_alias"),
        (r#"{"type": "batch"}"#, "type"),
        (r#"{"ttl": "soon"}"#, "ttl"),
        (r#"{"num_uses": -1}"#, "num_uses"),
        (r#"{"policies": ["../a"]}"#, "policies"),
        (r#"{"policies": [1]}"#, "policies"),
        (r#"{"bound_cidrs": ["10.0.0.0/33"]}"#, "bound_cidrs"),
        (r#"{"polices": ["default"]}"#, "polices"),
    ] {
        let got = world.root("POST", "auth/token/create", body).await;
        assert!(got.status == 400 && got.text("/errors/0").contains(field), "{body} {got:?}");
    }
    world.root("POST", "auth/token/create", r#"{"policies": ["none"]}"#).await.refused(400, "unknown_policy");
    world.root("POST", "auth/token/lookup", "{}").await.refused(400, "invalid_field");
    world.root("POST", "auth/token/lookup", r#"{"token": "nonsense"}"#).await.refused(403, "unknown_token");
    world.root("POST", "auth/token/revoke-accessor", r#"{"accessor": "short"}"#).await.refused(400, "invalid_field");
    let unknown = r#"{"accessor": "0123456789abcdef"}"#;
    world.root("POST", "auth/token/revoke-accessor", unknown).await.refused(400, "unknown_token");
    for path in ["auth/token/revoke-orphan", "auth/token/create/role", "auth/token/roles"] {
        assert_eq!(world.root("POST", path, "{}").await.status, 404, "{path}");
    }
}
