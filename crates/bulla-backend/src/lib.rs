//! Where Bulla's bytes live.
//!
//! Two traits, and drivers for them: [`Documents`] holds small values under keys, with revisions and compare-and-swap;
//! [`Blobs`] holds large, immutable values that are streamed. Neither knows what the bytes mean, and neither encrypts: what
//! is handed to them is sealed already, or public.
//!
//! The traits are async and know no runtime: the futures of all drivers finish without a reactor, so that any executor, or a
//! plain blocking loop, can drive them. The embedded drivers work in the thread of the caller; those of servers, each behind a
//! feature, have a runtime of their own.

#![forbid(unsafe_code)]

mod blob;
mod disk;
mod document;
mod error;
mod files;
mod filing;
mod json;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod range;
mod record;
#[cfg(feature = "postgres")]
mod remote;
mod sqlite;
mod table;
#[cfg(feature = "testing")]
pub mod testing;
mod time;

pub use blob::{BlobId, BlobPage, BlobReader, BlobStat, BlobWriter, Blobs, MAX_PAGE_BLOBS};
pub use disk::{Disk, DiskFile, FileIdentity, OpenMode, RealDisk, Stat};
pub use document::{
    Capabilities, ChangeMark, Collection, Document, DocumentKey, Documents, Durability, Expected, ListQuery,
    MAX_COMMIT_BYTES, MAX_COMMIT_WRITES, MAX_DOCUMENT_LEN, MAX_KEY_LEN, MAX_PAGE_BYTES, MAX_PAGE_DOCUMENTS, Page,
    Revision, Write,
};
pub use error::{BackendError, ErrorKind, Result};
pub use files::FileBlobs;
pub use filing::{DiskUsage, Filed, Filing, Rerank, Usage};
pub use json::{JsonDocuments, MAX_JSON_FILE_LEN};
pub use memory::{MemoryBlobs, MemoryDocuments};
#[cfg(feature = "postgres")]
pub use postgres::{PostgresBlobs, PostgresDocuments, PostgresServer, PostgresUrl};
pub use record::{Event, NoRecorder, Recorder};
pub use sqlite::{SqliteDocuments, SqliteOptions};
pub use time::{Clock, SystemClock, Timestamp};
