//! What is known of a namespace whose settings do not say it.

use bulla_backend::Document;
use bulla_keyring::{KeyName, KeyringError};

use crate::blinding::Index;
use crate::name::prefix;
use crate::store::DocumentPages;
use crate::{Namespace, Place, StoreError};

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
                    indexes = Some(self.indexes().await?);
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

    /// Returns all versions of the key that blinds names, but those that are gone.
    async fn indexes(&self) -> Result<Vec<Index>, StoreError> {
        let key = self.index_key()?;
        let invalid = |reason| StoreError::InvalidNamespace { name: self.name.to_string(), reason };
        let name: KeyName = key.to_string().parse().map_err(invalid)?;
        let (mut indexes, mut after) = (Vec::new(), None);
        loop {
            let page = match self.store.keyring.versions(&name, after, 0).await {
                Err(KeyringError::NoKey(_)) => return Ok(indexes),
                page => page.map_err(|source| self.keyring_error(source))?,
            };
            for version in page.versions {
                let id = version.map_err(|source| self.keyring_error(source))?.id;
                match self.store.keyring.system_version(&key, id).await {
                    Err(KeyringError::VersionDestroyed { .. } | KeyringError::Open(_)) => {}
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
