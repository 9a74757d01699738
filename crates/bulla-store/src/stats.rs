//! How much there is, and of what (spec, "Figures").

use std::collections::BTreeMap;

use bulla_backend::{DiskUsage, Usage};
use bulla_seal::{Header, KeyVersionId};

use crate::name::prefix;
use crate::quarantine::QUARANTINE;
use crate::store::DocumentPages;
use crate::walk::{Observer, WalkEvent};
use crate::{Namespace, NamespaceName, NamespaceSettings, Store, StoreError};

/// How much there is in one namespace, by what its entries say themselves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct NamespaceStats {
    /// Entries, expired and refused ones included.
    pub entries: u64,
    /// Of those, entries that have expired, and wait to be removed.
    pub expired: u64,
    /// Of those, entries that do not open, of which nothing else is known.
    pub refused: u64,
    /// Bytes of values.
    pub value_bytes: u64,
    /// Bytes of documents, without their keys.
    pub document_bytes: u64,
    /// Entries whose values lie in blobs.
    pub blobs: u64,
    /// Bytes of the values in blobs.
    pub blob_bytes: u64,
    /// Entries by the key version that they name.
    pub versions: BTreeMap<KeyVersionId, u64>,
    /// Records in quarantine.
    pub quarantined: u64,
    /// Bytes read.
    pub read: u64,
}

/// What is known of a namespace without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamespaceSummary {
    /// Which namespace.
    pub name: NamespaceName,
    /// How it is kept; `None` if its settings are missing or do not open.
    pub settings: Option<NamespaceSettings>,
    /// How much there is, expired entries included, as the backend counts it; `None` where it does not.
    pub usage: Option<Usage>,
}

/// How much there is of blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BlobStats {
    /// How many.
    pub blobs: u64,
    /// Their stored lengths together, in bytes.
    pub bytes: u64,
}

impl Namespace {
    /// Counts what there is in the namespace, by opening every entry. Values in blobs are not looked at.
    ///
    /// # Errors
    /// Fails if documents cannot be listed; what does not open is counted.
    pub async fn stats(&self, observer: &mut Observer<'_, NamespaceStats>) -> Result<NamespaceStats, StoreError> {
        let (mut stats, now) = (NamespaceStats::default(), self.store.clock.now());
        let settled = self.reading().await?;
        let mut pages = DocumentPages::new(&*self.store.entries, prefix(&self.name, &[]));
        while let Some(documents) = pages.next().await? {
            for document in documents {
                let len = document.value.len() as u64;
                stats.entries += 1;
                stats.document_bytes += len;
                stats.read += len;
                if let Ok(header) = Header::parse(&document.value) {
                    *stats.versions.entry(header.key_version()).or_default() += 1;
                }
                let opened = self.open_listed(&settled, document).await.and_then(|listed| listed.opened.ok());
                let Some((entry, _)) = opened else {
                    stats.refused += 1;
                    continue;
                };
                stats.expired += u64::from(entry.stat.is_expired(now));
                stats.value_bytes += entry.stat.len;
                if entry.blob.is_some() {
                    stats.blobs += 1;
                    stats.blob_bytes += entry.stat.len;
                }
            }
            observer(WalkEvent::Progress(&stats));
        }
        let mut records = DocumentPages::of(&*self.store.entries, QUARANTINE, prefix(&self.name, &[]));
        while let Some(documents) = records.next().await? {
            stats.quarantined += documents.len() as u64;
            stats.read += documents.iter().map(|document| document.value.len() as u64).sum::<u64>();
            observer(WalkEvent::Progress(&stats));
        }
        Ok(stats)
    }

    /// Returns what is known of the namespace without reading it.
    ///
    /// # Errors
    /// Fails if the storage cannot be read.
    pub async fn summary(&self) -> Result<NamespaceSummary, StoreError> {
        let settings = match self.settled().await {
            Ok(settled) => (settled.version > 0).then(|| settled.settings.clone()),
            Err(StoreError::Backend(error)) => return Err(error.into()),
            Err(_) => None,
        };
        Ok(NamespaceSummary { name: self.name.clone(), settings, usage: self.usage().await? })
    }
}

impl Store {
    /// Counts all blobs.
    ///
    /// # Errors
    /// Fails if they cannot be listed.
    pub async fn blob_stats(&self) -> Result<BlobStats, StoreError> {
        let (mut stats, mut after) = (BlobStats::default(), None);
        loop {
            let page = self.blobs.list(after.as_ref(), 0).await?;
            stats.blobs += page.blobs.len() as u64;
            stats.bytes += page.blobs.iter().map(|blob| blob.len).sum::<u64>();
            after = page.next;
            if after.is_none() {
                return Ok(stats);
            }
        }
    }

    /// Says how much room the documents take on their storage, where the backend can tell.
    ///
    /// # Errors
    /// Fails if the storage cannot be read.
    pub async fn disk_usage(&self) -> Result<Option<DiskUsage>, StoreError> {
        Ok(self.entries.disk_usage().await?)
    }
}
