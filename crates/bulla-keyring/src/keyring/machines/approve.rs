//! The second authoriser's word.

use std::collections::BTreeSet;

use super::append::Attempts;
use super::authorise::check_new;
use crate::format::Act;
use crate::keyring::Keyring;
use crate::trust_log::{Machine, PendingAct};
use crate::{KeyringError, Result};

impl Keyring {
    /// Approves what another authoriser asked for, so that it takes effect: a grant, whose machine is returned, or a policy.
    ///
    /// # Errors
    /// [`KeyringError::NotPending`]; [`KeyringError::OwnRequest`]; [`KeyringError::NotAuthorised`]; [`KeyringError::MachineExists`] if the
    /// machine, or another of its name, is in by now; [`KeyringError::Conflict`]; and as [`Keyring::refresh`].
    pub async fn approve(&self, position: u64) -> Result<Option<Machine>> {
        let me = self.identity.fingerprint();
        let mut wrapped = BTreeSet::new();
        let mut attempts = Attempts::default();
        loop {
            attempts.next()?;
            let trusted = self.looked().await?;
            trusted.require_authoriser(me)?;
            let found = trusted.pending.iter().find(|pending| pending.position == position);
            let pending = found.ok_or(KeyringError::NotPending(position))?;
            if pending.by == me {
                return Err(KeyringError::OwnRequest(position));
            }
            if let PendingAct::Grant { name, public, .. } = &pending.act {
                check_new(&trusted, public, name)?;
                self.wrap_all(&trusted, public, &mut wrapped).await?;
            }
            if !self.append(&trusted, Act::Approval { position }).await? {
                continue;
            }
            return match &pending.act {
                PendingAct::Grant { public, .. } => self.admitted(public).await.map(Some),
                PendingAct::Policy { .. } => Ok(None),
            };
        }
    }
}
