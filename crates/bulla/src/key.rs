use std::sync::Arc;

use bulla_keyring::{DataKey, KeyInfo, KeyName, KeyVersion, Keyring, PublicKey, VersionInfo};
use bulla_seal::{Context, Secret};

use crate::key_source::Sources;
use crate::{Error, Result};

/// A handle to one named key: seals under its newest version, and opens with whichever version a value names.
///
/// Where the key's material comes from a source of this machine ([`Project::attach_source`](crate::Project::attach_source), `[sources]` in the settings
/// file), what makes something new asks the source first, at most once a second; a file is read only once it has changed. What opens and verifies
/// never asks: versions that were seen are kept.
#[derive(Debug, Clone)]
pub struct Key {
    keyring: Arc<Keyring>,
    sources: Arc<Sources>,
    name: KeyName,
}

impl Key {
    pub(crate) fn new(keyring: Arc<Keyring>, sources: Arc<Sources>, name: KeyName) -> Self {
        Self { keyring, sources, name }
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

    /// Returns the newest version, for streams and sealing of your own. Ask for each message.
    ///
    /// # Errors
    /// As [`Keyring::current`]; [`Error::Source`] if the material comes from a source and that gives none.
    pub async fn current(&self) -> Result<Arc<KeyVersion>> {
        self.sources.refresh(&self.name).await?;
        Ok(self.keyring.current(&self.name).await?)
    }

    /// Seals a message, bound to a context.
    ///
    /// # Errors
    /// [`KeyringError::NoKey`](bulla_keyring::KeyringError::NoKey); [`Error::Source`] if the material comes from a source and that gives none; and
    /// whatever the backend says.
    pub async fn seal(&self, context: &Context, message: &[u8]) -> Result<Vec<u8>> {
        self.sources.refresh(&self.name).await?;
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
    /// As [`Self::open`] and [`Self::seal`].
    pub async fn rewrap(&self, context: &Context, sealed: &[u8]) -> Result<Option<Vec<u8>>> {
        self.sources.refresh(&self.name).await?;
        Ok(self.keyring.rewrap(&self.name, context, sealed).await?)
    }

    /// Seals many messages, each with its context. Each has a result of its own.
    ///
    /// # Errors
    /// As [`Self::seal`], if the key cannot be used at all.
    pub async fn seal_batch(&self, items: &[(&Context, &[u8])]) -> Result<Vec<Result<Vec<u8>>>> {
        self.sources.refresh(&self.name).await?;
        Ok(each(self.keyring.seal_batch(&self.name, items).await?))
    }

    /// Opens many sealed values, each with its context. Each has a result of its own.
    ///
    /// # Errors
    /// [`KeyringError::Reserved`](bulla_keyring::KeyringError::Reserved).
    pub async fn open_batch(&self, items: &[(&Context, &[u8])]) -> Result<Vec<Result<Vec<u8>>>> {
        Ok(each(self.keyring.open_batch(&self.name, items).await?))
    }

    /// Seals many sealed values anew, as [`Self::rewrap`] does. Each has a result of its own.
    ///
    /// # Errors
    /// As [`Self::seal_batch`].
    pub async fn rewrap_batch(&self, items: &[(&Context, &[u8])]) -> Result<Vec<Result<Option<Vec<u8>>>>> {
        self.sources.refresh(&self.name).await?;
        Ok(each(self.keyring.rewrap_batch(&self.name, items).await?))
    }

    /// Signs a message; the signature begins with the id of the version.
    ///
    /// # Errors
    /// [`KeyringError::WrongUse`](bulla_keyring::KeyringError::WrongUse) unless the key signs; as [`Self::seal`].
    pub async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        self.sources.refresh(&self.name).await?;
        Ok(self.keyring.sign(&self.name, message).await?)
    }

    /// Signs many messages. Each has a result of its own.
    ///
    /// # Errors
    /// As [`Self::sign`], if the key cannot be used at all.
    pub async fn sign_batch(&self, messages: &[&[u8]]) -> Result<Vec<Result<Vec<u8>>>> {
        self.sources.refresh(&self.name).await?;
        Ok(each(self.keyring.sign_batch(&self.name, messages).await?))
    }

    /// Says whether a signature is this key's over the message, by any of its versions that may verify.
    ///
    /// # Errors
    /// [`KeyringError::Open`](bulla_keyring::KeyringError::Open) if the key has no version of its id;
    /// [`KeyringError::WrongUse`](bulla_keyring::KeyringError::WrongUse).
    pub async fn verify(&self, message: &[u8], signature: &[u8]) -> Result<bool> {
        Ok(self.keyring.verify(&self.name, message, signature).await?)
    }

    /// Verifies many signatures, each behind its message. Each has a result of its own.
    ///
    /// # Errors
    /// As [`Self::open_batch`].
    pub async fn verify_batch(&self, items: &[(&[u8], &[u8])]) -> Result<Vec<Result<bool>>> {
        Ok(each(self.keyring.verify_batch(&self.name, items).await?))
    }

    /// Computes the HMAC of a message; it begins with the id of the version.
    ///
    /// # Errors
    /// [`KeyringError::WrongUse`](bulla_keyring::KeyringError::WrongUse) unless it is a key for HMAC; as [`Self::seal`].
    pub async fn hmac(&self, message: &[u8]) -> Result<Vec<u8>> {
        self.sources.refresh(&self.name).await?;
        Ok(self.keyring.hmac(&self.name, message).await?)
    }

    /// Computes the HMACs of many messages. Each has a result of its own.
    ///
    /// # Errors
    /// As [`Self::hmac`], if the key cannot be used at all.
    pub async fn hmac_batch(&self, messages: &[&[u8]]) -> Result<Vec<Result<Vec<u8>>>> {
        self.sources.refresh(&self.name).await?;
        Ok(each(self.keyring.hmac_batch(&self.name, messages).await?))
    }

    /// Says whether an HMAC is this key's over the message, by any of its versions that may verify.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub async fn verify_hmac(&self, message: &[u8], tag: &[u8]) -> Result<bool> {
        Ok(self.keyring.verify_hmac(&self.name, message, tag).await?)
    }

