//! The HTTP API without a server: requests of this user, on the road that all take.

use std::sync::Arc;

use bulla::guard::audit::Reprove;
use bulla::{Session, SessionOptions};
use bulla_server::{Address, App, Keeper, Peer};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Collected};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::Desk;
use super::serve::runtime;
use crate::failure::{Exit, Failure, Result};

/// The API of the project that the settings name.
pub(super) struct InProcess {
    app: Arc<App>,
    runtime: Runtime,
}

impl InProcess {
    pub(super) async fn open(desk: &Desk) -> Result<Self> {
        let project = desk.project().await?;
        let options = SessionOptions::default().reprove(Reprove::LastSegment);
        let session = Arc::new(Session::open(project, options).await?);
        let app = App::guarded(&Keeper::new(session)).build();
        let app = app.map_err(|error| Failure::new(Exit::Failed, "api", error.to_string()))?;
        Ok(Self { app, runtime: runtime()? })
    }

    /// Makes a request.
    pub(super) fn ask(&self, method: &str, path: &str, body: Vec<u8>) -> Result<(StatusCode, Bytes)> {
        let request = Request::builder()
            .method(method.to_ascii_uppercase().as_str())
            .uri(path)
            .header(http::header::HOST, "localhost")
            .body(Bytes::from(body))
            .map_err(|error| Failure::usage(format!("this is no request: {error}")))?;
        let peer = Peer {
            address: Address::Local { user: bulla::this_user(), group: bulla::this_group(), process: None },
            forwarded: None,
            certificate: None,
            is_encrypted: false,
        };
        self.runtime.block_on(async {
            let (parts, body) = self.app.call(request, peer).await.into_parts();
            let body = body.collect().await.map(Collected::to_bytes);
            let body = body.map_err(|_| Failure::new(Exit::Failed, "broken_off", "the answer broke off"))?;
            Ok((parts.status, body))
        })
    }

    /// Finds the mount that a path lies in, and what follows it.
    pub(super) fn mount(&self, path: &str) -> Option<(String, &'static str, String)> {
        self.runtime.block_on(self.app.catch_up());
        let mounts = self.app.mounts();
        mounts.iter().find_map(|mount| {
            let rest = path.strip_prefix(mount.path())?.strip_prefix('/')?;
            Some((mount.path().to_owned(), mount.kind().0, rest.to_owned()))
        })
    }
}

/// Says why a request was refused.
pub(super) fn refused(status: StatusCode, body: &[u8]) -> Failure {
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let message = value["errors"][0].as_str().filter(|message| !message.is_empty()).unwrap_or("there is nothing");
    let exit = match status.as_u16() {
        400 | 405 | 413 | 414 | 415 => Exit::Usage,
        404 => Exit::NotFound,
        401 | 403 => Exit::Refused,
        409 | 412 => Exit::Conflict,
        429 | 502 | 503 | 504 | 507 => Exit::Unavailable,
        _ => Exit::Failed,
    };
    let failure = Failure::new(exit, "api", format!("{} {message}", status.as_u16()));
    match value["hint"].as_str() {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}
