//! The keys that Bulla makes for itself.

use std::fmt;
use std::sync::Arc;

use bulla_seal::{KeyVersionId, MAC_LEN, MacKey};

use super::Keyring;
use crate::key::{Prepared, Version};
use crate::{Algorithm, KeyName, KeyringError, NameError, Result, VersionInfo};

/// A key that Bulla makes for itself, for HMAC with SHA-256. No operation that takes a [`KeyName`] uses one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SystemKey(KeyName);

impl SystemKey {
    /// Returns the key under which secrets of API keys are stored.
    #[must_use]
    pub fn pepper() -> Self {
        Self(KeyName::of_system("pepper"))
    }

    /// Returns the key under which identifiers in the audit log are blinded.
    #[must_use]
    pub fn audit() -> Self {
        Self(KeyName::of_system("audit"))
    }

    /// Returns the key under which names and digests of a namespace are blinded.
    ///
    /// # Errors
    /// [`NameError::Segments`] if the namespace has more than six segments.
    pub fn index(namespace: &KeyName) -> std::result::Result<Self, NameError> {
        format!("{}/{namespace}", KeyName::of_system("index")).parse().map(Self)
    }
}

impl fmt::Display for SystemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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
    /// Returns the newest version of a system key, which is made at its first use.
    ///
    /// # Errors
    /// As [`Keyring::current`].
    pub async fn system_key(&self, key: &SystemKey) -> Result<SystemVersion> {
        let newest = match self.newest(&key.0, 1).await {
            Err(KeyringError::NoKey(_)) => {
                match self.make_key(&key.0, Algorithm::HmacSha256, &[], None).await {
                    Ok(_) | Err(KeyringError::KeyExists(_)) => {}
                    Err(error) => return Err(error),
                }
                self.newest(&key.0, 1).await
            }
            newest => newest,
        };
        prepared(&newest?.0)
    }

    /// Returns the newest version of a system key; `None` if the key was never made, and it is not made now.
    ///
    /// # Errors
    /// As [`Keyring::current`].
    pub async fn find_system_key(&self, key: &SystemKey) -> Result<Option<SystemVersion>> {
        match self.newest(&key.0, 1).await {
            Err(KeyringError::NoKey(_)) => Ok(None),
            newest => prepared(&newest?.0).map(Some),
        }
    }

    /// Returns the version of a system key that has an id.
    ///
    /// # Errors
    /// As [`Keyring::version`].
    pub async fn system_version(&self, key: &SystemKey, id: KeyVersionId) -> Result<SystemVersion> {
        prepared(&*self.find(id, Some(&key.0)).await?)
    }

    /// Makes a new version of a system key.
    ///
    /// # Errors
    /// As [`Keyring::rotate_key`].
    pub async fn rotate_system_key(&self, key: &SystemKey) -> Result<VersionInfo> {
        self.rotate(&mut self.trusted().await?, &key.0).await
    }
}

fn prepared(version: &Version) -> Result<SystemVersion> {
    match &version.prepared {
        Prepared::Mac(key) => Ok(SystemVersion { id: version.id, number: version.number, key: Arc::clone(key) }),
        _ => Err(version.wrong_use("serve Bulla itself")),
    }
}
