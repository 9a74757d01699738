//! Putting the entries of an archive into a namespace.

use std::fmt;
use std::io::Read;
use std::str::FromStr;

use bulla_backend::{MAX_COMMIT_BYTES, MAX_COMMIT_WRITES};
use zeroize::Zeroizing;

use super::{ArchiveError, ArchivePart, ArchiveReader, ArchivedEntry};
use crate::walk::{Observer, WalkEvent};
use crate::{
    EntryName, EntryReader, EntryWriter, ExpectedVersion, GetOptions, Lifetime, MAX_INLINE_LEN, Namespace, NewEntry,
    PutOptions, StoreError,
};

/// What becomes of an entry of an archive where there is another one of its name. One that is there just so counts as imported before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// The import ends there.
    #[default]
    Fail,
    /// What is there stays.
    Skip,
    /// What is there is replaced.
    Replace,
}

impl OnConflict {
    const ALL: [Self; 3] = [Self::Fail, Self::Skip, Self::Replace];

    /// Returns the name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Skip => "skip",
            Self::Replace => "replace",
        }
    }
}

impl fmt::Display for OnConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for OnConflict {
    type Err = ParseOnConflictError;

    fn from_str(text: &str) -> Result<Self, ParseOnConflictError> {
        Self::ALL.into_iter().find(|known| known.name() == text).ok_or(ParseOnConflictError)
    }
}

/// Something else than what can be done about a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("say `fail`, `skip` or `replace`")]
pub struct ParseOnConflictError;

/// What an import has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ImportCounts {
    /// Entries that were put.
    pub imported: u64,
    /// Entries that were there just so.
    pub equal: u64,
    /// Entries for which there is another, which stays.
    pub skipped: u64,
    /// Entries that have expired.
    pub expired: u64,
    /// Bytes of values that were read.
    pub bytes: u64,
}

impl Namespace {
    /// Puts the entries of an archive into this namespace, as its settings say: under its key and its mode, with names as it keeps them, within
    /// its limits, and those without an expiry with its lifetime. Each entry is verified before it is put, and put whole.
    ///
    /// An import that was interrupted is completed by the next one of the same archive, which passes over what is there already.
    /// It takes as much memory as two chunks of a value, and at most 1 MiB of small ones that are put together.
    ///
    /// # Errors
    /// [`ArchiveError::NotAnArchive`], [`ArchiveError::Newer`], [`ArchiveError::Damaged`], [`ArchiveError::Io`];
    /// [`ArchiveError::EntryExists`] as `on_conflict` says; [`ArchiveError::Store`]. What was put before stays.
    pub async fn import<R: Read>(
        &self,
        source: R,
        on_conflict: OnConflict,
        observer: &mut Observer<'_, ImportCounts>,
    ) -> Result<ImportCounts, ArchiveError> {
        let mut archive = ArchiveReader::new(source)?;
        let counts = ImportCounts::default();
        let mut work = Work { namespace: self, on_conflict, counts, waiting: Vec::new(), waiting_bytes: 0 };
        let read = work.read(&mut archive, observer).await;
        // What was whole before a failure is put all the same.
        let put = work.put_waiting().await;
        observer(WalkEvent::Progress(&work.counts));
        read.and(put).map(|()| work.counts)
    }
}

/// An import that is being done.
struct Work<'a> {
    namespace: &'a Namespace,
    on_conflict: OnConflict,
    counts: ImportCounts,
    /// Small entries that are whole, and are put together.
    waiting: Vec<Waiting>,
    waiting_bytes: usize,
}

struct Waiting {
    name: EntryName,
    value: Zeroizing<Vec<u8>>,
    options: PutOptions,
}

