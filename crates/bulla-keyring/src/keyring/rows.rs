//! Reading and writing the rows of keys and versions: what is stored, verified under a data key.

use std::sync::Arc;

use bulla_backend::{Document, DocumentKey, ErrorKind, Expected, Revision};
use bulla_seal::{Context, Header, KeyVersionId, Params, SealKey, SecretVec, Suite};

use super::Keyring;
use super::floors::floor;
use crate::algorithm::GENERATED_LEN;
use crate::cache::Seen;
use crate::dek::Dek;
use crate::format::{IdRow, KEY_IDS, KEY_VERSIONS, KEYS, KeyBody, KeyRow, VersionRow, version_key};
use crate::key::Version;
use crate::trust_log::Trusted;
use crate::{KeyName, KeyOrigin, KeyringError, Result, VersionInfo};

const KEY_DOMAIN: &str = "bulla/keyring/key";
const VERSION_DOMAIN: &str = "bulla/keyring/version";

/// The description of a key as it was read.
pub(super) struct FoundKey {
    pub(super) body: KeyBody,
    /// Epoch of the data key that authenticates it.
    pub(super) epoch: u64,
    /// Which write of it this is.
    pub(super) revision: Revision,
}

/// A version as it was read: what it is, its material, and which write of it this is.
pub(super) struct FoundVersion {
    pub(super) row: VersionRow,
    pub(super) material: SecretVec,
    pub(super) revision: Revision,
}

impl Keyring {
    /// Reads the description of a key.
    pub(super) async fn read_key(&self, trusted: &mut Arc<Trusted>, name: &KeyName) -> Result<Option<FoundKey>> {
        let Some(document) = self.trust.get(KEYS, &key_place(name)?).await? else { return Ok(None) };
        let found = match self.verify_key(trusted, name, &document) {
            Err(KeyringError::NoDataKey { .. }) => {
                *trusted = self.looked().await?;
                self.verify_key(trusted, name, &document)
            }
            found => found,
        };
        found.map(Some)
    }

    /// Reads the description of a key that is there.
    pub(super) async fn find_key(&self, trusted: &mut Arc<Trusted>, name: &KeyName) -> Result<FoundKey> {
        self.read_key(trusted, name).await?.ok_or_else(|| KeyringError::NoKey(name.clone()))
    }

    /// Reads the description of a key that is to be changed, or whose newest version is to be used.
    ///
    /// It must be of the current epoch: whoever kept only the data key of an older one must not choose what is sealed under. And it
    /// must not be older than what this process has seen.
    pub(super) async fn read_key_to_seal(&self, trusted: &mut Arc<Trusted>, name: &KeyName) -> Result<FoundKey> {
        // The memory comes first: what another thread learns while the key is read does not make this look a step back.
        let seen = self.cache.seen(name);
        let found = self.find_key(trusted, name).await?;
        check_epoch(trusted, found.epoch, || format!("key `{name}`"))?;
        check_seen(seen, name, &found.body)?;
        self.cache.saw(name, Seen::of(&found.body));
        Ok(found)
    }

    /// Verifies the description of a key.
    pub(super) fn verify_key(&self, trusted: &Trusted, name: &KeyName, document: &Document) -> Result<FoundKey> {
        let corrupt = |reason| KeyringError::corrupt(format!("key `{name}`"), reason);
        let row = KeyRow::decode(&document.value).ok_or_else(|| corrupt("it is not well-formed"))?;
        let key = dek(trusted, row.epoch)?.wrap();
        let body = open_as(key, Params::new(Suite::Authenticated), &self.key_context(name)?, &row.sealed);
        let body = body.ok_or_else(|| corrupt("it was altered, or brought from elsewhere"))?;
        let body = KeyBody::decode(&body)
            .ok_or_else(|| corrupt("it is not well-formed, or written by a newer version of this program"))?;
        let floor = floor(trusted, name);
        if body.serial < floor {
            return Err(KeyringError::KeyRollback { name: name.clone(), seen: floor, found: body.serial });
        }
        Ok(FoundKey { body, epoch: row.epoch, revision: document.revision })
    }

    /// Writes the description of a key, readable by all and authenticated under the current data key. This process looks at the key
    /// again at its next use.
    pub(super) async fn write_key(
        &self,
        trusted: &Trusted,
        name: &KeyName,
        body: &KeyBody,
        expected: Expected,
    ) -> Result<bulla_backend::Result<Revision>> {
        let epoch = trusted.deks.current();
        let context = self.key_context(name)?;
        let sealed = dek(trusted, epoch)?.wrap().seal(Params::new(Suite::Authenticated), &context, &body.encode())?;
        let row = KeyRow { epoch, sealed }.encode();
        let written = self.trust.put(KEYS, &key_place(name)?, &row, expected).await;
        // Whether a write that failed has happened all the same, only the next look can tell.
        self.cache.doubt(name);
        if written.is_ok() {
            self.cache.saw(name, Seen::of(body));
        }
        Ok(written)
    }

