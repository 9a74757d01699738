//! Making a version the newest of its key.

use std::sync::Arc;

use bulla_backend::{ErrorKind, Expected};

use super::rows::FoundKey;
use super::versions::{Adopt, Material};
use super::{Keyring, MAX_ATTEMPTS, refuse_system};
use crate::format::KeyBody;
use crate::trust_log::Trusted;
use crate::{KeyName, KeyringError, Result, VersionInfo};

impl Keyring {
    /// Makes a new version of a key. Once this has returned, nothing is sealed under an older one by this process; others follow at
    /// their next use of the key.
    ///
    /// # Errors
    /// [`KeyringError::NoKey`]; [`KeyringError::Reserved`]; [`KeyringError::ExternalKey`] if only its source can rotate it;
    /// [`KeyringError::OldEpoch`] if the description of the key is of an older
    /// epoch; [`KeyringError::KeyRollback`] or [`KeyringError::KeyForked`] if it is not what this process has seen;
    /// [`KeyringError::Conflict`] if others rotate the key all the time.
    pub async fn rotate_key(&self, name: &KeyName) -> Result<VersionInfo> {
        refuse_system(name)?;
        let mut trusted = self.trusted().await?;
        self.rotate(&mut trusted, name).await
    }

    /// Makes a new version of a key if its period is over, or its newest version has been used as often as it may. However many
    /// processes notice, one version is made. Sealing does this by itself.
    ///
    /// # Errors
    /// As [`Keyring::rotate_key`].
    pub async fn rotate_due(&self, name: &KeyName) -> Result<Option<VersionInfo>> {
        refuse_system(name)?;
        let mut trusted = self.trusted().await?;
        let body = self.read_key_to_seal(&mut trusted, name).await?.body;
        body.check_alive(name)?;
        if body.is_external() {
            return Ok(None);
        }
        let is_due = body.period_is_over(|| self.clock.now()) || self.is_used_up(&body).await?;
        if is_due { self.rotate_from(&mut trusted, name, body.newest).await } else { Ok(None) }
    }

    /// Makes a new version, whatever others do.
    pub(super) async fn rotate(&self, trusted: &mut Arc<Trusted>, name: &KeyName) -> Result<VersionInfo> {
        let mut body = self.read_key_to_seal(trusted, name).await?.body;
        for _ in 0..MAX_ATTEMPTS {
            body.check_alive(name)?;
            if body.is_external() {
                return Err(KeyringError::ExternalKey(name.clone()));
            }
            let material = Material::drawn(body.algorithm)?;
            let (info, version) =
                self.add_version(trusted, name, &body, body.newest, &material, Adopt::Nothing).await?;
            match self.advance(trusted, name, &info, body.is_never_exported()).await? {
                Advanced::Done => {
                    self.cache.keep_version(version);
                    self.keep_up(trusted, name).await;
                    return Ok(info);
                }
                Advanced::Changed(changed) => body = *changed,
            }
        }
        Err(KeyringError::Conflict(format!("key `{name}`")))
    }

    /// Makes a new version in place of `due`, unless another process did: `None` then.
    pub(super) async fn rotate_from(
        &self,
        trusted: &mut Arc<Trusted>,
        name: &KeyName,
        due: u64,
    ) -> Result<Option<VersionInfo>> {
        for _ in 0..MAX_ATTEMPTS {
            let found = self.read_key_to_seal(trusted, name).await?;
            if found.body.newest != due {
                return Ok(None);
            }
            found.body.check_alive(name)?;
            let material = Material::drawn(found.body.algorithm)?;
            let (info, version) = self.add_version(trusted, name, &found.body, due, &material, Adopt::Any).await?;
            if self.name_newest(trusted, name, &found, &info).await? {
                self.cache.keep_version(version);
                return Ok(Some(info));
            }
        }
        Err(KeyringError::Conflict(format!("key `{name}`")))
    }

    /// Makes a version the newest of its key, unless a newer one is already.
    pub(super) async fn advance(
        &self,
        trusted: &mut Arc<Trusted>,
        name: &KeyName,
        version: &VersionInfo,
        never_exported: bool,
    ) -> Result<Advanced> {
        for _ in 0..MAX_ATTEMPTS {
            let found = self.read_key_to_seal(trusted, name).await?;
            if found.body.newest > version.number || found.body.newest_id == version.id {
                return Ok(Advanced::Done);
            }
            if version.epoch != trusted.deks.current() {
                // An epoch has begun since it was made. Nothing would ever be sealed under it.
                return Ok(Advanced::Changed(Box::new(found.body)));
            }
            if found.body.newest == version.number {
                return Err(KeyringError::KeyForked { name: name.clone(), number: version.number });
            }
            if found.body.is_never_exported() != never_exported || found.body.settings.deleting.is_some() {
                return Ok(Advanced::Changed(Box::new(found.body)));
            }
            if self.name_newest(trusted, name, &found, version).await? {
                return Ok(Advanced::Done);
            }
        }
        Err(KeyringError::Conflict(format!("key `{name}`")))
    }

    /// Writes the description that names a version as the newest; says whether no other writer came between.
    async fn name_newest(
        &self,
        trusted: &Trusted,
        name: &KeyName,
        found: &FoundKey,
        version: &VersionInfo,
    ) -> Result<bool> {
        let serial = super::rows::next_serial(name, &found.body)?;
        let body = KeyBody {
            serial,
            newest: version.number,
            newest_id: version.id,
            rotated: self.clock.now(),
            ..found.body.clone()
        };
        match self.write_key(trusted, name, &body, Expected::Revision(found.revision)).await? {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// What became of a version that was to be the newest.
pub(super) enum Advanced {
    /// It is the newest, or a newer one is.
    Done,
    /// The key has changed meanwhile, so that the version would not be made as it was.
    Changed(Box<KeyBody>),
}
