//! An arbitrary request to a server of a whole project: it is answered, never with an error of the server, and in the form that answers have.
#![no_main]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bulla::{Project, Session, SessionOptions};
use bulla_server::{App, Keeper, Peer};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

/// A body longer than this says nothing new.
const MAX_BODY: usize = 16 << 10;
/// After so many requests the project is made anew, so that it does not grow.
const LIFETIME: u32 = 10_000;

struct Server {
    runtime: Runtime,
    session: Arc<Session>,
    app: Arc<App>,
    token: String,
    requests: u32,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        // Where it costs nothing to wait for the disk.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let folder = folder.expect("a folder");
        let (session, app, token) = runtime.block_on(async {
            let project = Arc::new(Project::in_memory().await.expect("a project"));
            let options = SessionOptions::default().audit_folder(folder.path().join("audit"));
            let session = Arc::new(Session::open(project, options).await.expect("a session"));
            let app = App::guarded(&Keeper::new(session.clone())).build().expect("an app");
            let token = session.guard().access().create_root_token().await.expect("a token");
            (session, app, token.secret.expose().to_owned())
        });
        Self { runtime, session, app, token, requests: 0, _folder: folder }
    }

    fn ask(&mut self, method: Method, target: &str, body: &[u8]) {
        self.requests += 1;
        let request = Request::builder().method(method.clone()).uri(target).header("host", "localhost");
        let request = request.header("x-vault-token", &self.token).header("content-type", kind(&method));
        let Ok(request) = request.body(Bytes::copy_from_slice(body)) else { return };
        let peer = Peer::network(SocketAddr::from(([192, 0, 2, 1], 40_000)));
        let (status, answer) = self.runtime.block_on(async {
            let (parts, body) = self.app.call(request, peer).await.into_parts();
            (parts.status, body.collect().await.map(|body| body.to_bytes()))
        });
        assert!(!status.is_server_error() || is_expected(status), "{method} {target}: {status}: {answer:?}");
        if status.is_client_error() && method != Method::HEAD {
            let answer = answer.expect("an error is short");
            let json: serde_json::Value = serde_json::from_slice(&answer).unwrap_or_else(|_| panic!("{answer:?}"));
            // Of a version that is deleted there is something to show, and yet it is not there; of a batch, what went well.
            assert!(json["errors"].is_array() || json["data"].is_object(), "{json}");
        }
        // It may have revoked itself.
        if status == StatusCode::FORBIDDEN {
            let made = self.runtime.block_on(self.session.guard().access().create_root_token());
            made.expect("a token").secret.expose().clone_into(&mut self.token);
        }
    }
}

/// Says whether a server says this of itself without anything having gone wrong: that it has no such thing, and that it is sealed.
fn is_expected(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_IMPLEMENTED | StatusCode::SERVICE_UNAVAILABLE)
}

fn kind(method: &Method) -> &'static str {
    if *method == Method::PATCH { "application/merge-patch+json" } else { "application/json" }
}

static SERVER: Mutex<Option<Server>> = Mutex::new(None);

fuzz_target!(|data: &[u8]| {
    // A line with the method and the target, and the body.
    let (line, body) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len()));
    let Ok(line) = std::str::from_utf8(line) else { return };
    let Some((method, target)) = line.split_once(' ') else { return };
    let Ok(method) = method.parse::<Method>() else { return };
    let body = body.get(1..).unwrap_or_default();
    if body.len() > MAX_BODY {
        return;
    }
    let mut server = SERVER.lock().expect("one thread");
    if server.as_ref().is_none_or(|server| server.requests >= LIFETIME) {
        *server = Some(Server::start());
    }
    if let Some(server) = server.as_mut() {
        server.ask(method, target, body);
    }
});
