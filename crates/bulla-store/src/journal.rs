//! How far long work has come, so that another call, process or machine goes on (spec, "Journals").

use bulla_backend::{
    Collection, DocumentKey, Documents, Durability, ErrorKind, Expected, MAX_PAGE_DOCUMENTS, Revision,
};
use minicbor::{Decoder, Encoder};

use crate::{NamespaceName, Store, StoreError};

/// Where journals lie. They save work and nothing depends on them: a power cut may take the newest step.
pub(crate) const JOURNALS: Collection = Collection::new("journals", Durability::Cache);

/// Most bytes of work between two steps of a journal: what has to be done again after a kill.
const STEP_BYTES: u64 = 16 * 1_024 * 1_024;
const FORMAT: u64 = 1;
const MAX_JOURNAL_LEN: usize = 8 * 1_024;
const MAX_COUNTS: u64 = 32;
/// The highest count that somebody may have come to: half of what a number holds, so that what is counted on never passes that.
const MAX_COUNT: u64 = u64::MAX / 2;

/// How much one call of long work may do, at most.
///
/// Work that is not finished by then returns and says so; the next call, by whichever process, goes on where it stopped. Each call does
/// something, however small its budget is. What walks over everything at once, and knows what it has seen only in memory, says that it does
/// not stop in the middle of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// So many entries, or blobs.
    pub entries: u64,
    /// So many bytes read, of documents and of blobs; an entry that was begun is finished.
    pub bytes: u64,
}

impl Budget {
    /// All there is to do.
    pub const UNLIMITED: Self = Self { entries: u64::MAX, bytes: u64::MAX };
}

impl Default for Budget {
    fn default() -> Self {
        Self::UNLIMITED
    }
}

/// What is left of a budget.
#[derive(Debug)]
pub(crate) struct Allowance(Budget);

impl Allowance {
    pub(crate) const fn new(budget: &Budget) -> Self {
        Self(*budget)
    }

    pub(crate) const fn spend(&mut self, entries: u64, bytes: u64) {
        self.0.entries = self.0.entries.saturating_sub(entries);
        self.0.bytes = self.0.bytes.saturating_sub(bytes);
    }

    pub(crate) const fn is_spent(&self) -> bool {
        self.0.entries == 0 || self.0.bytes == 0
    }

    /// Returns how many documents it is worth to list at once.
    pub(crate) fn page_len(&self) -> usize {
        usize::try_from(self.0.entries).unwrap_or(MAX_PAGE_DOCUMENTS).clamp(1, MAX_PAGE_DOCUMENTS)
    }
}

/// How far some work has come.
///
/// # Security
/// A hint, which nothing authenticates: whoever writes to the storage can have work skipped. Nothing is deleted because of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Step {
    /// What the work is done for, as it says so itself: a step towards something else is none.
    pub(crate) aim: Vec<u8>,
    /// Which part of the work it is at.
    pub(crate) phase: u64,
    /// The key behind which it goes on; empty at the beginning of a part.
    pub(crate) after: Vec<u8>,
    /// What was counted so far, in the order of the work's own counts.
    pub(crate) counts: Vec<u64>,
}

impl Step {
    /// Returns the key behind which the work goes on.
    pub(crate) fn after(&self) -> Option<DocumentKey> {
        DocumentKey::new(self.after.as_slice()).ok()
    }

    fn encode(&self) -> Vec<u8> {
        let mut encoded = Vec::new();
        let written = self.try_encode(&mut Encoder::new(&mut encoded));
        debug_assert!(written.is_ok(), "encoding to memory does not fail");
        encoded
    }

    fn try_encode(
        &self,
        e: &mut Encoder<&mut Vec<u8>>,
    ) -> Result<(), minicbor::encode::Error<core::convert::Infallible>> {
        e.array(5)?.u64(FORMAT)?.bytes(&self.aim)?.u64(self.phase)?.bytes(&self.after)?;
        e.array(self.counts.len() as u64)?;
        for count in &self.counts {
            e.u64(*count)?;
        }
        Ok(())
    }

    /// Reads a step; `None` for what is none, and so says nothing.
    pub(crate) fn parse(stored: &[u8]) -> Option<Self> {
        let step = (stored.len() <= MAX_JOURNAL_LEN).then(|| Self::decode(stored).ok().flatten()).flatten()?;
        (step.encode() == stored).then_some(step)
    }

