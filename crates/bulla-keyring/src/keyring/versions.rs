//! Making versions: material, its row, and the entry of its id. Nobody uses a version before its key names it, or one behind it, as its newest.

use std::sync::Arc;

use bulla_backend::{Document, ErrorKind, Expected, ListQuery, MAX_PAGE_DOCUMENTS};
use bulla_seal::{KeyVersionId, SealKey, SecretVec};

use super::rows::FoundVersion;
use super::{Keyring, MAX_ATTEMPTS};
use crate::format::{KEY_VERSIONS, KeyBody, VersionRow, version_key, version_number, version_prefix};
use crate::key::Version;
use crate::trust_log::Trusted;
use crate::{Algorithm, KeyName, KeyringError, Result, VersionInfo, VersionState};

/// What a version is made of.
pub(super) struct Material {
    pub(super) id: KeyVersionId,
    pub(super) bytes: SecretVec,
}

impl Material {
    /// Draws material, and an id for it.
    pub(super) fn drawn(algorithm: Algorithm) -> Result<Self> {
        Ok(Self { id: KeyVersionId::random()?, bytes: algorithm.draw()? })
    }

    /// Takes material from outside, whose id follows from it, so that processes agree on one.
    pub(super) fn external(bytes: &SecretVec) -> Result<Self> {
        let id = SealKey::with_derived_id(bytes.expose())?.id();
        Ok(Self { id, bytes: SecretVec::new(bytes.expose().to_vec()) })
    }
}

/// Which version that lies where a new one was to be written is taken in its place: one that another process is making just now, or that
/// an interruption has left behind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Adopt {
    /// None: each caller makes its own.
    Nothing,
    /// Any that could have been made now, so that processes that notice one occasion make one version between them.
    Any,
    /// One of the same material.
    Same,
}

impl Keyring {
    /// Writes a new version under the next free number behind `newest`, and its id, or adopts the one that lies there.
    pub(super) async fn add_version(
        &self,
        trusted: &mut Arc<Trusted>,
        name: &KeyName,
        body: &KeyBody,
        newest: u64,
        material: &Material,
        adopt: Adopt,
    ) -> Result<(VersionInfo, Arc<Version>)> {
        let mut number = following(name, newest)?;
        for _ in 0..MAX_ATTEMPTS {
            let row = VersionRow {
                number,
                id: material.id,
                algorithm: body.algorithm,
                origin: body.settings.origin,
                never_exported: body.is_never_exported(),
                created: self.clock.now(),
                born: trusted.deks.current(),
                epoch: trusted.deks.current(),
                sealed: Vec::new(),
            };
            let version = self.prepare(name, &row, &material.bytes)?;
            let row = self.seal_version(trusted, name, row, &material.bytes)?;
            let place = version_key(name, number)?;
            match self.trust.put(KEY_VERSIONS, &place, &row.encode(), Expected::Absent).await {
                Ok(_) => return self.added(name, &row, version).await,
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
            let Some(document) = self.trust.get(KEY_VERSIONS, &place).await? else { continue };
            match self.adoptable(trusted, name, &row, &document, adopt, &material.bytes) {
                Some(Found::Whole(found)) => {
                    let version = self.prepare(name, &found.row, &found.material)?;
                    return self.added(name, &found.row, version).await;
                }
                Some(Found::Stale) => {
                    let expected = Expected::Revision(document.revision);
                    match self.trust.put(KEY_VERSIONS, &place, &row.encode(), expected).await {
                        Ok(_) => return self.added(name, &row, version).await,
                        Err(error) if error.kind() == ErrorKind::Conflict => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                None => number = following(name, self.last_version(name, number).await?)?,
            }
        }
        Err(KeyringError::Conflict(format!("key `{name}`")))
    }

    async fn added(&self, name: &KeyName, row: &VersionRow, version: Version) -> Result<(VersionInfo, Arc<Version>)> {
        self.write_id(row.id, name, row.number).await?;
        let VersionRow { number, id, created, born, epoch, .. } = *row;
        Ok((VersionInfo { number, id, state: VersionState::Enabled, created, born, epoch }, Arc::new(version)))
    }

    /// Says whether what lies in a version's place may be taken for it.
    fn adoptable(
        &self,
        trusted: &Trusted,
        name: &KeyName,
        row: &VersionRow,
        document: &Document,
        adopt: Adopt,
        brought: &SecretVec,
    ) -> Option<Found> {
        if adopt == Adopt::Nothing {
            return None;
        }
        let same = VersionRow::decode(&document.value).is_some_and(|found| found.id == row.id);
        // Made in an older epoch, it could be known to somebody who was put out, or have been forged by them, wrapped anew or not.
        let found = self.verify_version(trusted, name, row.number, document).ok().filter(|found| {
            found.row.born == row.born
                && found.row.algorithm == row.algorithm
                && found.row.origin == row.origin
                && found.row.never_exported == row.never_exported
        });
        match (adopt, found) {
            (Adopt::Any, Some(found)) => Some(Found::Whole(found)),
            (Adopt::Same, Some(found)) if same && found.material == *brought => Some(Found::Whole(found)),
            (Adopt::Same, _) if same => Some(Found::Stale),
            _ => None,
        }
    }

    /// Returns the highest number, from `number` on, under which a version is stored, be it in use or left behind. There are as many
    /// behind the newest of a key as were left behind.
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
}

/// What lies in the place of a version.
enum Found {
    /// A version that can be used as it is.
    Whole(FoundVersion),
    /// The same version as it was written before something changed that its row is bound to.
    Stale,
}

fn following(name: &KeyName, number: u64) -> Result<u64> {
    let highest = || KeyringError::corrupt(format!("key `{name}`"), "a version has the highest number that there is");
    number.checked_add(1).ok_or_else(highest)
}
