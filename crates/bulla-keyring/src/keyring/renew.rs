//! Bringing keys and versions under the current data key, once an epoch has begun.

use std::sync::Arc;

use bulla_backend::{DocumentKey, ErrorKind, Expected, ListQuery};

use super::rows::{check_seen, next_serial};
use super::versions::{Adopt, Material};
use super::{Keyring, MAX_ATTEMPTS};
use crate::format::{KEY_VERSIONS, KEYS, KeyBody, KeyRow, VersionRow, name_from_key, version_key, version_place};
use crate::trust_log::Trusted;
use crate::{KeyName, KeyringError, Result, VersionInfo};

/// What was done to a key for a new epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Renewed {
    /// It was of the current epoch already, and so was its newest version.
    Already,
    /// It was written anew, and has a new version.
    Rotated(VersionInfo),
    /// It was written anew; its material comes from outside, and only its source can rotate it. It opens, and seals again once
    /// [`Keyring::import_version`] has brought its material, old or new.
    OnlySource,
}

/// Some documents whose data key is of an older epoch.
#[derive(Debug)]
#[non_exhaustive]
pub struct OldEpochPage<T> {
    /// What they are, in order of their keys.
    pub found: Vec<T>,
    /// Where the next page begins, or `None` if this was the last.
    pub next: Option<DocumentKey>,
}

