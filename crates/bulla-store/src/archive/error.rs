use std::io;

use crate::{Place, StoreError};

/// Failure of writing or reading an archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// It could not be read or written.
    #[error("the archive could not be read or written: {0}")]
    Io(#[from] io::Error),
    /// Something else than an archive.
    #[error("this is not an archive of entries")]
    NotAnArchive,
    /// A format of the future.
    #[error("this archive was written by a newer version of this program; update it")]
    Newer,
    /// Cut off or altered. What was put before is whole, and stays.
    #[error("the archive is damaged: {0}; use another copy of it")]
    Damaged(&'static str),
    /// Another entry is where one of the archive should go.
    #[error("there is another entry {0}; skip or replace what is there, or import into another namespace")]
    EntryExists(Place),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ArchiveError {
    /// Returns the stable code of the failure, as `spec/archive.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io(_) => "file",
            Self::NotAnArchive => "not_an_archive",
            Self::Newer => "newer_archive",
            Self::Damaged(_) => "damaged_archive",
            Self::EntryExists(_) => "entry_exists",
            Self::Store(error) => error.code(),
        }
    }
}
