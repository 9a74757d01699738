//! Reading and writing the rows of keys and versions: what is stored, verified under a data key.

use bulla_backend::{Document, Expected, Revision};
use bulla_seal::{Context, KeyVersionId, Params, SealKey, Secret, SecretVec, Suite};

use super::Keyring;
use crate::dek::Dek;
use crate::format::{IdRow, KEY_IDS, KEY_VERSIONS, KEYS, KeyBody, KeyRow, MATERIAL_LEN, VersionRow, version_key};
use crate::trust_log::Trusted;
use crate::{KeyName, KeyVersion, KeyringError, Result, VersionInfo};

const KEY_DOMAIN: &str = "bulla/keyring/key";
const VERSION_DOMAIN: &str = "bulla/keyring/version";

/// The description of a key as it was read.
pub(super) struct FoundKey {
    pub(super) body: KeyBody,
    /// Epoch of the data key that authenticates it.
    epoch: u64,
    /// Which write of it this is.
    pub(super) revision: Revision,
}

impl Keyring {
    /// Reads the description of a key.
    pub(super) async fn read_key(&self, trusted: &Trusted, name: &KeyName) -> Result<Option<FoundKey>> {
        let key = bulla_backend::DocumentKey::new(name.as_str().as_bytes())?;
        let Some(document) = self.trust.get(KEYS, &key).await? else { return Ok(None) };
        self.verify_key(trusted, name, &document).map(Some)
    }

    /// Reads the description of a key whose newest version is to be used, or to be followed by another.
    ///
    /// It must be of the current epoch: whoever kept only the data key of an older one must not choose what is sealed under. And it
    /// must not be older than what this process has seen.
    pub(super) async fn read_key_to_seal(&self, trusted: &Trusted, name: &KeyName) -> Result<FoundKey> {
        // The memory comes first: what another thread learns while the key is read does not make this look a step back.
        let seen = self.cache.seen(name);
        let found = self.read_key(trusted, name).await?.ok_or_else(|| KeyringError::NoKey(name.clone()))?;
        check_epoch(trusted, found.epoch, || format!("key `{name}`"))?;
        let (number, id) = (found.body.newest, found.body.newest_id);
        match seen {
            Some(seen) if seen.number > number => {
                Err(KeyringError::KeyRollback { name: name.clone(), seen: seen.number, found: number })
            }
            Some(seen) if seen.number == number && seen.id != id => {
                Err(KeyringError::KeyForked { name: name.clone(), number })
            }
            _ => Ok(found),
        }
    }

    /// Verifies the description of a key.
    pub(super) fn verify_key(&self, trusted: &Trusted, name: &KeyName, document: &Document) -> Result<FoundKey> {
        let corrupt = |reason| KeyringError::corrupt(format!("key `{name}`"), reason);
        let row = KeyRow::decode(&document.value).ok_or_else(|| corrupt("it is not well-formed"))?;
        let context = Context::in_domain(KEY_DOMAIN, &self.project()).text("key", name.as_str()).build()?;
        let body = dek(trusted, row.epoch)?.wrap().open(&context, &row.sealed);
        let body = body.map_err(|_| corrupt("it was altered, or brought from elsewhere"))?;
        let body = KeyBody::decode(&body)
            .ok_or_else(|| corrupt("it is not well-formed, or written by a newer version of this program"))?;
        Ok(FoundKey { body, epoch: row.epoch, revision: document.revision })
    }

    /// Writes the description of a key, readable by all and authenticated under the current data key.
    pub(super) async fn write_key(
        &self,
        trusted: &Trusted,
        name: &KeyName,
        body: &KeyBody,
        expected: Expected,
    ) -> Result<bulla_backend::Result<Revision>> {
        let context = Context::in_domain(KEY_DOMAIN, &self.project()).text("key", name.as_str()).build()?;
        let epoch = trusted.deks.current();
        let sealed = dek(trusted, epoch)?.wrap().seal(Params::new(Suite::Authenticated), &context, &body.encode())?;
        let key = bulla_backend::DocumentKey::new(name.as_str().as_bytes())?;
        Ok(self.trust.put(KEYS, &key, &KeyRow { epoch, sealed }.encode(), expected).await)
    }