impl Keyring {
    /// Brings a key under the current data key: it gets a new version, and its description, verified under the data key of its epoch, is
    /// written anew with that as its newest. Interrupted anywhere, the next call goes on; a key that is done stays as it is.
    ///
    /// It takes system keys too: nothing is revealed, or sealed under a key of the caller's choice.
    ///
    /// # Errors
    /// As [`Keyring::rotate_key`].
    ///
    /// # Security
    /// Whoever kept the data key of the older epoch, and can write the database, can have forged the description, as far as its serial number is
    /// not below the floor. What restricts a key has one.
    pub async fn renew_key(&self, name: &KeyName) -> Result<Renewed> {
        let mut trusted = self.trusted().await?;
        for _ in 0..MAX_ATTEMPTS {
            let seen = self.cache.seen(name);
            let found = self.find_key(&mut trusted, name).await?;
            check_seen(seen, name, &found.body)?;
            if found.epoch == trusted.deks.current() {
                return self.renew_newest(&mut trusted, name, &found.body).await;
            }
            let serial = next_serial(name, &found.body)?;
            let mut anew = KeyBody { serial, ..found.body };
            // A version of the older epoch may have been forged: it is not chosen to seal under, until somebody allows that again.
            anew.settings.min_seal = None;
            let made = if anew.is_external() {
                None
            } else {
                // The version comes first: no description of this epoch ever names one of an older epoch to seal under.
                let material = Material::drawn(anew.algorithm)?;
                let made = self.add_version(&mut trusted, name, &anew, anew.newest, &material, Adopt::Any).await?;
                anew = KeyBody { newest: made.0.number, newest_id: made.0.id, rotated: self.clock.now(), ..anew };
                Some(made)
            };
            match self.write_key(&trusted, name, &anew, Expected::Revision(found.revision)).await? {
                Ok(_) => {
                    self.cache.doubt(name);
                    let Some((info, version)) = made else {
                        self.rewrap_version(name, anew.newest).await?;
                        return Ok(Renewed::OnlySource);
                    };
                    self.cache.keep_version(version);
                    return Ok(Renewed::Rotated(info));
                }
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KeyringError::Conflict(format!("key `{name}`")))
    }

    /// Sees to it that a key whose description is of the current epoch has a newest version of it.
    async fn renew_newest(&self, trusted: &mut Arc<Trusted>, name: &KeyName, body: &KeyBody) -> Result<Renewed> {
        if body.is_external() {
            let rewrapped = self.rewrap_version(name, body.newest).await?;
            return Ok(if rewrapped { Renewed::OnlySource } else { Renewed::Already });
        }
        let newest = self.find_version(trusted, name, body.newest).await;
        // A newest version that cannot be read is no reason to keep it.
        if newest.is_ok_and(|newest| newest.row.born == trusted.deks.current()) {
            return Ok(Renewed::Already);
        }
        Ok(match self.rotate_from(trusted, name, body.newest).await? {
            Some(version) => Renewed::Rotated(version),
            None => Renewed::Already,
        })
    }

    /// Brings a key that this process wrote just now under the current data key, should an epoch have begun meanwhile: a rotation may have
    /// passed its place already.
    ///
    /// Where it fails, the key opens, does not seal, and is renewed by the next rotation.
    pub(super) async fn keep_up(&self, written: &Trusted, name: &KeyName) {
        let Ok(trusted) = self.looked().await else { return };
        if trusted.deks.current() != written.deks.current() {
            // What was asked for is done either way; whoever seals next is told what is missing.
            let _ = self.renew_key(name).await;
        }
    }

    /// Seals the material of a version anew under the current data key. Id and number stay. Says whether there was anything to do.
    ///
    /// # Errors
    /// [`KeyringError::Corrupt`] if it cannot be read; as [`Keyring::rotate_key`].
    pub async fn rewrap_version(&self, name: &KeyName, number: u64) -> Result<bool> {
        let mut trusted = self.trusted().await?;
        let place = version_key(name, number)?;
        for _ in 0..MAX_ATTEMPTS {
            let missing = || KeyringError::corrupt(format!("version {number} of key `{name}`"), "it is missing");
            let document = self.trust.get(KEY_VERSIONS, &place).await?.ok_or_else(missing)?;
            if VersionRow::decode(&document.value).is_some_and(|row| row.number == number && row.sealed.is_empty()) {
                return Ok(false);
            }
            let found = self.find_version(&mut trusted, name, number).await?;
            let epoch = trusted.deks.current();
            if found.row.epoch == epoch {
                return Ok(false);
            }
            let row = VersionRow { epoch, ..found.row };
            let row = self.seal_version(&trusted, name, row, &found.material)?;
            match self.trust.put(KEY_VERSIONS, &place, &row.encode(), Expected::Revision(found.revision)).await {
                Ok(_) => {
                    // What is prepared says that it is of an older epoch.
                    self.cache.forget_version(row.id);
                    self.cache.doubt(name);
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KeyringError::Conflict(format!("version {number} of key `{name}`")))
    }

    /// Lists the keys, system keys among them, among the next `limit` documents whose description is of an older epoch.
    ///
    /// # Errors
    /// [`KeyringError::Backend`]. A document that cannot be read is listed too, if its key is a name: what is done to it says what is
    /// wrong.
    pub async fn keys_of_older_epochs(
        &self,
        after: Option<DocumentKey>,
        limit: usize,
    ) -> Result<OldEpochPage<KeyName>> {
        let current = self.trusted().await?.deks.current();
        let page = self.trust.list(KEYS, &ListQuery { prefix: Vec::new(), after, limit }).await?;
        let old = page.documents.iter().filter_map(|document| {
            let is_old = KeyRow::decode(&document.value).is_none_or(|row| row.epoch < current);
            is_old.then(|| name_from_key(&document.key))?
        });
        Ok(OldEpochPage { found: old.collect(), next: page.next })
    }

    /// Lists the versions, by key and number, among the next `limit` documents whose material is wrapped under an older epoch.
    ///
    /// # Errors
    /// As [`Keyring::keys_of_older_epochs`].
    pub async fn versions_of_older_epochs(
        &self,
        after: Option<DocumentKey>,
        limit: usize,
    ) -> Result<OldEpochPage<(KeyName, u64)>> {
        let current = self.trusted().await?.deks.current();
        let page = self.trust.list(KEY_VERSIONS, &ListQuery { prefix: Vec::new(), after, limit }).await?;
        let old = page.documents.iter().filter_map(|document| {
            let row = VersionRow::decode(&document.value);
            let is_old = row.is_none_or(|row| row.epoch < current && !row.sealed.is_empty());
            is_old.then(|| version_place(&document.key))?
        });
        Ok(OldEpochPage { found: old.collect(), next: page.next })
    }
}
