//! Keys for others: data keys that are wrapped under a named key, and random bytes.

use bulla_seal::{Context, OpenError, Secret, SecretVec, fill_random};

use super::Keyring;
use crate::{KeyName, KeyringError, Result};

/// Most random bytes at a time.
pub const MAX_RANDOM_LEN: usize = 1 << 16;

/// A key for use elsewhere: as it is, to be used and forgotten, and sealed, to be kept.
#[derive(Debug)]
#[non_exhaustive]
pub struct DataKey {
    /// The key.
    pub plain: Secret<32>,
    /// The key as [`Keyring::open_data_key`] opens it.
    pub wrapped: Vec<u8>,
}

impl Keyring {
    /// Draws a key, and seals it under the newest version of a named key, bound to a context.
    ///
    /// # Errors
    /// As [`Keyring::seal`].
    pub async fn derive_data_key(&self, name: &KeyName, context: &Context) -> Result<DataKey> {
        let plain = Secret::random()?;
        let wrapped = self.seal(name, context, plain.expose()).await?;
        Ok(DataKey { plain, wrapped })
    }

    /// Opens a key that [`Keyring::derive_data_key`] has wrapped.
    ///
    /// # Errors
    /// As [`Keyring::open_sealed`]; [`OpenError::Damaged`] if what is sealed is no such key.
    pub async fn open_data_key(&self, name: &KeyName, context: &Context, wrapped: &[u8]) -> Result<Secret<32>> {
        let opened = SecretVec::new(self.open_sealed(name, context, wrapped).await?);
        opened.to_fixed().ok_or(KeyringError::Open(OpenError::Damaged))
    }

    /// Returns random bytes, 1 to [`MAX_RANDOM_LEN`], from the generator that keys come from.
    ///
    /// # Errors
    /// [`KeyringError::RandomLength`] for other lengths; [`KeyringError::Seal`] if the system gives no random bytes.
    pub fn random(&self, len: usize) -> Result<SecretVec> {
        if !(1..=MAX_RANDOM_LEN).contains(&len) {
            return Err(KeyringError::RandomLength(len));
        }
        let mut bytes = vec![0; len];
        fill_random(&mut bytes)?;
        Ok(SecretVec::new(bytes))
    }
}
