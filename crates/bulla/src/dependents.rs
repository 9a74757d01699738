//! What still depends on a key, and letting its old versions go once nothing does.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use bulla_backend::ListQuery;
use bulla_keyring::flows::KEY_STATES;
use bulla_keyring::{KeyName, KeySetting, KeyringError, SealedToHead};
use bulla_seal::{Header, KeyVersionId};
use bulla_store::WalkEvent;

use crate::{Error, Project, Result};

/// At most so many names of key states are told; all are counted.
const MAX_NAMES: usize = 64;

/// What depends on a key, as far as the project keeps it: entries of the store with settings and quarantine, and states of
/// [key flows](Project::key_flows).
///
/// Sealed values, signatures and data keys that an application keeps itself are not among them: only the application knows of those.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dependents {
    /// Which key.
    pub key: KeyName,
    /// The versions that something depends on, in order.
    pub versions: Vec<VersionDependents>,
    /// Entries that were looked at, of all namespaces.
    pub seen: u64,
    /// Entries that are so damaged that they do not say what they were sealed under. None of them opens.
    pub unreadable: u64,
    /// Versions that cannot be read, so that nothing is known of what depends on them.
    pub damaged: Vec<u64>,
}

/// What depends on one version of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VersionDependents {
    /// Its number.
    pub number: u64,
    /// Its id.
    pub id: KeyVersionId,
    /// Entries of the store that are sealed under it.
    pub entries: u64,
    /// Settings of namespaces, and records in quarantine, that are sealed under it or keep what is.
    pub records: u64,
    /// States of key flows that are sealed under it.
    pub states: u64,
    /// The names of their keys, as far as there is room for.
    pub state_names: Vec<String>,
}

impl Dependents {
    /// Returns how many entries depend on the key.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.versions.iter().map(|version| version.entries).sum()
    }

    /// Returns how many settings of namespaces and records in quarantine depend on the key.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.versions.iter().map(|version| version.records).sum()
    }

    /// Returns how many states of key flows depend on the key.
    #[must_use]
    pub fn states(&self) -> u64 {
        self.versions.iter().map(|version| version.states).sum()
    }

    /// Says whether nothing depends on the versions that were asked about, and all of them could be looked at.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.versions.is_empty() && self.damaged.is_empty()
    }
}

