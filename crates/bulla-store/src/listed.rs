//! Entries as walks over the storage find them: by the names that are stored.

use bulla_backend::{Document, Revision};
use bulla_seal::sha256;
use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use crate::entry::Entry;
use crate::name::prefix;
use crate::settled::Settled;
use crate::{BadEntry, EntryName, MAX_NAME_LEN, Namespace, Place, StoreError};

const BLINDED: &str = "blinded:";

/// A document among the entries, and what it says if it opens.
pub(crate) struct Listed {
    pub(crate) revision: Revision,
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
            Ok(opened) => (opened.0.name.clone().unwrap_or(stored), Ok(opened)),
            Err(error) => (shown(settled, stored.as_bytes()), Err(error)),
        };
        Some(Listed { revision, place: Place { namespace: self.name.clone(), name }, opened })
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
        let bears_its_name = match (&settled.index, &opened.0.name) {
            (None, None) => true,
            (Some(index), Some(name)) => index.blind(name.as_bytes()).is_ok_and(|blinded| blinded == stored),
            // Without settings nobody knows what blinds.
            (None, Some(_)) if settled.version == 0 => return Err(StoreError::SettingsMissing(self.name.clone())),
            _ => false,
        };
        if bears_its_name { Ok(opened) } else { Err(StoreError::BadEntry { place: place(), reason: BadEntry::Name }) }
    }

    /// Returns what the keys of the documents begin with whose entries' names begin with `start`.
    ///
    /// # Errors
    /// [`StoreError::BlindedPrefix`] for a part of a segment of blinded names.
    pub(crate) fn key_prefix(&self, settled: &Settled, start: &[u8]) -> Result<Vec<u8>, StoreError> {
        Ok(match &settled.index {
            None => prefix(&self.name, start),
            Some(index) => prefix(&self.name, &index.blind_prefix(start)?),
        })
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
