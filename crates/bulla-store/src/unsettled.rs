//! What is known of a namespace whose settings do not say it.

use std::sync::Arc;

use bulla_backend::Document;
use bulla_keyring::{KeyName, KeyringError};

use crate::blinding::Index;
use crate::error::is_of_one_key;
use crate::name::prefix;
use crate::namespace::{Present, Slot};
use crate::settled::Settled;
use crate::store::DocumentPages;
use crate::{BadEntry, Namespace, Place, StoreError};

/// Why a reader goes by other settings than those that stand, which cannot be read.
#[derive(Debug)]
pub(crate) enum Doubt {
    /// They are those that this process read last.
    Last,
    /// It has read none: names are as they are, or blinded with one of these, or with one that is not at hand.
    Names(Vec<Index>),
}

/// What is known of the names of a namespace that has no settings.
pub(crate) enum Names {
    /// Nobody ever blinded any.
    Unknown,
    /// An entry shows its name.
    Shown,
    /// They are blinded, or may be; with the version of the index key that an entry shows.
    Blinded(Option<Index>),
}

impl Namespace {
    /// Returns what a reader goes by, not older than [`SETTINGS_FRESH`](crate::SETTINGS_FRESH): the settings, or what it makes do with where
    /// they cannot be read (spec, "Reading without settings").
    ///
    /// Who writes goes by [`Namespace::settled`], and stops.
    pub(crate) async fn reading(&self) -> Result<Arc<Settled>, StoreError> {
        if let Some(settled) = self.state.settled.for_reader(self.store.clock.now()) {
            return Ok(settled);
        }
        let settled = match self.settled_or_missing().await {
            Err(error) if error.leaves_entries() => Arc::new(self.makeshift().await?),
            settled => settled?,
        };
        // That there were neither settings nor entries says little a moment later: others write both at once.
        if settled.doubt.is_some() {
            self.hold_by(&settled.settings);
            // To find it out may take longer than it is gone by.
            self.state.settled.make_do(&settled, self.store.clock.now());
        }
        Ok(settled)
    }

    /// Reads the settings; there are none only where there are no entries either.
    pub(crate) async fn settled_or_missing(&self) -> Result<Arc<Settled>, StoreError> {
        let settled = self.read_settled().await?;
        if settled.version > 0 || !self.has_entries().await? {
            return Ok(settled);
        }
        // Others may have made them meanwhile, and the first entry after them.
        let settled = self.read_settled().await?;
        if settled.version > 0 {
            return Ok(settled);
        }
        Err(self.suspicious_settings(StoreError::SettingsMissing(self.name.clone())))
    }

    async fn makeshift(&self) -> Result<Settled, StoreError> {
        let last = self.state.settled.last().filter(|last| last.version > 0);
        Ok(match last {
            Some(last) => Settled::makeshift(Some(&last), Doubt::Last),
            None => Settled::makeshift(None, Doubt::Names(self.indexes(is_of_one_key).await?)),
        })
    }

    /// Returns why the settings cannot be read, if they still cannot. Whoever is told of it was told before.
    pub(crate) async fn settings_failure(&self) -> Option<StoreError> {
        match self.look_at_settings().await {
            Ok(settled) if settled.version > 0 => None,
            Ok(_) => Some(StoreError::SettingsMissing(self.name.clone())),
            Err(error) => Some(error),
        }
    }

    /// Returns why nobody can say more of an entry; if it is the settings that are missing, and they are there by now, look again.
    pub(crate) async fn cannot_tell(&self) -> StoreError {
        let missing = || StoreError::SettingsMissing(self.name.clone());
        self.settings_failure().await.unwrap_or_else(missing)
    }

    /// Returns where an entry of that name lies, or may lie.
    pub(crate) fn places(&self, settled: &Settled, name: &[u8]) -> Result<Vec<Slot>, StoreError> {
        let Some(Doubt::Names(indexes)) = &settled.doubt else { return Ok(vec![self.slot(settled, name)?]) };
        let mut places = vec![self.slot_under(None, name)?];
        for index in indexes {
            match self.slot_under(Some(index), name) {
                // A name of so many segments was never blinded.
                Err(StoreError::BlindedSegments) => {}
                place => places.push(place?),
            }
        }
        Ok(places)
    }

