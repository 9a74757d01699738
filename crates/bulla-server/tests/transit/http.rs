//! The same through the door of the server: routing, bodies and envelopes.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bulla::Project;
use bulla_server::transit::{TRANSIT, TransitOptions, endpoints};
use bulla_server::{Admission, ApiError, App, Audit, Brought, Door, Head, Mount, Outcome, Peer, Requires};
use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::transit::openbao;
use crate::transit::world::{Reply, base64};

/// Lets everybody in, and writes down what was asked for, and which permission it took.
#[derive(Clone, Default)]
struct OpenDoor(Arc<Mutex<Vec<(String, Requires, Audit)>>>);

struct LetIn;

#[async_trait]
impl Door for OpenDoor {
    async fn admit(&self, head: &Head<'_>) -> Result<Box<dyn Admission>, ApiError> {
        let asked = (head.endpoint.id().to_owned(), head.endpoint.requires(), head.endpoint.audit());
        self.0.lock().unwrap().push(asked);
        Ok(Box::new(LetIn))
    }
}

#[async_trait]
impl Admission for LetIn {
    fn principal(&self) -> &str {
        "anybody"
    }

    fn details(&self) -> &(dyn Any + Send + Sync) {
        &()
    }

    async fn begin(&self, _: &Brought<'_>) -> Result<(), ApiError> {
        Ok(())
    }

    async fn finish(&self, _: &Outcome<'_>) -> Result<(), ApiError> {
        Ok(())
    }
}

struct Server {
    runtime: Runtime,
    app: Arc<App>,
    door: OpenDoor,
}

impl Server {
    fn new() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let door = OpenDoor::default();
        let project = Arc::new(runtime.block_on(Project::in_memory()).unwrap());
        let app = App::builder(project, door.clone())
            .kind(TRANSIT, endpoints())
            .mount(Mount::new("transit/", TRANSIT).with_options(TransitOptions { create_by_encrypting: true }))
            .mount(Mount::new("team/keys", TRANSIT));
        let app = app.build().unwrap();
        Self { runtime, app, door }
    }

    fn ask(&self, mount: &str, method: &str, path: &str, body: &str) -> Reply {
        let mut path = format!("/v1/{mount}/{path}");
        let mut body = body;
        if let (false, "GET" | "LIST") = (body.is_empty(), method) {
            let fields: Value = serde_json::from_str(body).unwrap();
            let fields = fields.as_object().unwrap().iter().map(|(name, value)| format!("{name}={value}"));
            path = format!("{path}?{}", fields.collect::<Vec<_>>().join("&").replace('"', ""));
            body = "";
        }
        let request = Request::builder().method(method).uri(path).header("host", "localhost");
        let request = request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        let peer = Peer::network(SocketAddr::from(([127, 0, 0, 1], 40_000)));
        self.runtime.block_on(async {
            let (parts, body) = self.app.call(request, peer).await.into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            let json: Value = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
            Reply {
                status: parts.status.as_u16(),
                data: json["data"].clone(),
                error: json["errors"][0].as_str().unwrap_or_default().to_owned(),
                warnings: json["warnings"].as_array().map_or(0, Vec::len),
            }
        })
    }
}

#[test]
fn openbao_is_answered_alike_through_the_door_too() {
    let server = Server::new();
    openbao::compare(|method, path, body| server.ask("transit", method, path, body));
    let asked = server.door.0.lock().unwrap();
    for (id, requires, audit) in asked.iter() {
        let Requires::Permission(permission, _) = requires else { panic!("{id} lets everybody in") };
        let manages =
            ["create", "delete", "configure", "rotate", "trim", "import", "import-version", "backup", "restore"];
        let expected = match id.rsplit('.').next().unwrap() {
            "export" => "export:keys",
            act if manages.contains(&act) => "manage:keys",
            _ => "use:keys",
        };
        assert_eq!(*permission, expected, "{id}");
        assert_ne!(*audit, Audit::Unrecorded, "{id}");
    }
}

#[test]
fn every_endpoint_is_reached_and_answers_in_an_envelope() {
    let server = Server::new();
    let post = |path: &str, body: Value| server.ask("transit", "POST", path, &body.to_string());
    assert_eq!(post("keys/orders", json!({"allow_plaintext_backup": true})).warnings, 1);
    let sealed = post("encrypt/orders", json!({"plaintext": base64("x")})).text("ciphertext");
    assert_eq!(server.ask("transit", "PUT", "decrypt/orders", &json!({"ciphertext": sealed}).to_string()).status, 200);
    assert_eq!(server.ask("transit", "GET", "keys", r#"{"list": true, "limit": 1}"#).data["keys"], json!(["default"]));
    assert_eq!(server.ask("transit", "GET", "wrapping_key", "").status, 200);
    assert_eq!(server.ask("transit", "GET", "export/public-key/orders", r#"{"format": "der"}"#).status, 400);
    assert_eq!(server.ask("transit", "DELETE", "keys/orders/soft-delete", "").status, 400);
    post("keys/orders/config", json!({"deletion_allowed": true}));
    assert_eq!(server.ask("transit", "DELETE", "keys/orders/soft-delete", "").status, 204);
    assert_eq!(post("keys/orders/soft-delete-restore", json!({})).status, 204);
    for path in ["random/8", "random/platform/8", "hash/sha2-512"] {
        assert_eq!(post(path, if path.starts_with("hash") { json!({"input": ""}) } else { json!({}) }).status, 200);
    }
    // Keys of another mount are others, and where it was not said, encrypting makes none.
    let body = json!({"plaintext": base64("x")}).to_string();
    server.ask("team/keys", "POST", "encrypt/orders", &body).refused("encryption key not found");
    assert_eq!(server.ask("team/keys", "POST", "keys/orders", "").status, 200);
    let sealed = server.ask("team/keys", "POST", "encrypt/orders", &body).text("ciphertext");
    post("decrypt/orders", json!({"ciphertext": sealed})).refused("cannot be opened");
    let batch =
        json!({"batch_input": [{"ciphertext": sealed}, {"ciphertext": "x"}], "partial_failure_response_code": 207});
    assert_eq!(server.ask("team/keys", "POST", "decrypt/orders", &batch.to_string()).status, 207);
    post("encrypt/orders", json!({"batch_input": [["x"]]})).refused("");
}

#[test]
fn every_endpoint_says_what_it_does() {
    let endpoints = endpoints();
    assert_eq!(endpoints.len(), 24);
    assert!(endpoints.iter().all(|endpoint| endpoint.summary().ends_with('.')));
}
