//! Named keys: create, rotate, describe, list.

use std::collections::BTreeMap;

use bulla_backend::{Document, DocumentKey, ErrorKind, Expected, ListQuery, MAX_PAGE_DOCUMENTS};
use bulla_seal::{KeyVersionId, SealKey, Secret};

use super::{Keyring, refuse_system};
use crate::cache::Newest;
use crate::format::{
    IdRow, KEY_IDS, KEY_VERSIONS, KEYS, KeyBody, VersionRow, name_from_key, version_key, version_number, version_prefix,
};
use crate::trust_log::Trusted;
use crate::{
    Algorithm, KeyInfo, KeyName, KeyPage, KeyVersion, KeyringError, Result, VersionInfo, VersionPage, VersionState,
};

/// How often a lost race is tried again. Each one lost means that another writer got on.
const MAX_ATTEMPTS: usize = 1_000;

impl Keyring {
    /// Creates a key with a first version.
    ///
    /// # Errors
    /// [`KeyringError::KeyExists`], or [`KeyringError::Reserved`] for names that belong to Bulla itself.
    pub async fn create_key(&self, name: &KeyName, algorithm: Algorithm) -> Result<KeyInfo> {
        refuse_system(name)?;
        let trusted = self.trusted().await?;
        if self.read_key(&trusted, name).await?.is_some() {
            return Err(KeyringError::KeyExists(name.clone()));
        }
        let version = self.add_version(&trusted, name, algorithm, 0).await?;
        let (number, newest_id) = (version.0.number, version.0.id);
        let body = KeyBody { algorithm, created: version.0.created, first: number, newest: number, newest_id };
        match self.write_key(&trusted, name, &body, Expected::Absent).await? {
            Ok(_) => Ok(describe(name, &body)),
            // The version of the one who lost the race stays behind, unused.
            Err(error) if error.kind() == ErrorKind::Conflict => Err(KeyringError::KeyExists(name.clone())),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a new version of a key. Once this has returned, nothing is sealed under an older one by this process; others follow at
    /// their next use of the key.
    ///
    /// # Errors
    /// [`KeyringError::NoKey`]; [`KeyringError::Reserved`]; [`KeyringError::OldEpoch`] if the description of the key is of an older
    /// epoch; [`KeyringError::KeyRollback`] or [`KeyringError::KeyForked`] if it is not what this process has seen;
    /// [`KeyringError::Conflict`] if others rotate the key all the time.
    pub async fn rotate_key(&self, name: &KeyName) -> Result<VersionInfo> {
        refuse_system(name)?;
        let trusted = self.trusted().await?;
        let body = self.read_key_to_seal(&trusted, name).await?.body;
        let (info, version) = self.add_version(&trusted, name, body.algorithm, body.newest).await?;
        let advanced = self.advance(&trusted, name, &info).await;
        if advanced.is_ok() {
            self.cache.keep_newest(Newest { version: version.into(), mark: None });
        }
        // Whether a write that failed has happened all the same, only the next look can tell.
        self.cache.doubt(name);
        advanced.map(|()| info)
    }

    /// Describes a key.
    ///
    /// # Errors
    /// [`KeyringError::NoKey`].
    pub async fn key(&self, name: &KeyName) -> Result<KeyInfo> {
        let trusted = self.trusted().await?;
        let found = self.read_key(&trusted, name).await?.ok_or_else(|| KeyringError::NoKey(name.clone()))?;
        Ok(describe(name, &found.body))
    }

    /// Lists at most `limit` keys, those behind the `next` of the page before.
    ///
    /// # Errors
    /// [`KeyringError::Backend`] if the storage cannot be read. A damaged row is an entry of the page.
    pub async fn keys(&self, after: Option<DocumentKey>, limit: usize) -> Result<KeyPage> {
        let trusted = self.trusted().await?;
        let page = self.trust.list(KEYS, &ListQuery { prefix: Vec::new(), after, limit }).await?;
        let key = |document: &Document| {
            let name = name_from_key(&document.key).ok_or_else(|| {
                KeyringError::corrupt(format!("key `{}`", document.key), "its name is none that a key can have")
            })?;
            self.verify_key(&trusted, &name, document).map(|found| describe(&name, &found.body))
        };
        Ok(KeyPage { keys: page.documents.iter().map(key).collect(), next: page.next })
    }

    /// Lists at most `limit` versions of a key, those with numbers above `after`.
    ///
    /// # Errors
    /// [`KeyringError::NoKey`], or [`KeyringError::Backend`] if the storage cannot be read. A damaged or missing row is an entry of
    /// the page.
    pub async fn versions(&self, name: &KeyName, after: Option<u64>, limit: usize) -> Result<VersionPage> {
        let trusted = self.trusted().await?;
        let body = self.read_key(&trusted, name).await?.ok_or_else(|| KeyringError::NoKey(name.clone()))?.body;
        let from = after.map_or(body.first, |after| after.saturating_add(1)).max(body.first);
        let limit = if limit == 0 { MAX_PAGE_DOCUMENTS } else { limit.min(MAX_PAGE_DOCUMENTS) };
        let query =
            ListQuery { prefix: version_prefix(name), after: Some(version_key(name, from.saturating_sub(1))?), limit };
        let page = self.trust.list(KEY_VERSIONS, &query).await?;
        let documents: BTreeMap<u64, Document> = page
            .documents
            .into_iter()
            .filter_map(|document| version_number(name, &document.key).map(|number| (number, document)))
            .collect();
        // Behind the last document of a page that is not the last nothing is known.
        let known = match (&page.next, documents.last_key_value()) {
            (Some(_), Some((last, _))) => body.newest.min(*last),
            _ => body.newest,
        };
        let mut versions = Vec::new();
        let mut last = None;
        for number in (from..=known).take(limit) {
            last = Some(number);
            versions.push(match documents.get(&number) {
                Some(document) => self.describe_version(&trusted, name, number, document),
                None => Err(KeyringError::corrupt(format!("version {number} of key `{name}`"), "it is missing")),
            });
        }
        Ok(VersionPage { versions, next: last.filter(|&last| last < body.newest) })
    }

    /// Writes a new version under the next free number behind `newest`, and its id. Nobody uses it before the key names it, or one
    /// behind it, as its newest.
    pub(super) async fn add_version(
        &self,
        trusted: &Trusted,
        name: &KeyName,
        algorithm: Algorithm,
        newest: u64,
    ) -> Result<(VersionInfo, KeyVersion)> {
        let (id, material) = (KeyVersionId::random()?, Secret::random()?);
        let mut below = newest;
        for _ in 0..MAX_ATTEMPTS {
            let number = below.checked_add(1).ok_or_else(|| numbers_used_up(name))?;
            let row = VersionRow {
                number,
                id,
                state: VersionState::Enabled,
                algorithm,
                created: self.clock.now(),
                epoch: trusted.deks.current(),
                sealed: Vec::new(),
            };
            let row = self.seal_version(trusted, name, row, &material)?;
            match self.trust.put(KEY_VERSIONS, &version_key(name, number)?, &row.encode(), Expected::Absent).await {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    below = self.last_version(name, number).await?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            let entry = IdRow { name: name.clone(), number };
            self.trust.put(KEY_IDS, &DocumentKey::new(id.0)?, &entry.encode(), Expected::Absent).await?;
            let info = VersionInfo { number, id, state: row.state, created: row.created, epoch: row.epoch };
            return Ok((info, KeyVersion::new(name.clone(), number, algorithm, SealKey::new(id, material.expose())?)));
        }
        Err(KeyringError::Conflict(format!("key `{name}`")))
    }

    /// Returns the highest number, from `number` on, under which a version is stored, be it in use or left behind.
    async fn last_version(&self, name: &KeyName, number: u64) -> Result<u64> {
        let mut query = ListQuery {
            prefix: version_prefix(name),
            after: Some(version_key(name, number)?),
            limit: MAX_PAGE_DOCUMENTS,
        };
        let mut last = number;
        loop {
            let page = self.trust.list(KEY_VERSIONS, &query).await?;
            last = page.documents.iter().filter_map(|found| version_number(name, &found.key)).fold(last, u64::max);
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(last),
            }
        }
    }

    /// Makes a version the newest of its key, unless a newer one is already.
    async fn advance(&self, trusted: &Trusted, name: &KeyName, version: &VersionInfo) -> Result<()> {
        for _ in 0..MAX_ATTEMPTS {
            let found = self.read_key_to_seal(trusted, name).await?;
            if found.body.newest > version.number || found.body.newest_id == version.id {
                return Ok(());
            }
            if found.body.newest == version.number {
                return Err(KeyringError::KeyForked { name: name.clone(), number: version.number });
            }
            let body = KeyBody { newest: version.number, newest_id: version.id, ..found.body };
            match self.write_key(trusted, name, &body, Expected::Revision(found.revision)).await? {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KeyringError::Conflict(format!("key `{name}`")))
    }
}

fn describe(name: &KeyName, body: &KeyBody) -> KeyInfo {
    KeyInfo {
        name: name.clone(),
        algorithm: body.algorithm,
        created: body.created,
        first: body.first,
        newest: body.newest,
    }
}

fn numbers_used_up(name: &KeyName) -> KeyringError {
    KeyringError::corrupt(format!("key `{name}`"), "a version has the highest number that there is")
}
