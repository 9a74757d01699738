//! Changes that restrict a key: the trust log remembers them, so that an older copy of the description is refused.

use std::sync::Arc;

use super::Keyring;
use super::rows::FoundKey;
use crate::format::KeyBody;
use crate::trust_log::Trusted;
use crate::{KeyName, Result};

impl Keyring {
    /// Changes the description of a key, and then raises its floor to what was written, or found.
    ///
    /// The floor is raised also where nothing had to be changed: what made the change may have been interrupted before it.
    pub(super) async fn restrict_key(
        &self,
        trusted: &mut Arc<Trusted>,
        name: &KeyName,
        change: impl Fn(&FoundKey) -> Result<Option<KeyBody>>,
    ) -> Result<KeyBody> {
        trusted.require_authoriser(self.identity.fingerprint())?;
        let body = self.change_key(trusted, name, change).await?;
        self.keep_restriction(trusted, name, body.serial).await?;
        Ok(body)
    }

    /// Raises the floor of a key, unless it is that high.
    pub(super) async fn keep_restriction(&self, trusted: &Trusted, name: &KeyName, serial: u64) -> Result<()> {
        if floor(trusted, name) < serial { self.raise_floor(name, serial).await } else { Ok(()) }
    }
}

/// Returns the lowest serial number that a description of the key may have; 0 if any may.
pub(super) fn floor(trusted: &Trusted, name: &KeyName) -> u64 {
    trusted.floors.get(name).copied().unwrap_or(0)
}

/// Says whether a description that was kept is still one that the key may have.
pub(super) fn is_above_floor(trusted: &Trusted, name: &KeyName, body: &KeyBody) -> bool {
    body.serial >= floor(trusted, name)
}
