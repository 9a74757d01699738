//! Sealing entries anew after a rotation (spec, "Re-sealing").

use std::sync::Arc;

use bulla_backend::{Document, ErrorKind, Expected, MAX_COMMIT_BYTES, MAX_COMMIT_WRITES, Write};
use bulla_keyring::KeyVersion;
use bulla_seal::Header;

use crate::name::prefix;
use crate::namespace::MAX_ROUNDS;
use crate::store::{DocumentPages, ENTRIES};
use crate::walk::{Finding, Observer, WalkEvent};
use crate::{Namespace, Place, StoreError};

/// What a re-sealing has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ResealCounts {
    /// Entries that were sealed under the newest version already.
    pub current: u64,
    /// Entries that are now.
    pub resealed: u64,
    /// Entries that are refused, or could not be looked at, and were left as they are.
    pub failed: u64,
}

/// A document to write, and the revision that it was read at.
struct Rewrite {
    place: Place,
    write: Write,
    len: usize,
}

impl Namespace {
    /// Seals every entry anew that is not sealed under the newest version of the namespace's key. Their versions, times
    /// and blobs stay.
    ///
    /// It may be stopped anywhere and begun again, and run while others read and write. What it did is durable,
    /// whatever the durability of the namespace: once it returned with nothing failed, no entry needs an older key
    /// version, unless another process had not noticed the rotation yet.
    ///
    /// # Errors
    /// Fails if documents cannot be listed or the key's newest version cannot be had, as with [`StoreError::KeyMissing`];
    /// what else goes wrong is a finding.
    pub async fn reseal(&self, observer: &mut Observer<'_, ResealCounts>) -> Result<ResealCounts, StoreError> {
        let mut counts = ResealCounts::default();
        let mut pages = DocumentPages::new(&*self.store.entries, prefix(&self.name, &[]));
        while let Some(documents) = pages.next().await? {
            if documents.is_empty() {
                continue;
            }
            let version = self.newest().await?;
            let mut batch = Vec::new();
            for document in documents {
                let Some(place) = Place::parse(document.key.as_bytes()) else { continue };
                match self.rewrite(&version, place.clone(), document).await {
                    Ok(None) => counts.current += 1,
                    Ok(Some(rewrite)) => {
                        if !has_room(&batch, &rewrite) {
                            self.write_all(std::mem::take(&mut batch), &mut counts, observer).await;
                        }
                        batch.push(rewrite);
                    }
                    Err(error) => refuse(place, error, &mut counts, observer),
                }
            }
            self.write_all(batch, &mut counts, observer).await;
            observer(WalkEvent::Progress(&counts));
        }
        Ok(counts)
    }

    /// Returns the newest version of the key, which a namespace with entries has.
    async fn newest(&self) -> Result<Arc<KeyVersion>, StoreError> {
        self.store.newest_version(&self.name).await?.ok_or_else(|| StoreError::KeyMissing(self.name.clone()))
    }

    /// Seals a document anew; `None` if it need not be.
    async fn rewrite(
        &self,
        version: &KeyVersion,
        place: Place,
        document: Document,
    ) -> Result<Option<Rewrite>, StoreError> {
        if Header::parse(&document.value).is_ok_and(|header| header.key_version() == version.id()) {
            return Ok(None);
        }
        let name = place.name.as_bytes();
        let mut encoded = self.store.open(&self.name, name, document.value).await?;
        let value = self.store.seal(version, &self.name, name, std::mem::take(&mut *encoded))?;
        let len = value.len();
        let expected = Expected::Revision(document.revision);
        let write = Write::Put { collection: ENTRIES, key: document.key, value, expected };
        Ok(Some(Rewrite { place, write, len }))
    }

    /// Writes a batch in one commit where the backend can, else one by one.
    async fn write_all(
        &self,
        batch: Vec<Rewrite>,
        counts: &mut ResealCounts,
        observer: &mut Observer<'_, ResealCounts>,
    ) {
        let (places, writes): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|rewrite| (rewrite.place, rewrite.write)).unzip();
        if writes.len() > 1
            && self.store.entries.capabilities().commit
            && self.store.entries.commit(&writes).await.is_ok()
        {
            counts.resealed += writes.len() as u64;
            return;
        }
        // One lost race or failure spoils a whole commit; by itself each entry shows what becomes of it.
        for (place, write) in places.into_iter().zip(writes) {
            match self.write_one(&place, write).await {
                Ok(true) => counts.resealed += 1,
                Ok(false) => {}
                Err(error) => refuse(place, error, counts, observer),
            }
        }
    }

    /// Writes one entry, again if it was replaced meanwhile; says whether it did.
    async fn write_one(&self, place: &Place, mut write: Write) -> Result<bool, StoreError> {
        for _ in 0..MAX_ROUNDS {
            let Write::Put { collection, key, value, expected } = &write else { return Ok(false) };
            match self.store.entries.put(*collection, key, value, *expected).await {
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                written => return Ok(written.map(|_| true)?),
            }
            let Some(document) = self.store.entries.get(ENTRIES, key).await? else { return Ok(false) };
            let version = self.newest().await?;
            match self.rewrite(&version, place.clone(), document).await? {
                None => return Ok(false),
                Some(again) => write = again.write,
            }
        }
        Err(StoreError::Conflict(place.clone()))
    }
}

fn has_room(batch: &[Rewrite], next: &Rewrite) -> bool {
    let bytes: usize = batch.iter().map(|rewrite| rewrite.len).sum();
    batch.len() < MAX_COMMIT_WRITES && bytes + next.len <= MAX_COMMIT_BYTES
}

fn refuse(place: Place, error: StoreError, counts: &mut ResealCounts, observer: &mut Observer<'_, ResealCounts>) {
    counts.failed += 1;
    observer(WalkEvent::Found(Finding::Entry { place, error }));
}
