//! Bulla for an application: sealed values under keys that can be rotated at any moment, and a store that cannot be read,
//! altered, moved or prolonged without them.
//!
//! [`Project`] is the way in: it finds the [`Settings`], opens the backend, unlocks this machine's identity and hands out keys
//! and entries. Its methods are async and need no runtime; [`blocking`] has the same for callers without async.
//!
//! | you want | use |
//! |---|---|
//! | to begin | `bulla init`, or [`Project::init`] |
//! | to open what was begun | [`Project::open`] with [`Settings::load`] |
//! | to seal a value and keep it yourself | [`Project::key`], [`Project::context`] |
//! | to have values kept | [`Project::store`] |
//! | to change a key | [`Key::rotate`], then [`Namespace::reseal`] |
//!
//! # Examples
//!
//! ```
//! use bulla::blocking::Project;
//!
//! let project = Project::in_memory()?; // on disk: `bulla init`, then `Project::open(Settings::load()?)?`
//! let orders = project.create_key("orders")?;
//! let row = project.context().text("table", "orders").int("row", 1234).build()?;
//!
//! let sealed = orders.seal(&row, b"42 widgets")?;
//! orders.rotate()?;
//! assert_eq!(orders.open(&row, &sealed)?, b"42 widgets");
//!
//! let features = project.store("features")?;
//! features.put("user/7", [0, 1, 2])?;
//! assert_eq!(features.get("user/7")?, Some(vec![0, 1, 2]));
//! # Ok::<(), bulla::Error>(())
//! ```

#![forbid(unsafe_code)]

/// The README's example, run with the tests of the documentation.
#[doc = include_str!("../../../README.md")]
#[cfg(doctest)]
struct Readme;

mod backend_url;
pub mod blocking;
mod error;
mod files;
mod identity_file;
mod key;
mod pin;
mod project;
mod settings;

pub use backend_url::BackendUrl;
pub use bulla_backend::{BackendError, Durability, ErrorKind, Timestamp};
pub use bulla_keyring::{
    Algorithm, Fingerprint, Identity, IdentityError, KeyInfo, KeyName, Keyring, KeyringError, NameError,
    ParseIdentityError, TrustPin, VersionInfo,
};
pub use bulla_seal::{Context, ContextBuilder, OpenError, ProjectId, SealError};
pub use bulla_store::{
    CheckCounts, EntryName, EntryPage, EntryQuery, EntryReader, EntryStat, EntryWriter, ExpectedVersion, Finding,
    GetOptions, Lifetime, ListedEntry, Namespace, NamespaceName, PutOptions, ResealCounts, Store, StoreError,
    Value as EntryValue, WalkEvent,
};
pub use error::{Error, Result};
pub use key::Key;
pub use project::Project;
pub use settings::{FILE_NAME, Origin, Setting, Settings, SettingsBuilder, SettingsError, Value};
