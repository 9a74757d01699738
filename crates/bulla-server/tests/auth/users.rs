//! Users, roles and bindings.

use serde_json::json;

use super::setting::{World, network};

#[tokio::test]
async fn users_are_created_shown_and_deleted_and_have_roles() {
    let world = World::new().await;
    assert_eq!(world.root("LIST", "users", "").await.at("/data/keys"), &json!([]));
    let body = r#"{"roles": [{"role": "viewer"}, {"role": "operator", "pattern": "keys/a-*"}]}"#;
    assert_eq!(world.root("POST", "users/ann", body).await.status, 204);
    world.root("POST", "users/ann", "{}").await.refused(409, "user_exists");
    let shown = world.root("GET", "users/ann", "").await.ok();
    assert_eq!(shown.at("/data/permissions"), &json!(["read:queries", "view:metrics", "read:store"]));
    assert_eq!(shown.at("/data/permissions_within/0/pattern"), &json!("keys/a-*"));
    assert_eq!(shown.at("/data/roles").as_array().unwrap().len(), 2);
    let roles = |body: &'static str| world.root("POST", "users/ann/roles", body);
    assert_eq!(roles(r#"{"role": "user", "pattern": null}"#).await.status, 204);
    roles(r#"{"role": "none"}"#).await.refused(400, "unknown_role");
    roles(r#"{"role": "user", "pattern": "a/../b"}"#).await.refused(400, "invalid_field");
    roles(r#"{"pattern": "a"}"#).await.refused(400, "missing_field");
    assert_eq!(world.root("DELETE", "users/ann/roles/user", "").await.status, 204);
    assert_eq!(world.root("DELETE", "users/ann/roles/user", "").await.status, 404);
    world.root("POST", "users/bob/roles", r#"{"role": "user"}"#).await.refused(404, "unknown_user");
    assert_eq!(world.root("LIST", "users", "").await.at("/data/keys"), &json!(["ann"]));
    assert_eq!(world.root("DELETE", "users/ann", "").await.status, 204);
    world.root("GET", "users/ann", "").await.refused(404, "unknown_user");
    world.root("POST", "users/c", r#"{"roles": [{"role": "none"}]}"#).await.refused(400, "unknown_role");
}

#[tokio::test]
async fn roles_are_defined_and_deleted_once_nobody_has_them() {
    let world = World::new().await;
    let built_in = json!(["viewer", "user", "operator", "admin"]);
    assert_eq!(world.root("LIST", "roles", "").await.at("/data/keys"), &built_in);
    let body = r#"{"permissions": ["use:keys", "read:store"], "requests_per_minute": 600}"#;
    assert_eq!(world.root("PUT", "roles/app", body).await.status, 204);
    let shown = world.root("GET", "roles/app", "").await.ok();
    assert_eq!(shown.at("/data/permissions"), &json!(["use:keys", "read:store"]));
    assert_eq!((shown.at("/data/requests_per_minute"), shown.at("/data/built_in")), (&json!(600), &json!(false)));
    let key = world.user("ann", &[("app", None)]).await;
    world.root("DELETE", "roles/app", "").await.refused(409, "role_in_use");
    assert_eq!(world.root("DELETE", "users/ann", "").await.status, 204);
    assert_eq!(world.root("DELETE", "roles/app", "").await.status, 204);
    world.root("GET", "roles/app", "").await.refused(404, "unknown_role");
    world.root("PUT", "roles/admin", body).await.refused(400, "built_in_role");
    world.root("PUT", "roles/a", r#"{"permissions": ["fly:kites"]}"#).await.refused(400, "invalid_field");
    world.root("PUT", "roles/a", "{}").await.refused(400, "invalid_field");
    world.ask(Some(&key), "GET", "auth/token/lookup-self", "").await.refused(403, "bad_credential");
}

#[tokio::test]
async fn bindings_say_who_a_local_user_or_a_certificate_is() {
    let world = World::new().await;
    world.user("ann", &[("viewer", None)]).await;
    let put = async |name: &str, body: &str| world.root("POST", &format!("bindings/{name}"), body).await;
    assert_eq!(put("uid", r#"{"uid": 4242, "user": "ann"}"#).await.status, 204);
    assert_eq!(
        put("web", r#"{"certificate": {"dns": "*.example.org"}, "roles": [{"role": "user"}]}"#).await.status,
        204
    );
    assert_eq!(put("gid", r#"{"gid": 7, "roles": [{"role": "viewer", "pattern": "store/**"}]}"#).await.status, 204);
    let machine = format!(r#"{{"machine": "{}", "user": "ann"}}"#, "ab".repeat(32));
    assert_eq!(put("machine", &machine).await.status, 204);
    assert_eq!(world.root("LIST", "bindings", "").await.at("/data/keys"), &json!(["gid", "machine", "uid", "web"]));
    assert_eq!(world.root("GET", "bindings/web", "").await.at("/data/certificate/dns"), &json!("*.example.org"));
    assert_eq!(world.root("GET", "bindings/gid", "").await.at("/data/roles/0/pattern"), &json!("store/**"));
    assert_eq!(world.root("GET", "bindings/machine", "").await.text("/data/machine"), "ab".repeat(32));
    let mut local = network("192.0.2.1");
    local.address = bulla_server::Address::Local { user: 4242, group: 5, process: None };
    let own = world.ask_from(local.clone(), None, "GET", "auth/token/lookup-self", "").await.ok();
    assert_eq!((own.text("/data/kind"), own.text("/data/user")), ("peer".into(), "ann".into()));
    let certificate = bulla_server::ClientCertificate { dns_names: vec!["a.example.org".into()], ..Default::default() };
    let mut web = network("192.0.2.1");
    web.certificate = Some(std::sync::Arc::new(certificate));
    let own = world.ask_from(web, None, "GET", "auth/token/lookup-self", "").await.ok();
    assert_eq!((own.text("/data/kind"), own.at("/data/roles")), ("certificate".into(), &json!(["user"])));
    assert_eq!(world.root("DELETE", "bindings/uid", "").await.status, 204);
    world.root("GET", "bindings/uid", "").await.refused(404, "unknown_binding");
    world.ask_from(local, None, "GET", "auth/token/lookup-self", "").await.refused(403, "bad_credential");
    for body in [
        "{}",
        r#"{"uid": 1}"#,
        r#"{"uid": 1, "gid": 2, "user": "ann"}"#,
        r#"{"uid": -1, "user": "ann"}"#,
        r#"{"machine": "ab", "user": "ann"}"#,
        r#"{"certificate": {}, "user": "ann"}"#,
        r#"{"certificate": {"dns": "a.*"}, "user": "ann"}"#,
        r#"{"certificate": {"colour": "red"}, "user": "ann"}"#,
        r#"{"uid": 1, "user": "nobody"}"#,
    ] {
        assert_eq!(put("a", body).await.status, 400, "{body}");
    }
}
