//! Doing what is due: destroying material, and deleting keys.
//!
//! The description says first that there is no way back, and the trust log that it said so; then material goes; then the description says
//! that it is gone. Interrupted anywhere, the next call goes on.

use std::sync::Arc;

use bulla_backend::{DocumentKey, ErrorKind, Expected, ListQuery};

use super::rows::{FoundKey, id_place, key_place};
use super::{Keyring, MAX_ATTEMPTS, refuse_system};
use crate::format::{
    BEGUN, IdRow, KEY_IDS, KEY_VERSIONS, KEYS, KeyBody, VersionRow, version_key, version_number, version_prefix,
};
use crate::trust_log::Trusted;
use crate::{KeyName, KeyringError, Result};

/// What a purge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Purged {
    /// How many versions were destroyed.
    pub versions: u64,
    /// How many keys were deleted.
    pub keys: u64,
}

impl Keyring {
    /// Destroys the versions, and deletes the keys, whose time has come. What cannot be read is passed over.
    ///
    /// # Errors
    /// [`KeyringError::NotAuthorised`] if something is due and this machine may not authorise; [`KeyringError::Backend`].
    pub async fn purge(&self) -> Result<Purged> {
        let mut trusted = self.trusted().await?;
        let mut purged = Purged::default();
        let mut after = None;
        loop {
            let page = self.trust.list(KEYS, &ListQuery { prefix: Vec::new(), after, limit: 0 }).await?;
            for document in &page.documents {
                let Some(name) = crate::format::name_from_key(&document.key) else { continue };
                let Ok(found) = self.verify_key(&trusted, &name, document) else { continue };
                if self.is_anything_due(&found.body) && found.epoch == trusted.deks.current() {
                    let did = self.purge_found(&mut trusted, &name).await?;
                    purged.versions += did.versions;
                    purged.keys += did.keys;
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(purged),
            }
        }
    }

    /// As [`Keyring::purge`], for one key.
    ///
    /// # Errors
    /// As [`Keyring::purge`] and [`Keyring::rotate_key`].
    pub async fn purge_key(&self, name: &KeyName) -> Result<Purged> {
        refuse_system(name)?;
        let mut trusted = self.trusted().await?;
        self.purge_found(&mut trusted, name).await
    }

    pub(super) async fn purge_found(&self, trusted: &mut Arc<Trusted>, name: &KeyName) -> Result<Purged> {
        let body = self.read_key_to_seal(trusted, name).await?.body;
        if !self.is_anything_due(&body) {
            return Ok(Purged::default());
        }
        let begin = |found: &FoundKey| {
            let mut body = found.body.clone();
            let now = self.clock.now();
            if body.settings.deleting.is_some_and(|at| at <= now) {
                body.settings.deleting = Some(BEGUN);
                // A key that is made under this name later begins above its floor, and so above all numbers that this one had.
                body.serial = body.serial.max(body.newest);
            }
            for at in body.settings.destroying.values_mut().filter(|at| **at <= now) {
                *at = BEGUN;
            }
            Ok((body != found.body).then_some(body))
        };
        let body = self.restrict_key(trusted, name, begin).await?;
        if body.settings.deleting == Some(BEGUN) {
            self.remove_versions(name, u64::MAX).await?;
            self.remove_key(trusted, name).await?;
            return Ok(Purged { keys: 1, versions: 0 });
        }
        let begun = body.settings.destroying.iter().filter(|(_, at)| **at == BEGUN).map(|(number, _)| *number);
        let begun: Vec<u64> = begun.collect();
        for number in &begun {
            self.destroy_material(name, *number).await?;
        }
        let gone = |found: &FoundKey| {
            let mut body = found.body.clone();
            for number in &begun {
                if body.settings.destroying.remove(number).is_some() {
                    body.settings.destroyed.insert(*number);
                    body.settings.disabled.remove(*number);
                }
            }
            // Where no room is left to say it more briefly, that it has begun says the same.
            let fits = body.settings.destroyed.len() <= crate::format::MAX_RANGES
                && body.settings.disabled.len() <= crate::format::MAX_RANGES;
            Ok((fits && body != found.body).then_some(body))
        };
        self.change_key(trusted, name, gone).await?;
        Ok(Purged { versions: begun.len() as u64, keys: 0 })
    }

    fn is_anything_due(&self, body: &KeyBody) -> bool {
        let now = self.clock.now();
        body.settings.deleting.is_some_and(|at| at <= now) || body.settings.destroying.values().any(|at| *at <= now)
    }

    /// Replaces a version by what it was, without its material.
    async fn destroy_material(&self, name: &KeyName, number: u64) -> Result<()> {
        let place = version_key(name, number)?;
        for _ in 0..MAX_ATTEMPTS {
            let Some(document) = self.trust.get(KEY_VERSIONS, &place).await? else { return Ok(()) };
            let Some(row) = VersionRow::decode(&document.value) else {
                self.trust.delete(KEY_VERSIONS, &place, Expected::Any).await?;
                return Ok(());
            };
            self.cache.forget_version(row.id);
            if row.sealed.is_empty() {
                return Ok(());
            }
            self.forget_uses(row.id).await?;
            let emptied = VersionRow { sealed: Vec::new(), ..row }.encode();
            match self.trust.put(KEY_VERSIONS, &place, &emptied, Expected::Revision(document.revision)).await {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KeyringError::Conflict(format!("version {number} of key `{name}`")))
    }

    /// Removes all versions of a key below a number, with what belongs to them; returns how many.
    pub(super) async fn remove_versions(&self, name: &KeyName, below: u64) -> Result<u64> {
        let mut removed = 0;
        let query = ListQuery { prefix: version_prefix(name), ..ListQuery::default() };
        loop {
            let page = self.trust.list(KEY_VERSIONS, &query).await?;
            let mut any = false;
            for document in &page.documents {
                let Some(number) = version_number(name, &document.key) else { continue };
                if number >= below {
                    return Ok(removed);
                }
                if let Some(row) = VersionRow::decode(&document.value) {
                    self.remove_entry(name, number, &row).await?;
                }
                // The version goes last: as long as it is there, what belongs to it is found.
                self.trust.delete(KEY_VERSIONS, &document.key, Expected::Any).await?;
                any = true;
                removed += 1;
            }
            if !any {
                return Ok(removed);
            }
        }
    }

    async fn remove_entry(&self, name: &KeyName, number: u64, row: &VersionRow) -> Result<()> {
        self.cache.forget_version(row.id);
        self.forget_uses(row.id).await?;
        let place: DocumentKey = id_place(row.id)?;
        let Some(document) = self.trust.get(KEY_IDS, &place).await? else { return Ok(()) };
        // The id was not verified: an entry that leads to another version is that version's.
        if IdRow::decode(&document.value) != Some(IdRow { name: name.clone(), number }) {
            return Ok(());
        }
        match self.trust.delete(KEY_IDS, &place, Expected::Revision(document.revision)).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn remove_key(&self, trusted: &mut Arc<Trusted>, name: &KeyName) -> Result<()> {
        for _ in 0..MAX_ATTEMPTS {
            let Some(found) = self.read_key(trusted, name).await? else { return Ok(()) };
            if found.body.settings.deleting != Some(BEGUN) {
                return Ok(());
            }
            let deleted = self.trust.delete(KEYS, &key_place(name)?, Expected::Revision(found.revision)).await;
            self.cache.doubt(name);
            match deleted {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KeyringError::Conflict(format!("key `{name}`")))
    }
}
