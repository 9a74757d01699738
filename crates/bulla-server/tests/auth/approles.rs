//! `AppRole`s.

use std::time::Duration;

use serde_json::json;

use super::setting::{World, network};

const APP: &str = "auth/approle/role/app";

async fn world() -> (World, String) {
    let world = World::new().await;
    world.access().put_policy(&"a".parse().unwrap(), r#"path "a" { capabilities = ["read"] }"#).await.unwrap();
    let body = r#"{"token_policies": "a", "token_ttl": "1h", "secret_id_ttl": "1h", "secret_id_num_uses": 5}"#;
    assert_eq!(world.root("POST", APP, body).await.status, 204);
    let id = world.root("GET", &format!("{APP}/role-id"), "").await.ok().text("/data/role_id");
    (world, id)
}

async fn secret(world: &World, body: &str) -> (String, String) {
    let made = world.root("POST", &format!("{APP}/secret-id"), body).await.ok();
    (made.text("/data/secret_id"), made.text("/data/secret_id_accessor"))
}

fn login(role: &str, secret: &str) -> String {
    json!({"role_id": role, "secret_id": secret}).to_string()
}

#[tokio::test]
async fn a_program_logs_in() {
    let (world, role) = world().await;
    let (secret, _) = secret(&world, "").await;
    let got = world.ask(None, "POST", "auth/approle/login", &login(&role, &secret)).await.ok();
    assert_eq!((got.at("/auth/policies"), got.at("/auth/lease_duration")), (&json!(["a", "default"]), &json!(3600)));
    assert_eq!(got.at("/auth/orphan"), &json!(true));
    let own = world.ask(Some(&got.text("/auth/client_token")), "GET", "auth/token/lookup-self", "").await.ok();
    assert_eq!(own.text("/data/display_name"), "approle-app");
    assert!(world.actions().await.contains(&"approle.login".to_owned()));
}

#[tokio::test]
async fn an_approle_is_written_read_listed_and_deleted() {
    let (world, role) = world().await;
    let read = world.root("GET", APP, "").await.ok();
    assert_eq!(read.at("/data/token_policies"), &json!(["a"]));
    assert_eq!((read.at("/data/token_ttl"), read.at("/data/secret_id_num_uses")), (&json!(3600), &json!(5)));
    // What is not said stays as it is, and so does the role id.
    let change = r#"{"token_max_ttl": "2h", "secret_id_num_uses": 0, "bind_secret_id": true, "token_type": "default"}"#;
    assert_eq!(world.root("PUT", APP, change).await.status, 204);
    let read = world.root("GET", APP, "").await.ok();
    assert_eq!((read.at("/data/token_ttl"), read.at("/data/token_max_ttl")), (&json!(3600), &json!(7200)));
    assert_eq!((read.at("/data/secret_id_num_uses"), read.at("/data/token_policies")), (&json!(0), &json!(["a"])));
    assert_eq!(world.root("GET", &format!("{APP}/role-id"), "").await.text("/data/role_id"), role);
    assert_eq!(world.root("LIST", "auth/approle/role", "").await.at("/data/keys"), &json!(["app"]));
    world.root("POST", &format!("{APP}/role-id"), r#"{"role_id": "mine"}"#).await.refused(400, "unsupported");
    for (body, field) in [
        (r#"{"bind_secret_id": false}"#, "bind_secret_id"),
        (r#"{"role_id": "mine"}"#, "role_id"),
        (r#"{"token_type": "batch"}"#, "token_type"),
        (r#"{"token_explicit_max_ttl": 5}"#, "token_explicit_max_ttl"),
        (r#"{"token_no_default_policy": true}"#, "token_no_default_policy"),
        (r#"{"enable_local_secret_ids": true}"#, "local_secret_ids"),
        (r#"{"secret_id_bound_cidrs": ["x"]}"#, "secret_id_bound_cidrs"),
        (r#"{"colour": "red"}"#, "colour"),
    ] {
        let got = world.root("POST", APP, body).await;
        assert!(got.status == 400 && got.text("/errors/0").contains(field), "{body} {got:?}");
    }
    world.root("POST", APP, r#"{"token_policies": ["none"]}"#).await.refused(400, "unknown_policy");
    world.root("POST", APP, r#"{"token_policies": ["root"]}"#).await.refused(403, "not_permitted");
    assert_eq!(world.root("DELETE", APP, "").await.status, 204);
    world.root("GET", APP, "").await.refused(404, "unknown_approle");
    assert_eq!(world.root("LIST", "auth/approle/role", "").await.status, 404);
}

#[tokio::test]
async fn secrets_are_listed_looked_up_and_destroyed() {
    let (world, role) = world().await;
    let path = |rest: &str| format!("{APP}/{rest}");
    assert_eq!(world.root("LIST", &path("secret-id"), "").await.status, 404);
    let (one, accessor) = secret(&world, r#"{"ttl": "10m", "num_uses": 2, "metadata": "{}"}"#).await;
    let (other, other_accessor) = secret(&world, "{}").await;
    assert_eq!(world.root("LIST", &path("secret-id"), "").await.at("/data/keys").as_array().unwrap().len(), 2);
    for (at, body) in [
        ("secret-id/lookup", json!({"secret_id": one})),
        ("secret-id-accessor/lookup", json!({"secret_id_accessor": accessor})),
    ] {
        let found = world.root("POST", &path(at), &body.to_string()).await.ok();
        assert_eq!((found.at("/data/secret_id_num_uses"), found.at("/data/secret_id_ttl")), (&json!(2), &json!(600)));
        assert!(!found.json.to_string().contains(&one[20..]));
    }
    let body = json!({"secret_id": one}).to_string();
    assert_eq!(world.root("POST", &path("secret-id/destroy"), &body).await.status, 204);
    world.root("POST", &path("secret-id/destroy"), &body).await.refused(404, "unknown_secret");
    world.ask(None, "POST", "auth/approle/login", &login(&role, &one)).await.refused(400, "bad_credential");
    // Of another AppRole it is none.
    assert_eq!(world.root("POST", "auth/approle/role/b", "{}").await.status, 204);
    let body = json!({"secret_id_accessor": other_accessor}).to_string();
    let at_b = "auth/approle/role/b/secret-id-accessor/destroy";
    world.root("POST", at_b, &body).await.refused(404, "unknown_secret");
    assert_eq!(world.root("POST", &path("secret-id-accessor/destroy"), &body).await.status, 204);
    let got = world.ask_from(network("192.0.2.3"), None, "POST", "auth/approle/login", &login(&role, &other)).await;
    got.refused(400, "bad_credential");
    for body in [r#"{"ttl": "2h"}"#, r#"{"num_uses": 6}"#, r#"{"metadata": "{\"a\": 1}"}"#, r#"{"cidr_list": "x"}"#] {
        assert_eq!(world.root("POST", &path("secret-id"), body).await.status, 400, "{body}");
    }
}

#[tokio::test]
async fn nothing_that_is_wrong_logs_in_and_nobody_learns_what_it_was() {
    let (world, role) = world().await;
    let other = World::new().await;
    let (right, _) = secret(&world, "").await;
    let (near, _) = secret(&world, r#"{"cidr_list": ["198.51.100.0/24"]}"#).await;
    let (short, _) = secret(&world, r#"{"ttl": 1}"#).await;
    other.root("POST", APP, "{}").await.ok();
    let (foreign, _) = secret(&other, "").await;
    world.clock.advance(Duration::from_millis(1_100));
    let changed = format!("{}{}", &right[..right.len() - 1], if right.ends_with('0') { "1" } else { "0" });
    let wrong = [
        login(&role, &changed),
        login("nonsense", &right),
        login(&role, &near),
        login(&role, &short),
        login(&role, &foreign),
        login(&role, "bas.nonsense"),
        login(&role, ""),
        login(&role, &world.root),
    ];
    let mut answers = Vec::new();
    for (number, body) in wrong.iter().enumerate() {
        let from = network(&format!("203.0.113.{number}"));
        let got = world.ask_from(from, None, "POST", "auth/approle/login", body).await;
        got.refused(400, "bad_credential");
        answers.push(got.json.to_string());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    for body in [r#"{"role_id": "a"}"#, r#"{"secret_id": "a"}"#, "{}", r#"{"role_id": 5}"#] {
        let got = world.ask(None, "POST", "auth/approle/login", body).await;
        assert_eq!(got.status, 400, "{body}");
    }
    world.ask(None, "POST", "auth/approle/login", &login(&role, &right)).await.ok();
}
