//! The machines of a project: who is in, and what authorisers do about it. One file an operation.

mod append;
mod approve;
mod audit;
mod authorise;
mod begin_epoch;
mod find;
mod floor;
mod policy;
mod revoke;
mod rollback;
mod wraps;

use std::collections::BTreeMap;

pub use audit::{Expectation, Finding};
pub use authorise::Outcome;
pub use revoke::{Revocation, RevokeOptions};

use super::Keyring;
use crate::trust_log::{Machine, Membership, Pending};
use crate::{Fingerprint, Result};

impl Keyring {
    /// Returns the machines that were in at the last look, by fingerprint.
    #[must_use]
    pub fn machines(&self) -> BTreeMap<Fingerprint, Machine> {
        self.last_seen().machines.clone()
    }

    /// Returns a machine that is in.
    ///
    /// # Errors
    /// As [`Keyring::refresh`].
    pub async fn machine(&self, fingerprint: Fingerprint) -> Result<Option<Machine>> {
        Ok(self.trusted().await?.machines.get(&fingerprint).cloned())
    }

    /// Returns every time that a machine was let in, by whom, and whether and by whom it was put out again, in the order of the log.
    ///
    /// # Errors
    /// As [`Keyring::refresh`].
    pub async fn history(&self) -> Result<Vec<Membership>> {
        self.trusted().await?;
        Ok(self.log.verifier().history())
    }

    /// Returns what waits for a second authoriser.
    ///
    /// # Errors
    /// As [`Keyring::refresh`].
    pub async fn pending(&self) -> Result<Vec<Pending>> {
        Ok(self.trusted().await?.pending.clone())
    }

    /// Says whether a machine was put out with the word that a new epoch follows, and none has.
    ///
    /// # Errors
    /// As [`Keyring::refresh`].
    pub async fn rotation_owed(&self) -> Result<bool> {
        Ok(self.trusted().await?.epoch_owed())
    }

    /// Says whether grants need two authorisers.
    ///
    /// # Errors
    /// As [`Keyring::refresh`].
    pub async fn two_person(&self) -> Result<bool> {
        Ok(self.trusted().await?.two_person())
    }
}
