//! Secrets behind the guard of a project, with tokens and policies of its own.

use std::sync::Arc;

use bulla::guard::access::{Credential, NewToken, PeerInfo};
use bulla::{Project, Session, SessionOptions};
use bulla_server::{App, Keeper};
use serde_json::json;
use tempfile::TempDir;

use super::door::send;

const POLICY: &str = r#"
path "secret/data/*" { capabilities = ["create", "read"] }
path "secret/metadata/*" { capabilities = ["list"] }
"#;

#[tokio::test]
async fn tokens_have_cubbyholes_and_policies_tell_ways_apart() {
    let folder = TempDir::new().unwrap();
    let project = Arc::new(Project::in_memory().await.unwrap());
    let options = SessionOptions::default().audit_folder(folder.path().join("audit"));
    let session = Arc::new(Session::open(project, options).await.unwrap());
    let app = App::guarded(&Keeper::new(session.clone())).build().unwrap();

    let access = session.guard().access();
    let root = access.create_root_token().await.unwrap().secret;
    let maker = access.authenticate(&Credential::Bearer(&root), &PeerInfo::default()).await.unwrap();
    access.put_policy(&"makers".parse().unwrap(), POLICY).await.unwrap();
    let new = NewToken { policies: vec!["makers".parse().unwrap()], ..NewToken::default() };
    let token = access.create_token(&maker, &new).await.unwrap().secret;
    let ask = async |token: &str, method: &str, target: &str, body: &str| {
        let reply = send(&app, token, method, target, body).await;
        (reply.status, reply.json)
    };

    let (root, token) = (root.expose(), token.expose());
    let data = r#"{"data":{"k":1}}"#;
    assert_eq!(ask(token, "POST", "secret/data/a", data).await.0, 200);
    assert_eq!(ask(token, "POST", "secret/data/a", data).await.0, 403);
    assert_eq!(ask(root, "POST", "secret/data/a", data).await.0, 200);
    assert_eq!(ask(token, "GET", "secret/data/a", "").await.1["data"]["metadata"]["version"], json!(2));
    assert_eq!(ask(token, "LIST", "secret/metadata", "").await.1["data"]["keys"], json!(["a"]));
    assert_eq!(ask(token, "DELETE", "secret/data/a", "").await.0, 403);
    assert_eq!(ask(token, "GET", "sys/mounts", "").await.0, 403);
    assert_eq!(ask(root, "GET", "sys/mounts", "").await.0, 200);
    assert_eq!(ask("", "GET", "secret/data/a", "").await.0, 403);

    for whose in [root, token] {
        assert_eq!(ask(whose, "GET", "cubbyhole/a", "").await.0, 404);
        assert_eq!(ask(whose, "POST", "cubbyhole/a", &json!({ "of": whose.len() }).to_string()).await.0, 204);
        assert_eq!(ask(whose, "GET", "cubbyhole/a", "").await.0, 200);
        assert_eq!(ask(whose, "DELETE", "cubbyhole/a", "").await.0, 204);
        ask(whose, "POST", "cubbyhole/b", r#"{"k":1}"#).await;
    }
    assert_eq!(ask(token, "DELETE", "cubbyhole/b", "").await.0, 204);
    assert_eq!(ask(root, "GET", "cubbyhole/b", "").await.0, 200);
}
