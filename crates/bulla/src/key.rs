use std::sync::Arc;

use bulla_keyring::{KeyInfo, KeyName, Keyring, VersionInfo};
use bulla_seal::Context;

use crate::Result;

/// A handle to one named key: seals under its newest version, and opens with whichever version a value names.
#[derive(Debug, Clone)]
pub struct Key {
    keyring: Arc<Keyring>,
    name: KeyName,
}

impl Key {
    pub(crate) fn new(keyring: Arc<Keyring>, name: KeyName) -> Self {
        Self { keyring, name }
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// Describes the key.
    ///
    /// # Errors
    /// [`KeyringError::NoKey`](bulla_keyring::KeyringError::NoKey).
    pub async fn info(&self) -> Result<KeyInfo> {
        Ok(self.keyring.key(&self.name).await?)
    }

    /// Seals a message, bound to a context.
    ///
    /// # Errors
    /// [`KeyringError::NoKey`](bulla_keyring::KeyringError::NoKey); and whatever the backend says.
    pub async fn seal(&self, context: &Context, message: &[u8]) -> Result<Vec<u8>> {
        Ok(self.keyring.seal(&self.name, context, message).await?)
    }

    /// Opens a sealed value in the context that it was sealed in.
    ///
    /// # Errors
    /// [`KeyringError::Open`](bulla_keyring::KeyringError::Open) if it does not open; nothing of the message is returned then.
    pub async fn open(&self, context: &Context, sealed: &[u8]) -> Result<Vec<u8>> {
        Ok(self.keyring.open_sealed(&self.name, context, sealed).await?)
    }

    /// Seals a sealed value anew under the newest version, without showing the message; `None` if it is that already.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn rewrap(&self, context: &Context, sealed: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.keyring.rewrap(&self.name, context, sealed).await?)
    }

    /// Makes a new version, which seals from now on. What older versions sealed still opens.
    ///
    /// # Errors
    /// [`KeyringError::NoKey`](bulla_keyring::KeyringError::NoKey).
    pub async fn rotate(&self) -> Result<VersionInfo> {
        Ok(self.keyring.rotate_key(&self.name).await?)
    }
}
