//! The keys that Bulla makes for itself.

use std::fmt;
use std::sync::Arc;

use bulla_seal::{KeyVersionId, MAC_LEN, MacKey};

use super::Keyring;
use crate::key::{Prepared, Version};
use crate::{Algorithm, KeyName, KeyVersion, KeyringError, NameError, Result, VersionInfo};

/// A key that Bulla makes for itself: for HMAC with SHA-256, or to seal. No operation that takes a [`KeyName`] uses one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SystemKey {
    name: KeyName,
    algorithm: Algorithm,
}

impl SystemKey {
    /// Returns the key under which secrets of API keys are stored.
    #[must_use]
    pub fn pepper() -> Self {
        Self::for_hmac(KeyName::of_system("pepper"))
    }

    /// Returns the key under which identifiers in the audit log are blinded.
    #[must_use]
    pub fn audit() -> Self {
        Self::for_hmac(KeyName::of_system("audit"))
    }

    /// Returns the name that it has among the keys.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// Returns the key under which it is sealed who may do what.
    #[must_use]
    pub fn access() -> Self {
        Self { name: KeyName::of_system("access"), algorithm: Algorithm::Aes256Gcm }
    }

    /// Returns the key under which names and digests of a namespace are blinded.
    ///
    /// # Errors
    /// [`NameError::Segments`] if the namespace has more than six segments.
    pub fn index(namespace: &KeyName) -> std::result::Result<Self, NameError> {
        format!("{}/{namespace}", KeyName::of_system("index")).parse().map(Self::for_hmac)
    }

    fn for_hmac(name: KeyName) -> Self {
        Self { name, algorithm: Algorithm::HmacSha256 }
    }
}

impl fmt::Display for SystemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

/// One version of a system key. Store its id beside what was made with it.
#[derive(Debug, Clone)]
pub struct SystemVersion {
    id: KeyVersionId,
    number: u64,
    key: Arc<MacKey>,
}

impl SystemVersion {
    /// Returns its id, by which [`Keyring::system_version`] finds it.
    #[must_use]
    pub fn id(&self) -> KeyVersionId {
        self.id
    }

    /// Returns its number within the key.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns the HMAC of a message.
    #[must_use]
    pub fn tag(&self, message: &[u8]) -> [u8; MAC_LEN] {
        self.key.tag(message)
    }

    /// Says whether the whole tag is this version's for the message, in constant time.
    #[must_use]
    pub fn verifies(&self, message: &[u8], tag: &[u8]) -> bool {
        self.key.verifies(message, tag)
    }
}

impl Keyring {
    /// Returns the newest version of a system key for HMAC, which is made at its first use.
    ///
    /// # Errors
    /// As [`Keyring::current`].
    pub async fn system_key(&self, key: &SystemKey) -> Result<SystemVersion> {
        authenticating(&*self.newest_of_system(key).await?)
    }

    /// Returns the newest version of a system key for HMAC; `None` if the key was never made, and it is not made now.
    ///
    /// # Errors
    /// As [`Keyring::current`].
    pub async fn find_system_key(&self, key: &SystemKey) -> Result<Option<SystemVersion>> {
        self.find_newest_of_system(key).await?.map(|newest| authenticating(&newest)).transpose()
    }

    /// Returns the version of a system key for HMAC that has an id.
    ///
    /// # Errors
    /// As [`Keyring::version`].
    pub async fn system_version(&self, key: &SystemKey, id: KeyVersionId) -> Result<SystemVersion> {
        authenticating(&*self.find(id, Some(&key.name)).await?)
    }

    /// Returns the newest version of a system key that seals, which is made at its first use. Ask for each message.
    ///
    /// # Errors
    /// As [`Keyring::current`].
    pub async fn system_seal_key(&self, key: &SystemKey) -> Result<Arc<KeyVersion>> {
        sealing(&*self.newest_of_system(key).await?)
    }

    /// Returns the newest version of a system key that seals; `None` if the key was never made, and it is not made now.
    ///
    /// # Errors
    /// As [`Keyring::current`].
    pub async fn find_system_seal_key(&self, key: &SystemKey) -> Result<Option<Arc<KeyVersion>>> {
        self.find_newest_of_system(key).await?.map(|newest| sealing(&newest)).transpose()
    }

    /// Returns the version of a system key that seals which a sealed value names.
    ///
    /// # Errors
    /// As [`Keyring::version`].
    pub async fn system_seal_version(&self, key: &SystemKey, id: KeyVersionId) -> Result<Arc<KeyVersion>> {
        sealing(&*self.find(id, Some(&key.name)).await?)
    }

    /// Makes a new version of a system key.
    ///
    /// # Errors
    /// As [`Keyring::rotate_key`].
    pub async fn rotate_system_key(&self, key: &SystemKey) -> Result<VersionInfo> {
        self.rotate(&mut self.trusted().await?, &key.name).await
    }

    async fn newest_of_system(&self, key: &SystemKey) -> Result<Arc<Version>> {
        if let Some(newest) = self.find_newest_of_system(key).await? {
            return Ok(newest);
        }
        match self.make_key(&key.name, key.algorithm, &[], None).await {
            Ok(_) | Err(KeyringError::KeyExists(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(self.newest(&key.name, 1).await?.0)
    }

    async fn find_newest_of_system(&self, key: &SystemKey) -> Result<Option<Arc<Version>>> {
        match self.newest(&key.name, 1).await {
            Err(KeyringError::NoKey(_)) => Ok(None),
            newest => Ok(Some(newest?.0)),
        }
    }
}

fn authenticating(version: &Version) -> Result<SystemVersion> {
    match &version.prepared {
        Prepared::Mac(key) => Ok(SystemVersion { id: version.id, number: version.number, key: Arc::clone(key) }),
        _ => Err(version.wrong_use("authenticate for Bulla itself")),
    }
}

fn sealing(version: &Version) -> Result<Arc<KeyVersion>> {
    version.sealing("seal for Bulla itself").cloned()
}
