//! A server over a project with its own guard.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bulla::{Project, Session, SessionOptions};
use bulla_backend::{Clock, Timestamp};
use bulla_guard::access::{Access, NewApiKey, RoleGrant, UserName};
use bulla_guard::limits::{GuessSettings, Quota, Quotas};
use bulla_server::transit::{TRANSIT, TransitOptions, endpoints as transit};
use bulla_server::{App, Mount, Peer, SessionDoor, auth};
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use serde_json::Value;

/// An answer, read whole.
#[derive(Debug, Clone)]
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) json: Value,
}

pub(super) struct World {
    pub(super) app: Arc<App>,
    pub(super) clock: SetClock,
    pub(super) session: Arc<Session>,
    pub(super) root: String,
    pub(super) folder: tempfile::TempDir,
}

/// A clock that goes on when it is told to.
#[derive(Debug, Clone)]
pub(super) struct SetClock(Arc<AtomicU64>);

impl SetClock {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_800_000_000_000)))
    }

    pub(super) fn advance(&self, duration: Duration) {
        self.0.fetch_add(u64::try_from(duration.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// Parses what a test writes.
pub(super) fn p<T: FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub(super) fn network(address: &str) -> Peer {
    Peer::network(SocketAddr::new(p::<IpAddr>(address), 40_000))
}

/// Quotas that no test meets.
pub(super) fn wide() -> Quotas {
    let quota = Quota::new(1_000_000, Duration::from_secs(1), 1_000_000).unwrap();
    Quotas { peer: quota, principal: quota, ..Quotas::default() }
}

impl World {
    /// Wrong secrets cost nothing here, so that a test can go on after one.
    pub(super) async fn new() -> Self {
        let guesses = GuessSettings { delays: vec![Duration::ZERO], ..GuessSettings::default() };
        Self::with(SessionOptions::default().quotas(wide()).guesses(guesses)).await
    }

    pub(super) async fn with(options: SessionOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = Arc::new(Project::in_memory().await.unwrap());
        let clock = SetClock::new();
        let options = options.audit_folder(folder.path().join("audit")).clock(Arc::new(clock.clone()));
        let session = Arc::new(Session::open(project.clone(), options).await.unwrap());
        let app = App::builder(project, SessionDoor::new(session.clone()))
            .clock(Arc::new(clock.clone()))
            .endpoints(auth::endpoints())
            .kind(TRANSIT, transit())
            .mount(Mount::new("transit/", TRANSIT).with_options(TransitOptions::default()));
        let root = session.guard().access().create_root_token().await.unwrap();
        Self { app: app.build().unwrap(), clock, root: root.secret.expose().to_owned(), session, folder }
    }

    pub(super) fn access(&self) -> &Access {
        self.session.guard().access()
    }

    /// Asks as root.
    pub(super) async fn root(&self, method: &str, path: &str, body: &str) -> Got {
        self.ask(Some(&self.root), method, path, body).await
    }

    pub(super) async fn ask(&self, credential: Option<&str>, method: &str, path: &str, body: &str) -> Got {
        self.ask_from(network("192.0.2.1"), credential, method, path, body).await
    }

    pub(super) async fn ask_from(
        &self,
        peer: Peer,
        credential: Option<&str>,
        method: &str,
        path: &str,
        body: &str,
    ) -> Got {
        let mut request = Request::builder().method(method).uri(format!("/v1/{path}")).header("host", "localhost");
        if let Some(credential) = credential {
            request = request.header("x-vault-token", credential);
        }
        let request = request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        let (parts, body) = self.app.call(request, peer).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let json = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap_or_default() };
        Got { status: parts.status.as_u16(), headers: parts.headers, json }
    }

    /// Creates a user with an API key; returns what its holder presents.
    pub(super) async fn user(&self, name: &str, grants: &[(&str, Option<&str>)]) -> String {
        let grants: Vec<RoleGrant> =
            grants.iter().map(|(role, pattern)| RoleGrant { role: p(role), pattern: pattern.map(p) }).collect();
        let name: UserName = p(name);
        self.access().create_user(&name, &grants).await.unwrap();
        self.access().create_key(&name, &NewApiKey::default()).await.unwrap().secret.expose().to_owned()
    }

    /// Defines a role.
    pub(super) async fn role(&self, name: &str, permissions: &[&str]) {
        let permissions = permissions.iter().map(|permission| p(permission)).collect();
        self.access().put_role(&p(name), permissions, None).await.unwrap();
    }

    /// Writes a policy, and makes a token with it alone.
    pub(super) async fn token(&self, policy: &str, text: &str) -> String {
        self.access().put_policy(&p(policy), text).await.unwrap();
        let body = format!(r#"{{"policies": ["{policy}"], "no_default_policy": true}}"#);
        self.root("POST", "auth/token/create", &body).await.ok().text("/auth/client_token")
    }

    /// Returns the actions of the audit log, in their order.
    pub(super) async fn actions(&self) -> Vec<String> {
        self.session.guard().log().checkpoint().await.unwrap();
        let log = self.session.project().audit_log(Some(self.folder.path().join("audit"))).unwrap();
        let events = log.events(0).unwrap();
        events.map(|stored| stored.unwrap().event().unwrap().action.as_str().to_owned()).collect()
    }
}

impl Got {
    #[track_caller]
    pub(super) fn ok(self) -> Self {
        assert!((200..300).contains(&self.status), "{self:?}");
        self
    }

    #[track_caller]
    pub(super) fn text(&self, pointer: &str) -> String {
        let text = self.json.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_else(|| panic!("{pointer}: {self:?}")).to_owned()
    }

    pub(super) fn at(&self, pointer: &str) -> &Value {
        self.json.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// Expects a refusal with a status and a code.
    #[track_caller]
    pub(super) fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.at("/code").as_str().unwrap_or_default()), (status, code), "{self:?}");
    }
}
