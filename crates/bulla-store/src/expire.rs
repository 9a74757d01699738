//! Sweeping out what has expired (spec, "Limits").

use std::sync::{Mutex, PoisonError};

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
        let mut place = self.state.swept.last();
        let mut expired = 0;
        // Others may come behind entries that are not what they are filed as: those are filed anew, or passed over. Where there are too many
        // for one call, the next goes on.
        for _ in 0..(MAX_PAGE_DOCUMENTS as u64).div_ceil(most.max(1)) {
            match self.store.expire_step(Some(&self.group()), now, most, &mut place).await? {
                Some((counts, _)) if counts.expired == 0 => {}
                Some((counts, _)) => {
                    expired = counts.expired;
                    break;
                }
                None => {
                    place = None;
                    break;
                }
            }
        }
        self.state.swept.learn(place);
        Ok(expired)
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
        let (mut journal, step) = Journal::open(self, "expire", namespace, BY_FILING).await?;
        let mut place = step.and_then(|step| DuePlace::parse(&step.after));
        let mut counts = ExpireCounts::default();
        loop {
            let most = MAX_STEP.min(allowance.page_len() as u64);
            let Some((step, bytes)) = self.expire_step(group.as_deref(), now, most, &mut place).await? else {
                journal.close().await?;
                counts.finished = true;
                return Ok(counts);
            };
            counts.add(step);
            allowance.spend(most, bytes);
            if allowance.is_spent() {
                // What was deleted is found deleted; what does not open would be looked at first by each call.
                if let Some(place) = place {
                    let step = Step { aim: BY_FILING.to_vec(), after: place.encode(), ..Step::default() };
                    journal.write(&step).await?;
                }
                return Ok(counts);
            }
        }
    }

    /// Deletes some of what is due; returns what was done, and how many bytes were read for it, or `None` if nothing else is due. As soon as
    /// something stays, it goes on behind it, from place to place.
    async fn expire_step(
        &self,
        group: Option<&[u8]>,
        now: Timestamp,
        most: u64,
        place: &mut Option<DuePlace>,
    ) -> Result<Option<(ExpireCounts, u64)>, StoreError> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let after = place.as_ref().map(|place| (place.due, &*place.key));
        let due = self.entries.due(ENTRIES, group, now, after, most).await?;
        let Some(last) = due.last() else { return Ok(None) };
        let (last_due, last_key) = (last.filing.due.unwrap_or_default(), last.key.as_bytes().to_vec());
        let listed = due.len() as u64;
        let mut counts = ExpireCounts::default();
        let mut bytes = 0;
        let mut doomed = Vec::new();
        let mut refused = Vec::new();
        for filed in due {
            if place.as_ref().is_some_and(|place| place.looked_at.contains(&filed.key)) {
                continue;
            }
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
                    refused.push(filed);
                }
            }
        }
        counts.expired = self.delete_all("expire", doomed).await?.0;
        if let Some(place) = place {
            if place.due != last_due {
                place.looked_at.clear();
            }
            (place.due, place.key) = (last_due, last_key);
        } else if counts.expired + counts.misfiled < listed {
            // Of the last moment, others may not have been listed yet, in whatever order: it is begun again, in the order of keys.
            refused.retain(|filed| filed.filing.due == Some(last_due));
            let looked_at = refused.into_iter().map(|filed| filed.key).collect();
            *place = Some(DuePlace { due: last_due, key: Vec::new(), looked_at });
        }
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

/// What a sweep by filings says in its journal that it does, unlike one that reads all entries.
const BY_FILING: &[u8] = b"due";

/// Where a sweep goes on among what is due.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DuePlace {
    due: Timestamp,
    /// The bytes of the last key of that moment; none before the first.
    key: Vec<u8>,
    /// What comes behind, and was looked at already.
    looked_at: Vec<DocumentKey>,
}

impl DuePlace {
    fn encode(&self) -> Vec<u8> {
        [&self.due.0.to_be_bytes(), &*self.key].concat()
    }

    fn parse(stored: &[u8]) -> Option<Self> {
        let (due, key) = stored.split_first_chunk()?;
        Some(Self { due: Timestamp(u64::from_be_bytes(*due)), key: key.to_vec(), looked_at: Vec::new() })
    }
}

/// How far the puts of a process have looked through what is due in a namespace, where not all of it opens.
#[derive(Debug, Default)]
pub(crate) struct Swept(Mutex<Option<DuePlace>>);

impl Swept {
    fn last(&self) -> Option<DuePlace> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn learn(&self, place: Option<DuePlace>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = place;
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
