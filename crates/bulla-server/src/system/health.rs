use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::table::{Audit, Endpoint, Plain};
use crate::{ApiError, App, Call};

/// How long what was found out is good for, so that probes cost nothing however many there are.
const FRESH: Duration = Duration::from_millis(500);

/// How long a check may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Something without which the server cannot do its work.
#[async_trait]
pub trait Check: Send + Sync + 'static {
    /// Returns what it is called.
    fn name(&self) -> &'static str;

    /// Looks whether it is there.
    ///
    /// # Errors
    /// [`NotReady`], with a stable code: anybody can read it.
    async fn check(&self, app: &App) -> Result<(), NotReady>;
}

/// Why something is not ready: a code, and no more, since strangers are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotReady(pub &'static str);

/// The trust log can be read, and this machine is in.
struct KeyringIsFresh;

#[async_trait]
impl Check for KeyringIsFresh {
    fn name(&self) -> &'static str {
        "keyring"
    }

    async fn check(&self, app: &App) -> Result<(), NotReady> {
        app.project().keyring().refresh().await.map_err(|error| NotReady(error.code()))
    }
}

/// Whether the server is ready, as it last found.
pub(crate) struct Readiness {
    checks: Vec<Box<dyn Check>>,
    found: Mutex<Option<(Instant, Found)>>,
    was_ready: AtomicBool,
}

type Found = BTreeMap<&'static str, &'static str>;

impl Readiness {
    pub(crate) fn new(more: Vec<Box<dyn Check>>) -> Self {
        let mut checks: Vec<Box<dyn Check>> = vec![Box::new(KeyringIsFresh)];
        checks.extend(more);
        Self { checks, found: Mutex::new(None), was_ready: AtomicBool::new(false) }
    }

    pub(crate) fn was_ready(&self) -> bool {
        self.was_ready.load(Ordering::Relaxed)
    }

    /// Looks, unless it looked just now. Of many who ask at once, one looks.
    async fn look(&self, app: &App) -> Found {
        let mut found = self.found.lock().await;
        let mut checks = match &*found {
            Some((when, checks)) if when.elapsed() < FRESH => checks.clone(),
            _ => {
                let mut checks = Found::new();
                for check in &self.checks {
                    let result = timeout(PATIENCE, check.check(app)).await;
                    let word = match result {
                        Ok(Ok(())) => "ok",
                        Ok(Err(NotReady(code))) => code,
                        Err(_) => "too_slow",
                    };
                    checks.insert(check.name(), word);
                }
                *found = Some((Instant::now(), checks.clone()));
                checks
            }
        };
        if app.is_draining() {
            checks.insert("server", "stopping");
        }
        self.was_ready.store(is_ready(&checks), Ordering::Relaxed);
        checks
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.checks.iter().map(|check| check.name())).finish()
    }
}

impl App {
    /// Says whether the server can do its work.
    pub async fn is_ready(&self) -> bool {
        is_ready(&self.readiness().look(self).await)
    }
}

fn is_ready(found: &Found) -> bool {
    found.values().all(|word| *word == "ok")
}

pub(super) fn endpoints() -> [Endpoint; 2] {
    let probe = |id, path, other, summary| {
        let draft = Endpoint::get(id, path).also(other).summary(summary);
        draft.open_to_all().audit(Audit::Unrecorded).probe()
    };
    [
        probe("sys.live", "/livez", "/health", "Says that the server answers.").plain(live),
        probe("sys.ready", "/readyz", "/ready", "Says whether the server can do its work, and what is missing.")
            .fails_with(&[503])
            .plain(ready),
    ]
}

#[derive(Debug, Serialize, JsonSchema)]
struct Live {
    status: &'static str,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Ready {
    status: &'static str,
    /// What was looked at: `ok`, or the code of what is wrong.
    checks: Found,
}

async fn live(_: Call) -> Result<Plain<Live>, ApiError> {
    Ok(Plain(StatusCode::OK, Live { status: "ok" }))
}

async fn ready(call: Call) -> Result<Plain<Ready>, ApiError> {
    let app = call.app();
    let checks = app.readiness().look(app).await;
    Ok(match is_ready(&checks) {
        true => Plain(StatusCode::OK, Ready { status: "ready", checks }),
        false => Plain(StatusCode::SERVICE_UNAVAILABLE, Ready { status: "not ready", checks }),
    })
}
