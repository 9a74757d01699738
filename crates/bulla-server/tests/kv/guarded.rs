//! Secrets behind the guard of a project, with tokens and policies of its own.

use std::sync::Arc;

use bulla::guard::access::{Credential, NewToken, PeerInfo, SecretText};
use bulla::guard::audit::{Batch, Export, Filter};
use bulla::{Project, Session, SessionOptions};
use bulla_server::{App, Keeper, cubbyhole};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::door::send;

const POLICY: &str = r#"
path "secret/data/*" { capabilities = ["create", "read"] }
path "secret/metadata/*" { capabilities = ["list"] }
"#;

/// A server behind a guard, and a token that may do everything.
struct Guarded {
    app: Arc<App>,
    keeper: Keeper,
    session: Arc<Session>,
    root: String,
    _folder: TempDir,
}

impl Guarded {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let project = Arc::new(Project::in_memory().await.unwrap());
        let options = SessionOptions::default().audit_folder(folder.path().join("audit"));
        let session = Arc::new(Session::open(project, options).await.unwrap());
        let keeper = Keeper::new(session.clone());
        let app = App::guarded(&keeper).build().unwrap();
        let root = session.guard().access().create_root_token().await.unwrap().secret.expose().to_owned();
        Self { app, keeper, session, root, _folder: folder }
    }

    async fn ask(&self, token: &str, method: &str, target: &str, body: &str) -> (u16, Value) {
        let reply = send(&self.app, token, method, target, body).await;
        (reply.status, reply.json)
    }

    /// Returns the events of an action, as they are exported.
    async fn events(&self, action: &str) -> Vec<Value> {
        self.session.guard().log().checkpoint().await.unwrap();
        let log = self.session.project().audit_log(Some(self.session.audit_folder().to_owned())).unwrap();
        let events = log.events(0).unwrap().map(|stored| serde_json::from_str(&Export::Json.line(&stored.unwrap())));
        events.map(Result::unwrap).filter(|event: &Value| event["action"] == action).collect()
    }

    /// Returns the actions of what the log has about somebody or something.
    async fn about(&self, name: &str) -> Vec<String> {
        self.session.guard().log().checkpoint().await.unwrap();
        let project = self.session.project();
        let log = project.audit_log(Some(self.session.audit_folder().to_owned())).unwrap();
        let about = project.audit_identifiers(&log, name).await.unwrap();
        let filter = Filter { about, ..Filter::default() };
        let events = log.events(0).unwrap().map(|stored| stored.unwrap().event().unwrap());
        events.filter(|event| filter.lets_through(event)).map(|event| event.action.as_str().to_owned()).collect()
    }
}

