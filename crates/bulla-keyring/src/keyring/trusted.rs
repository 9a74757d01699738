//! What this process trusts: what the trust log said when it was last verified, which is never long ago.

use std::sync::{Arc, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use bulla_backend::Timestamp;

use super::Keyring;
use crate::trust_log::{Trusted, Verifier};
use crate::{KeyringError, Result};

/// How long what was seen is relied on without another look.
const FRESH: Duration = Duration::from_secs(1);
/// How long it is relied on where the log cannot be read.
const STALE: Duration = Duration::from_secs(5);

/// The last look that told something.
#[derive(Debug)]
pub(super) struct Seen {
    trusted: Arc<Trusted>,
    /// When it was; `None` if the next caller has to look, whatever the time.
    looked: Option<Timestamp>,
}

impl Seen {
    pub(super) fn new(trusted: Trusted, looked: Timestamp) -> RwLock<Self> {
        RwLock::new(Self { trusted: Arc::new(trusted), looked: Some(looked) })
    }
}

impl Keyring {
    /// Looks at the trust log now: who may use the project, and which data keys are its own.
    ///
    /// Every operation does so by itself once the last look is a second old. Call it to see a change of another process at once.
    ///
    /// # Errors
    /// [`KeyringError::Revoked`] if this machine was put out; [`KeyringError::Rollback`], [`KeyringError::TrustLog`],
    /// [`KeyringError::NoDataKey`], [`KeyringError::Backend`].
    pub async fn refresh(&self) -> Result<()> {
        self.looked().await.map(drop)
    }

    /// Returns what may be relied on now. Every operation that reveals or seals something begins here, and uses one answer to its end.
    ///
    /// A look is at most a second old, or, where the log cannot be read, five. A clock that was set back makes every look an old one.
    pub(crate) async fn trusted(&self) -> Result<Arc<Trusted>> {
        let now = self.clock.now();
        let (trusted, looked) = {
            let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
            (Arc::clone(&seen.trusted), seen.looked)
        };
        let age = looked.and_then(|looked| now.0.checked_sub(looked.0)).map(Duration::from_millis);
        if age.is_some_and(|age| age < FRESH) {
            return Ok(trusted);
        }
        match self.looked().await {
            Err(KeyringError::Backend(_)) if age.is_some_and(|age| age < STALE) => Ok(trusted),
            Err(KeyringError::Backend(source)) => {
                Err(KeyringError::Stale { seconds: age.unwrap_or(STALE).as_secs(), source })
            }
            answer => answer,
        }
    }

    /// Looks now, and returns what may be relied on.
    pub(crate) async fn looked(&self) -> Result<Arc<Trusted>> {
        // What is read was there after this moment.
        let now = self.clock.now();
        let answer = match self.log.read_on().await {
            Ok(()) => self.publish(&self.log.verifier(), now),
            Err(error) => Err(error),
        };
        // What was seen before this refusal is nothing to rely on any more, not even for a second.
        if answer.as_ref().is_err_and(|error| !matches!(error, KeyringError::Backend(_))) {
            self.doubt();
        }
        answer
    }

    /// Makes the next caller look, however short ago the last look was.
    pub(super) fn doubt(&self) {
        self.seen.write().unwrap_or_else(PoisonError::into_inner).looked = None;
    }

    /// Returns what the last look said, however long ago that was: for what reveals nothing.
    pub(crate) fn last_seen(&self) -> Arc<Trusted> {
        // What is written is a whole snapshot at once, so that a panicking thread leaves nothing half done.
        Arc::clone(&self.seen.read().unwrap_or_else(PoisonError::into_inner).trusted)
    }

    /// Keeps what the verifier says, which is locked meanwhile: an older snapshot never takes the place of a newer one.
    fn publish(&self, verifier: &MutexGuard<'_, Verifier>, now: Timestamp) -> Result<Arc<Trusted>> {
        let known = self.last_seen();
        let trusted = if verifier.agrees(&known) && !verifier.was_put_out(self.identity.fingerprint()) {
            known
        } else {
            Arc::new(verifier.snapshot(self.identity.fingerprint())?)
        };
        let restored = trusted.pin.restores() != self.last_seen().pin.restores();
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) =
            Seen { trusted: Arc::clone(&trusted), looked: Some(now) };
        if restored {
            self.cache.forget_all();
        }
        Ok(trusted)
    }
}
