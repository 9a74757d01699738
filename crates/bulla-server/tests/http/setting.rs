//! A server to test, with a door that knows two tokens.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bulla_server::{
    Admission, ApiError, App, AppBuilder, Audit, Brought, Call, Capability, Data, Door, Endpoint, Head, Kind, Mount,
    NoContent, Outcome, Peer, Requires,
};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// May do everything.
pub(crate) const ROOT: &str = "token-of-root";

/// May only look.
pub(crate) const LOOKER: &str = "token-of-looker";

/// A kind of mount for tests.
pub(crate) const BOX: Kind = Kind("box");

/// A door that is open to two tokens, each with its permissions, and that writes down what it did.
#[derive(Debug, Clone, Default)]
pub(crate) struct TestDoor {
    pub(crate) record: Arc<Mutex<Vec<String>>>,
}

struct TestAdmission {
    name: &'static str,
    resource: String,
    record: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Door for TestDoor {
    async fn admit(&self, head: &Head<'_>) -> Result<Box<dyn Admission>, ApiError> {
        let known = match head.credential.map(|credential| credential.expose()) {
            Some(ROOT) => Some(("root", ["look", "change", "reveal", "view:metrics", "admin:system"].as_slice())),
            Some(LOOKER) => Some(("looker", ["look"].as_slice())),
            _ => None,
        };
        let name = match (head.endpoint.requires(), known) {
            (Requires::Nothing, known) => known.map_or("anonymous", |(name, _)| name),
            (Requires::Credential, Some((name, _))) => name,
            (Requires::Permission(permission, _), Some((name, permissions))) if permissions.contains(&permission) => {
                name
            }
            _ => return Err(ApiError::forbidden()),
        };
        self.record.lock().unwrap().push(format!("admit {name} {} {}", head.verb, head.resource));
        Ok(Box::new(TestAdmission { name, resource: head.resource.to_owned(), record: self.record.clone() }))
    }
}

#[async_trait]
impl Admission for TestAdmission {
    fn principal(&self) -> &str {
        self.name
    }

    fn details(&self) -> &(dyn Any + Send + Sync) {
        &self.name
    }

    async fn begin(&self, _: &Brought<'_>) -> Result<(), ApiError> {
        self.record.lock().unwrap().push(format!("begin {}", self.resource));
        Ok(())
    }

    async fn finish(&self, outcome: &Outcome<'_>) -> Result<(), ApiError> {
        self.record.lock().unwrap().push(format!("finish {} {}", self.resource, outcome.status.as_u16()));
        Ok(())
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EchoRequest {
    pub(crate) text: Option<String>,
    pub(crate) number: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EchoAnswer {
    pub(crate) text: String,
    pub(crate) who: String,
    pub(crate) path: Vec<String>,
}

async fn echo(call: Call, request: EchoRequest) -> Result<Data<EchoAnswer>, ApiError> {
    let path = ["name", "version", "path"].iter().filter_map(|name| call.optional_param(name)).map(str::to_owned);
    let text = request.text.unwrap_or_default() + &request.number.map_or(String::new(), |number| number.to_string());
    Ok(Data::new(EchoAnswer { text, who: call.admitted().principal().to_owned(), path: path.collect() }))
}

async fn show(call: Call) -> Result<Data<EchoAnswer>, ApiError> {
    echo(call, EchoRequest { text: Some("shown".to_owned()), number: None }).await
}

/// Endpoints of the kind [`BOX`].
pub(crate) fn boxes(changes: &Arc<AtomicU64>) -> Vec<Endpoint> {
    let changes = changes.clone();
    vec![
        Endpoint::get("box.read", "data/{path..}")
            .summary("Reads.")
            .query(&["version"])
            .permission("look", Capability::Read)
            .audit(Audit::Look)
            .plain(show),
        Endpoint::list("box.list", "data/{path..}").permission("look", Capability::List).audit(Audit::Look).plain(show),
        Endpoint::write("box.write", "data/{path..}")
            .permission("change", Capability::Update)
            .audit(Audit::Change)
            .json(move |_, _: EchoRequest| {
                changes.fetch_add(1, Ordering::Relaxed);
                async { Ok(NoContent) }
            }),
        Endpoint::write("box.echo", "echo/{name}")
            .also("echo/{name}/{version}")
            .permission("reveal", Capability::Update)
            .audit(Audit::Reveal)
            .large()
            .json(echo),
        Endpoint::write("box.fixed", "echo/fixed")
            .permission("reveal", Capability::Update)
            .audit(Audit::Reveal)
            .plain(show),
        Endpoint::get("box.panic", "panic").any_credential().audit(Audit::Look).plain(broken),
    ]
}

async fn broken(call: Call) -> Result<NoContent, ApiError> {
    assert!(call.param("name") == "never", "secret-in-a-panic");
    Ok(NoContent)
}

/// Begins an app with the test's door, `BOX` mounted at `box` and at `team/box`, and one open endpoint.
pub(crate) async fn builder(door: &TestDoor) -> AppBuilder {
    let project = Arc::new(bulla::Project::in_memory().await.unwrap());
    App::builder(project, door.clone())
        .endpoints([Endpoint::get("test.hello", "/v1/hello")
            .open_to_all()
            .audit(Audit::Unrecorded)
            .probe()
            .plain(show)])
        .kind(BOX, boxes(&Arc::default()))
        .mount(Mount::new("box/", BOX))
        .mount(Mount::new("team/box", BOX))
}

pub(crate) async fn app() -> (Arc<App>, TestDoor) {
    let door = TestDoor::default();
    (builder(&door).await.build().unwrap(), door)
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn error(&self) -> String {
        self.json()["errors"][0].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

pub(crate) fn peer() -> Peer {
    Peer::network(SocketAddr::from(([127, 0, 0, 1], 40000)))
}

pub(crate) fn request(method: &str, path: &str, token: Option<&str>, body: &str) -> Request<Bytes> {
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    if let Some(token) = token {
        request = request.header("x-vault-token", token);
    }
    request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

pub(crate) async fn send(app: &Arc<App>, request: Request<Bytes>) -> Got {
    let (parts, body) = app.call(request, peer()).await.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Got { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

/// Sends a request of root.
pub(crate) async fn ask(app: &Arc<App>, method: &str, path: &str, body: &str) -> Got {
    send(app, request(method, path, Some(ROOT), body)).await
}
