//! Deleting a key, with all of its versions: at a time to come, until which it can be undone.

use std::time::Duration;

use bulla_backend::Timestamp;

use super::rows::FoundKey;
use super::{Keyring, refuse_system};
use crate::format::BEGUN;
use crate::{KeyInfo, KeyName, KeyringError, Result};

impl Keyring {
    /// Puts a key out of use at once, and has it deleted once the delay is over. Then whatever was sealed under it is lost.
    ///
    /// Until then [`Keyring::undelete_key`] takes it back. [`Keyring::purge`] deletes what is due; without a delay this call does so, and
    /// completes a deletion that was interrupted.
    ///
    /// # Errors
    /// [`KeyringError::DeletionNotAllowed`] unless [`KeySetting::DeletionAllowed`](crate::KeySetting::DeletionAllowed) says so;
    /// [`KeyringError::NotAuthorised`] if this machine may not authorise; as [`Keyring::rotate_key`].
    pub async fn delete_key(&self, name: &KeyName, delay: Duration) -> Result<()> {
        refuse_system(name)?;
        let mut trusted = self.trusted().await?;
        let at = self.clock.now().saturating_add(delay).max(Timestamp(BEGUN.0 + 1));
        let delete = |found: &FoundKey| {
            if !found.body.settings.deletion_allowed {
                return Err(KeyringError::DeletionNotAllowed(name.clone()));
            }
            let mut body = found.body.clone();
            let waits = body.settings.deleting.get_or_insert(at);
            *waits = at.min(*waits);
            Ok((body != found.body).then_some(body))
        };
        self.restrict_key(&mut trusted, name, delete).await?;
        if delay.is_zero() {
            self.purge_found(&mut trusted, name).await?;
        }
        Ok(())
    }

    /// Takes a key back that waits for its deletion.
    ///
    /// # Errors
    /// [`KeyringError::KeyDeleted`] if it is too late; as [`Keyring::enable_version`].
    pub async fn undelete_key(&self, name: &KeyName) -> Result<KeyInfo> {
        refuse_system(name)?;
        let mut trusted = self.trusted().await?;
        let undelete = |found: &FoundKey| match found.body.settings.deleting {
            None => Ok(None),
            Some(at) if at <= self.clock.now() => Err(KeyringError::KeyDeleted(name.clone())),
            Some(_) => {
                let mut body = found.body.clone();
                body.settings.deleting = None;
                Ok(Some(body))
            }
        };
        Ok(self.change_key(&mut trusted, name, undelete).await?.describe(name))
    }
}
