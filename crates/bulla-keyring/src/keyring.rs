//! The keyring: a project's keys, opened with a machine's identity.

mod keys;
mod rows;
#[cfg(test)]
mod tests;
mod trusted;
mod values;

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use bulla_backend::{Clock, DocumentKey, Documents, ListQuery};
use bulla_seal::ProjectId;

use crate::cache::Cache;
use crate::dek::Candidate;
use crate::format::{SignedRecord, TRUST_LOG, WRAPS, Wrap, position_key, wrap_key};
use crate::trust_log::{self, Machine, Problem, TrustPin, Trusted, Verifier};
use crate::{Fingerprint, Identity, KeyName, KeyringError, MachineName, Result};

/// Most epochs of which a machine holds copies.
const MAX_EPOCHS: usize = 4_096;

/// A project's keys, opened with a machine's identity. Share it behind an `Arc`.
#[derive(Debug)]
pub struct Keyring {
    trust: Arc<dyn Documents>,
    identity: Arc<Identity>,
    clock: Arc<dyn Clock>,
    project: ProjectId,
    trusted: RwLock<Arc<Trusted>>,
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
    /// [`KeyringError::ProjectExists`] if the database holds a project; [`KeyringError::Conflict`] if another process creates with the
    /// same identity just now; [`KeyringError::NoDataKey`] if this machine's copy of the data key was replaced while the creation was
    /// interrupted; otherwise as [`Keyring::open`].
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

    /// Opens a project: unwraps this machine's data keys, checks their commitments, verifies the trust log from the pinned project id
    /// on, and finds this machine's own grant.
    ///
    /// # Errors
    /// [`KeyringError::NoProject`], [`KeyringError::OtherProject`], [`KeyringError::NoGrant`], [`KeyringError::NoDataKey`],
    /// [`KeyringError::Rollback`], [`KeyringError::TrustLog`] or [`KeyringError::Backend`].
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
        check_project(&*trust, &pin).await?;
        let candidates = candidates(&*trust, &identity, &pin.project()).await?;
        if candidates.is_empty() {
            return Err(KeyringError::NoGrant(identity.fingerprint()));
        }
        let mut verifier = Verifier::new(pin, candidates);
        read_log(&*trust, &mut verifier).await?;
        let trusted = verifier.finish(identity.fingerprint())?;
        let project = trusted.pin.project();
        Ok(Self { trust, identity, clock, project, trusted: RwLock::new(Arc::new(trusted)), cache: Cache::default() })
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
        self.last_seen().pin
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

    /// Returns the machines that were let in at the last look, by fingerprint.
    #[must_use]
    pub fn machines(&self) -> BTreeMap<Fingerprint, Machine> {
        self.last_seen().machines.clone()
    }
}

/// Refuses the names of the keys that Bulla makes for itself. Every public operation that makes, seals, opens or rotates passes here.
fn refuse_system(name: &KeyName) -> Result<()> {
    if name.is_system() { Err(KeyringError::Reserved(name.clone())) } else { Ok(()) }
}

/// Says whose database this is before anything is unwrapped, so that a mix-up is called by its name.
async fn check_project(trust: &dyn Documents, pin: &TrustPin) -> Result<()> {
    let root = trust.get(TRUST_LOG, &position_key(0)?).await?.ok_or(KeyringError::NoProject)?;
    let root = SignedRecord::decode(&root.value).ok_or_else(|| Problem::Malformed.at(0))?;
    let (pinned, found) = (pin.project(), ProjectId(root.hash().0));
    if found == pinned { Ok(()) } else { Err(KeyringError::OtherProject { pinned, found }) }
}

/// Unwraps this machine's copies of the data keys, as far as they can be.
async fn candidates(
    trust: &dyn Documents,
    identity: &Identity,
    project: &ProjectId,
) -> Result<BTreeMap<u64, std::result::Result<Candidate, &'static str>>> {
    let machine = identity.fingerprint();
    let mut query = ListQuery { prefix: machine.0.to_vec(), ..ListQuery::default() };
    let mut found = BTreeMap::new();
    loop {
        let page = trust.list(WRAPS, &query).await?;
        for document in page.documents {
            let Some(epoch) = epoch_of(&document.key, machine) else {
                continue;
            };
            if found.len() == MAX_EPOCHS {
                return Err(KeyringError::corrupt("the list of wrapped data keys", "it is longer than it may be"));
            }
            let wrap = Wrap::decode(&document.value)
                .filter(|wrap| wrap_key(wrap.machine, wrap.epoch).is_ok_and(|key| key == document.key));
            let candidate = match wrap {
                None => Err("its copy is not well-formed"),
                Some(wrap) => Candidate::unwrap(&wrap, project, identity)
                    .ok_or("its copy was made for another machine, project or epoch"),
            };
            found.insert(epoch, candidate);
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(found),
        }
    }
}

fn epoch_of(key: &DocumentKey, machine: Fingerprint) -> Option<u64> {
    key.as_bytes().strip_prefix(&machine.0)?.try_into().ok().map(u64::from_be_bytes)
}

async fn read_log(trust: &dyn Documents, verifier: &mut Verifier) -> Result<()> {
    let mut query = ListQuery::default();
    loop {
        let page = trust.list(TRUST_LOG, &query).await?;
        for document in page.documents {
            let expected = verifier.position();
            match document.key.as_bytes().try_into().map(u64::from_be_bytes) {
                Ok(position) if position == expected => verifier.record(&document.value)?,
                Ok(_) => return Err(Problem::Missing.at(expected).into()),
                Err(_) => return Err(Problem::Foreign.at(expected).into()),
            }
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(()),
        }
    }
}
