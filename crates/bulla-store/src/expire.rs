//! Sweeping out what has expired (spec, "Limits").

use std::collections::HashSet;

use bulla_backend::{
    Document, DocumentKey, Durability, ErrorKind, Expected, Filed, Filing, ListQuery, MAX_PAGE_DOCUMENTS, Timestamp,
    Write,
};

use crate::evict::Doomed;
use crate::journal::{Allowance, Journal, Step};
use crate::limits::{MAX_STEP, extra_bytes};
use crate::store::ENTRIES;
use crate::{Budget, Namespace, NamespaceName, Place, Store, StoreError};

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ExpireCounts {
    /// Entries that had expired, and were deleted.
    pub expired: u64,
    /// Entries that were filed as due and were not. They stay, and were filed anew.
    pub misfiled: u64,
    /// Entries that could not be opened. They stay.
    pub refused: u64,
    /// Whether nothing is left to do.
    pub finished: bool,
}

impl ExpireCounts {
    fn add(&mut self, other: Self) {
        self.expired += other.expired;
        self.misfiled += other.misfiled;
        self.refused += other.refused;
    }
}

impl Namespace {
    /// Deletes entries of the namespace that have expired; nobody could read them any more.
    ///
    /// # Errors
    /// As [`Store::expire_due`].
    pub async fn expire_due(&self, budget: &Budget) -> Result<ExpireCounts, StoreError> {
        self.store.expire(Some(&self.name), budget).await
    }

    /// Deletes some entries that have expired; returns how many went.
    pub(crate) async fn expire_some(&self, most: u64) -> Result<u64, StoreError> {
        let now = self.store.clock.now();
        let mut refused = HashSet::new();
        // Others may come behind entries that are not what they are filed as: those are filed anew, or passed over.
        for _ in 0..MAX_PAGE_DOCUMENTS {
            match self.store.expire_step(Some(&self.group()), now, most, &mut refused).await? {
                Some((counts, _)) if counts.expired == 0 => {}
                Some((counts, _)) => return Ok(counts.expired),
                None => break,
            }
        }
        Ok(0)
    }
}

impl Store {
    /// Deletes entries that have expired, in all namespaces; nobody could read them any more. Each is opened first: what the storage says
    /// about its expiry is only where to look.
    ///
    /// Where the storage does not know what is due, all entries are read.
    ///
    /// # Errors
    /// Fails if the storage cannot be read or written.
    pub async fn expire_due(&self, budget: &Budget) -> Result<ExpireCounts, StoreError> {
        self.expire(None, budget).await
    }

    async fn expire(&self, namespace: Option<&NamespaceName>, budget: &Budget) -> Result<ExpireCounts, StoreError> {
        let group = namespace.map(|namespace| crate::name::prefix(namespace, &[]));
        if !self.entries.capabilities().filing {
            return self.expire_by_walk(namespace, group.unwrap_or_default(), budget).await;
        }
        let now = self.clock.now();
        let mut allowance = Allowance::new(budget);
        let mut refused = HashSet::new();
        let mut counts = ExpireCounts::default();
        while !allowance.is_spent() {
            let most = MAX_STEP.min(allowance.page_len() as u64);
            let Some((step, bytes)) = self.expire_step(group.as_deref(), now, most, &mut refused).await? else {
                counts.finished = true;
                break;
            };
            counts.add(step);
            allowance.spend(most, bytes);
        }
        Ok(counts)
    }