    fn decode(stored: &[u8]) -> Result<Option<Self>, minicbor::decode::Error> {
        let mut d = Decoder::new(stored);
        if d.array()? != Some(5) || d.u64()? != FORMAT {
            return Ok(None);
        }
        let (aim, phase, after) = (d.bytes()?.to_vec(), d.u64()?, d.bytes()?.to_vec());
        let Some(count) = d.array()?.filter(|count| *count <= MAX_COUNTS) else { return Ok(None) };
        let counts = (0..count).map(|_| d.u64()).collect::<Result<Vec<_>, _>>()?;
        let is_possible = counts.iter().all(|count| *count <= MAX_COUNT);
        Ok(is_possible.then_some(Self { aim, phase, after, counts }))
    }
}

/// The journal of some work.
#[derive(Debug)]
pub(crate) struct Journal<'a> {
    documents: &'a dyn Documents,
    key: DocumentKey,
    revision: Option<Revision>,
    /// Whether another run of the same work took the journal over. This run then goes on without.
    is_lost: bool,
    /// Bytes of work since the last step.
    undone: u64,
}

impl<'a> Journal<'a> {
    /// Opens the journal of some work on a namespace, or on the whole store, and returns the last step towards that aim.
    pub(crate) async fn open(
        store: &'a Store,
        work: &'static str,
        namespace: Option<&NamespaceName>,
        aim: &[u8],
    ) -> Result<(Self, Option<Step>), StoreError> {
        let subject = namespace.map(NamespaceName::as_str).unwrap_or_default();
        let key = DocumentKey::new([work.as_bytes(), b"\0", subject.as_bytes()].concat())?;
        let found = store.entries.get(JOURNALS, &key).await?;
        let step = found.as_ref().and_then(|document| Step::parse(&document.value)).filter(|step| step.aim == aim);
        let revision = found.map(|document| document.revision);
        Ok((Self { documents: &*store.entries, key, revision, is_lost: false, undone: 0 }, step))
    }

    /// Takes note of so many bytes of work; says whether a step is due.
    pub(crate) const fn is_due(&mut self, bytes: u64) -> bool {
        self.undone = self.undone.saturating_add(bytes);
        self.undone >= STEP_BYTES
    }

    /// Writes a step, unless another run of the same work writes its own.
    pub(crate) async fn write(&mut self, step: &Step) -> Result<(), StoreError> {
        self.undone = 0;
        if self.is_lost {
            return Ok(());
        }
        let expected = self.revision.map_or(Expected::Absent, Expected::Revision);
        match self.documents.put(JOURNALS, &self.key, &step.encode(), expected).await {
            Ok(revision) => self.revision = Some(revision),
            Err(error) if error.kind() == ErrorKind::Conflict => self.is_lost = true,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Ends the work: the next run begins anew.
    pub(crate) async fn close(self) -> Result<(), StoreError> {
        let Some(revision) = self.revision.filter(|_| !self.is_lost) else { return Ok(()) };
        match self.documents.delete(JOURNALS, &self.key, Expected::Revision(revision)).await {
            Err(error) if error.kind() != ErrorKind::Conflict => Err(error.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() -> Step {
        Step { aim: vec![1, 2], phase: 3, after: b"a\0n".to_vec(), counts: vec![0, 300, MAX_COUNT] }
    }

    #[test]
    fn steps_come_back_as_they_were() {
        for step in [step(), Step::default()] {
            assert_eq!(Step::parse(&step.encode()), Some(step));
        }
        assert_eq!(step().after().unwrap().as_bytes(), b"a\0n");
        assert_eq!(Step::default().after(), None);
    }

    #[test]
    fn what_is_no_step_says_nothing() {
        let whole = step().encode();
        for end in 0..whole.len() {
            assert_eq!(Step::parse(&whole[..end]), None);
        }
        let mut longer = whole.clone();
        longer.push(0);
        let mut newer = whole.clone();
        newer[1] = 2;
        let huge = Step { after: vec![0; MAX_JOURNAL_LEN], ..step() }.encode();
        let many = Step { counts: vec![0; 33], ..step() }.encode();
        let impossible = Step { counts: vec![MAX_COUNT + 1], ..step() }.encode();
        for bytes in [&b""[..], b"x", b"\x85", &longer, &newer, &huge, &many, &impossible] {
            assert_eq!(Step::parse(bytes), None);
        }
    }

    #[test]
    fn an_allowance_ends_with_either() {
        let mut entries = Allowance::new(&Budget { entries: 2, bytes: u64::MAX });
        assert_eq!((entries.is_spent(), entries.page_len()), (false, 2));
        entries.spend(2, 10);
        assert!(entries.is_spent());
        let mut bytes = Allowance::new(&Budget { entries: u64::MAX, bytes: 10 });
        assert_eq!(bytes.page_len(), MAX_PAGE_DOCUMENTS);
        bytes.spend(1, 11);
        assert!(bytes.is_spent());
    }
}