    /// Changes the description of a key, as it is read each time, until no other writer comes between; `None` changes nothing.
    pub(super) async fn change_key(
        &self,
        trusted: &mut Arc<Trusted>,
        name: &KeyName,
        change: impl Fn(&FoundKey) -> Result<Option<KeyBody>>,
    ) -> Result<KeyBody> {
        for _ in 0..super::MAX_ATTEMPTS {
            let found = self.read_key_to_seal(trusted, name).await?;
            let Some(changed) = change(&found)? else { return Ok(found.body) };
            let body = KeyBody { serial: next_serial(name, &changed)?, ..changed };
            match self.write_key(trusted, name, &body, Expected::Revision(found.revision)).await? {
                Ok(_) => return Ok(body),
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KeyringError::Conflict(format!("key `{name}`")))
    }

    /// Reads the newest version of a key, which must have been made in the current epoch, and prepares it to seal.
    pub(super) async fn read_newest(
        &self,
        trusted: &mut Arc<Trusted>,
        name: &KeyName,
        body: &KeyBody,
    ) -> Result<Arc<Version>> {
        let version = match self.cache.version(body.newest_id) {
            Some(known) if known.is(name, body.newest) && known.born == trusted.deks.current() => known,
            _ => Arc::new(self.read_version(trusted, name, body.newest, body.newest_id, body).await?),
        };
        check_epoch(trusted, version.born, || format!("version {} of key `{name}`", body.newest))?;
        Ok(version)
    }

    /// Reads a version by number and id, and prepares it.
    pub(super) async fn read_version(
        &self,
        trusted: &mut Arc<Trusted>,
        name: &KeyName,
        number: u64,
        id: KeyVersionId,
        body: &KeyBody,
    ) -> Result<Version> {
        let found = self.find_version(trusted, name, number).await?;
        self.prepare_found(name, &found, id, body)
    }

    /// Prepares a version that was read, if it is the one that is looked for.
    pub(super) fn prepare_found(
        &self,
        name: &KeyName,
        found: &FoundVersion,
        id: KeyVersionId,
        body: &KeyBody,
    ) -> Result<Version> {
        let number = found.row.number;
        let corrupt = |reason| Err(KeyringError::corrupt(format!("version {number} of key `{name}`"), reason));
        if found.row.id != id {
            return corrupt("it has another id than the one by which it was looked for");
        }
        if found.row.algorithm != body.algorithm {
            return corrupt("it was made for another algorithm than its key's");
        }
        match self.prepare(name, &found.row, &found.material) {
            Err(KeyringError::Seal(_)) => corrupt("its material is none of its algorithm"),
            prepared => prepared,
        }
    }

    /// Reads a version that is there.
    pub(super) async fn find_version(
        &self,
        trusted: &mut Arc<Trusted>,
        name: &KeyName,
        number: u64,
    ) -> Result<FoundVersion> {
        let missing = || KeyringError::corrupt(format!("version {number} of key `{name}`"), "it is missing");
        let document = self.trust.get(KEY_VERSIONS, &version_key(name, number)?).await?.ok_or_else(missing)?;
        match self.verify_version(trusted, name, number, &document) {
            Err(KeyringError::NoDataKey { .. }) => {
                *trusted = self.looked().await?;
                self.verify_version(trusted, name, number, &document)
            }
            found => found,
        }
    }

    pub(super) fn prepare(&self, name: &KeyName, row: &VersionRow, material: &SecretVec) -> Result<Version> {
        let (number, id, algorithm, born) = (row.number, row.id, row.algorithm, row.born);
        Ok(Version::prepare(self.project(), name, number, id, algorithm, born, material)?)
    }

    /// Verifies a version and describes it. Of one that was destroyed nothing is left to verify.
    pub(super) fn describe_version(
        &self,
        trusted: &Trusted,
        name: &KeyName,
        number: u64,
        body: &KeyBody,
        document: &Document,
    ) -> Result<VersionInfo> {
        let state = body.state(number, self.clock.now());
        let row = match VersionRow::decode(&document.value) {
            Some(row) if row.number == number && row.sealed.is_empty() && body.is_beyond_recovery(number) => row,
            _ => self.verify_version(trusted, name, number, document)?.row,
        };
        Ok(VersionInfo { number, id: row.id, state, created: row.created, born: row.born, epoch: row.epoch })
    }

    /// Seals material for storage under the data key that the row names; all that the row says is bound to it.
    pub(super) fn seal_version(
        &self,
        trusted: &Trusted,
        name: &KeyName,
        row: VersionRow,
        material: &SecretVec,
    ) -> Result<VersionRow> {
        let context = self.version_context(name, &row)?;
        let sealed = dek(trusted, row.epoch)?.wrap().seal(Params::default(), &context, material.expose())?;
        Ok(VersionRow { sealed, ..row })
    }

    /// Finds where the version of an id lies.
    pub(super) async fn read_id(&self, id: KeyVersionId) -> Result<Option<IdRow>> {
        let Some(document) = self.trust.get(KEY_IDS, &id_place(id)?).await? else { return Ok(None) };
        let row = IdRow::decode(&document.value);
        row.map(Some)
            .ok_or_else(|| KeyringError::corrupt(format!("the entry of key version {id}"), "it is not well-formed"))
    }

    /// Writes where the version of an id lies, unless that is written already.
    pub(super) async fn write_id(&self, id: KeyVersionId, name: &KeyName, number: u64) -> Result<()> {
        let entry = IdRow { name: name.clone(), number };
        match self.trust.put(KEY_IDS, &id_place(id)?, &entry.encode(), Expected::Absent).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::Conflict => match self.read_id(id).await? {
                Some(found) if found == entry => Ok(()),
                Some(found) => Err(KeyringError::MaterialInUse { name: name.clone(), other: found.name }),
                None => Err(KeyringError::Conflict(format!("the entry of key version {id}"))),
            },
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn verify_version(
        &self,
        trusted: &Trusted,
        name: &KeyName,
        number: u64,
        document: &Document,
    ) -> Result<FoundVersion> {
        let corrupt = |reason| KeyringError::corrupt(format!("version {number} of key `{name}`"), reason);
        let row = VersionRow::decode(&document.value)
            .ok_or_else(|| corrupt("it is not well-formed, or written by a newer version of this program"))?;
        if row.number != number {
            return Err(corrupt("it is another version's"));
        }
        let key = dek(trusted, row.epoch)?.wrap();
        let opened = open_as(key, Params::default(), &self.version_context(name, &row)?, &row.sealed);
        let material =
            opened.map(SecretVec::new).ok_or_else(|| corrupt("it was altered, or brought from elsewhere"))?;
        if row.born == 0 || row.born > row.epoch {
            return Err(corrupt("it says that it was made in a later epoch than that of its data key"));
        }
        if row.origin == KeyOrigin::Generated && material.expose().len() != GENERATED_LEN {
            return Err(corrupt("its material has the wrong length"));
        }
        Ok(FoundVersion { row, material, revision: document.revision })
    }

    fn key_context(&self, name: &KeyName) -> Result<Context> {
        Ok(Context::in_domain(KEY_DOMAIN, &self.project()).text("key", name.as_str()).build()?)
    }

    fn version_context(&self, name: &KeyName, row: &VersionRow) -> Result<Context> {
        let context = Context::in_domain(VERSION_DOMAIN, &self.project())
            .text("key", name.as_str())
            .uint("number", row.number)
            .bytes("id", &row.id.0)
            .uint("algorithm", row.algorithm.number())
            .uint("origin", row.origin.number())
            .flag("never exported", row.never_exported)
            .uint("created", row.created.0)
            .uint("born", row.born);
        Ok(context.build()?)
    }
}

pub(super) fn key_place(name: &KeyName) -> bulla_backend::Result<DocumentKey> {
    DocumentKey::new(name.as_str().as_bytes())
}

pub(super) fn id_place(id: KeyVersionId) -> bulla_backend::Result<DocumentKey> {
    DocumentKey::new(id.0)
}

/// Refuses what is older than, or forked from, what this process has seen of a key.
pub(super) fn check_seen(seen: Option<Seen>, name: &KeyName, body: &KeyBody) -> Result<()> {
    match seen {
        Some(seen) if seen.serial > body.serial => {
            Err(KeyringError::KeyRollback { name: name.clone(), seen: seen.serial, found: body.serial })
        }
        Some(seen) if seen.number > body.newest => {
            Err(KeyringError::KeyRollback { name: name.clone(), seen: seen.number, found: body.newest })
        }
        Some(seen) if seen.number == body.newest && seen.id != body.newest_id => {
            Err(KeyringError::KeyForked { name: name.clone(), number: body.newest })
        }
        _ => Ok(()),
    }
}

pub(super) fn check_epoch(trusted: &Trusted, epoch: u64, document: impl FnOnce() -> String) -> Result<()> {
    let current = trusted.deks.current();
    if epoch == current { Ok(()) } else { Err(KeyringError::OldEpoch { document: document(), epoch, current }) }
}

/// Opens what the format seals with a suite and a chunk size that it states: sealed in another way it is none of it.
pub(super) fn open_as(key: &SealKey, params: Params, context: &Context, sealed: &[u8]) -> Option<Vec<u8>> {
    let header = Header::parse(sealed).ok()?;
    if header.params() == params { key.open(context, sealed).ok() } else { None }
}

pub(super) fn dek(trusted: &Trusted, epoch: u64) -> Result<&Dek> {
    let reason = "it is newer than what this process knows, or was never wrapped to this machine";
    trusted.deks.of(epoch).ok_or(KeyringError::NoDataKey { epoch, reason })
}

pub(super) fn next_serial(name: &KeyName, body: &KeyBody) -> Result<u64> {
    let highest = || KeyringError::corrupt(format!("key `{name}`"), "its description has the highest serial number");
    body.serial.checked_add(1).ok_or_else(highest)
}