    /// Deletes some of what is due, passing over what was refused before; returns what was done, and how many bytes were read for it, or
    /// `None` if nothing else is due.
    async fn expire_step(
        &self,
        group: Option<&[u8]>,
        now: Timestamp,
        most: u64,
        refused: &mut HashSet<DocumentKey>,
    ) -> Result<Option<(ExpireCounts, u64)>, StoreError> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let listed = most.saturating_add(refused.len()).min(MAX_PAGE_DOCUMENTS);
        let mut due = self.entries.due(ENTRIES, group, now, listed).await?;
        due.retain(|filed| !refused.contains(&filed.key));
        due.truncate(most);
        if due.is_empty() {
            return Ok(None);
        }
        let mut counts = ExpireCounts::default();
        let mut bytes = 0;
        let mut doomed = Vec::new();
        for filed in due {
            // Renewed meanwhile, or gone: its own writer has filed it.
            let Some(document) = self.entries.get(ENTRIES, &filed.key).await? else { continue };
            if document.revision != filed.revision {
                continue;
            }
            bytes += document.value.len() as u64;
            let value = document.value.clone();
            match self.look_at_expiry(document, now).await? {
                Expiry::Over(found) => doomed.push(found),
                Expiry::Not(filing) => {
                    counts.misfiled += 1;
                    self.file_anew(&filed, filing, value).await?;
                }
                Expiry::Unknown => {
                    counts.refused += 1;
                    refused.insert(filed.key);
                }
            }
        }
        counts.expired = self.delete_all("expire", doomed).await?.0;
        Ok(Some((counts, bytes)))
    }

    /// Opens an entry, and sees whether it has expired.
    async fn look_at_expiry(&self, document: Document, now: Timestamp) -> Result<Expiry, StoreError> {
        let Document { key, revision, value } = document;
        let Some(place) = Place::parse(key.as_bytes()) else { return Ok(Expiry::Unknown) };
        let entry = match self.open_entry(&place.namespace, place.name.as_bytes(), value).await {
            Ok((entry, _)) => entry,
            // Of one entry, or of one version of its key: others may open.
            Err(error) if error.is_integrity_failure() || matches!(error, StoreError::Keyring { .. }) => {
                return Ok(Expiry::Unknown);
            }
            Err(error) => return Err(error),
        };
        if entry.stat.is_expired(now) {
            return Ok(Expiry::Over(Doomed { key, revision, blob: entry.blob.map(|blob| blob.id) }));
        }
        Ok(Expiry::Not(Filing { due: entry.stat.expires, extra_bytes: extra_bytes(&entry), ..Filing::default() }))
    }

    /// Files a live entry as it says itself, so that it is not looked at again and again.
    async fn file_anew(&self, filed: &Filed, filing: Filing, value: Vec<u8>) -> Result<(), StoreError> {
        let Filing { group_len, rank, .. } = filed.filing;
        let filing = Filing { group_len, rank, ..filing };
        let (key, expected) = (filed.key.clone(), Expected::Revision(filed.revision));
        // A power cut may undo it, and leaves no less than there was.
        let collection = ENTRIES.with_durability(Durability::Cache);
        match self.entries.commit(&[Write::PutFiled { collection, key, value, expected, filing }]).await {
            Err(error) if error.kind() != ErrorKind::Conflict => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Reads all entries, and deletes those that have expired.
    async fn expire_by_walk(
        &self,
        namespace: Option<&NamespaceName>,
        prefix: Vec<u8>,
        budget: &Budget,
    ) -> Result<ExpireCounts, StoreError> {
        let now = self.clock.now();
        let mut allowance = Allowance::new(budget);
        let mut counts = ExpireCounts::default();
        let (mut journal, step) = Journal::open(self, "expire", namespace, &[]).await?;
        let mut step = step.unwrap_or_default();
        loop {
            let query = ListQuery { prefix: prefix.clone(), after: step.after(), limit: allowance.page_len() };
            let page = self.entries.list(ENTRIES, &query).await?;
            let mut bytes = 0;
            for document in page.documents {
                bytes += document.value.len() as u64;
                match self.look_at_expiry(document, now).await? {
                    Expiry::Over(doomed) => counts.expired += self.delete_all("expire", vec![doomed]).await?.0,
                    Expiry::Not(_) => {}
                    Expiry::Unknown => counts.refused += 1,
                }
                allowance.spend(1, 0);
            }
            allowance.spend(0, bytes);
            let Some(next) = page.next else {
                journal.close().await?;
                counts.finished = true;
                return Ok(counts);
            };
            step = Step { after: next.as_bytes().to_vec(), ..step };
            if journal.is_due(bytes) || allowance.is_spent() {
                journal.write(&step).await?;
            }
            if allowance.is_spent() {
                return Ok(counts);
            }
        }
    }
}

/// What an entry says about its expiry.
enum Expiry {
    Over(Doomed),
    /// It lives, and is to be filed so.
    Not(Filing),
    /// It does not open.
    Unknown,
}