    /// Reads the newest version of a key, which must be of the current epoch, and prepares it to seal.
    pub(super) async fn read_newest(&self, trusted: &Trusted, name: &KeyName, body: &KeyBody) -> Result<KeyVersion> {
        let (version, epoch) = self.read_version(trusted, name, body.newest, body.newest_id).await?;
        check_epoch(trusted, epoch, || format!("version {} of key `{name}`", body.newest))?;
        Ok(version)
    }

    /// Reads a version and prepares it; returns its epoch with it.
    pub(super) async fn read_version(
        &self,
        trusted: &Trusted,
        name: &KeyName,
        number: u64,
        id: KeyVersionId,
    ) -> Result<(KeyVersion, u64)> {
        let missing = || KeyringError::corrupt(format!("version {number} of key `{name}`"), "it is missing");
        let document = self.trust.get(KEY_VERSIONS, &version_key(name, number)?).await?.ok_or_else(missing)?;
        let (row, material) = self.verify_version(trusted, name, number, &document)?;
        if row.id != id {
            let reason = "it has another id than the one by which it was looked for";
            return Err(KeyringError::corrupt(format!("version {number} of key `{name}`"), reason));
        }
        let key = SealKey::new(row.id, material.expose())?;
        Ok((KeyVersion::new(name.clone(), number, row.algorithm, key), row.epoch))
    }

    /// Verifies a version and describes it.
    pub(super) fn describe_version(
        &self,
        trusted: &Trusted,
        name: &KeyName,
        number: u64,
        document: &Document,
    ) -> Result<VersionInfo> {
        self.verify_version(trusted, name, number, document).map(|(row, _)| VersionInfo {
            number,
            id: row.id,
            state: row.state,
            created: row.created,
            epoch: row.epoch,
        })
    }

    /// Seals material for storage; all that the row says is bound to it.
    pub(super) fn seal_version(
        &self,
        trusted: &Trusted,
        name: &KeyName,
        row: VersionRow,
        material: &Secret<MATERIAL_LEN>,
    ) -> Result<VersionRow> {
        let context = self.version_context(name, &row)?;
        let sealed = dek(trusted, row.epoch)?.wrap().seal(Params::default(), &context, material.expose())?;
        Ok(VersionRow { sealed, ..row })
    }

    /// Finds where the version of an id lies.
    pub(super) async fn read_id(&self, id: KeyVersionId) -> Result<Option<IdRow>> {
        let Some(document) = self.trust.get(KEY_IDS, &bulla_backend::DocumentKey::new(id.0)?).await? else {
            return Ok(None);
        };
        let row = IdRow::decode(&document.value);
        row.map(Some)
            .ok_or_else(|| KeyringError::corrupt(format!("the entry of key version {id}"), "it is not well-formed"))
    }

    fn verify_version(
        &self,
        trusted: &Trusted,
        name: &KeyName,
        number: u64,
        document: &Document,
    ) -> Result<(VersionRow, Secret<MATERIAL_LEN>)> {
        let corrupt = |reason| KeyringError::corrupt(format!("version {number} of key `{name}`"), reason);
        let row = VersionRow::decode(&document.value)
            .ok_or_else(|| corrupt("it is not well-formed, or written by a newer version of this program"))?;
        if row.number != number {
            return Err(corrupt("it is another version's"));
        }
        let opened = dek(trusted, row.epoch)?.wrap().open(&self.version_context(name, &row)?, &row.sealed);
        let material = opened.map(SecretVec::new).map_err(|_| corrupt("it was altered, or brought from elsewhere"))?;
        let material = material.to_fixed().ok_or_else(|| corrupt("its material has the wrong length"))?;
        Ok((row, material))
    }

    fn version_context(&self, name: &KeyName, row: &VersionRow) -> Result<Context> {
        let context = Context::in_domain(VERSION_DOMAIN, &self.project())
            .text("key", name.as_str())
            .uint("number", row.number)
            .bytes("id", &row.id.0)
            .uint("state", row.state_number())
            .uint("algorithm", row.algorithm_number())
            .uint("created", row.created.0);
        Ok(context.build()?)
    }
}

fn check_epoch(trusted: &Trusted, epoch: u64, document: impl FnOnce() -> String) -> Result<()> {
    let current = trusted.deks.current();
    if epoch == current { Ok(()) } else { Err(KeyringError::OldEpoch { document: document(), epoch, current }) }
}

fn dek(trusted: &Trusted, epoch: u64) -> Result<&Dek> {
    let reason = "it is newer than this opening of the project; open it again";
    trusted.deks.of(epoch).ok_or(KeyringError::NoDataKey { epoch, reason })
}