    /// Reads an entry wherever it may lie, expired or not (spec, "Reading", steps 1 to 3).
    pub(crate) async fn look_up(&self, settled: &Settled, name: &[u8]) -> Result<Option<(Present, Slot)>, StoreError> {
        let Some(Doubt::Names(_)) = settled.doubt else {
            let slot = self.slot(settled, name)?;
            return Ok(self.present(&slot).await?.map(|present| (present, slot)));
        };
        let mut found = None;
        for slot in self.places(settled, name)? {
            let looked = match self.present(&slot).await {
                // What opens and bears another name lies there under that, if the settings are such.
                Ok(None) | Err(StoreError::BadEntry { reason: BadEntry::Name, .. }) => continue,
                Err(error @ StoreError::Backend(_)) => return Err(error),
                Ok(Some(present)) => Ok((present, slot)),
                Err(error) => Err(error),
            };
            // Only the settings say which of two it is.
            if found.replace(looked).is_some() {
                return Err(self.cannot_tell().await);
            }
        }
        found.transpose()
    }

    /// Says whether names or contents of the namespace were ever blinded.
    pub(crate) async fn has_index(&self) -> Result<bool, StoreError> {
        // A namespace of too many segments cannot have one.
        let Ok(key) = self.index_key() else { return Ok(false) };
        let found = self.store.keyring.find_system_key(&key).await;
        Ok(found.map_err(|source| self.keyring_error(source))?.is_some())
    }

    /// Finds out whether names are blinded where the settings do not say it, and with what.
    pub(crate) async fn stored_names(&self) -> Result<Names, StoreError> {
        let mut indexes = None;
        let mut pages = DocumentPages::new(&*self.store.entries, prefix(&self.name, &[]));
        while let Some(page) = pages.next().await? {
            for Document { key, value, .. } in page {
                let Some(place) = Place::parse(key.as_bytes()) else { continue };
                let stored = place.name.as_bytes();
                let Ok((entry, _)) = self.store.open_entry(&self.name, stored, value).await else { continue };
                let Some(name) = entry.name else { return Ok(Names::Shown) };
                // The newest version may be younger than the names.
                if indexes.is_none() {
                    let is_gone = |error: &KeyringError| {
                        matches!(error, KeyringError::VersionDestroyed { .. } | KeyringError::Open(_))
                    };
                    indexes = Some(self.indexes(is_gone).await?);
                }
                let of_entry = |index: &Index| index.blind(name.as_bytes()).is_ok_and(|blinded| blinded == stored);
                let known: &mut Vec<Index> = indexes.get_or_insert_default();
                if let Some(at) = known.iter().position(of_entry) {
                    return Ok(Names::Blinded(Some(known.swap_remove(at))));
                }
            }
        }
        // No entry tells. Whoever writes to the storage can see to that; that there never was an index key, only the trust database says.
        let may_be_blinded = indexes.is_some() || self.has_index().await?;
        Ok(if may_be_blinded { Names::Blinded(None) } else { Names::Unknown })
    }

    /// Returns the versions of the key that blinds names, but those that fail in a way that is passed over.
    async fn indexes(&self, is_passed: fn(&KeyringError) -> bool) -> Result<Vec<Index>, StoreError> {
        // A namespace of too many segments has none.
        let Ok(key) = self.index_key() else { return Ok(Vec::new()) };
        let invalid = |reason| StoreError::InvalidNamespace { name: self.name.to_string(), reason };
        let name: KeyName = key.to_string().parse().map_err(invalid)?;
        let (mut indexes, mut after) = (Vec::new(), None);
        loop {
            let page = match self.store.keyring.versions(&name, after, 0).await {
                Err(KeyringError::NoKey(_)) => return Ok(indexes),
                Err(error) if is_passed(&error) => return Ok(indexes),
                page => page.map_err(|source| self.keyring_error(source))?,
            };
            for version in page.versions {
                let version = match version {
                    Ok(version) => self.store.keyring.system_version(&key, version.id).await,
                    Err(error) => Err(error),
                };
                match version {
                    Err(error) if is_passed(&error) => {}
                    version => indexes.push(Index::new(version.map_err(|source| self.keyring_error(source))?)),
                }
            }
            match page.next {
                None => return Ok(indexes),
                next => after = next,
            }
        }
    }
}