impl Work<'_> {
    async fn read<R: Read>(
        &mut self,
        archive: &mut ArchiveReader<R>,
        observer: &mut Observer<'_, ImportCounts>,
    ) -> Result<(), ArchiveError> {
        while let Some(entry) = archive.next_entry()? {
            if self.waiting.iter().any(|waiting| waiting.name == entry.name) {
                self.put_waiting().await?;
            }
            let (namespace, on_conflict) = (self.namespace, self.on_conflict);
            let mut import = Import { namespace, entry, on_conflict, state: State::Passed };
            import.begin(&mut self.counts).await?;
            loop {
                match archive.next_part()? {
                    ArchivePart::Piece(piece) => {
                        import.piece(&piece).await?;
                        self.counts.bytes += piece.len() as u64;
                        observer(WalkEvent::Progress(&self.counts));
                    }
                    ArchivePart::End => break self.end(import).await?,
                    ArchivePart::GivenUp => break,
                }
            }
            observer(WalkEvent::Progress(&self.counts));
        }
        Ok(())
    }

    /// Puts an entry that has come whole.
    async fn end(&mut self, import: Import<'_>) -> Result<(), ArchiveError> {
        let options = import.options();
        match import.state {
            State::Passed => {}
            State::Skipped => self.counts.skipped += 1,
            State::Comparing(..) => self.counts.equal += 1,
            State::Small(value) => {
                self.waiting_bytes += value.len();
                self.waiting.push(Waiting { name: import.entry.name, value, options });
                if self.waiting.len() >= MAX_COMMIT_WRITES || self.waiting_bytes >= MAX_COMMIT_BYTES {
                    self.put_waiting().await?;
                }
            }
            State::Writing(writer) => {
                let put = writer.finish().await;
                self.count(put)?;
            }
        }
        Ok(())
    }

    async fn put_waiting(&mut self) -> Result<(), ArchiveError> {
        self.waiting_bytes = 0;
        let waiting = std::mem::take(&mut self.waiting);
        let entries: Vec<_> = waiting
            .iter()
            .map(|Waiting { name, value, options }| NewEntry { name: name.as_bytes(), value, options: options.clone() })
            .collect();
        let mut failed = Ok(());
        for put in self.namespace.put_many(&entries).await {
            failed = failed.and(self.count(put));
        }
        failed
    }

    fn count(&mut self, put: Result<u64, StoreError>) -> Result<(), ArchiveError> {
        match put {
            Ok(_) => self.counts.imported += 1,
            // Somebody else was faster.
            Err(StoreError::VersionMismatch { .. }) if self.on_conflict == OnConflict::Skip => self.counts.skipped += 1,
            Err(StoreError::VersionMismatch { place, .. }) => return Err(ArchiveError::EntryExists(place)),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// One entry on its way into a namespace.
struct Import<'a> {
    namespace: &'a Namespace,
    entry: ArchivedEntry,
    on_conflict: OnConflict,
    state: State,
}

enum State {
    /// Nothing is done about it: it has expired.
    Passed,
    /// What is there stays.
    Skipped,
    /// It has been the same as what is there, so far.
    Comparing(Box<EntryReader>, u64),
    /// A value that will lie in its entry, as far as it has come.
    Small(Zeroizing<Vec<u8>>),
    Writing(Box<EntryWriter>),
}

impl Import<'_> {
    async fn begin(&mut self, counts: &mut ImportCounts) -> Result<(), ArchiveError> {
        if self.entry.stat.is_expired(self.namespace.store.clock.now()) {
            counts.expired += 1;
            return Ok(());
        }
        let name = self.entry.name.as_bytes();
        let standing = match self.namespace.reader(name, &GetOptions::default()).await {
            Ok(reader) => Some(reader),
            Err(StoreError::NotFound(_)) => None,
            // The put will see to it.
            Err(error) if error.is_integrity_failure() => None,
            Err(error) => return Err(error.into()),
        };
        match standing {
            None => self.state = self.beginning()?,
            Some(standing) if self.says_the_same(&standing) => {
                self.state = State::Comparing(Box::new(standing), 0);
            }
            Some(_) => self.differs(None).await?,
        }
        Ok(())
    }

    async fn piece(&mut self, piece: &[u8]) -> Result<(), ArchiveError> {
        match &mut self.state {
            State::Passed | State::Skipped | State::Small(_) | State::Writing(_) => self.add(piece).await?,
            State::Comparing(standing, offset) => {
                let mut there = Zeroizing::new(vec![0; piece.len()]);
                let is_same = match standing.read_at(*offset, &mut there).await {
                    Ok(read) => read == piece.len() && **there == *piece,
                    Err(error) if error.is_integrity_failure() => false,
                    Err(error) => return Err(error.into()),
                };
                if is_same {
                    *offset += piece.len() as u64;
                } else {
                    self.differs(Some(piece)).await?;
                }
            }
        }
        Ok(())
    }

    /// Goes on where another entry is there; behind what was the same, `piece` comes next.
    async fn differs(&mut self, piece: Option<&[u8]>) -> Result<(), ArchiveError> {
        let before = std::mem::replace(&mut self.state, State::Skipped);
        match self.on_conflict {
            OnConflict::Skip => {}
            OnConflict::Fail => {
                return Err(ArchiveError::EntryExists(self.namespace.place(self.entry.name.as_bytes())));
            }
            OnConflict::Replace => {
                self.state = self.beginning()?;
                if let State::Comparing(mut standing, same) = before {
                    let mut buffer = Zeroizing::new(vec![0; MAX_INLINE_LEN]);
                    let mut offset = 0;
                    while offset < same {
                        let wanted = usize::try_from(same - offset).map_or(buffer.len(), |left| left.min(buffer.len()));
                        let read = standing.read_at(offset, &mut buffer[..wanted]).await?;
                        self.add(&buffer[..read]).await?;
                        offset += read as u64;
                    }
                }
                if let Some(piece) = piece {
                    self.add(piece).await?;
                }
            }
        }
        Ok(())
    }

    async fn add(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        match &mut self.state {
            State::Small(value) => value.extend_from_slice(bytes),
            State::Writing(writer) => writer.write(bytes).await?,
            State::Passed | State::Skipped | State::Comparing(..) => {}
        }
        Ok(())
    }

    /// Begins to take a value: in memory if it is small.
    fn beginning(&self) -> Result<State, StoreError> {
        Ok(match usize::try_from(self.entry.stat.len) {
            // All of it at once, so that no copy is left behind by growing.
            Ok(len @ ..=MAX_INLINE_LEN) => State::Small(Zeroizing::new(Vec::with_capacity(len))),
            _ => State::Writing(Box::new(self.namespace.writer(self.entry.name.as_bytes(), &self.options())?)),
        })
    }

    fn options(&self) -> PutOptions {
        let stat = &self.entry.stat;
        PutOptions {
            lifetime: stat.expires.map_or(Lifetime::Inherited, Lifetime::Until),
            media_type: stat.media_type.clone(),
            tags: stat.tags.clone(),
            expected: match self.on_conflict {
                OnConflict::Replace => ExpectedVersion::Any,
                OnConflict::Fail | OnConflict::Skip => ExpectedVersion::Absent,
            },
            sensitive: stat.sensitive,
            compute_time: stat.compute_time,
        }
    }

    /// Says whether what is there is the same, but for the value, which is to be seen. An entry that lives as long as its namespace says may
    /// have any expiry.
    fn says_the_same(&self, standing: &EntryReader) -> bool {
        let (ours, theirs) = (&self.entry.stat, standing.stat());
        ours.len == theirs.len
            && ours.media_type == theirs.media_type
            && ours.tags == theirs.tags
            && ours.sensitive == theirs.sensitive
            && ours.compute_time == theirs.compute_time
            && ours.expires.is_none_or(|expires| theirs.expires == Some(expires))
    }
}
