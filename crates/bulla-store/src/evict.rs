//! Evicting entries, those of the lowest rank first (spec, "Limits").

use bulla_backend::{BlobId, DocumentKey, Durability, ErrorKind, Event, Expected, Filed, Revision, Usage, Write};

use crate::journal::Allowance;
use crate::limits::{MAX_STEP, excess, soft};
use crate::store::ENTRIES;
use crate::{Budget, Namespace, Place, Store, StoreError};

/// What an eviction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EvictCounts {
    /// Entries that had expired, which go first.
    pub expired: u64,
    /// Entries that were evicted.
    pub evicted: u64,
    /// Whether no more has to go, or can.
    pub finished: bool,
}

/// What one step of an eviction did.
#[derive(Debug, Default)]
pub(crate) struct EvictStep {
    expired: u64,
    evicted: u64,
    /// Whether others changed some of the entries meanwhile.
    pub(crate) is_contended: bool,
}

impl EvictStep {
    /// Returns how many entries went.
    pub(crate) const fn went(&self) -> u64 {
        self.expired + self.evicted
    }
}

/// An entry that is to go as it was seen, with its blob.
#[derive(Debug)]
pub(crate) struct Doomed {
    pub(crate) key: DocumentKey,
    pub(crate) revision: Revision,
    pub(crate) blob: Option<BlobId>,
}

impl Namespace {
    /// Evicts entries, by the policy of the namespace and expired ones before all others, until there is no more than `keep`; without it,
    /// nine tenths of the limit.
    ///
    /// Puts evict by themselves what passes the limit. This is for making room at a time of one's own choice, or after a limit was lowered.
    /// Entries that were put before the namespace had a policy stay, unless [`Namespace::refile`] was called.
    ///
    /// # Errors
    /// [`StoreError::NoEviction`] if the namespace has no policy; fails if the storage does, or does not count.
    pub async fn evict(&self, keep: Option<Usage>, budget: &Budget) -> Result<EvictCounts, StoreError> {
        let settled = self.settled().await?;
        let (Some(limit), Some(_)) = (settled.settings.limit(), settled.settings.eviction) else {
            return Err(StoreError::NoEviction(self.name.clone()));
        };
        let keep = keep.unwrap_or_else(|| soft(limit));
        self.write_uses(&settled).await;
        let mut allowance = Allowance::new(budget);
        let mut counts = EvictCounts::default();
        let mut is_begun = false;
        loop {
            let usage = self.store.entries.usage(ENTRIES, &self.group()).await?;
            let excess = excess(usage, keep);
            if excess == 0 {
                counts.finished = true;
                return Ok(counts);
            }
            if std::mem::replace(&mut is_begun, true) && allowance.is_spent() {
                return Ok(counts);
            }
            let step = self.evict_some(usage, keep, excess.min(MAX_STEP).min(allowance.page_len() as u64), &[]).await?;
            counts.expired += step.expired;
            counts.evicted += step.evicted;
            if step.went() == 0 && !step.is_contended {
                counts.finished = true;
                return Ok(counts);
            }
            // What others took counts too: each call ends.
            allowance.spend(step.went().max(1), 0);
        }
    }

    /// Evicts towards `keep`, at most so many entries: expired ones, if there are any, and else the lowest but for those that are spared.
    ///
    /// # Security
    /// The storage says which are the lowest, and nobody checks: who can write to it can delete as well.
    pub(crate) async fn evict_some(
        &self,
        usage: Usage,
        keep: Usage,
        most: u64,
        spared: &[DocumentKey],
    ) -> Result<EvictStep, StoreError> {
        let expired = self.expire_some(most).await?;
        if expired > 0 {
            return Ok(EvictStep { expired, ..EvictStep::default() });
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut lowest = self.store.entries.lowest(ENTRIES, &self.group(), most.saturating_add(spared.len())).await?;
        lowest.retain(|filed| !spared.contains(&filed.key));
        lowest.truncate(most);
        let (documents, bytes) =
            (usage.documents.saturating_sub(keep.documents), usage.bytes.saturating_sub(keep.bytes));
        let mut freed = 0_u64;
        let mut doomed = Vec::new();
        for filed in lowest {
            // Large values say how long they are: where they make the room, no others have to go.
            if freed > 0 && freed >= bytes && doomed.len() as u64 >= documents {
                break;
            }
            freed = freed.saturating_add(filed.filing.extra_bytes);
            if let Some(rank) = filed.filing.rank {
                self.state.room.raise_floor(rank.saturating_add(1));
            }
            doomed.push(self.doom(filed).await?);
        }
        let (evicted, is_contended) = self.store.delete_all("evict", doomed).await?;
        Ok(EvictStep { evicted, is_contended, ..EvictStep::default() })
    }

    /// Finds the blob of an entry that is to go. What does not open goes without: its blob is then an orphan, which `gc` removes.
    async fn doom(&self, filed: Filed) -> Result<Doomed, StoreError> {
        let Filed { key, revision, filing } = filed;
        let mut blob = None;
        if filing.extra_bytes > 0
            && let Some(document) = self.store.entries.get(ENTRIES, &key).await?
            && document.revision == revision
        {
            let stored = key.as_bytes().get(filing.group_len..).unwrap_or_default().to_vec();
            let opened = self.store.open_entry(&self.name, &stored, document.value).await;
            blob = opened.ok().and_then(|(entry, _)| entry.blob).map(|blob| blob.id);
        }
        Ok(Doomed { key, revision, blob })
    }
}

impl Store {
    /// Deletes entries, at most as many as a commit takes, unless they have changed; returns how many went, and whether any had changed.
    pub(crate) async fn delete_all(
        &self,
        action: &'static str,
        doomed: Vec<Doomed>,
    ) -> Result<(u64, bool), StoreError> {
        if doomed.is_empty() {
            return Ok((0, false));
        }
        // A document that refers to a blob must be gone before the blob is, even after a power cut. Others may come back by one.
        let has_blob = doomed.iter().any(|doomed| doomed.blob.is_some());
        let collection = ENTRIES.with_durability(if has_blob { Durability::Durable } else { Durability::Cache });
        let delete = |doomed: &Doomed| {
            let (key, expected) = (doomed.key.clone(), Expected::Revision(doomed.revision));
            Write::Delete { collection, key, expected }
        };
        let deletes: Vec<_> = doomed.iter().map(delete).collect();
        let is_contended = match self.entries.commit(&deletes).await {
            Ok(_) => {
                for doomed in &doomed {
                    self.gone(action, doomed).await;
                }
                return Ok((doomed.len() as u64, false));
            }
            Err(error) if error.kind() == ErrorKind::Conflict => true,
            Err(error) if error.kind() == ErrorKind::Unsupported => false,
            Err(error) => return Err(error.into()),
        };
        let mut went = 0;
        for doomed in &doomed {
            match self.entries.delete(collection, &doomed.key, Expected::Revision(doomed.revision)).await {
                Ok(_) => {
                    went += 1;
                    self.gone(action, doomed).await;
                }
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok((went, is_contended))
    }

    async fn gone(&self, action: &'static str, doomed: &Doomed) {
        self.shared.memory.forget(&doomed.key);
        if let Some(blob) = &doomed.blob {
            // A blob that stays is an orphan, which `gc` removes.
            let _ = self.blobs.delete(blob).await;
        }
        if let Some(place) = Place::parse(doomed.key.as_bytes()) {
            self.shared.recorder.record(&Event::Change { action, subject: &place });
        }
    }
}
