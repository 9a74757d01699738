//! Restoring: rows first, then the trust log from its end to its beginning, so that there is a project only once everything is there.

use std::collections::HashSet;

use bulla_backend::{
    Collection, Document, DocumentKey, Documents, ErrorKind, Expected, ListQuery, MAX_COMMIT_BYTES, MAX_COMMIT_WRITES,
    Revision, Write,
};
use bulla_seal::ProjectId;

use super::format::COLLECTIONS;
use super::journal::Journal;
use super::{Backup, BackupError};
use crate::format::{SignedRecord, TRUST_LOG, position_key};
use crate::keyring::rotation::JOBS;

/// Most documents in one step: what a commit takes beside the journal and a look at the root.
const MAX_STEP_DOCUMENTS: usize = MAX_COMMIT_WRITES - 2;
/// Most bytes of documents in one step, with room for the journal.
const MAX_STEP_BYTES: usize = MAX_COMMIT_BYTES - 1_024;

/// How far a restoring is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreProgress {
    /// How many documents are there.
    pub done: u64,
    /// How many there will be.
    pub total: u64,
}

/// What a restoring did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// How many documents it wrote.
    pub written: u64,
    /// Whether it went on with one that was interrupted.
    pub resumed: bool,
}

impl Backup {
    /// Restores the project into an empty database. `tell` hears how far the work is.
    ///
    /// A call that was interrupted, in whichever way, is completed by the next one with the same backup, by any process; until then the
    /// database holds no project. Where two work at once, the one that began first stops with [`BackupError::TakenOver`].
    ///
    /// # Errors
    /// [`BackupError::ProjectExists`], [`BackupError::NotEmpty`] or [`BackupError::OtherRestore`] if the database is not empty;
    /// [`BackupError::TakenOver`]; [`KeyringError::Backend`](crate::KeyringError::Backend).
    ///
    /// # Security
    /// Machines that have seen a longer trust log than that of the backup refuse the project, until an authoriser of both accepts that it went
    /// back. What was revoked since the backup is in force again, and what was sealed since under new versions does not open.
    pub async fn restore(
        &self,
        trust: &dyn Documents,
        mut tell: impl FnMut(RestoreProgress),
    ) -> Result<Restored, BackupError> {
        let Some(mut work) = Work::claim(self, trust).await? else {
            return Ok(Restored { written: 0, resumed: true });
        };
        let present = if work.resumed { self.present(trust).await? } else { HashSet::new() };
        let total = self.info().documents;
        let mut done = present.len() as u64;
        let mut step = Step::default();
        for collection in COLLECTIONS.into_iter().filter(|collection| *collection != TRUST_LOG) {
            let mut query = ListQuery::default();
            loop {
                let page = self.documents().list(collection, &query).await?;
                for document in page.documents {
                    if !present.contains(&(collection.name(), document.key.clone())) {
                        done += work.add(&mut step, collection, document).await?;
                        tell(RestoreProgress { done, total });
                    }
                }
                match page.next {
                    Some(next) => query.after = Some(next),
                    None => break,
                }
            }
        }
        // The root comes last: it makes the rest a project.
        for position in (1..self.info().log_length).rev() {
            let key = position_key(position)?;
            if !present.contains(&(TRUST_LOG.name(), key)) {
                done += work.add(&mut step, TRUST_LOG, self.record(position).await?).await?;
                tell(RestoreProgress { done, total });
            }
        }
        work.write(&mut step).await?;
        let restored = Restored { written: work.journal.written + 1, resumed: work.resumed };
        work.finish(self.record(0).await?).await?;
        tell(RestoreProgress { done: total, total });
        Ok(restored)
    }

    /// Begins a restoring, so that no other backup is restored into the same database meanwhile: what comes with the project, as a store does, is
    /// restored between this and [`Backup::restore`]. Says whether one of this backup was begun before.
    ///
    /// # Errors
    /// As [`Backup::restore`].
    pub async fn claim(&self, trust: &dyn Documents) -> Result<bool, BackupError> {
        match Standing::look(self, trust).await? {
            Standing::Whole(_) => Ok(true),
            _ => Ok(Work::claim(self, trust).await?.is_none_or(|work| work.resumed)),
        }
    }

