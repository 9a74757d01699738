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
//! | a rotated key | [`Namespace::reseal`] |
//! | a key version to let go | [`Store::count_versions`] |
//! | doubts about the storage | [`Store::check`] |
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

mod blob;
mod check;
mod entry;
mod error;
mod get;
mod list;
mod name;
mod namespace;
mod options;
mod put;
mod remove;
mod reseal;
mod store;
mod usage;
#[cfg(test)]
mod vectors;
mod walk;

pub use check::{CheckCounts, MIN_ORPHAN_AGE};
pub use entry::{BadEntry, BlobRef, Entry, EntryStat, MAX_INLINE_LEN, MAX_MEDIA_TYPE_LEN, MAX_TAG_LEN, MAX_TAGS};
pub use error::StoreError;
pub use get::{EntryReader, MAX_VALUE_LEN, Value};
pub use list::{EntryPage, EntryQuery, ListedEntry};
pub use name::{EntryName, MAX_NAME_LEN, NamespaceName, Place};
pub use namespace::Namespace;
pub use options::{ExpectedVersion, GetOptions, Lifetime, PutOptions};
pub use put::EntryWriter;
pub use reseal::ResealCounts;
pub use store::Store;
pub use usage::VersionUsage;
pub use walk::{Finding, Observer, WalkEvent};