    /// Verifies many HMACs, each behind its message. Each has a result of its own.
    ///
    /// # Errors
    /// As [`Self::open_batch`].
    pub async fn verify_hmac_batch(&self, items: &[(&[u8], &[u8])]) -> Result<Vec<Result<bool>>> {
        Ok(each(self.keyring.verify_hmac_batch(&self.name, items).await?))
    }

    /// Draws a key for use elsewhere: as it is, to be used and forgotten, and sealed under this one, to be kept.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub async fn data_key(&self, context: &Context) -> Result<DataKey> {
        self.sources.refresh(&self.name).await?;
        Ok(self.keyring.derive_data_key(&self.name, context).await?)
    }

    /// Opens a key that [`Self::data_key`] has sealed.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_data_key(&self, context: &Context, wrapped: &[u8]) -> Result<Secret<32>> {
        Ok(self.keyring.open_data_key(&self.name, context, wrapped).await?)
    }

    /// Returns what others need to verify signatures, or to seal to the project: that of the newest version, or of another.
    ///
    /// # Errors
    /// [`KeyringError::WrongUse`](bulla_keyring::KeyringError::WrongUse) for keys without a public part.
    pub async fn public_key(&self, version: Option<u64>) -> Result<PublicKey> {
        Ok(self.keyring.public_key(&self.name, version).await?)
    }

    /// Makes a new version, which seals from now on. What older versions sealed still opens.
    ///
    /// Where the material comes from a source of this machine, the new version is what that holds now.
    ///
    /// # Errors
    /// [`KeyringError::NoKey`](bulla_keyring::KeyringError::NoKey);
    /// [`KeyringError::ExternalKey`](bulla_keyring::KeyringError::ExternalKey) if the material comes from outside, and this machine has no source for it;
    /// [`Error::SourceUnchanged`] if the source holds what a version has already.
    pub async fn rotate(&self) -> Result<VersionInfo> {
        let before = self.info().await?.newest;
        match self.sources.import(&self.name).await? {
            None => Ok(self.keyring.rotate_key(&self.name).await?),
            Some(version) if version.number > before => Ok(version),
            Some(version) => Err(Error::SourceUnchanged {
                name: self.name.clone(),
                described: self.sources.described(&self.name).unwrap_or_default(),
                version: version.number,
            }),
        }
    }
}

fn each<T>(results: Vec<bulla_keyring::Result<T>>) -> Vec<Result<T>> {
    results.into_iter().map(|result| result.map_err(Error::from)).collect()
}
