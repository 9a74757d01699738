//! Removing old versions for good.

use super::rows::FoundKey;
use super::{Keyring, refuse_system};
use crate::{KeyName, KeyringError, Result};

impl Keyring {
    /// Removes all versions below `first`, which must not open any more: raise [`KeySetting::MinOpen`](crate::KeySetting::MinOpen) first, and
    /// see whether anything misses them. Returns how many were removed.
    ///
    /// # Errors
    /// [`KeyringError::Setting`] if versions below `first` still open; as [`Keyring::disable_version`].
    pub async fn trim_key(&self, name: &KeyName, first: u64) -> Result<u64> {
        refuse_system(name)?;
        let mut trusted = self.trusted().await?;
        let trim = |found: &FoundKey| {
            found.body.check_alive(name)?;
            if first <= found.body.first {
                return Ok(None);
            }
            if first > found.body.min_open() {
                let reason = "what is trimmed must not open any more; raise the lowest version to open first";
                return Err(KeyringError::Setting { name: name.clone(), reason });
            }
            let mut body = found.body.clone();
            body.first = first;
            let settings = &mut body.settings;
            settings.min_open = settings.min_open.filter(|lowest| *lowest > first);
            settings.min_seal = settings.min_seal.map(|lowest| lowest.max(first));
            settings.disabled.forget_below(first);
            settings.destroyed.forget_below(first);
            settings.destroying.retain(|number, _| *number >= first);
            Ok(Some(body))
        };
        let body = self.restrict_key(&mut trusted, name, trim).await?;
        self.remove_versions(name, body.first).await
    }
}
