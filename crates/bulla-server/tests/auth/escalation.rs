//! Nobody makes themselves, or anybody else, stronger than they are.

use serde_json::json;

use super::setting::{World, network};

const ALL: &str = r#"path \"*\" { capabilities = [\"create\", \"read\", \"update\", \"delete\", \"list\", \"sudo\"] }"#;

/// A world in which Mallory sees to users and roles, and has nothing else; and the administrator has a key.
async fn world() -> (World, String, String) {
    let world = World::new().await;
    world.role("manager", &["manage:users", "manage:roles"]).await;
    let mallory = world.user("mallory", &[("manager", None)]).await;
    let admin = world.user("max", &[("admin", None)]).await;
    (world, mallory, admin)
}

#[tokio::test]
async fn who_sees_to_users_makes_nobody_an_administrator() {
    let (world, mallory, admin) = world().await;
    world.access().put_policy(&"strong".parse().unwrap(), r#"path "*" { capabilities = ["sudo"] }"#).await.unwrap();
    world.access().put_approle(&"app".parse().unwrap(), &strong()).await.unwrap();
    let admins_key = admin.split('_').nth(2).unwrap();
    let policy = format!(r#"{{"policy": "{ALL}"}}"#);
    let attempts = [
        ("POST", "users/mallory/roles".to_owned(), r#"{"role": "admin"}"#.to_owned()),
        ("POST", "users/mallory/roles".to_owned(), r#"{"role": "viewer"}"#.to_owned()),
        ("POST", "users/mallory/roles".to_owned(), r#"{"role": "admin", "pattern": "keys/a"}"#.to_owned()),
        ("POST", "users/eve".to_owned(), r#"{"roles": [{"role": "manager"}, {"role": "admin"}]}"#.to_owned()),
        ("POST", "keys".to_owned(), r#"{"owner": "max"}"#.to_owned()),
        ("POST", "users/max/keys".to_owned(), r#"{"permissions": ["use:keys"], "pattern": "keys/a"}"#.to_owned()),
        ("POST", format!("keys/{admins_key}/roll"), r#"{"overlap": "1h"}"#.to_owned()),
        ("PUT", "roles/manager".to_owned(), r#"{"permissions": ["manage:users", "admin:system"]}"#.to_owned()),
        ("PUT", "roles/mine".to_owned(), r#"{"permissions": ["use:keys"]}"#.to_owned()),
        ("PUT", "sys/policies/acl/mine".to_owned(), policy.clone()),
        ("PUT", "sys/policy/default".to_owned(), policy.clone()),
        ("DELETE", "sys/policies/acl/strong".to_owned(), String::new()),
        ("POST", "bindings/me".to_owned(), r#"{"uid": 4242, "user": "max"}"#.to_owned()),
        ("POST", "bindings/me".to_owned(), r#"{"uid": 4242, "user": "mallory"}"#.to_owned()),
        ("POST", "users/max/keys".to_owned(), "{}".to_owned()),
        ("POST", "bindings/me".to_owned(), r#"{"uid": 4242, "roles": [{"role": "admin"}]}"#.to_owned()),
        ("POST", "auth/token/create".to_owned(), r#"{"policies": ["root"]}"#.to_owned()),
        ("POST", "auth/token/create".to_owned(), r#"{"policies": ["strong"]}"#.to_owned()),
        ("POST", "auth/token/create".to_owned(), "{}".to_owned()),
        ("POST", "auth/token/create-orphan".to_owned(), "{}".to_owned()),
        ("POST", "auth/approle/role/mine".to_owned(), r#"{"token_policies": ["strong"]}"#.to_owned()),
        ("POST", "auth/approle/role/mine".to_owned(), "{}".to_owned()),
        ("POST", "auth/approle/role/app".to_owned(), r#"{"token_ttl": "1h"}"#.to_owned()),
        ("POST", "auth/approle/role/app/secret-id".to_owned(), "{}".to_owned()),
    ];
    let before = world.access().pin();
    for (method, path, body) in &attempts {
        let got = world.ask(Some(&mallory), method, path, body).await;
        got.refused(403, "not_permitted");
    }
    assert_eq!(world.access().pin(), before, "nothing was changed");
    println!("{} attempts were refused", attempts.len());
    // What they have, they hand out.
    for (method, path, body) in [
        ("POST", "users/eve", r#"{"roles": [{"role": "manager", "pattern": "users/**"}]}"#),
        ("POST", "users/eve/roles", r#"{"role": "manager"}"#),
        ("POST", "users/eve/keys", r#"{"permissions": ["manage:users"]}"#),
        ("PUT", "roles/helper", r#"{"permissions": ["manage:users"]}"#),
        ("POST", "users/max/keys", r#"{"permissions": ["manage:users"]}"#),
    ] {
        world.ask(Some(&mallory), method, path, body).await.ok();
    }
}

fn strong() -> bulla_guard::access::AppRole {
    bulla_guard::access::AppRole { policies: vec!["strong".parse().unwrap()], ..Default::default() }
}

#[tokio::test]
async fn the_owner_of_the_files_stays_bound_to_less() {
    let (world, mallory, _) = world().await;
    let me = bulla::this_user();
    let body = format!(r#"{{"uid": {me}, "roles": [{{"role": "manager"}}]}}"#);
    assert_eq!(world.root("POST", "bindings/owner", &body).await.status, 204);
    let mut local = network("192.0.2.1");
    local.address = bulla_server::Address::Local { user: me, group: 0, process: None };
    let other = r#"{"uid": 4242, "roles": [{"role": "manager"}]}"#;
    for (method, body) in [("DELETE", ""), ("POST", other)] {
        let got = world.ask_from(local.clone(), None, method, "bindings/owner", body).await;
        got.refused(403, "not_permitted");
        world.ask(Some(&mallory), method, "bindings/owner", body).await.refused(403, "not_permitted");
    }
    world.ask_from(local.clone(), None, "GET", "sys/host-info", "").await.refused(403, "permission_denied");
    assert_eq!(world.root("DELETE", "bindings/owner", "").await.status, 204);
    world.ask_from(local, None, "GET", "sys/host-info", "").await.ok();
}

#[tokio::test]
async fn a_token_hands_out_no_more_than_its_policies() {
    let (world, ..) = world().await;
    world.access().put_policy(&"strong".parse().unwrap(), r#"path "*" { capabilities = ["sudo"] }"#).await.unwrap();
    world.access().put_approle(&"app".parse().unwrap(), &strong()).await.unwrap();
    let text = r#"
        path "auth/token/*" { capabilities = ["create", "update"] }
        path "auth/approle/role/*" { capabilities = ["create", "update"] }
        path "auth/approle/role/app/secret-id" { capabilities = ["deny"] }
        path "sys/policies/acl/*" { capabilities = ["create", "update", "delete"] }
        path "users/*" { capabilities = ["create", "update"] }
        path "roles/*" { capabilities = ["create", "update"] }
        path "bindings/*" { capabilities = ["create", "update"] }
        path "keys" { capabilities = ["create"] }"#;
    let token = world.token("p", text).await;
    let policy = format!(r#"{{"policy": "{ALL}"}}"#);
    for (path, body) in [
        ("auth/token/create", r#"{"policies": ["p", "strong"]}"#),
        ("auth/token/create", r#"{"policies": ["root"]}"#),
        ("auth/token/create", r#"{"period": "1h"}"#),
        ("auth/approle/role/mine", r#"{"token_policies": ["strong"]}"#),
        ("sys/policies/acl/p", &policy),
        ("sys/policies/acl/mine", &policy),
        ("users/eve", r#"{"roles": [{"role": "viewer"}]}"#),
        ("users/max/keys", "{}"),
        ("keys", r#"{"owner": "max"}"#),
        ("roles/mine", r#"{"permissions": ["use:keys"]}"#),
        ("bindings/me", r#"{"uid": 5, "user": "max"}"#),
    ] {
        world.ask(Some(&token), "POST", path, body).await.refused(403, "not_permitted");
    }
    let denied = world.ask(Some(&token), "POST", "auth/approle/role/app/secret-id", "{}").await;
    denied.refused(403, "permission_denied");
    world.ask(Some(&token), "POST", "auth/token/create", r#"{"policies": ["p"]}"#).await.ok();
    world.ask(Some(&token), "POST", "auth/token/create-orphan", r#"{"policies": ["p"]}"#).await.ok();
    // Who is let to hand out the secrets of one AppRole hands out those.
    let broker = r#"path "auth/approle/role/app/secret-id" { capabilities = ["update"] }"#;
    let broker = world.token("broker", broker).await;
    world.ask(Some(&broker), "POST", "auth/approle/role/app/secret-id", "{}").await.ok();
    let sudo = r#"path "sys/policies/acl/team-*" { capabilities = ["update", "sudo"] }"#;
    let sudo = world.token("team", sudo).await;
    world.ask(Some(&sudo), "PUT", "sys/policies/acl/team-a", &policy).await.ok();
    world.ask(Some(&sudo), "PUT", "sys/policies/acl/other", &policy).await.refused(403, "permission_denied");
}

#[tokio::test]
async fn a_role_for_some_users_is_a_role_for_those() {
    let (world, ..) = world().await;
    let lead = world.user("lead", &[("manager", Some("users/team-*")), ("user", None)]).await;
    let ask = async |method: &str, path: &str, body: &str| world.ask(Some(&lead), method, path, body).await;
    ask("POST", "users/team-a", r#"{"roles": [{"role": "user"}]}"#).await.ok();
    // What team-a is granted one day would reach the key too.
    ask("POST", "users/team-a/keys", "{}").await.refused(403, "not_permitted");
    let key = ask("POST", "users/team-a/keys", r#"{"permissions": ["read:store"]}"#).await.ok();
    let id = key.text("/data/id");
    ask("GET", &format!("users/team-a/keys/{id}"), "").await.ok();
    ask("POST", &format!("users/team-a/keys/{id}/revoke"), r#"{"reason": "other"}"#).await.ok();
    ask("DELETE", "users/team-a/roles/user", "").await.ok();
    // The same by another road, and what lies beside.
    for (method, path) in [
        ("GET", format!("keys/{id}")),
        ("POST", format!("keys/{id}/revoke")),
        ("POST", "keys".to_owned()),
        ("LIST", "keys".to_owned()),
        ("LIST", "users".to_owned()),
        ("POST", "users/max/keys".to_owned()),
        ("DELETE", "users/max".to_owned()),
        ("POST", "users/Team-a".to_owned()),
        ("POST", "users/steam-a".to_owned()),
        ("POST", "roles/team-a".to_owned()),
        ("POST", "bindings/team-a".to_owned()),
        ("POST", "auth/token/create".to_owned()),
    ] {
        ask(method, &path, "{}").await.refused(403, "permission_denied");
    }
    // Another's key is not theirs because the path says so.
    let other = world.root("LIST", "users/max/keys", "").await.text("/data/keys/0");
    ask("GET", &format!("users/team-a/keys/{other}"), "").await.refused(404, "unknown_api_key");
    ask("POST", &format!("users/team-a/keys/{other}/revoke"), "{}").await.refused(404, "unknown_api_key");
    // Nor is a user for everybody.
    ask("POST", "users/team-b", r#"{"roles": [{"role": "manager"}]}"#).await.refused(403, "not_permitted");
    ask("POST", "users/team-b", &json!({"roles": [{"role": "manager", "pattern": "users/team-b"}]}).to_string())
        .await
        .ok();
}
