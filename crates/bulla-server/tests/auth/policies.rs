//! Policies, and what they do to requests.

use data_encoding::BASE64;
use serde_json::json;

use super::setting::World;

const HCL: &str = r#"path "secret/data/*" { capabilities = ["read", "list"] }"#;
const JSON: &str = r#"{"path": {"secret/data/*": {"capabilities": ["read", "list"]}}}"#;

#[tokio::test]
async fn policies_are_written_in_every_form_read_listed_and_deleted() {
    let world = World::new().await;
    for (index, text) in [HCL.to_owned(), JSON.to_owned(), BASE64.encode(HCL.as_bytes())].iter().enumerate() {
        let path = if index == 1 { format!("sys/policy/p{index}") } else { format!("sys/policies/acl/p{index}") };
        assert_eq!(world.root("PUT", &path, &json!({"policy": text}).to_string()).await.status, 204);
        let shown = if index == 1 { JSON } else { HCL };
        let read = world.root("GET", &format!("sys/policies/acl/p{index}"), "").await.ok();
        assert_eq!((read.text("/data/policy").as_str(), read.text("/data/name")), (shown, format!("p{index}")));
        assert_eq!(world.root("GET", &format!("sys/policy/p{index}"), "").await.text("/data/rules"), shown);
    }
    assert_eq!(world.root("GET", "sys/policies/acl/root", "").await.text("/data/policy"), "");
    assert!(world.root("GET", "sys/policies/acl/default", "").await.text("/data/policy").contains("lookup-self"));
    let all = json!(["default", "p0", "p1", "p2", "root"]);
    for (method, path) in [("LIST", "sys/policies/acl"), ("GET", "sys/policies/acl?list=true"), ("LIST", "sys/policy")]
    {
        assert_eq!(world.root(method, path, "").await.at("/data/keys"), &all, "{method} {path}");
    }
    assert_eq!(world.root("GET", "sys/policy", "").await.at("/data/policies"), &all);
    assert_eq!(world.root("DELETE", "sys/policies/acl/p0", "").await.status, 204);
    assert_eq!(world.root("DELETE", "sys/policy/p1", "").await.status, 204);
    assert_eq!(world.root("DELETE", "sys/policies/acl/p0", "").await.status, 204, "as in Vault");
    world.root("GET", "sys/policies/acl/p0", "").await.refused(404, "unknown_policy");
    world.root("DELETE", "sys/policies/acl/root", "").await.refused(400, "built_in_policy");
    world
        .root("PUT", "sys/policies/acl/root", &json!({"policy": HCL}).to_string())
        .await
        .refused(400, "built_in_policy");
    let template = json!({"policy": r#"path "a/{{identity.entity.id}}" { capabilities = ["read"] }"#});
    world.root("PUT", "sys/policies/acl/a", &template.to_string()).await.refused(400, "bad_policy");
    world.root("PUT", "sys/policies/acl/a", "{}").await.refused(400, "invalid_field");
}

#[tokio::test]
async fn capabilities_are_told_of_policies_and_of_roles() {
    let world = World::new().await;
    let token = world.token("p", r#"path "transit/encrypt/*" { capabilities = ["update"] }"#).await;
    let paths = r#"{"paths": ["transit/encrypt/a", "transit/keys/a"]}"#;
    let own = world.ask(Some(&token), "POST", "sys/capabilities-self", paths).await.ok();
    assert_eq!(own.at("/data/transit~1encrypt~1a"), &json!(["update"]));
    assert_eq!(
        (own.at("/data/transit~1keys~1a"), own.at("/data/capabilities")),
        (&json!(["deny"]), &json!(["update"]))
    );
    let of =
        world.root("POST", "sys/capabilities", &json!({"token": token, "path": "transit/encrypt/a"}).to_string()).await;
    assert_eq!(of.ok().at("/data/capabilities"), &json!(["update"]));
    let accessor = world.ask(Some(&token), "GET", "auth/token/lookup-self", "").await.text("/data/accessor");
    let body = json!({"accessor": accessor, "paths": "transit/encrypt/a"}).to_string();
    let of = world.root("POST", "sys/capabilities-accessor", &body).await.ok();
    assert_eq!(of.at("/data/capabilities"), &json!(["update"]));
    let root = world.root("POST", "sys/capabilities-self", paths).await.ok();
    assert_eq!(root.at("/data/capabilities"), &json!(["root"]));

    let user = world.user("ann", &[("user", Some("keys/transit/a"))]).await;
    let paths = r#"{"paths": ["transit/encrypt/a", "transit/encrypt/b", "transit/keys/a", "sys/nothing"]}"#;
    let own = world.ask(Some(&user), "POST", "sys/capabilities-self", paths).await.ok();
    assert_eq!(own.at("/data/transit~1encrypt~1a"), &json!(["update"]));
    assert_eq!(own.at("/data/transit~1keys~1a"), &json!(["read"]));
    assert_eq!([own.at("/data/transit~1encrypt~1b"), own.at("/data/sys~1nothing")], [&json!(["deny"]); 2]);
    for body in ["{}", r#"{"paths": []}"#, r#"{"paths": ["../a"]}"#, r#"{"paths": ["a"], "accessor": "b"}"#] {
        assert_eq!(world.ask(Some(&user), "POST", "sys/capabilities-self", body).await.status, 400, "{body}");
    }
}

#[tokio::test]
async fn parameters_of_policies_bind_the_body() {
    let world = World::new().await;
    let text = r#"
        path "transit/keys/a" {
            capabilities = ["create", "update"]
            allowed_parameters = { "type" = ["aes256-gcm96", "ed*"], "derived" = [] }
            denied_parameters = { "derived" = [true] }
            required_parameters = ["type"]
        }
        path "auth/token/create" {
            capabilities = ["update"]
            denied_parameters = { "period" = [], "no_parent" = [] }
        }"#;
    let token = world.token("p", text).await;
    let make = async |body: &str| world.ask(Some(&token), "POST", "transit/keys/a", body).await.status;
    for body in [
        "{}",
        "",
        r#"{"type": "hmac"}"#,
        r#"{"type": null}"#,
        r#"{"type": "aes256-gcm96", "derived": true}"#,
        r#"{"type": "aes256-gcm96", "exportable": false}"#,
        r#"{"derived": false}"#,
    ] {
        assert_eq!(make(body).await, 403, "{body}");
    }
    assert_eq!(make(r#"{"type": "ed25519", "derived": false}"#).await, 200);
    let make = async |body: &str| world.ask(Some(&token), "POST", "auth/token/create", body).await.status;
    assert_eq!((make(r#"{"period": "1h"}"#).await, make(r#"{"no_parent": false}"#).await), (403, 403));
    assert_eq!(make(r#"{"ttl": "1h"}"#).await, 200);
}
