//! The word of an authoriser that an older copy of the database was restored on purpose.

use std::sync::Arc;

use bulla_backend::{Clock, Documents};

use super::append::Attempts;
use crate::format::Act;
use crate::keyring::Keyring;
use crate::trust_log::TrustPin;
use crate::{Identity, KeyringError, Result};

impl Keyring {
    /// Opens a project from an older copy of its database, and lets the other machines do the same: what stood behind this copy's
    /// records is void.
    ///
    /// Call it once, on the machine of an authoriser, right after the copy was restored and before anybody writes to it. Machines that
    /// were let in since the copy was made, and machines that were put out since, are as they were then: look at [`Keyring::machines`].
    ///
    /// # Errors
    /// [`KeyringError::NotAuthorised`] if this machine is no authoriser in the copy, or was none at its last look;
    /// [`KeyringError::RecoveryOnly`] where two authorisers have to agree: what they agreed on, no one of them undoes alone; and as
    /// [`Keyring::open`].
    ///
    /// # Security
    /// Another machine follows only if it had seen this one as an authoriser. So one that was put out cannot undo that with an older copy.
    pub async fn accept_rollback(
        trust: Arc<dyn Documents>,
        identity: Arc<Identity>,
        pin: TrustPin,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let me = identity.fingerprint();
        // Who never saw the project's authorisers has nothing to compare with.
        let is_known = !pin.authorisers().is_empty() || pin.two_person();
        if is_known && !pin.authorisers().contains(&me) {
            let refusal = if pin.two_person() { KeyringError::RecoveryOnly } else { KeyringError::NotAuthorised(me) };
            return Err(refusal);
        }
        let restored = Self::open(trust, identity, pin.project(), clock).await?;
        let mut attempts = Attempts::default();
        loop {
            attempts.next()?;
            let trusted = restored.looked().await?;
            trusted.require_authoriser(me)?;
            let number = trusted.pin.restores().max(pin.restores()).saturating_add(1);
            if restored.append(&trusted, Act::Restore { number }).await? {
                return Ok(restored);
            }
        }
    }
}
