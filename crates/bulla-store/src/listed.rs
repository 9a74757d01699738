//! Entries as walks over the storage find them: by the names that are stored.

use bulla_backend::{Document, Revision};
use bulla_seal::sha256;
use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use crate::blinding::Index;
use crate::entry::Entry;
use crate::name::prefix;
use crate::settled::Settled;
use crate::unsettled::Doubt;
use crate::{BadEntry, EntryName, MAX_NAME_LEN, Namespace, Place, StoreError};

const BLINDED: &str = "blinded:";

/// A document among the entries, and what it says if it opens.
pub(crate) struct Listed {
    pub(crate) revision: Revision,
    /// The name that it lies under.
    pub(crate) stored: EntryName,
    /// The entry's name; where names are blinded and it does not open, what [`shown`] makes of the stored one.
    pub(crate) place: Place,
    pub(crate) opened: Result<(Entry, Zeroizing<Vec<u8>>), StoreError>,
}

impl Namespace {
    /// Opens a document of this namespace that was listed; `None` if its key names no entry.
    pub(crate) async fn open_listed(&self, settled: &Settled, document: Document) -> Option<Listed> {
        let Document { key, revision, value } = document;
        let stored = Place::parse(key.as_bytes()).filter(|place| place.namespace == self.name)?.name;
        let (name, opened) = match self.open_stored(settled, stored.as_bytes(), value).await {
            Ok(opened) => (opened.0.name.clone().unwrap_or_else(|| stored.clone()), Ok(opened)),
            Err(error) => (shown(settled, stored.as_bytes()), Err(error)),
        };
        Some(Listed { revision, stored, place: Place { namespace: self.name.clone(), name }, opened })
    }

    /// Opens a document, and checks that it bears the name that it lies under (spec, "Reading", steps 2 and 3).
    pub(crate) async fn open_stored(
        &self,
        settled: &Settled,
        stored: &[u8],
        document: Vec<u8>,
    ) -> Result<(Entry, Zeroizing<Vec<u8>>), StoreError> {
        let place = || Place { namespace: self.name.clone(), name: shown(settled, stored) };
        let opened = self.store.open_entry(&self.name, stored, document).await.map_err(|error| error.at(place()))?;
        let blinds =
            |index: &Index, name: &EntryName| index.blind(name.as_bytes()).is_ok_and(|blinded| blinded == stored);
        let bears_its_name = match (&settled.doubt, &settled.index, &opened.0.name) {
            (Some(Doubt::Names(indexes)), _, Some(name)) => {
                if !indexes.iter().any(|index| blinds(index, name)) {
                    return Err(self.cannot_tell().await);
                }
                true
            }
            (_, None, None) => true,
            (_, Some(index), Some(name)) => blinds(index, name),
            // Without settings nobody knows what blinds.
            (_, None, Some(_)) if settled.version == 0 => return Err(StoreError::SettingsMissing(self.name.clone())),
            _ => false,
        };
        if bears_its_name { Ok(opened) } else { Err(StoreError::BadEntry { place: place(), reason: BadEntry::Name }) }
    }

    /// Returns what the keys of the documents begin with whose entries' names begin with `start`.
    ///
    /// # Errors
    /// [`StoreError::BlindedPrefix`] for a part of a segment of blinded names.
    pub(crate) fn key_prefix(&self, settled: &Settled, start: &[u8]) -> Result<Vec<u8>, StoreError> {
        Ok(match (&settled.doubt, &settled.index) {
            // Of which some may be blinded: all are gone through.
            (Some(Doubt::Names(indexes)), _) if !indexes.is_empty() => prefix(&self.name, &[]),
            (_, None) => prefix(&self.name, start),
            (_, Some(index)) => prefix(&self.name, &index.blind_prefix(start)?),
        })
    }
}

impl Listed {
    /// Says whether the name begins with `start`; of what does not open, whether it may.
    pub(crate) fn begins_with(&self, settled: &Settled, start: &[u8]) -> bool {
        if self.opened.is_ok() {
            return self.place.name.as_bytes().starts_with(start);
        }
        let stored = self.stored.as_bytes();
        let may = |index: &Index| index.blind_prefix(start).map_or(true, |blinded| stored.starts_with(&blinded));
        match (&settled.doubt, &settled.index) {
            (Some(Doubt::Names(indexes)), _) => stored.starts_with(start) || indexes.iter().any(may),
            (_, Some(index)) => may(index),
            (_, None) => stored.starts_with(start),
        }
    }
}

/// Names an entry of which only the stored name is known: where names are blinded, `blinded:` and the stored name in hex; or its SHA-256 digest,
/// where that would be longer than a name can be.
pub(crate) fn shown(settled: &Settled, stored: &[u8]) -> EntryName {
    match &settled.index {
        None => EntryName::known(stored),
        Some(_) if BLINDED.len() + 2 * stored.len() <= MAX_NAME_LEN => blinded(stored),
        Some(_) => blinded(&sha256(stored)),
    }
}

fn blinded(bytes: &[u8]) -> EntryName {
    EntryName::known(format!("{BLINDED}{}", HEXLOWER.encode(bytes)).as_bytes())
}
