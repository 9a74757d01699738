//! The sealed store: a map from names to values that cannot be read, altered, moved or prolonged without its keys.
//!
//! `spec/store.md` states the bytes. A value of up to 64 KiB lies in its *entry*, a small sealed document; a larger one
//! in a *blob* that is sealed under a key of its own, which only the entry knows. An entry is bound to its project,
//! namespace and name: moved, altered or given a longer life, it does not open. Nothing is returned before it verified.
//!
//! # Which door
//!
//! | you have | use |
//! |---|---|
//! | a value in memory | [`Namespace::put`], [`Namespace::get`] |
//! | a value that comes in pieces, of any length | [`Namespace::writer`] |
//! | a large value to read, or a range of it | [`Namespace::reader`] |
//! | a question about an entry, or about many | [`Namespace::stat`], [`Namespace::list`] |
//! | a counter, or a name that only one may take | [`Namespace::increment`], [`Namespace::add`] |
//! | many entries to put, get, go through or remove | [`Namespace::put_many`], [`Namespace::get_many`], [`Namespace::entries`], [`Namespace::clear`] |
//! | entries that change together, or not at all | [`Store::transaction`] |
//! | a value that takes long to compute | [`Namespace::get_or_compute`] |
//! | values that are to be stored once, however often put | [`Namespace::put_content`] |
//! | a rotated key | [`Namespace::reseal`] |
//! | a key version to let go | [`Store::count_versions`] |
//! | a namespace that is full, or fuller than it should be | [`Namespace::usage`], [`Namespace::evict`], [`Store::expire_due`] |
//! | doubts about the storage | [`Store::check`] |
//! | room taken by what nobody needs | [`Store::gc`], [`Store::compact`] |
//! | a question about how much there is | [`Namespace::summary`], [`Namespace::stats`], [`Store::blob_stats`] |
//! | a bad day before you | [`Store::back_up`], [`Store::restore`] |
//! | entries for another project or program | [`Namespace::export`], [`Namespace::import`] |
//! | a folder of fleche, the Python cache | [`FlecheDirectory`] |
//!
//! # Examples
//!
//! ```
//! use std::sync::Arc;
//!
//! use bulla_backend::{MemoryBlobs, MemoryDocuments, SystemClock};
//! use bulla_keyring::{Identity, Keyring};
//! use bulla_store::{ExpectedVersion, GetOptions, PutOptions, Store};
//!
//! # pollster::block_on(async {
//! let clock = Arc::new(SystemClock);
//! let trust = Arc::new(MemoryDocuments::new());
//! let identity = Arc::new(Identity::generate()?);
//! let keyring = Keyring::create(trust, identity, &"laptop".parse()?, clock.clone()).await?;
//! let store = Store::new(
//!     Arc::new(keyring),
//!     Arc::new(MemoryDocuments::new()),
//!     Arc::new(MemoryBlobs::new()),
//!     clock,
//! );
//!
//! let orders = store.namespace("orders")?;
//! let version = orders.put(b"1234", b"42 widgets", &PutOptions::default()).await?;
//! assert_eq!(orders.get(b"1234", &GetOptions::version(version)).await?.bytes, b"42 widgets");
//!
//! // Only if nobody else was faster.
//! let expected = ExpectedVersion::Version(version);
//! orders.put(b"1234", b"43 widgets", &PutOptions { expected, ..PutOptions::default() }).await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod add;
mod archive;
mod backup;
mod blinding;
mod blob;
mod check;
mod clear;
mod compact;
mod compute;
mod content;
mod entry;
mod error;
mod evict;
mod expire;
mod fleche;
mod gc;
mod get;
mod increment;
mod iterate;
mod journal;
mod lease;
mod lifetime;
mod limits;
mod list;
mod listed;
mod many;
mod memory;
mod name;
mod namespace;
mod options;
mod put;
mod quarantine;
mod references;
mod refile;
mod remove;
mod reseal;
mod revise;
mod settings;
mod settled;
mod stats;
mod store;
mod transaction;
mod unsettled;
mod usage;
mod uses;
#[cfg(test)]
mod vectors;
mod walk;

pub use archive::{
    ArchiveError, ArchivePart, ArchiveReader, ArchiveWriter, ArchivedEntry, ExportCounts, ImportCounts, OnConflict,
    ParseOnConflictError,
};
pub use backup::{BackupCounts, RestoreCounts, RestoreOptions, StoreBackupError};
pub use blinding::MAX_BLINDED_SEGMENTS;
pub use check::{CheckCounts, CheckOptions, MIN_ORPHAN_AGE};
pub use clear::{ClearCounts, ClearScope};
pub use compact::CompactCounts;
pub use compute::{ComputeOptions, Computed, ComputedBy, Waiter};
pub use content::{ContentName, ContentWriter};
pub use entry::{BadEntry, BlobRef, Entry, EntryStat, MAX_INLINE_LEN, MAX_MEDIA_TYPE_LEN, MAX_TAG_LEN, MAX_TAGS};
pub use error::StoreError;
pub use evict::EvictCounts;
pub use expire::ExpireCounts;
pub use fleche::{
    DigestOf, FLECHE_MEDIA_TYPE, FlecheCounts, FlecheDirectory, FlecheError, FlecheFault, FlecheFile, FlecheImport,
    FlecheImportCounts, FlecheKeys, FlecheKeysError, FlecheKind, FlecheListing, FlecheName, FlecheStat, MAX_FLECHE_LEN,
    ParseFlecheNameError,
};
pub use gc::{GcCounts, GcOptions};
pub use get::{EntryReader, MAX_VALUE_LEN, Value};
pub use iterate::{Entries, IteratedEntry};
pub use journal::Budget;
pub use list::{EntryPage, EntryQuery, ListedEntry};
pub use many::NewEntry;
pub use name::{EntryName, MAX_NAME_LEN, NamespaceName, Place};
pub use namespace::Namespace;
pub use options::{ExpectedVersion, GetOptions, Lifetime, PutOptions};
pub use put::EntryWriter;
pub use quarantine::{
    MAX_QUARANTINED_LEN, ParseQuarantineIdError, QuarantineId, QuarantinePage, QuarantineRecord, Quarantined,
};
pub use refile::RefileCounts;
pub use reseal::{Depth, ResealCounts};
pub use settings::{AuditScope, BadSettings, Eviction, Kept, Mode, NamespaceSettings, OnTamper, StoredSettings};
pub use settled::SETTINGS_FRESH;
pub use stats::{BlobStats, NamespaceStats, NamespaceSummary};
pub use store::{Store, StoreOptions};
pub use transaction::Transaction;
pub use usage::VersionUsage;
pub use walk::{Finding, Observer, WalkEvent};
