//! Filing entries that are there already (spec, "Limits").

use bulla_backend::{
    Document, Durability, ErrorKind, Expected, Filing, ListQuery, MAX_COMMIT_BYTES, MAX_COMMIT_WRITES,
    MAX_DOCUMENT_LEN, Write,
};

use crate::journal::{Allowance, Journal, Step};
use crate::namespace::Slot;
use crate::settled::Settled;
use crate::store::ENTRIES;
use crate::{Budget, Finding, Namespace, Observer, Place, StoreError, WalkEvent};

/// What a refiling did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RefileCounts {
    /// Entries that were filed.
    pub filed: u64,
    /// Entries that could not be opened, and are as they were. They count, and are not evicted.
    pub refused: u64,
    /// Bytes of entries that were read.
    pub bytes: u64,
    /// Whether all entries were visited.
    pub finished: bool,
}

impl Namespace {
    /// Files the entries that are there as the settings say now: after an eviction policy was set for a namespace that had none. Values,
    /// versions and times stay; uses begin to be counted anew.
    ///
    /// It may be stopped anywhere, and goes on where it stopped. Others may read and write meanwhile.
    ///
    /// # Errors
    /// Fails if the storage cannot be read or written, or files nothing.
    pub async fn refile(
        &self,
        budget: &Budget,
        observer: &mut Observer<'_, RefileCounts>,
    ) -> Result<RefileCounts, StoreError> {
        let settled = self.settled().await?;
        let (mut journal, step) =
            Journal::open(&self.store, "refile", Some(&self.name), &settled.version.to_be_bytes()).await?;
        let mut step = step.unwrap_or_else(|| Step { aim: settled.version.to_be_bytes().to_vec(), ..Step::default() });
        let mut counts = RefileCounts::default();
        if let [filed, refused, bytes] = *step.counts {
            counts = RefileCounts { filed, refused, bytes, finished: false };
        }
        let mut allowance = Allowance::new(budget);
        loop {
            let query = ListQuery { prefix: self.group(), after: step.after(), limit: allowance.page_len() };
            let page = self.store.entries.list(ENTRIES, &query).await?;
            let (entries, before) = (page.documents.len() as u64, counts.bytes);
            self.refile_page(&settled, page.documents, &mut counts, observer).await?;
            let bytes = counts.bytes - before;
            allowance.spend(entries, bytes);
            counts.finished = page.next.is_none();
            observer(WalkEvent::Progress(&counts));
            let Some(next) = page.next else {
                journal.close().await?;
                return Ok(counts);
            };
            step.after = next.as_bytes().to_vec();
            step.counts = vec![counts.filed, counts.refused, counts.bytes];
            if journal.is_due(bytes) || allowance.is_spent() {
                journal.write(&step).await?;
            }
            if allowance.is_spent() {
                return Ok(counts);
            }
        }
    }

    async fn refile_page(
        &self,
        settled: &Settled,
        documents: Vec<Document>,
        counts: &mut RefileCounts,
        observer: &mut Observer<'_, RefileCounts>,
    ) -> Result<(), StoreError> {
        let mut writes = Vec::new();
        let mut len = 0;
        for document in documents {
            counts.bytes += document.value.len() as u64;
            match self.filing_of(settled, &document).await {
                Ok(filing) => {
                    counts.filed += 1;
                    len += document.value.len();
                    let Document { key, revision, value } = document;
                    // A power cut may undo it, and leaves no less than there was.
                    let collection = ENTRIES.with_durability(Durability::Cache);
                    let expected = Expected::Revision(revision);
                    writes.push(Write::PutFiled { collection, key, value, expected, filing });
                }
                Err(error) if error.is_integrity_failure() || matches!(error, StoreError::Keyring { .. }) => {
                    counts.refused += 1;
                    observer(WalkEvent::Found(match Place::parse(document.key.as_bytes()) {
                        Some(place) => Finding::Entry { place, error },
                        None => Finding::BadKey(document.key),
                    }));
                }
                Err(error) => return Err(error),
            }
            if writes.len() == MAX_COMMIT_WRITES || len + MAX_DOCUMENT_LEN > MAX_COMMIT_BYTES {
                self.write_filed(std::mem::take(&mut writes)).await?;
                len = 0;
            }
        }
        self.write_filed(writes).await
    }

    async fn filing_of(&self, settled: &Settled, document: &Document) -> Result<Filing, StoreError> {
        let group_len = self.group().len();
        let key = document.key.clone();
        let stored = key.as_bytes().get(group_len..).unwrap_or_default();
        let (entry, _) = self.store.open_entry(&self.name, stored, document.value.clone()).await?;
        let slot = Slot { key, group_len, hidden: None };
        // Nothing grows: what passes the limit already is evicted by the next puts.
        let filing = self.filing(settled, &slot, &entry).map(|filing| Filing { limit: None, ..filing });
        Ok(filing.unwrap_or(Filing { group_len, ..Filing::default() }))
    }

    /// Writes what was filed. What others wrote meanwhile, they filed themselves.
    async fn write_filed(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        if writes.is_empty() {
            return Ok(());
        }
        match self.store.entries.commit(&writes).await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => return Err(error.into()),
        }
        for write in writes {
            match self.store.entries.commit(&[write]).await {
                Err(error) if error.kind() != ErrorKind::Conflict => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}
