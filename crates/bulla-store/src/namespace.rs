use bulla_backend::{BlobId, Collection, Durability, Revision};
use zeroize::Zeroizing;

use crate::entry::Entry;
use crate::name::document_key;
use crate::store::{ENTRIES, Store};
use crate::{NamespaceName, Place, StoreError};

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
    pub(crate) durability: Durability,
}

/// An entry as it was read, expired or not.
pub(crate) struct Present {
    pub(crate) revision: Revision,
    pub(crate) entry: Entry,
    pub(crate) value: Zeroizing<Vec<u8>>,
}

impl Namespace {
    pub(crate) fn new(store: Store, name: NamespaceName) -> Self {
        Self { store, name, durability: Durability::Durable }
    }

    /// Returns the same namespace, written to with another durability; by default a put that returned survives a power
    /// cut.
    ///
    /// With [`Durability::Cache`], a power cut may undo the newest writes. A large value put shortly before may then be
    /// refused as missing or damaged, never returned wrongly; put it again. Where a large value replaces a large value,
    /// the new one is made durable all the same, since the old one is deleted.
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &NamespaceName {
        &self.name
    }

    /// Returns where to write a document that replaces `present`.
    pub(crate) fn collection(&self, present: Option<&Entry>) -> Collection {
        // The blob of what is replaced is deleted afterwards, and must not be missed after a power cut.
        let deletes_blob = present.is_some_and(|entry| entry.blob.is_some());
        ENTRIES.with_durability(if deletes_blob { Durability::Durable } else { self.durability })
    }

    pub(crate) fn place(&self, name: &[u8]) -> Place {
        crate::store::place(&self.name, name)
    }

    /// Reads an entry, expired or not (spec, "Reading", steps 1 to 3).
    pub(crate) async fn present(&self, name: &[u8]) -> Result<Option<Present>, StoreError> {
        let key = document_key(&self.name, name)?;
        let Some(document) = self.store.entries.get(ENTRIES, &key).await? else { return Ok(None) };
        let (entry, value) = self.store.open_entry(&self.name, name, document.value).await?;
        Ok(Some(Present { revision: document.revision, entry, value }))
    }

    /// Deletes a blob that no entry needs any more.
    pub(crate) async fn discard(&self, blob: &BlobId) {
        // What was asked for is done already: a blob that stays is an orphan, which `check` reports.
        let _ = self.store.blobs.delete(blob).await;
    }
}
