//! Archives: the entries of a namespace in the clear, for another project or another program (`spec/archive.md`).

mod error;
mod export;
mod format;
mod import;

pub use error::ArchiveError;
pub use export::ExportCounts;
pub use format::{ArchivePart, ArchiveReader, ArchiveWriter, ArchivedEntry};
pub use import::{ImportCounts, OnConflict, ParseOnConflictError};
