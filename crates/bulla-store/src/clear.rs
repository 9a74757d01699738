//! Removing many entries (spec, "Clearing").

use bulla_backend::{BlobId, Document, DocumentKey, ErrorKind, Expected, ListQuery, MAX_COMMIT_WRITES, Write};
use bulla_seal::sha256;

use crate::entry::Entry;
use crate::journal::{Allowance, Journal, Step};
use crate::listed::Listed;
use crate::settled::Settled;
use crate::store::ENTRIES;
use crate::walk::{Finding, Observer, WalkEvent};
use crate::{Budget, Namespace, Place, StoreError};

const WORK: &str = "clear";

/// Which entries to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClearScope {
    /// All.
    All,
    /// Those whose names begin with these bytes.
    Prefix(Vec<u8>),
    /// Those with this tag. Finding them takes a walk over all.
    Tag(String),
}

/// What a clearing has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClearCounts {
    /// Entries that were removed, expired ones included.
    pub removed: u64,
    /// Entries that were looked at and stay: without the tag, or changed by others meanwhile.
    pub kept: u64,
    /// Entries that are refused, or could not be looked at or removed, and were left as they are.
    pub failed: u64,
    /// Whether all was looked at. If not, the next call goes on.
    pub finished: bool,
}

/// An entry that is to go.
struct Doomed {
    place: Place,
    key: DocumentKey,
    expected: Expected,
    blob: Option<BlobId>,
}

impl ClearScope {
    /// Returns what the names begin with.
    fn prefix(&self) -> &[u8] {
        match self {
            Self::Prefix(prefix) => prefix,
            Self::All | Self::Tag(_) => &[],
        }
    }

    fn covers(&self, entry: &Entry) -> bool {
        match self {
            Self::Tag(tag) => entry.stat.tags.iter().any(|found| found == tag),
            Self::All | Self::Prefix(_) => true,
        }
    }
}

impl Namespace {
    /// Removes many entries, and counts what it did. What is refused is reported, and stays.
    ///
    /// It may be stopped anywhere, and run while others read and write; what others put meanwhile may stay. With a bounded budget, the next
    /// call with one goes on behind what was looked at; without bounds, all is looked at.
    ///
    /// # Errors
    /// [`StoreError::BlindedPrefix`]; otherwise fails only if the storage cannot be listed. What was removed by then stays removed.
    pub async fn clear(
        &self,
        scope: &ClearScope,
        budget: &Budget,
        observer: &mut Observer<'_, ClearCounts>,
    ) -> Result<ClearCounts, StoreError> {
        let settled = self.settled().await?;
        let mut counts = ClearCounts::default();
        let mut allowance = Allowance::new(budget);
        let mut query = ListQuery {
            prefix: self.key_prefix(&settled, scope.prefix())?,
            after: None,
            limit: allowance.page_len().min(MAX_COMMIT_WRITES),
        };
        // A clearing that was given up long ago must not keep this one from looking at everything.
        let mut journal = None;
        if *budget != Budget::UNLIMITED && settled.version > 0 {
            let aim = self.aim(scope, &query.prefix).await?;
            let (opened, step) = Journal::open(&self.store, WORK, Some(&self.name), &aim).await?;
            query.after = step.and_then(|step| step.after());
            journal = Some((opened, aim));
        }
        loop {
            let page = self.store.entries.list(ENTRIES, &query).await?;
            let bytes = page.documents.iter().map(|document| document.value.len() as u64).sum();
            allowance.spend(page.documents.len() as u64, bytes);
            let mut doomed = Vec::new();
            for document in page.documents {
                match self.look_at(&settled, scope, document).await {
                    Ok(Some(entry)) => doomed.push(entry),
                    Ok(None) => counts.kept += 1,
                    Err(finding) => fail(finding, &mut counts, observer),
                }
            }
            self.remove_all(&settled, doomed, &mut counts, observer).await?;
            counts.finished = page.next.is_none();
            observer(WalkEvent::Progress(&counts));
            if counts.finished {
                if let Some((journal, _)) = journal {
                    journal.close().await?;
                }
                return Ok(counts);
            }
            query.after = page.next;
            if let Some((journal, aim)) = &mut journal
                && (allowance.is_spent() || journal.is_due(bytes))
            {
                let after = query.after.as_ref().map(|key| key.as_bytes().to_vec()).unwrap_or_default();
                journal.write(&Step { aim: aim.clone(), after, ..Step::default() }).await?;
            }
            if allowance.is_spent() {
                return Ok(counts);
            }
        }
    }

    /// Names the scope in a journal, which shows nothing that the storage does not show anyway.
    async fn aim(&self, scope: &ClearScope, prefix: &[u8]) -> Result<Vec<u8>, StoreError> {
        Ok(match scope {
            ClearScope::All | ClearScope::Prefix(_) => [b"prefix:", prefix].concat(),
            ClearScope::Tag(tag) => {
                let digest = self.newest_index().await?.digest(&sha256(tag.as_bytes()));
                [&b"tag:"[..], &digest].concat()
            }
        })
    }

    /// Opens an entry, and says whether it is to go.
    async fn look_at(
        &self,
        settled: &Settled,
        scope: &ClearScope,
        document: Document,
    ) -> Result<Option<Doomed>, Finding> {
        let key = document.key.clone();
        let Some(Listed { place, revision, opened, .. }) = self.open_listed(settled, document).await else {
            return Err(Finding::BadKey(key));
        };
        let (entry, _) = opened.map_err(|error| Finding::Entry { place: place.clone(), error })?;
        let blob = entry.blob.as_ref().map(|blob| blob.id);
        let expected = Expected::Revision(revision);
        Ok(scope.covers(&entry).then_some(Doomed { place, key, expected, blob }))
    }

    /// Removes entries in one commit where the backend can, else one by one.
    async fn remove_all(
        &self,
        settled: &Settled,
        doomed: Vec<Doomed>,
        counts: &mut ClearCounts,
        observer: &mut Observer<'_, ClearCounts>,
    ) -> Result<(), StoreError> {
        let collection = self.collection(settled, doomed.iter().any(|entry| entry.blob.is_some()));
        if doomed.len() > 1 && self.store.entries.capabilities().commit {
            let delete =
                |entry: &Doomed| Write::Delete { collection, key: entry.key.clone(), expected: entry.expected };
            let writes: Vec<_> = doomed.iter().map(delete).collect();
            if self.store.entries.commit(&writes).await.is_ok() {
                for Doomed { place, blob, .. } in doomed {
                    counts.removed += 1;
                    self.wrote("remove", place.name.as_bytes(), blob).await;
                }
                return Ok(());
            }
        }
        // One lost race or failure spoils a whole commit; by itself each entry shows what becomes of it.
        for Doomed { place, key, expected, blob } in doomed {
            match self.store.entries.delete(collection, &key, expected).await {
                Ok(true) => {
                    counts.removed += 1;
                    self.wrote("remove", place.name.as_bytes(), blob).await;
                }
                // Others removed it.
                Ok(false) => {}
                Err(error) if error.kind() == ErrorKind::Conflict => counts.kept += 1,
                Err(error) => {
                    let error = StoreError::from(error);
                    if error.is_unwritable() {
                        return Err(error);
                    }
                    fail(Finding::Entry { place, error }, counts, observer);
                }
            }
        }
        Ok(())
    }
}

fn fail(finding: Finding, counts: &mut ClearCounts, observer: &mut Observer<'_, ClearCounts>) {
    counts.failed += 1;
    observer(WalkEvent::Found(finding));
}