#[tokio::test]
async fn cubbyholes_of_tokens_that_are_gone_are_swept_away() {
    let server = Guarded::new().await;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        let (_, made) = server.ask(&server.root, "POST", "auth/token/create", "{}").await;
        let token = made["auth"]["client_token"].as_str().unwrap().to_owned();
        assert_eq!(server.ask(&token, "POST", "cubbyhole/a", r#"{"k":1}"#).await.0, 204);
        tokens.push((token, made["auth"]["accessor"].as_str().unwrap().to_owned()));
    }
    let revoke = json!({ "token": tokens[1].0 }).to_string();
    assert_eq!(server.ask(&server.root, "POST", "auth/token/revoke", &revoke).await.0, 204);
    let owners = || cubbyhole::owners(server.session.project().entries(), None, 10);
    assert_eq!(owners().await.unwrap().len(), 3);
    server.keeper.sweep().await;
    let mut left = vec![tokens[0].1.clone(), tokens[2].1.clone()];
    left.sort_unstable();
    assert_eq!(owners().await.unwrap(), left);
    assert_eq!(server.ask(&tokens[0].0, "GET", "cubbyhole/a", "").await.1["data"], json!({ "k": 1 }));
}

#[tokio::test]
async fn records_name_what_was_made_ended_and_read() {
    let server = Guarded::new().await;
    let root = &server.root;
    let (status, _) = server.ask(root, "PUT", "store/entries/notes?name=a/b", "1").await;
    assert_eq!(status, 200);
    assert_eq!(server.ask(root, "GET", "store/entries/notes?name=a/b", "").await.0, 200);
    assert_eq!(server.ask(root, "DELETE", "store/entries/notes?name=a/b", "").await.0, 204);
    let told = ["store.put", "store.put", "store.get", "store.remove", "store.remove"];
    assert_eq!(server.about("a/b").await, told, "a change is named before it is done, and behind");
    assert!(!serde_json::to_string(&server.events("store.put").await).unwrap().contains("a/b"), "names are blinded");

    server.ask(root, "POST", "auth/approle/role/ci", "{}").await;
    let (_, role) = server.ask(root, "GET", "auth/approle/role/ci/role-id", "").await;
    let (_, secret) = server.ask(root, "POST", "auth/approle/role/ci/secret-id", "{}").await;
    let login = json!({ "role_id": role["data"]["role_id"], "secret_id": secret["data"]["secret_id"] }).to_string();
    let (_, signed_in) = server.ask("", "POST", "auth/approle/login", &login).await;
    let accessor = signed_in["auth"]["accessor"].as_str().unwrap();
    let revoke = json!({ "accessor": accessor }).to_string();
    assert_eq!(server.ask(root, "POST", "auth/token/revoke-accessor", &revoke).await.0, 204);
    assert_eq!(server.about(accessor).await, ["approle.login", "token.revoke-accessor"]);
    assert_eq!(server.about(role["data"]["role_id"].as_str().unwrap()).await, ["approle.login"]);
    let of_secret = secret["data"]["secret_id_accessor"].as_str().unwrap();
    assert_eq!(server.about(of_secret).await[0], "approle.secret.create");
}

#[tokio::test]
async fn a_batch_is_one_event_with_the_digest_of_its_items() {
    let server = Guarded::new().await;
    server.ask(&server.root, "POST", "transit/keys/k", "{}").await;
    let items: Vec<_> = (0..5).map(|_| json!({ "plaintext": "AAAA" })).chain([json!({ "plaintext": "?" })]).collect();
    let (_, made) =
        server.ask(&server.root, "POST", "transit/encrypt/k", &json!({ "batch_input": items }).to_string()).await;
    let made = made["data"]["batch_results"].as_array().unwrap().clone();
    let texts: Vec<&str> = made.iter().map(|item| item["ciphertext"].as_str().unwrap_or_default()).collect();
    assert_eq!(texts.iter().filter(|text| text.is_empty()).count(), 1);
    // A secret in the wrong field is not even hashed.
    let brought = texts.iter().map(|text| if text.is_empty() { "correct horse" } else { text });
    let items: Vec<_> = brought.map(|text| json!({ "ciphertext": text })).collect();
    server.ask(&server.root, "POST", "transit/decrypt/k", &json!({ "batch_input": items }).to_string()).await;
    let batch = Batch::of(&texts).unwrap();
    for action in ["transit.encrypt", "transit.decrypt"] {
        let events = server.events(action).await;
        assert_eq!(events.len(), 1, "{action}");
        assert_eq!(events[0]["batch"]["count"], json!(6));
        assert_eq!(events[0]["batch"]["root"], json!(HEXLOWER.encode(&batch.root)), "{action}");
    }
}

#[tokio::test]
async fn tokens_have_cubbyholes_and_policies_tell_ways_apart() {
    let server = Guarded::new().await;
    let (access, root) = (server.session.guard().access(), SecretText::parse(&server.root).unwrap());
    let maker = access.authenticate(&Credential::Bearer(&root), &PeerInfo::default()).await.unwrap();
    access.put_policy(&"makers".parse().unwrap(), POLICY).await.unwrap();
    let new = NewToken { policies: vec!["makers".parse().unwrap()], ..NewToken::default() };
    let token = access.create_token(&maker, &new).await.unwrap().secret;
    let ask = async |token: &str, method: &str, target: &str, body: &str| server.ask(token, method, target, body).await;

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
