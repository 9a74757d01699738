//! Disabling and enabling versions.

use super::rows::FoundKey;
use super::{Keyring, refuse_system};
use crate::format::{KeyBody, MAX_RANGES};
use crate::{KeyName, KeyringError, Result, VersionState};

impl Keyring {
    /// Disables a version: it does not seal, open, sign, verify or export until it is enabled again.
    ///
    /// This process notices at once, others within a second. While the newest version is disabled, the key does not seal; rotate it.
    ///
    /// # Errors
    /// [`KeyringError::NoVersion`]; [`KeyringError::VersionDestroyed`]; [`KeyringError::NotAuthorised`] if this machine may not authorise;
    /// [`KeyringError::TooManyStates`] if more than 256 ranges of versions were disabled; as [`Keyring::rotate_key`].
    pub async fn disable_version(&self, name: &KeyName, number: u64) -> Result<()> {
        refuse_system(name)?;
        let mut trusted = self.trusted().await?;
        let disable = |found: &FoundKey| {
            let mut body = self.usable(name, found, number)?;
            body.settings.disabled.insert(number);
            if body.settings.disabled.len() > MAX_RANGES {
                return Err(KeyringError::TooManyStates(name.clone()));
            }
            Ok((body != found.body).then_some(body))
        };
        self.restrict_key(&mut trusted, name, disable).await.map(drop)
    }

    /// Enables a version that was disabled.
    ///
    /// # Errors
    /// As [`Keyring::disable_version`], but that any machine may do it.
    pub async fn enable_version(&self, name: &KeyName, number: u64) -> Result<()> {
        refuse_system(name)?;
        let mut trusted = self.trusted().await?;
        let enable = |found: &FoundKey| {
            let mut body = self.usable(name, found, number)?;
            body.settings.disabled.remove(number);
            if body.settings.disabled.len() > MAX_RANGES {
                return Err(KeyringError::TooManyStates(name.clone()));
            }
            Ok((body != found.body).then_some(body))
        };
        self.change_key(&mut trusted, name, enable).await.map(drop)
    }

    /// Returns a copy of the description, if the version is there and not on its way out.
    fn usable(&self, name: &KeyName, found: &FoundKey, number: u64) -> Result<KeyBody> {
        found.body.check_alive(name)?;
        found.body.check_has(name, number)?;
        match found.body.state(number, self.clock.now()) {
            VersionState::Enabled | VersionState::Disabled => Ok(found.body.clone()),
            VersionState::Destroying(_) | VersionState::Destroyed => {
                Err(KeyringError::VersionDestroyed { name: name.clone(), number })
            }
        }
    }
}