impl Project {
    /// Finds out what depends on a key, or on one version of it, now. `tell` hears how many entries were looked at.
    ///
    /// # Errors
    /// [`KeyringError::NoKey`], [`KeyringError::NoVersion`]; and whatever the backend says.
    pub async fn dependents(
        &self,
        name: &str,
        version: Option<u64>,
        tell: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Dependents> {
        let key = self.key(name)?;
        let info = key.info().await?;
        let numbers = match version {
            None => info.first..=info.newest,
            Some(number) if (info.first..=info.newest).contains(&number) => number..=number,
            Some(number) => return Err(KeyringError::NoVersion { name: info.name, number }.into()),
        };
        self.dependents_of(key.name(), numbers, tell).await
    }

    /// Removes all versions of a key below `first` for good, unless anything depends on them; returns how many.
    ///
    /// First it is looked at what depends on them; then they stop to open and to seal, so that nothing new can; then it is looked again.
    ///
    /// # Errors
    /// [`Error::InUse`] if something depends on them: nothing is changed then. [`KeyringError::NewestVersion`] if the version that seals would go;
    /// [`KeyringError::NotAuthorised`] if this machine may not let others in; as [`Self::dependents`].
    ///
    /// # Security
    /// What applications keep themselves is not looked at: see [`Dependents`].
    pub async fn trim_key(&self, name: &str, first: u64, tell: &mut (dyn FnMut(u64) + Send)) -> Result<u64> {
        let key = self.key(name)?;
        let info = key.info().await?;
        if first > info.newest {
            return Err(KeyringError::NewestVersion { name: info.name, number: info.newest }.into());
        }
        if first > info.first {
            let going = info.first..=first - 1;
            self.free(key.name(), going.clone(), tell).await?;
            let before = info.settings.min_open;
            if before < first {
                self.keyring().change_settings(key.name(), &[KeySetting::MinOpen(first)]).await?;
                if let Err(refused) = self.free(key.name(), going, tell).await {
                    // As it was, so that what came meanwhile opens. That it cannot be undone is no reason to hide why.
                    let _ = self.keyring().change_settings(key.name(), &[KeySetting::MinOpen(before)]).await;
                    return Err(refused);
                }
            }
        }
        Ok(self.keyring().trim_key(key.name(), first).await?)
    }

    /// Refuses if anything depends on some versions.
    async fn free(
        &self,
        name: &KeyName,
        numbers: RangeInclusive<u64>,
        tell: &mut (dyn FnMut(u64) + Send),
    ) -> Result<()> {
        let dependents = self.dependents_of(name, numbers, tell).await?;
        if dependents.is_free() { Ok(()) } else { Err(Error::InUse(Box::new(dependents))) }
    }

    async fn dependents_of(
        &self,
        name: &KeyName,
        numbers: RangeInclusive<u64>,
        tell: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Dependents> {
        let (mut found, damaged) = self.version_ids(name, numbers).await?;
        let ids: BTreeSet<_> = found.keys().copied().collect();
        let usage = self
            .entries()
            .count_versions(&ids, &mut |event| {
                if let WalkEvent::Progress(usage) = event {
                    tell(usage.seen);
                }
            })
            .await?;
        for (id, entries) in &usage.entries {
            if let Some(version) = found.get_mut(id) {
                version.entries = *entries;
            }
        }
        for (id, records) in &usage.records {
            if let Some(version) = found.get_mut(id) {
                version.records = *records;
            }
        }
        self.count_states(&mut found).await?;
        let is_needed = |version: &VersionDependents| version.entries > 0 || version.records > 0 || version.states > 0;
        let mut versions: Vec<_> = found.into_values().filter(is_needed).collect();
        versions.sort_by_key(|version| version.number);
        Ok(Dependents { key: name.clone(), versions, seen: usage.seen, unreadable: usage.unreadable, damaged })
    }

    /// Finds the ids of versions, and the numbers of those that cannot be read.
    async fn version_ids(
        &self,
        name: &KeyName,
        numbers: RangeInclusive<u64>,
    ) -> Result<(BTreeMap<KeyVersionId, VersionDependents>, Vec<u64>)> {
        let (mut found, mut damaged) = (BTreeMap::new(), Vec::new());
        let mut after = numbers.start().checked_sub(1);
        loop {
            let page = self.keyring().versions(name, after, 0).await?;
            // A page has the versions behind `after` one by one, a damaged one in its place.
            let mut number = after.unwrap_or(0);
            for version in page.versions {
                number = version.as_ref().map_or(number + 1, |version| version.number);
                match version {
                    _ if !numbers.contains(&number) => return Ok((found, damaged)),
                    Ok(version) => {
                        let none = VersionDependents {
                            number: version.number,
                            id: version.id,
                            entries: 0,
                            records: 0,
                            states: 0,
                            state_names: Vec::new(),
                        };
                        found.insert(version.id, none);
                    }
                    Err(KeyringError::Backend(error)) => return Err(error.into()),
                    Err(_) => damaged.push(number),
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok((found, damaged));
            }
        }
    }

    /// Counts the states of key flows that are sealed under versions.
    async fn count_states(&self, found: &mut BTreeMap<KeyVersionId, VersionDependents>) -> Result<()> {
        let mut query = ListQuery::default();
        let mut named = 0;
        loop {
            let page = self.states.list(KEY_STATES, &query).await?;
            for document in &page.documents {
                let Some(version) = sealed_under(&document.value).and_then(|id| found.get_mut(&id)) else { continue };
                version.states += 1;
                if named < MAX_NAMES {
                    named += 1;
                    version.state_names.push(document.key.to_string());
                }
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(()),
            }
        }
    }
}

/// Reads which key version a value says it was sealed under.
fn sealed_under(value: &[u8]) -> Option<KeyVersionId> {
    let header = Header::parse(value).map(|header| header.key_version());
    header.or_else(|_| SealedToHead::parse(value).map(|head| head.key_version())).ok()
}