    /// Finds what an interrupted restoring has written. Whatever is not of this backup is refused.
    async fn present(&self, trust: &dyn Documents) -> Result<HashSet<(&'static str, DocumentKey)>, BackupError> {
        let mut present = HashSet::new();
        for collection in COLLECTIONS {
            let mut query = ListQuery::default();
            loop {
                let page = trust.list(collection, &query).await?;
                for document in page.documents {
                    let ours = self.documents().get(collection, &document.key).await?;
                    if ours.is_none_or(|ours| ours.value != document.value) {
                        return Err(BackupError::NotEmpty(noun(collection)));
                    }
                    present.insert((collection.name(), document.key));
                }
                match page.next {
                    Some(next) => query.after = Some(next),
                    None => break,
                }
            }
        }
        Ok(present)
    }

    async fn record(&self, position: u64) -> Result<Document, BackupError> {
        let found = self.documents().get(TRUST_LOG, &position_key(position)?).await?;
        found.ok_or(BackupError::Damaged("a record of its trust log is missing"))
    }
}

/// A restoring that this process does.
struct Work<'a> {
    trust: &'a dyn Documents,
    journal: Journal,
    /// Which write of the journal was ours: nothing is written once it is another's.
    revision: Revision,
    resumed: bool,
}

/// What there is where a backup is to be restored.
enum Standing {
    Free,
    /// An interrupted restoring of the same backup, and which write of its journal there is.
    Begun(Revision),
    /// All of it, and the journal.
    Whole(Document),
}

impl Standing {
    async fn look(backup: &Backup, trust: &dyn Documents) -> Result<Self, BackupError> {
        // The journal first: it goes after the root has come.
        let found = trust.get(JOBS, &Journal::key()?).await?;
        let journal = found.as_ref().map(|found| Journal::decode(&found.value));
        let ours = matches!(&journal, Some(Some(journal)) if journal.backup == backup.info().id);
        if let Some(root) = trust.get(TRUST_LOG, &position_key(0)?).await? {
            return match found {
                Some(found) if ours && root.value == backup.record(0).await?.value => Ok(Self::Whole(found)),
                _ => Err(occupied(&root)),
            };
        }
        match (&found, journal) {
            (None, _) => {
                for collection in COLLECTIONS {
                    let query = ListQuery { limit: 1, ..ListQuery::default() };
                    if !trust.list(collection, &query).await?.documents.is_empty() {
                        return Err(BackupError::NotEmpty(noun(collection)));
                    }
                }
                Ok(Self::Free)
            }
            (Some(found), _) if ours => Ok(Self::Begun(found.revision)),
            (_, Some(Some(other))) => Err(BackupError::OtherRestore(other.backup.to_string())),
            _ => Err(BackupError::NotEmpty("the journal of a restoring")),
        }
    }
}

/// Documents that are to be written at once, where the backend can.
#[derive(Default)]
struct Step {
    documents: Vec<(Collection, Document)>,
    bytes: usize,
}

