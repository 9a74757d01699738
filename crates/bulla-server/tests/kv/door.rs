//! A server, and the way from a method, a path and a body to the status and the data of its answer.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bulla::Project;
use bulla_backend::{Clock, Timestamp};
use bulla_server::engines::Engines;
use bulla_server::transit::TransitOptions;
use bulla_server::{Admission, ApiError, App, Audit, Brought, Capability, Head, Outcome, Peer, Requires, TokenOwner};
use bulla_store::Store;
use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::ground::NOW;

/// A token that may do everything.
pub(crate) const ROOT: &str = "root";
/// A token that may read secrets.
pub(crate) const READER: &str = "reader";
/// A token that may write secrets that are not there yet.
pub(crate) const MAKER: &str = "maker";
/// A token that may write secrets that are there.
pub(crate) const CHANGER: &str = "changer";
/// An API key, which is no token and may do nothing in particular.
pub(crate) const KEY: &str = "key";

/// What was asked for: the endpoint, what it takes, and how it is recorded.
type Asked = (&'static str, Requires, Audit);

/// Knows two tokens and a key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guard {
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Debug)]
struct LetIn {
    name: String,
    owner: Option<TokenOwner>,
}

#[async_trait]
impl bulla_server::Door for Guard {
    async fn admit(&self, head: &Head<'_>) -> Result<Box<dyn Admission>, ApiError> {
        let requires = head.endpoint.requires();
        self.asked.lock().unwrap().push((head.endpoint.id(), requires, head.endpoint.audit()));
        let name = head.credential.map_or("", |credential| credential.expose()).to_owned();
        let is_let_in = match (requires, &*name) {
            (Requires::Nothing, _) | (_, ROOT) | (Requires::Credential, READER | KEY) => true,
            (Requires::Permission(permission, _), READER) => permission == "read:secrets",
            (Requires::Permission(permission, Capability::Write), MAKER | CHANGER) => permission == "write:secrets",
            _ => false,
        };
        let owner = [ROOT, READER].contains(&&*name).then(|| TokenOwner { id: format!("id-of-{name}"), expires: None });
        if is_let_in { Ok(Box::new(LetIn { name, owner })) } else { Err(ApiError::forbidden()) }
    }
}

#[async_trait]
impl Admission for LetIn {
    fn principal(&self) -> &str {
        &self.name
    }

    fn details(&self) -> &(dyn Any + Send + Sync) {
        match &self.owner {
            Some(owner) => owner,
            None => &(),
        }
    }

    fn may(&self, capability: Capability) -> bool {
        match &*self.name {
            MAKER => capability == Capability::Create,
            CHANGER => capability == Capability::Update,
            _ => true,
        }
    }

    async fn begin(&self, _: &Brought<'_>) -> Result<(), ApiError> {
        Ok(())
    }

    async fn finish(&self, _: &Outcome<'_>) -> Result<(), ApiError> {
        Ok(())
    }
}

/// A clock that a test sets.
#[derive(Debug)]
pub(crate) struct Hands(AtomicU64);

impl Hands {
    pub(crate) fn set(&self, to: Timestamp) {
        self.0.store(to.0, Ordering::Relaxed);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// A server, at a moment that the test says.
pub(crate) struct Door {
    runtime: Runtime,
    pub(crate) app: Arc<App>,
    pub(crate) guard: Guard,
    pub(crate) store: Store,
    pub(crate) engines: Engines,
    pub(crate) now: Arc<Hands>,
}

/// A status, and the data of an answer.
pub(crate) type Answer = (u16, Option<Value>);

/// An answer as it comes.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) json: Value,
}

impl Door {
    pub(crate) fn new() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let project = Arc::new(runtime.block_on(Project::in_memory()).unwrap());
        let (guard, now) = (Guard::default(), Arc::new(Hands(AtomicU64::new(NOW.0))));
        let store = project.entries().clone();
        let app = App::builder(project, guard.clone()).clock(now.clone()).engines(TransitOptions::default());
        let app = app.build().unwrap();
        Self { runtime, app, guard, engines: Engines::new(store.clone()), store, now }
    }

    /// Asks for something, with the token of root.
    pub(crate) fn ask(&self, method: &str, target: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let reply = self.send(ROOT, method, target, &body);
        (reply.status, reply.json.get("data").cloned())
    }

    /// Sends a request.
    pub(crate) fn send(&self, token: &str, method: &str, target: &str, body: &str) -> Reply {
        self.runtime.block_on(send(&self.app, token, method, target, body))
    }
}

/// Sends a request to a server.
pub(crate) async fn send(app: &Arc<App>, token: &str, method: &str, target: &str, body: &str) -> Reply {
    let uri = format!("/v1/{}", encode(target));
    let request = Request::builder().method(method).uri(uri).header("host", "localhost").header("x-vault-token", token);
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let request = request.header("content-type", kind).body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    let peer = Peer::network(SocketAddr::from(([127, 0, 0, 1], 40_000)));
    let (parts, body) = app.call(request, peer).await.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let json = if bytes.is_empty() { json!({}) } else { serde_json::from_slice(&bytes).unwrap() };
    Reply { status: parts.status.as_u16(), json }
}

/// Encodes what cannot stand in a path or a query.
fn encode(target: &str) -> String {
    let one = |byte: u8| match byte {
        0x21..=0x7e if !b"\"<>\\^`{|}".contains(&byte) => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    target.bytes().map(one).collect()
}

/// Asks without a body.
pub(crate) fn get(door: &Door, target: &str) -> Answer {
    door.ask("GET", target, &Value::Null)
}

/// Writes data.
pub(crate) fn put(door: &Door, target: &str, data: &Value) -> Answer {
    door.ask("PUT", target, &json!({ "data": data }))
}
