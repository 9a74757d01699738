//! Destroying versions: at a time to come, until which it can be undone.

use std::time::Duration;

use bulla_backend::Timestamp;

use super::rows::FoundKey;
use super::{Keyring, refuse_system};
use crate::format::{BEGUN, MAX_RANGES};
use crate::{KeyName, KeyringError, Result, VersionState};

impl Keyring {
    /// Puts a version out of use at once, and has its material destroyed once the delay is over. Then whatever was sealed under it is lost.
    ///
    /// Until then [`Keyring::undelete_version`] takes it back. [`Keyring::purge`] destroys what is due; without a delay this call does so.
    /// A version that waits already is destroyed at the earlier of both times.
    ///
    /// # Errors
    /// [`KeyringError::NewestVersion`] for the version that seals; as [`Keyring::disable_version`].
    pub async fn destroy_version(&self, name: &KeyName, number: u64, delay: Duration) -> Result<VersionState> {
        refuse_system(name)?;
        let mut trusted = self.trusted().await?;
        let now = self.clock.now();
        // The time 0 says that there is no way back, which is for `purge` to say.
        let at = now.saturating_add(delay).max(Timestamp(BEGUN.0 + 1));
        let destroy = |found: &FoundKey| {
            found.body.check_alive(name)?;
            found.body.check_has(name, number)?;
            if number == found.body.newest {
                return Err(KeyringError::NewestVersion { name: name.clone(), number });
            }
            if found.body.settings.destroyed.contains(number) {
                return Ok(None);
            }
            let mut body = found.body.clone();
            let waits = body.settings.destroying.entry(number).or_insert(at);
            *waits = at.min(*waits);
            if body.settings.destroying.len() > MAX_RANGES {
                return Err(KeyringError::TooManyStates(name.clone()));
            }
            Ok((body != found.body).then_some(body))
        };
        let body = self.restrict_key(&mut trusted, name, destroy).await?;
        if delay.is_zero() {
            self.purge_found(&mut trusted, name).await?;
        }
        Ok(body.state(number, now.max(self.clock.now())))
    }

    /// Takes a version back that waits for its destruction. It is in the state in which it was before.
    ///
    /// # Errors
    /// [`KeyringError::VersionDestroyed`] if it is too late; as [`Keyring::enable_version`].
    pub async fn undelete_version(&self, name: &KeyName, number: u64) -> Result<()> {
        refuse_system(name)?;
        let mut trusted = self.trusted().await?;
        let undelete = |found: &FoundKey| {
            found.body.check_alive(name)?;
            found.body.check_has(name, number)?;
            match found.body.state(number, self.clock.now()) {
                VersionState::Destroyed => Err(KeyringError::VersionDestroyed { name: name.clone(), number }),
                VersionState::Enabled | VersionState::Disabled => Ok(None),
                VersionState::Destroying(_) => {
                    let mut body = found.body.clone();
                    body.settings.destroying.remove(&number);
                    Ok(Some(body))
                }
            }
        };
        self.change_key(&mut trusted, name, undelete).await.map(drop)
    }
}