impl<'a> Work<'a> {
    /// Begins, or takes over, the restoring of a backup; `None` if nothing is left to do.
    async fn claim(backup: &Backup, trust: &'a dyn Documents) -> Result<Option<Self>, BackupError> {
        let expected = match Standing::look(backup, trust).await? {
            Standing::Free => Expected::Absent,
            Standing::Begun(revision) => Expected::Revision(revision),
            Standing::Whole(journal) => {
                // Only the journal was left.
                trust.delete(JOBS, &journal.key, Expected::Revision(journal.revision)).await?;
                return Ok(None);
            }
        };
        let machine = backup.keyring().identity().fingerprint();
        let journal = Journal::begin(backup.info().id, machine, backup.keyring().clock().now())?;
        match trust.put(JOBS, &Journal::key()?, &journal.encode(), expected).await {
            Ok(revision) => Ok(Some(Self { trust, journal, revision, resumed: expected != Expected::Absent })),
            Err(error) if error.kind() == ErrorKind::Conflict => Err(BackupError::TakenOver),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds a document to a step, which is written first if it is full; returns how many documents were written.
    async fn add(&mut self, step: &mut Step, collection: Collection, document: Document) -> Result<u64, BackupError> {
        let full = step.documents.len() == MAX_STEP_DOCUMENTS || step.bytes + document.value.len() > MAX_STEP_BYTES;
        let written = if full { self.write(step).await? } else { 0 };
        step.bytes += document.value.len();
        step.documents.push((collection, document));
        Ok(written)
    }

    /// Writes a step, where there is nothing yet, unless another process has taken over; returns how many documents it had.
    async fn write(&mut self, step: &mut Step) -> Result<u64, BackupError> {
        let Step { documents, .. } = std::mem::take(step);
        let count = documents.len() as u64;
        if count == 0 {
            return Ok(0);
        }
        self.journal.written += count;
        if !self.trust.capabilities().commit {
            self.keep_journal().await?;
            for (collection, document) in documents {
                self.put(collection, &document).await?;
            }
            return Ok(count);
        }
        let mut writes: Vec<_> =
            documents.into_iter().map(|(collection, document)| put(collection, document)).collect();
        writes.push(Write::Check { collection: TRUST_LOG, key: position_key(0)?, expected: Expected::Absent });
        writes.push(Write::Put {
            collection: JOBS,
            key: Journal::key()?,
            value: self.journal.encode(),
            expected: Expected::Revision(self.revision),
        });
        match self.trust.commit(&writes).await {
            Ok(revisions) => match revisions.last() {
                Some(Some(revision)) => self.revision = *revision,
                _ => return Err(BackupError::TakenOver),
            },
            Err(error) if error.kind() == ErrorKind::Conflict => return Err(self.refusal().await?),
            Err(error) => return Err(error.into()),
        }
        Ok(count)
    }

    /// Writes the root, and takes the journal away.
    async fn finish(mut self, root: Document) -> Result<(), BackupError> {
        if !self.trust.capabilities().commit {
            self.keep_journal().await?;
            self.put(TRUST_LOG, &root).await?;
            // Whoever takes over from here on finds the root, and only deletes the journal too.
            return match self.trust.delete(JOBS, &Journal::key()?, Expected::Revision(self.revision)).await {
                Err(error) if error.kind() != ErrorKind::Conflict => Err(error.into()),
                _ => Ok(()),
            };
        }
        let expected = Expected::Revision(self.revision);
        let writes = [put(TRUST_LOG, root), Write::Delete { collection: JOBS, key: Journal::key()?, expected }];
        match self.trust.commit(&writes).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::Conflict => Err(self.refusal().await?),
            Err(error) => Err(error.into()),
        }
    }

    /// Says that this process goes on; fails if another has taken over.
    async fn keep_journal(&mut self) -> Result<(), BackupError> {
        let expected = Expected::Revision(self.revision);
        match self.trust.put(JOBS, &Journal::key()?, &self.journal.encode(), expected).await {
            Ok(revision) => self.revision = revision,
            Err(error) if error.kind() == ErrorKind::Conflict => return Err(BackupError::TakenOver),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Writes one document, unless it is there.
    async fn put(&self, collection: Collection, document: &Document) -> Result<(), BackupError> {
        match self.trust.put(collection, &document.key, &document.value, Expected::Absent).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::Conflict => {
                let found = self.trust.get(collection, &document.key).await?;
                match found {
                    Some(found) if found.value == document.value => Ok(()),
                    _ => Err(self.refusal().await?),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Finds out why a step was refused.
    async fn refusal(&self) -> Result<BackupError, BackupError> {
        let journal = self.trust.get(JOBS, &Journal::key()?).await?;
        if journal.is_none_or(|journal| journal.revision != self.revision) {
            return Ok(BackupError::TakenOver);
        }
        Ok(match self.trust.get(TRUST_LOG, &position_key(0)?).await? {
            Some(root) => occupied(&root),
            None => BackupError::NotEmpty("documents"),
        })
    }
}

fn put(collection: Collection, document: Document) -> Write {
    Write::Put { collection, key: document.key, value: document.value, expected: Expected::Absent }
}

/// Describes a database that has a root.
fn occupied(root: &Document) -> BackupError {
    match SignedRecord::decode(&root.value) {
        Some(root) => BackupError::ProjectExists(ProjectId(root.hash().0)),
        None => BackupError::NotEmpty(noun(TRUST_LOG)),
    }
}

fn noun(collection: Collection) -> &'static str {
    match collection.name() {
        "trust_log" => "records of a trust log",
        "wraps" => "wrapped data keys",
        "keys" => "keys",
        "key_versions" => "versions of keys",
        _ => "documents of keys",
    }
}
