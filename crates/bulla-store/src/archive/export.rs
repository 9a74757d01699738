//! Writing the entries of a namespace to an archive.

use std::io::Write;

use zeroize::Zeroizing;

use super::{ArchiveError, ArchiveWriter, ArchivedEntry};
use crate::walk::{Finding, Observer, WalkEvent};
use crate::{EntryName, EntryQuery, EntryReader, GetOptions, Namespace, StoreError};

/// What an export has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ExportCounts {
    /// Entries that are in the archive.
    pub exported: u64,
    /// Entries that are refused, or could not be looked at, and are not.
    pub failed: u64,
    /// Bytes of values that were written.
    pub bytes: u64,
}

impl Namespace {
    /// Writes the entries of the namespace to an archive, in the clear and under their names, and returns what it was written to. Expired
    /// ones are left out. It takes as much memory as a chunk of a value.
    ///
    /// Others may read and write meanwhile: what they change is in the archive as it was before or as it is after, each entry by itself.
    ///
    /// # Errors
    /// [`ArchiveError::Io`]; [`ArchiveError::Store`] if entries cannot be listed; what is wrong with one entry is a finding.
    ///
    /// # Security
    /// Nothing in the archive is sealed any more. Seal it, unless whoever gets it may read it all.
    pub async fn export<W: Write>(
        &self,
        out: W,
        observer: &mut Observer<'_, ExportCounts>,
    ) -> Result<(W, ExportCounts), ArchiveError> {
        let mut writer = ArchiveWriter::new(out, &self.name, self.store.clock.now())?;
        let mut counts = ExportCounts::default();
        let mut query = EntryQuery::default();
        loop {
            let page = self.list(&query).await?;
            for listed in page.entries {
                let read = match listed.stat {
                    Ok(_) => self.reader(listed.name.as_bytes(), &GetOptions::default()).await,
                    Err(error) => Err(error),
                };
                let exported = match read {
                    Ok(reader) => write_entry(&mut writer, &listed.name, reader, &mut counts, observer).await?,
                    Err(error) => Err(error),
                };
                match exported {
                    Ok(()) => counts.exported += 1,
                    // Removed, or expired, since it was listed.
                    Err(StoreError::NotFound(_)) => {}
                    Err(error) => {
                        counts.failed += 1;
                        let place = self.place(listed.name.as_bytes());
                        observer(WalkEvent::Found(Finding::Entry { place, error }));
                    }
                }
            }
            observer(WalkEvent::Progress(&counts));
            query.after = page.next;
            if query.after.is_none() {
                return Ok((writer.finish()?, counts));
            }
        }
    }
}

/// Writes an entry, or gives it up where its value fails.
async fn write_entry<W: Write>(
    writer: &mut ArchiveWriter<W>,
    name: &EntryName,
    mut reader: EntryReader,
    counts: &mut ExportCounts,
    observer: &mut Observer<'_, ExportCounts>,
) -> Result<Result<(), StoreError>, ArchiveError> {
    writer.entry(&ArchivedEntry { name: name.clone(), stat: reader.stat().clone() })?;
    let mut buffer = Zeroizing::new(vec![0; ArchiveWriter::<W>::PIECE_LEN.min(piece_len(&reader))]);
    let mut offset = 0;
    while offset < reader.message_len() {
        match reader.read_at(offset, &mut buffer).await {
            Ok(read) if read > 0 => {
                writer.value(&buffer[..read])?;
                offset += read as u64;
                counts.bytes += read as u64;
                observer(WalkEvent::Progress(counts));
            }
            // The length is authentic: a value that ends early does not verify.
            Ok(_) => return Err(ArchiveError::Damaged("a value of it is not as long as its entry says")),
            Err(error) => {
                writer.give_up()?;
                return Ok(Err(error));
            }
        }
    }
    writer.end_entry()?;
    Ok(Ok(()))
}

/// Returns how much of a value there is to be held, for small ones.
fn piece_len(reader: &EntryReader) -> usize {
    usize::try_from(reader.message_len()).unwrap_or(usize::MAX).max(1)
}
