//! The keyring: a project's keys, opened with a machine's identity.

pub(crate) mod backup;
mod batch;
mod create;
pub(crate) mod data_key;
mod delete;
mod described;
mod destroy;
mod export;
mod floors;
mod import;
mod keys;
mod log;
pub(crate) mod machines;
pub(crate) mod one_way;
mod permits;
pub(crate) mod purge;
pub(crate) mod renew;
mod rotate;
pub(crate) mod rotation;
mod rows;
mod settings;
mod states;
pub(crate) mod system;
#[cfg(test)]
mod tests;
mod trim;
mod trusted;
mod uses;
mod values;
mod versions;

use std::sync::{Arc, RwLock};

use bulla_backend::{Clock, Documents};
use bulla_seal::ProjectId;

use self::log::Log;
use self::trusted::Seen;
use crate::cache::Cache;
use crate::trust_log::{self, TrustPin};
use crate::{Identity, KeyName, KeyringError, MachineName, Result};

/// How often a lost race is tried again. Each one lost means that another writer got on.
const MAX_ATTEMPTS: usize = 1_000;

/// A project's keys, opened with a machine's identity. Share it behind an `Arc`.
#[derive(Debug)]
pub struct Keyring {
    trust: Arc<dyn Documents>,
    identity: Arc<Identity>,
    clock: Arc<dyn Clock>,
    project: ProjectId,
    log: Log,
    seen: RwLock<Seen>,
    cache: Cache,
}

impl Keyring {
    /// Creates a project; this machine becomes its first authoriser.
    ///
    /// A call that was interrupted is completed by the next one with the same identity: keep the identity before calling. Where
    /// the interruption came after the last write, that next call fails with [`KeyringError::ProjectExists`] and `ours` set; open
    /// the project it names.
    ///
    /// # Errors
    /// [`KeyringError::ProjectExists`] if the database holds a project; [`KeyringError::NoDataKey`] if this machine's copy of the data key
    /// was lost while the creation was interrupted; otherwise as [`Keyring::open`].
    ///
    /// # Security
    /// A wrapped data key that is found is used only if the first grant, signed by this identity, was made under it. A project that the same
    /// identity has begun elsewhere can be presented by whoever writes the database: compare the id, or use a new identity.
    pub async fn create(
        trust: Arc<dyn Documents>,
        identity: Arc<Identity>,
        machine: &MachineName,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let project = trust_log::create(&*trust, &identity, machine, clock.now()).await?;
        Self::open(trust, identity, project, clock).await
    }

    /// Opens a project: verifies the trust log from the pinned project id on, unwraps this machine's data keys, checks them against the
    /// commitments of the log, and finds this machine's own grant.
    ///
    /// From then on, the log is looked at again as it ages: see [`Keyring::refresh`].
    ///
    /// # Errors
    /// [`KeyringError::NoProject`], [`KeyringError::OtherProject`], [`KeyringError::NoGrant`], [`KeyringError::Revoked`],
    /// [`KeyringError::NoDataKey`], [`KeyringError::Rollback`], [`KeyringError::TrustLog`] or [`KeyringError::Backend`].
    ///
    /// # Security
    /// Everything rests on the pin: take the project id from where it was created, not from the database, and store what
    /// [`Keyring::pin`] returns after each opening.
    pub async fn open(
        trust: Arc<dyn Documents>,
        identity: Arc<Identity>,
        pin: impl Into<TrustPin>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let pin = pin.into();
        let (project, now) = (pin.project(), clock.now());
        let log = Log::new(Arc::clone(&trust), Arc::clone(&identity), pin);
        log.read_on().await?;
        let trusted = log.verifier().snapshot(identity.fingerprint())?;
        Ok(Self { trust, identity, clock, project, log, seen: Seen::new(trusted, now), cache: Cache::default() })
    }

    /// Returns the project.
    #[must_use]
    pub fn project(&self) -> ProjectId {
        self.project
    }

    /// Returns how long the trust log was at the last look and where it ended, for the caller to store and to hand to the next
    /// [`Keyring::open`].
    #[must_use]
    pub fn pin(&self) -> TrustPin {
        self.last_seen().pin.clone()
    }

    /// Returns the number of the epoch that was current at the last look.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.last_seen().deks.current()
    }

    /// Returns this machine's identity.
    #[must_use]
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// Returns the database that the project lies in.
    pub(crate) fn documents(&self) -> Arc<dyn Documents> {
        Arc::clone(&self.trust)
    }

    /// Returns what tells the time.
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}

/// Refuses the names of the keys that Bulla makes for itself. Every public operation that makes, seals, opens or rotates passes here.
fn refuse_system(name: &KeyName) -> Result<()> {
    if name.is_system() { Err(KeyringError::Reserved(name.clone())) } else { Ok(()) }
}
