//! What refers to blobs: entries, and what lies in quarantine.

use std::collections::HashMap;

use bulla_backend::{BlobId, BlobStat, Document, Timestamp};

use crate::entry::Entry;
use crate::quarantine::QUARANTINE;
use crate::store::DocumentPages;
use crate::{Place, Store, StoreError};

/// How many blobs are held against the entries in one walk; more take more walks. Bounds the memory of a walk to about
/// 100 MiB.
const SLICE_LEN: usize = 1 << 20;

/// Blobs that nothing is known to refer to: their stored lengths, and when they were finished.
pub(crate) type Unclaimed = HashMap<BlobId, (u64, Timestamp)>;

/// A part of all blobs.
pub(crate) struct Slice {
    pub(crate) blobs: Unclaimed,
    /// The last of them, if it is not the last of all.
    pub(crate) next: Option<BlobId>,
    /// The moment before they were listed.
    pub(crate) listed: Timestamp,
}

impl Store {
    /// Lists the next blobs.
    pub(crate) async fn blob_slice(&self, mut after: Option<BlobId>) -> Result<Slice, StoreError> {
        let listed = self.clock.now();
        let mut blobs = Unclaimed::new();
        loop {
            let page = self.blobs.list(after.as_ref(), 0).await?;
            blobs.extend(page.blobs.into_iter().map(|BlobStat { id, len, finished }| (id, (len, finished))));
            after = page.next;
            if after.is_none() || blobs.len() >= SLICE_LEN {
                return Ok(Slice { blobs, next: after, listed });
            }
        }
    }

    /// Takes the blobs that something refers to out of `blobs`, and returns how many documents do not say what they refer to, since they do
    /// not open. `tell` hears of the bytes that each page was read with.
    ///
    /// An entry that is put into quarantine meanwhile is seen in one place or the other; one that is restored from there may be missed,
    /// unless its blob was condemned before.
    pub(crate) async fn strike_out(
        &self,
        blobs: &mut Unclaimed,
        tell: &mut (dyn FnMut(u64) + Send),
    ) -> Result<u64, StoreError> {
        let mut silent = 0;
        let mut pages = DocumentPages::new(&*self.entries, Vec::new());
        while let Some(documents) = pages.next().await? {
            let mut read = 0;
            for document in documents {
                read += document.value.len() as u64;
                let opened = match Place::parse(document.key.as_bytes()) {
                    Some(Place { namespace, name }) => {
                        self.open_entry(&namespace, name.as_bytes(), document.value).await.ok()
                    }
                    None => None,
                };
                match opened {
                    Some((Entry { blob: Some(reference), .. }, _)) => {
                        blobs.remove(&reference.id);
                    }
                    Some(_) => {}
                    None => silent += 1,
                }
            }
            tell(read);
        }
        // Behind the entries: what is moved meanwhile is moved to here.
        let mut pages = DocumentPages::of(&*self.entries, QUARANTINE, Vec::new());
        while let Some(documents) = pages.next().await? {
            let mut read = 0;
            for document in documents {
                read += document.value.len() as u64;
                match self.quarantined_blob(document).await {
                    Some(blob) => {
                        blobs.remove(&blob);
                    }
                    None => silent += 1,
                }
            }
            tell(read);
        }
        Ok(silent)
    }

    /// Returns the blob of an entry that lies in quarantine, if that was known.
    async fn quarantined_blob(&self, document: Document) -> Option<BlobId> {
        let namespace = self.namespace_of(Place::parse(document.key.as_bytes())?.namespace);
        let id = namespace.record_id(&document.key)?;
        namespace.open_record(&id, document.value).await.ok()?.blob
    }
}
