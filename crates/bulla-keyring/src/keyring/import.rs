//! Taking material from outside.

use bulla_backend::{ErrorKind, Expected};
use bulla_seal::SecretVec;

use super::rotate::Advanced;
use super::rows::FoundVersion;
use super::versions::{Adopt, Material};
use super::{Keyring, MAX_ATTEMPTS, refuse_system};
use crate::format::{KEY_VERSIONS, VersionRow, version_key};
use crate::trust_log::Trusted;
use crate::{KeyName, KeyringError, Result, VersionInfo};

impl Keyring {
    /// Makes material from outside the newest version of a key that was made by [`Keyring::create_external_key`]. However many processes
    /// bring the same material, there is one version of it.
    ///
    /// Where the key has a version of this material already, that one is returned, be it the newest or not; from then on it counts as made in
    /// this epoch.
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
                        let Some(row) = self.bear_again(&trusted, name, found, &material.bytes).await? else {
                            continue;
                        };
                        let VersionRow { number, id, created, born, epoch, .. } = row;
                        let state = body.state(number, self.clock.now());
                        return Ok(VersionInfo { number, id, state, created, born, epoch });
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

    /// Writes a version whose material was brought again as one of this epoch: its source stands by it, whoever else may know it. It is what
    /// was brought that is written, for the row of an older epoch may be forged: its id is no secret. `None` if another writer was faster.
    async fn bear_again(
        &self,
        trusted: &Trusted,
        name: &KeyName,
        found: FoundVersion,
        brought: &SecretVec,
    ) -> Result<Option<VersionRow>> {
        let current = trusted.deks.current();
        if found.row.born == current && found.material == *brought {
            return Ok(Some(found.row));
        }
        let row = VersionRow { born: current, epoch: current, ..found.row };
        let row = self.seal_version(trusted, name, row, brought)?;
        let place = version_key(name, row.number)?;
        match self.trust.put(KEY_VERSIONS, &place, &row.encode(), Expected::Revision(found.revision)).await {
            Ok(_) => {
                self.cache.forget_version(row.id);
                self.cache.doubt(name);
                Ok(Some(row))
            }
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
