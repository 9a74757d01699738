use bulla_keyring::{DataKey, KeyInfo, PublicKey, VersionInfo};
use bulla_seal::{Context, Secret};
use pollster::block_on;

use crate::Result;

/// A handle to one named key; see [`crate::Key`].
#[derive(Debug, Clone)]
pub struct Key(pub(super) crate::Key);

impl Key {
    /// Returns the handle with async methods.
    #[must_use]
    pub fn key(&self) -> &crate::Key {
        &self.0
    }

    /// Describes the key.
    ///
    /// # Errors
    /// As [`crate::Key::info`].
    pub fn info(&self) -> Result<KeyInfo> {
        block_on(self.0.info())
    }

    /// Seals a message, bound to a context.
    ///
    /// # Errors
    /// As [`crate::Key::seal`].
    pub fn seal(&self, context: &Context, message: &[u8]) -> Result<Vec<u8>> {
        block_on(self.0.seal(context, message))
    }

    /// Opens a sealed value in the context that it was sealed in.
    ///
    /// # Errors
    /// As [`crate::Key::open`].
    pub fn open(&self, context: &Context, sealed: &[u8]) -> Result<Vec<u8>> {
        block_on(self.0.open(context, sealed))
    }

    /// Seals a sealed value anew under the newest version, without showing the message; `None` if it is that already.
    ///
    /// # Errors
    /// As [`crate::Key::rewrap`].
    pub fn rewrap(&self, context: &Context, sealed: &[u8]) -> Result<Option<Vec<u8>>> {
        block_on(self.0.rewrap(context, sealed))
    }

    /// Seals many messages, each with its context. Each has a result of its own.
    ///
    /// # Errors
    /// As [`crate::Key::seal_batch`].
    pub fn seal_batch(&self, items: &[(&Context, &[u8])]) -> Result<Vec<Result<Vec<u8>>>> {
        block_on(self.0.seal_batch(items))
    }

    /// Opens many sealed values, each with its context. Each has a result of its own.
    ///
    /// # Errors
    /// As [`crate::Key::open_batch`].
    pub fn open_batch(&self, items: &[(&Context, &[u8])]) -> Result<Vec<Result<Vec<u8>>>> {
        block_on(self.0.open_batch(items))
    }

    /// Seals many sealed values anew, as [`Self::rewrap`] does. Each has a result of its own.
    ///
    /// # Errors
    /// As [`crate::Key::rewrap_batch`].
    pub fn rewrap_batch(&self, items: &[(&Context, &[u8])]) -> Result<Vec<Result<Option<Vec<u8>>>>> {
        block_on(self.0.rewrap_batch(items))
    }

    /// Signs a message; the signature begins with the id of the version.
    ///
    /// # Errors
    /// As [`crate::Key::sign`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        block_on(self.0.sign(message))
    }

    /// Signs many messages. Each has a result of its own.
    ///
    /// # Errors
    /// As [`crate::Key::sign_batch`].
    pub fn sign_batch(&self, messages: &[&[u8]]) -> Result<Vec<Result<Vec<u8>>>> {
        block_on(self.0.sign_batch(messages))
    }

    /// Says whether a signature is this key's over the message, by any of its versions that may verify.
    ///
    /// # Errors
    /// As [`crate::Key::verify`].
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<bool> {
        block_on(self.0.verify(message, signature))
    }

    /// Verifies many signatures, each behind its message. Each has a result of its own.
    ///
    /// # Errors
    /// As [`crate::Key::verify_batch`].
    pub fn verify_batch(&self, items: &[(&[u8], &[u8])]) -> Result<Vec<Result<bool>>> {
        block_on(self.0.verify_batch(items))
    }

    /// Computes the HMAC of a message; it begins with the id of the version.
    ///
    /// # Errors
    /// As [`crate::Key::hmac`].
    pub fn hmac(&self, message: &[u8]) -> Result<Vec<u8>> {
        block_on(self.0.hmac(message))
    }

    /// Computes the HMACs of many messages. Each has a result of its own.
    ///
    /// # Errors
    /// As [`crate::Key::hmac_batch`].
    pub fn hmac_batch(&self, messages: &[&[u8]]) -> Result<Vec<Result<Vec<u8>>>> {
        block_on(self.0.hmac_batch(messages))
    }

    /// Says whether an HMAC is this key's over the message, by any of its versions that may verify.
    ///
    /// # Errors
    /// As [`crate::Key::verify_hmac`].
    pub fn verify_hmac(&self, message: &[u8], tag: &[u8]) -> Result<bool> {
        block_on(self.0.verify_hmac(message, tag))
    }

    /// Verifies many HMACs, each behind its message. Each has a result of its own.
    ///
    /// # Errors
    /// As [`crate::Key::verify_hmac_batch`].
    pub fn verify_hmac_batch(&self, items: &[(&[u8], &[u8])]) -> Result<Vec<Result<bool>>> {
        block_on(self.0.verify_hmac_batch(items))
    }

    /// Draws a key for use elsewhere: as it is, to be used and forgotten, and sealed under this one, to be kept.
    ///
    /// # Errors
    /// As [`crate::Key::data_key`].
    pub fn data_key(&self, context: &Context) -> Result<DataKey> {
        block_on(self.0.data_key(context))
    }

    /// Opens a key that [`Self::data_key`] has sealed.
    ///
    /// # Errors
    /// As [`crate::Key::open_data_key`].
    pub fn open_data_key(&self, context: &Context, wrapped: &[u8]) -> Result<Secret<32>> {
        block_on(self.0.open_data_key(context, wrapped))
    }

    /// Returns what others need to verify signatures, or to seal to the project: that of the newest version, or of another.
    ///
    /// # Errors
    /// As [`crate::Key::public_key`].
    pub fn public_key(&self, version: Option<u64>) -> Result<PublicKey> {
        block_on(self.0.public_key(version))
    }

    /// Makes a new version, which seals from now on.
    ///
    /// # Errors
    /// As [`crate::Key::rotate`].
    pub fn rotate(&self) -> Result<VersionInfo> {
        block_on(self.0.rotate())
    }
}
