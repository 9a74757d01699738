//! Handing out material.

use bulla_seal::SecretVec;

use super::{Keyring, refuse_system};
use crate::{Exportable, KeyName, KeyringError, PublicKey, Result};

impl Keyring {
    /// Returns the material of a version.
    ///
    /// # Errors
    /// [`KeyringError::NotExportable`] unless [`KeySetting::Exportable`](crate::KeySetting::Exportable) allows it, and always for a version
    /// that was made while that was [`Exportable::Never`]; as [`Keyring::version_of`].
    ///
    /// # Security
    /// From then on the material is as safe as the caller keeps it. Disabling or destroying the version here does not take it back.
    pub async fn export_version(&self, name: &KeyName, number: u64) -> Result<SecretVec> {
        refuse_system(name)?;
        let mut trusted = self.trusted().await?;
        // Read now, and not within the last second: what is handed out is not taken back.
        let body = self.find_key(&mut trusted, name).await?.body;
        if body.settings.exportable != Exportable::Yes {
            return Err(KeyringError::NotExportable(name.clone()));
        }
        body.check_open(name, number, self.clock.now())?;
        let found = self.find_version(&mut trusted, name, number).await?;
        if found.row.never_exported { Err(KeyringError::NotExportable(name.clone())) } else { Ok(found.material) }
    }

    /// Returns what others need to verify signatures of a key, or to seal to it: that of its newest version, or of another.
    ///
    /// # Errors
    /// [`KeyringError::WrongUse`] for keys without a public part; as [`Keyring::version_of`].
    pub async fn public_key(&self, name: &KeyName, number: Option<u64>) -> Result<PublicKey> {
        refuse_system(name)?;
        let described = self.described_now(name).await?;
        let number = number.unwrap_or(described.body.newest);
        described.body.check_open(name, number, self.clock.now())?;
        self.prepared_number(name, number, &described.body).await?.public()
    }
}
