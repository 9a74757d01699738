//! The whole API over a project and its guard.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bulla::{Budget, Session};
use bulla_guard::access::{AccessError, CredentialId};
use tokio::time::{MissedTickBehavior, interval};

use super::{App, AppBuilder, giving_away};
use crate::door::SessionDoor;
use crate::engines::Engines;
use crate::metrics::Exposition;
use crate::system::{Check, NotReady};
use crate::transit::TransitOptions;
use crate::{ApiError, audit, auth, cubbyhole, entries, machines};

/// How often the guard does what is due.
const PERIOD: Duration = Duration::from_secs(1);
/// After how many of these it sweeps engines that are disabled, and cubbyholes of tokens that are gone.
const SWEEP: u64 = 60;
/// How much it removes of each engine then.
const AT_ONCE: Budget = Budget { entries: 10_000, bytes: 64 << 20 };
/// At the cubbyholes of how many tokens it looks then.
const CUBBYHOLES: u64 = 1_000;

/// Does for a session what is due, each second, as long as it is awaited.
///
/// What fails is in the log, and makes the server say that it is not ready; the next second it is tried again.
#[derive(Debug, Clone)]
pub struct Keeper {
    session: Arc<Session>,
    fails: Arc<AtomicBool>,
    /// Behind which token the next sweep of cubbyholes goes on.
    swept: Arc<Mutex<Option<String>>>,
}

impl Keeper {
    /// Makes the keeper of a session.
    #[must_use]
    pub fn new(session: Arc<Session>) -> Self {
        Self { session, fails: Arc::default(), swept: Arc::default() }
    }

    /// Keeps until it is dropped.
    pub async fn keep(&self) {
        let mut seconds = interval(PERIOD);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for second in 1_u64.. {
            seconds.tick().await;
            if second.is_multiple_of(SWEEP) {
                giving_away(self.sweep()).await;
            }
            match giving_away(self.session.tick()).await {
                Ok(()) => self.fails.store(false, Ordering::Relaxed),
                Err(error) => {
                    // Once is enough for the log, until it goes again.
                    if !self.fails.swap(true, Ordering::Relaxed) {
                        tracing::error!(code = error.code(), "the guard cannot do what is due: {error}");
                    }
                }
            }
        }
    }
}

impl Keeper {
    /// Removes some of what is nobody's any more: what was in engines that are disabled, and in cubbyholes of tokens that are gone. What is left is
    /// for the next time, or for another server. [`Self::keep`] does it once a minute.
    pub async fn sweep(&self) {
        self.sweep_engines().await;
        self.sweep_cubbyholes().await;
    }

    async fn sweep_engines(&self) {
        let engines = Engines::new(self.session.project().entries().clone());
        if let Err(error) = engines.sweep(&AT_ONCE, self.session.guard().now()).await {
            tracing::warn!(code = error.code(), "what was in disabled engines cannot be removed");
        }
    }

    async fn sweep_cubbyholes(&self) {
        let store = self.session.project().entries();
        let after = self.swept.lock().unwrap_or_else(PoisonError::into_inner).take();
        let owners = match cubbyhole::owners(store, after, CUBBYHOLES).await {
            Ok(owners) => owners,
            Err(error) => return cannot_sweep(&error),
        };
        for token_id in &owners {
            // What cannot be removed, or is not known, is passed over: what lies behind it is not to wait for it.
            match self.has_ended(token_id).await {
                Ok(false) => {}
                Ok(true) => {
                    if let Err(error) = cubbyhole::forget(store, token_id).await {
                        cannot_sweep(&error);
                    }
                }
                Err(error) => cannot_sweep(&error.into()),
            }
        }
        *self.swept.lock().unwrap_or_else(PoisonError::into_inner) = owners.into_iter().next_back();
    }

    /// Says whether a token is gone, for good.
    async fn has_ended(&self, token_id: &str) -> Result<bool, AccessError> {
        let Ok(accessor) = token_id.parse::<CredentialId>() else { return Ok(true) };
        match self.session.guard().access().lookup_token(accessor).await {
            Ok(_) => Ok(false),
            Err(AccessError::UnknownToken) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

fn cannot_sweep(error: &ApiError) {
    tracing::warn!(code = error.code(), "cubbyholes of tokens that are gone cannot be removed");
}

/// The audit log takes what has to be recorded.
struct AuditIsKept(Keeper);

#[async_trait]
impl Check for AuditIsKept {
    fn name(&self) -> &'static str {
        "audit"
    }

    async fn check(&self, _: &App) -> Result<(), NotReady> {
        if self.0.fails.load(Ordering::Relaxed) { Err(NotReady("audit_unavailable")) } else { Ok(()) }
    }
}

impl App {
    /// Begins to make the app of a project and its guard, with all that the API has.
    pub fn guarded(keeper: &Keeper) -> AppBuilder {
        let session = keeper.session.clone();
        let log = session.guard().log().clone();
        Self::builder(session.project().clone(), SessionDoor::new(session.clone()))
            .check(AuditIsKept(keeper.clone()))
            .collector(move |_, text| count_events(&log, text))
            .endpoints(auth::endpoints())
            .endpoints(entries::endpoints())
            .endpoints(machines::endpoints())
            .endpoints(audit::endpoints())
            .engines(TransitOptions::default())
    }
}

fn count_events(log: &bulla_guard::audit::Log, text: &mut Exposition) {
    let status = log.status();
    text.gauge("bulla_audit_events", "Events in the audit log of this machine.", status.events);
    text.gauge("bulla_audit_unsigned_events", "Events that no checkpoint covers yet.", status.unsigned);
    text.gauge("bulla_audit_lost_events", "Events that were lost, and of which no gap is logged yet.", status.lost);
}
