//! Making a key.

use bulla_backend::{ErrorKind, Expected};
use bulla_seal::SecretVec;

use super::floors::floor;
use super::versions::{Adopt, Material};
use super::{Keyring, refuse_system};
use crate::format::{KeyBody, Settings};
use crate::{Algorithm, KeyInfo, KeyName, KeyOrigin, KeySetting, KeyringError, Result};

impl Keyring {
    /// Creates a key with a first version.
    ///
    /// # Errors
    /// [`KeyringError::KeyExists`], or [`KeyringError::Reserved`] for names that belong to Bulla itself.
    pub async fn create_key(&self, name: &KeyName, algorithm: Algorithm) -> Result<KeyInfo> {
        self.create_key_with(name, algorithm, &[]).await
    }

    /// Creates a key with a first version and settings.
    ///
    /// # Errors
    /// As [`Keyring::create_key`]; [`KeyringError::Setting`] for one that a new key cannot have.
    pub async fn create_key_with(
        &self,
        name: &KeyName,
        algorithm: Algorithm,
        settings: &[KeySetting],
    ) -> Result<KeyInfo> {
        refuse_system(name)?;
        self.make_key(name, algorithm, settings, None).await
    }

    /// Creates a key whose material comes from outside; [`Keyring::import_version`] rotates it.
    ///
    /// # Errors
    /// As [`Keyring::create_key_with`]; [`KeyringError::Seal`] for material that the algorithm cannot have;
    /// [`KeyringError::MaterialInUse`] if another key has it.
    ///
    /// # Security
    /// Material for sealing and for HMAC has 16 to 1,024 bytes, random, or of at least 128 bits of entropy; a password is neither. The other
    /// algorithms take the 32 bytes that their private keys are made from.
    pub async fn create_external_key(
        &self,
        name: &KeyName,
        algorithm: Algorithm,
        settings: &[KeySetting],
        material: &SecretVec,
    ) -> Result<KeyInfo> {
        refuse_system(name)?;
        self.make_key(name, algorithm, settings, Some(material)).await
    }

    pub(super) async fn make_key(
        &self,
        name: &KeyName,
        algorithm: Algorithm,
        settings: &[KeySetting],
        external: Option<&SecretVec>,
    ) -> Result<KeyInfo> {
        let mut trusted = self.trusted().await?;
        if let Some(found) = self.read_key(&mut trusted, name).await? {
            found.body.check_alive(name)?;
            return Err(KeyringError::KeyExists(name.clone()));
        }
        let origin = if external.is_some() { KeyOrigin::External } else { KeyOrigin::Generated };
        // Where a key of that name was deleted, nothing of it may come back: serial and numbers go on above what it had.
        let floor = floor(&trusted, name);
        let highest = || KeyringError::corrupt(format!("the floor of key `{name}`"), "it is as high as can be");
        let serial = floor.checked_add(1).ok_or_else(highest)?;
        let now = self.clock.now();
        let material = match external {
            Some(bytes) => Material::external(bytes)?,
            None => Material::drawn(algorithm)?,
        };
        let mut body = KeyBody {
            algorithm,
            created: now,
            serial,
            first: serial,
            newest: serial,
            newest_id: material.id,
            rotated: now,
            settings: Settings { origin, ..Settings::default() },
        };
        for setting in settings {
            super::settings::apply(name, &mut body, *setting)?;
        }
        let adopt = if external.is_some() { Adopt::Same } else { Adopt::Nothing };
        let (version, _) = self.add_version(&mut trusted, name, &body, floor, &material, adopt).await?;
        let mut body = KeyBody { first: version.number, newest: version.number, newest_id: version.id, ..body };
        body.settings.min_seal = body.settings.min_seal.map(|_| version.number);
        match self.write_key(&trusted, name, &body, Expected::Absent).await? {
            Ok(_) => {
                self.keep_up(&trusted, name).await;
                Ok(body.describe(name))
            }
            // The version of the one who lost the race stays behind, unused.
            Err(error) if error.kind() == ErrorKind::Conflict => Err(KeyringError::KeyExists(name.clone())),
            Err(error) => Err(error.into()),
        }
    }
}
