//! Backup of one key, and its restoring: bytes that only this project opens.

use std::sync::Arc;

use bulla_backend::{ErrorKind, Expected, ListQuery, Timestamp};
use bulla_seal::{Context, KeyVersionId, Params, SecretVec};

use super::floors::floor;
use super::rows::{dek, open_as};
use super::{Keyring, refuse_system};
use crate::algorithm::GENERATED_LEN;
use crate::cbor::{self, Malformed, Reader};
use crate::format::{KEY_VERSIONS, KeyBody, VersionRow, version_key, version_number, version_prefix};
use crate::trust_log::Trusted;
use crate::{Algorithm, KeyInfo, KeyName, KeyOrigin, KeyringError, Result};

const VERSION: u64 = 1;
const DOMAIN: &str = "bulla/keyring/backup";

/// Longest backup of a key, in bytes: over 400,000 versions of generated material.
pub const MAX_KEY_BACKUP_LEN: usize = 64 * 1_024 * 1_024;

/// What was restored of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoredKey {
    /// The key as it is now.
    pub key: KeyInfo,
    /// How many versions were written.
    pub versions: u64,
}

impl Keyring {
    /// Returns a key with all of its versions, sealed under the current data key, so that this project opens it in this epoch and in later ones,
    /// and nobody else.
    ///
    /// # Errors
    /// [`KeyringError::NoKey`]; [`KeyringError::Corrupt`] if a version cannot be read; [`KeyringError::BackupLength`] for a key with too many
    /// versions.
    pub async fn backup_key(&self, name: &KeyName) -> Result<Vec<u8>> {
        refuse_system(name)?;
        let mut trusted = self.trusted().await?;
        let body = self.find_key(&mut trusted, name).await?.body;
        let mut versions = Vec::new();
        let mut query = ListQuery { prefix: version_prefix(name), ..ListQuery::default() };
        let mut len = 0;
        loop {
            let page = self.trust.list(KEY_VERSIONS, &query).await?;
            for document in &page.documents {
                let Some(number) = version_number(name, &document.key) else { continue };
                if !body.has(number) || body.is_beyond_recovery(number) {
                    continue;
                }
                // Listed under the snapshot of the description: an epoch that began meanwhile is looked up one by one.
                let found = match self.verify_version(&trusted, name, number, document) {
                    Err(KeyringError::NoDataKey { .. }) => self.find_version(&mut trusted, name, number).await?,
                    found => found?,
                };
                len += found.material.expose().len() + 64;
                if len > MAX_KEY_BACKUP_LEN {
                    return Err(KeyringError::BackupLength(name.clone()));
                }
                versions.push(Saved { row: found.row, material: found.material });
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        if !is_whole(&body, &versions) {
            let reason = "one of its versions is missing, or another than it names";
            return Err(KeyringError::corrupt(format!("key `{name}`"), reason));
        }
        let content = SecretVec::new(encode_content(name, &body, &versions, len));
        let epoch = trusted.deks.current();
        let sealed = dek(&trusted, epoch)?.wrap().seal(Params::default(), &self.backup_context()?, content.expose())?;
        Ok(cbor::encode(|e| e.array(3)?.u64(VERSION)?.u64(epoch)?.bytes(&sealed).map(drop)))
    }

    /// Restores a key from [`Keyring::backup_key`]. Where the key is there, only versions that are missing are written, and nothing that it
    /// permits or forbids changes.
    ///
    /// # Errors
    /// [`KeyringError::BadBackup`] for bytes that this project did not make; [`KeyringError::KeyForked`] if the key has another version of one of
    /// the numbers; [`KeyringError::KeyDeleted`]; [`KeyringError::NotAuthorised`] if the key was restricted or deleted since its floor was set,
    /// and this machine may not authorise.
    ///
    /// # Security
    /// A key that was deleted comes back as it was when the backup was made: what was disabled later is enabled. What may never be exported
    /// stays so.
    pub async fn restore_key(&self, backup: &[u8]) -> Result<RestoredKey> {
        let mut trusted = self.trusted().await?;
        let (name, saved, versions) = self.open_backup(&mut trusted, backup).await?;
        refuse_system(&name)?;
        match self.read_key(&mut trusted, &name).await? {
            Some(found) => {
                found.body.check_alive(&name)?;
                let versions = self.restore_versions(&mut trusted, &name, &found.body, &versions).await?;
                Ok(RestoredKey { key: found.body.describe(&name), versions })
            }
            None => {
                let floor = floor(&trusted, &name);
                if floor > 0 {
                    trusted.require_authoriser(self.identity.fingerprint())?;
                }
                let serial = saved.serial.max(floor);
                let body = KeyBody { serial, ..saved };
                let body = KeyBody { serial: super::rows::next_serial(&name, &body)?, ..body };
                let versions = self.restore_versions(&mut trusted, &name, &body, &versions).await?;
                match self.write_key(&trusted, &name, &body, Expected::Absent).await? {
                    Ok(_) => Ok(RestoredKey { key: body.describe(&name), versions }),
                    Err(error) if error.kind() == ErrorKind::Conflict => Err(KeyringError::KeyExists(name)),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }

    /// Returns the name of the key that a backup is of, once the backup has verified. Nothing is restored.
    ///
    /// # Errors
    /// [`KeyringError::BadBackup`] for bytes that this project did not make.
    pub async fn name_in_backup(&self, backup: &[u8]) -> Result<KeyName> {
        let mut trusted = self.trusted().await?;
        let (name, _, _) = self.open_backup(&mut trusted, backup).await?;
        refuse_system(&name)?;
        Ok(name)
    }

    /// Writes the versions that the key has and the database has not.
    async fn restore_versions(
        &self,
        trusted: &mut Arc<Trusted>,
        name: &KeyName,
        body: &KeyBody,
        versions: &[Saved],
    ) -> Result<u64> {
        let mut written = 0;
        for version in versions {
            let number = version.row.number;
            if !body.has(number) || body.is_beyond_recovery(number) {
                continue;
            }
            if (version.row.algorithm, version.row.origin) != (body.algorithm, body.settings.origin) {
                return Err(KeyringError::KeyForked { name: name.clone(), number });
            }
            let never_exported = version.row.never_exported || body.is_never_exported();
            let row = VersionRow { never_exported, epoch: trusted.deks.current(), ..version.row.clone() };
            let row = self.seal_version(trusted, name, row, &version.material)?;
            let place = version_key(name, number)?;
            match self.trust.put(KEY_VERSIONS, &place, &row.encode(), Expected::Absent).await {
                Ok(_) => written += 1,
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    let there = self.find_version(trusted, name, number).await?;
                    if there.row.id != row.id {
                        return Err(KeyringError::KeyForked { name: name.clone(), number });
                    }
                }
                Err(error) => return Err(error.into()),
            }
            self.write_id(row.id, name, number).await?;
        }
        Ok(written)
    }

    async fn open_backup(&self, trusted: &mut Arc<Trusted>, backup: &[u8]) -> Result<(KeyName, KeyBody, Vec<Saved>)> {
        let (epoch, sealed) = read_backup(backup).map_err(|Malformed| KeyringError::BadBackup)?;
        if trusted.deks.of(epoch).is_none() {
            *trusted = self.looked().await?;
        }
        let content = open_as(dek(trusted, epoch)?.wrap(), Params::default(), &self.backup_context()?, sealed);
        let content = content.map(SecretVec::new).ok_or(KeyringError::BadBackup)?;
        let (name, body, versions) = read_content(content.expose()).map_err(|Malformed| KeyringError::BadBackup)?;
        // Exactly what is written for the same key.
        let again = SecretVec::new(encode_content(&name, &body, &versions, content.expose().len()));
        if again != content || !is_whole(&body, &versions) {
            return Err(KeyringError::BadBackup);
        }
        for Saved { row, material } in &versions {
            let is_length = row.origin == KeyOrigin::External || material.expose().len() == GENERATED_LEN;
            let is_born = (1..=epoch).contains(&row.born);
            if !is_length || !is_born || self.prepare(&name, row, material).is_err() {
                return Err(KeyringError::BadBackup);
            }
        }
        Ok((name, body, versions))
    }

    fn backup_context(&self) -> Result<Context> {
        Ok(Context::in_domain(DOMAIN, &self.project()).build()?)
    }
}

struct Saved {
    /// The row, its material taken out.
    row: VersionRow,
    material: SecretVec,
}

/// Says whether these are the versions of the key: all that were not destroyed, in order, the newest as it is named, and no others.
fn is_whole(body: &KeyBody, versions: &[Saved]) -> bool {
    let mut expected = Some(body.first);
    for Saved { row, .. } in versions {
        expected = expected.and_then(|number| body.kept_from(number));
        if expected != Some(row.number) || (row.algorithm, row.origin) != (body.algorithm, body.settings.origin) {
            return false;
        }
        expected = row.number.checked_add(1);
    }
    let newest =
        versions.last().is_some_and(|newest| (newest.row.number, newest.row.id) == (body.newest, body.newest_id));
    newest && expected.is_none_or(|number| body.kept_from(number).is_none())
}

fn read_backup(backup: &[u8]) -> std::result::Result<(u64, &[u8]), Malformed> {
    if backup.len() > MAX_KEY_BACKUP_LEN * 2 {
        return Err(Malformed);
    }
    let mut r = Reader::new(backup);
    r.array(3)?;
    if r.uint()? != VERSION {
        return Err(Malformed);
    }
    let (epoch, sealed) = (r.uint()?, r.bytes()?);
    let again = cbor::encode(|e| e.array(3)?.u64(VERSION)?.u64(epoch)?.bytes(sealed).map(drop));
    if again == backup { Ok((epoch, sealed)) } else { Err(Malformed) }
}

/// Writes material: `len` bounds what it takes, so that no copy is left behind by a buffer that grew.
fn encode_content(name: &KeyName, body: &KeyBody, versions: &[Saved], len: usize) -> Vec<u8> {
    let body = body.encode();
    let mut out = Vec::with_capacity(len + body.len() + name.as_str().len() + 64);
    cbor::encode_to(&mut out, |e| {
        e.array(4)?.u64(VERSION)?.str(name.as_str())?.bytes(&body)?.array(versions.len() as u64)?;
        for Saved { row, material } in versions {
            e.array(8)?.u64(row.number)?.bytes(&row.id.0)?.u64(row.algorithm.number())?.u64(row.origin.number())?;
            e.u64(u64::from(row.never_exported))?.u64(row.created.0)?.u64(row.born)?.bytes(material.expose())?;
        }
        Ok(())
    });
    out
}

fn read_content(content: &[u8]) -> std::result::Result<(KeyName, KeyBody, Vec<Saved>), Malformed> {
    let mut r = Reader::new(content);
    r.array(4)?;
    if r.uint()? != VERSION {
        return Err(Malformed);
    }
    let name = r.text()?.parse().map_err(|_| Malformed)?;
    let body = KeyBody::decode(r.bytes()?).ok_or(Malformed)?;
    let mut versions = Vec::new();
    for _ in 0..r.array_len()? {
        r.array(8)?;
        let row = VersionRow {
            number: r.uint()?,
            id: KeyVersionId(r.fixed()?),
            algorithm: Algorithm::from_number(r.uint()?).ok_or(Malformed)?,
            origin: KeyOrigin::from_number(r.uint()?).ok_or(Malformed)?,
            never_exported: r.uint()? == 1,
            created: Timestamp(r.uint()?),
            born: r.uint()?,
            epoch: 0,
            sealed: Vec::new(),
        };
        versions.push(Saved { row, material: SecretVec::new(r.bytes()?.to_vec()) });
    }
    Ok((name, body, versions))
}
