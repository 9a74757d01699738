//! One namespace: its handle, and what a process knows of it.

use std::fmt;
use std::sync::Arc;

use bulla_backend::{BlobId, Collection, DocumentKey, Durability, Revision, Timestamp};
use bulla_seal::{Header, KeyVersionId};
use zeroize::Zeroizing;

use crate::blinding::Index;
use crate::compute::Flights;
use crate::entry::Entry;
use crate::expire::Swept;
use crate::limits::{Room, extra_bytes};
use crate::memory::HoldsAny;
use crate::name::{document_key, prefix};
use crate::settled::{Settled, SettledCell};
use crate::store::{ENTRIES, Store};
use crate::unsettled::Doubt;
use crate::uses::Uses;
use crate::{BadEntry, NamespaceName, Place, StoreError};

/// How often an operation begins again since others changed the entry meanwhile.
pub(crate) const MAX_ROUNDS: usize = 64;

/// The entries of one namespace, sealed under its own key. Clones are the same namespace.
///
/// Every name of an entry that its methods take is any 1 to [`MAX_NAME_LEN`](crate::MAX_NAME_LEN) bytes; another is
/// [`StoreError::InvalidName`].
#[derive(Debug, Clone)]
pub struct Namespace {
    pub(crate) store: Store,
    pub(crate) name: NamespaceName,
    pub(crate) state: Arc<NamespaceState>,
    durability: Option<Durability>,
}

/// What a process knows of a namespace: shared by all its handles.
#[derive(Debug, Default)]
pub(crate) struct NamespaceState {
    pub(crate) settled: SettledCell,
    pub(crate) uses: Uses,
    pub(crate) room: Room,
    pub(crate) holds_any: HoldsAny,
    pub(crate) swept: Swept,
    pub(crate) flights: Flights,
}

/// Where an entry lies: the key of its document, which ends with the name as it is stored.
pub(crate) struct Slot {
    pub(crate) key: DocumentKey,
    /// How many bytes of the key precede the stored name: the group that the entry is filed under.
    pub(crate) group_len: usize,
    /// The name itself, where the stored one is blinded.
    pub(crate) hidden: Option<crate::EntryName>,
}

impl Slot {
    /// Returns the name as it is stored, which the seal binds the entry to.
    pub(crate) fn stored(&self) -> &[u8] {
        &self.key.as_bytes()[self.group_len..]
    }

    /// Returns the name as its caller knows it.
    pub(crate) fn shown(&self) -> &[u8] {
        self.hidden.as_ref().map_or(self.stored(), crate::EntryName::as_bytes)
    }
}

/// An entry as it was read, expired or not.
pub(crate) struct Present {
    pub(crate) revision: Revision,
    /// Under which version of the namespace's key it is sealed.
    pub(crate) key_version: KeyVersionId,
    /// How long its document is, in bytes.
    pub(crate) document_len: usize,
    pub(crate) entry: Entry,
    pub(crate) value: Zeroizing<Vec<u8>>,
}

impl Present {
    /// Returns what an entry in its place has to know of it.
    pub(crate) fn standing(&self) -> Standing {
        let Entry { stat, blob, .. } = &self.entry;
        Standing {
            revision: self.revision,
            version: stat.version,
            blob: blob.as_ref().map(|blob| blob.id),
            document_len: self.document_len,
            extra_bytes: extra_bytes(&self.entry),
            expires: stat.expires,
        }
    }
}

/// What an entry is put in place of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) revision: Revision,
    pub(crate) version: u64,
    pub(crate) blob: Option<BlobId>,
    pub(crate) document_len: usize,
    pub(crate) extra_bytes: u64,
    pub(crate) expires: Option<Timestamp>,
}

impl Namespace {
    pub(crate) fn new(store: Store, name: NamespaceName, state: Arc<NamespaceState>) -> Self {
        Self { store, name, state, durability: None }
    }

    /// Returns the same namespace, written to with another durability than its settings say.
    ///
    /// With [`Durability::Cache`], a power cut may undo the newest writes. A large value put shortly before may then be
    /// refused as missing or damaged, never returned wrongly; put it again. Where a large value replaces a large value,
    /// the new one is made durable all the same, since the old one is deleted.
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &NamespaceName {
        &self.name
    }

    /// Returns how durably to write.
    pub(crate) fn durability(&self, settled: &Settled) -> Durability {
        self.durability.unwrap_or_else(|| settled.settings.durability.into())
    }

    /// Returns where to write a document; one that refers to a blob which is deleted afterwards must be gone by then, even after a power
    /// cut.
    pub(crate) fn collection(&self, settled: &Settled, deletes_blob: bool) -> Collection {
        ENTRIES.with_durability(if deletes_blob { Durability::Durable } else { self.durability(settled) })
    }

    /// Returns where an entry of that name lies.
    pub(crate) fn slot(&self, settled: &Settled, name: &[u8]) -> Result<Slot, StoreError> {
        match settled.doubt {
            // A reader looks in all of its places.
            Some(Doubt::Names(_)) => Err(StoreError::SettingsMissing(self.name.clone())),
            _ => self.slot_under(settled.index.as_ref(), name),
        }
    }

    /// Returns where an entry of that name lies if names are blinded so, or not at all.
    pub(crate) fn slot_under(&self, index: Option<&Index>, name: &[u8]) -> Result<Slot, StoreError> {
        let group_len = prefix(&self.name, &[]).len();
        match index {
            None => Ok(Slot { key: document_key(&self.name, name)?, group_len, hidden: None }),
            Some(index) => {
                let hidden = Some(crate::EntryName::new(name)?);
                Ok(Slot { key: document_key(&self.name, &index.blind(name)?)?, group_len, hidden })
            }
        }
    }

    /// Names an entry for whoever asked for it.
    pub(crate) fn place(&self, name: &[u8]) -> Place {
        crate::store::place(&self.name, name)
    }

    /// Reads an entry, expired or not (spec, "Reading", steps 1 to 3).
    pub(crate) async fn present(&self, slot: &Slot) -> Result<Option<Present>, StoreError> {
        let Some(document) = self.store.entries.get(ENTRIES, &slot.key).await? else { return Ok(None) };
        let document_len = document.value.len();
        let key_version = Header::parse(&document.value).map_or(KeyVersionId([0; 8]), |header| header.key_version());
        let opened = self.store.open_entry(&self.name, slot.stored(), document.value).await;
        let (entry, value) = opened.map_err(|error| error.at(self.place(slot.shown())))?;
        if entry.name != slot.hidden {
            return Err(StoreError::BadEntry { place: self.place(slot.shown()), reason: BadEntry::Name });
        }
        Ok(Some(Present { revision: document.revision, key_version, document_len, entry, value }))
    }

    /// Deletes a blob that no entry needs any more.
    pub(crate) async fn discard(&self, blob: &BlobId) {
        // What was asked for is done already: a blob that stays is an orphan, which `gc` removes.
        let _ = self.store.blobs.delete(blob).await;
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("key", &self.key).finish_non_exhaustive()
    }
}
