//! Taking material from outside.

use bulla_seal::SecretVec;

use super::rotate::Advanced;
use super::versions::{Adopt, Material};
use super::{Keyring, MAX_ATTEMPTS, refuse_system};
use crate::{KeyName, KeyringError, Result, VersionInfo};

impl Keyring {
    /// Makes material from outside the newest version of a key that was made by [`Keyring::create_external_key`]. However many processes
    /// bring the same material, there is one version of it.
    ///
    /// Where the key has a version of this material already, that one is returned, be it the newest or not.
    ///
    /// # Errors
    /// [`KeyringError::GeneratedKey`] if the key's material is drawn here; [`KeyringError::MaterialInUse`] if another key has it;
    /// [`KeyringError::VersionDestroyed`] if it was destroyed; [`KeyringError::Seal`] for material that the algorithm cannot have; as
    /// [`Keyring::rotate_key`].
    pub async fn import_version(&self, name: &KeyName, material: &SecretVec) -> Result<VersionInfo> {
        refuse_system(name)?;
        let mut trusted = self.trusted().await?;
        let material = Material::external(material)?;
        for _ in 0..MAX_ATTEMPTS {
            let body = self.read_key_to_seal(&mut trusted, name).await?.body;
            body.check_alive(name)?;
            if !body.is_external() {
                return Err(KeyringError::GeneratedKey(name.clone()));
            }
            if let Some(entry) = self.read_id(material.id).await? {
                if entry.name != *name {
                    return Err(KeyringError::MaterialInUse { name: name.clone(), other: entry.name });
                }
                if body.has(entry.number) {
                    if body.is_beyond_recovery(entry.number) {
                        return Err(KeyringError::VersionDestroyed { name: name.clone(), number: entry.number });
                    }
                    let found = self.find_version(&mut trusted, name, entry.number).await?;
                    if found.row.id == material.id {
                        let (number, id, created, epoch) =
                            (entry.number, found.row.id, found.row.created, found.row.epoch);
                        let state = body.state(number, self.clock.now());
                        return Ok(VersionInfo { number, id, state, created, epoch });
                    }
                }
            }
            let (info, version) =
                self.add_version(&mut trusted, name, &body, body.newest, &material, Adopt::Same).await?;
            match self.advance(&mut trusted, name, &info, body.is_never_exported()).await? {
                Advanced::Done => {
                    self.cache.keep_version(version);
                    return Ok(info);
                }
                Advanced::Changed(_) => {}
            }
        }
        Err(KeyringError::Conflict(format!("key `{name}`")))
    }
}
