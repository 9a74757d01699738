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
//! | a copy for a bad day | [`Project::back_up`], [`Project::restore`] |
//! | entries for another project or program | [`Namespace::export`], [`Namespace::import`] |
//! | to change a key | [`Key::rotate`], then [`Namespace::reseal`] |
//! | to let old versions of a key go | [`Project::dependents`], [`Project::trim_key`] |
//! | material from the environment, a file, a command or the program | [`KeySource`], [`Project::create_sourced_key`], [`Project::attach_source`] |
//! | keys that the application uses itself | [`Project::key_flows`] |
//! | to let others in, each to what they may, on record | [`Session`], [`guard`] |
//! | several machines | [`Project::enroll`] on the new one, [`Project::authorise`] on one that is in; [`Project::revoke`], [`Project::rotate`] |
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

mod audit;
mod backend_url;
mod backup;
pub mod blocking;
mod dependents;
mod encoding;
mod error;
mod files;
mod identity_file;
mod key;
mod key_source;
mod machines;
mod os_keyring;
mod pin;
mod project;
mod session;
mod settings;

pub use backend_url::BackendUrl;
pub use backup::{BackupEvent, BackupOptions, Restoration, RestoreAs, RestoreEvent, read_backup_header};
pub use bulla_backend::{BackendError, Durability, ErrorKind, Timestamp, Usage};
pub use bulla_guard as guard;
pub use bulla_keyring::{
    Algorithm, Backup, BackupError, BackupHeader, BackupId, BackupInfo, Capability, Expectation,
    Finding as MachineFinding, Fingerprint, Identity, IdentityError, KeyInfo, KeyName, Keyring, KeyringError,
    LockedIdentity, Machine, MachineName, Membership, NameError, OtherMachineError, Outcome, ParseFingerprintError,
    ParseIdentityError, ParseRecoveryWordsError, ParseRequestError, Passphrase, PassphraseCost, PassphraseError,
    Pending, PendingAct, PutOut, RecoveryWords, Request, RestoreProgress, Revocation, RevokeOptions, Rotation,
    RotationEvent, RotationPhase, StoredIdentity, TrustPin, UnlockError, VersionInfo,
};
pub use bulla_keyring::{
    DataKey, Exportable, KeyOrigin, KeySetting, KeySettings, KeyVersion, MAX_KEY_BACKUP_LEN, MAX_RANDOM_LEN,
    MIN_PERIOD, ParseAlgorithmError, ParseSealToKeyError, PublicKey, Purged, RestoredKey, SEALED_TO_HEAD_LEN,
    SealToKey, SealedToHead, UseCase, VersionState, flows, source,
};
pub use bulla_seal::{Context, ContextBuilder, OpenError, ProjectId, SealError, Secret, SecretVec};
pub use bulla_store::{
    ArchiveError, ArchivePart, ArchiveReader, ArchiveWriter, ArchivedEntry, BackupCounts, ExportCounts, ImportCounts,
    Observer, OnConflict, ParseOnConflictError, RestoreCounts, RestoreOptions,
};
pub use bulla_store::{
    AuditScope, BadSettings, Eviction, Kept, Mode, NamespaceSettings, OnTamper, ParseQuarantineIdError, Place,
    QuarantineId, QuarantinePage, QuarantineRecord, Quarantined,
};
pub use bulla_store::{
    BlobStats, Budget, CheckOptions, CompactCounts, Depth, GcCounts, GcOptions, NamespaceStats, NamespaceSummary,
};
pub use bulla_store::{
    CheckCounts, EntryName, EntryPage, EntryQuery, EntryReader, EntryStat, EntryWriter, ExpectedVersion, Finding,
    GetOptions, Lifetime, ListedEntry, Namespace, NamespaceName, PutOptions, ResealCounts, Store, StoreError,
    Value as EntryValue, VersionUsage, WalkEvent,
};
pub use bulla_store::{
    ClearCounts, ClearScope, ComputeOptions, Computed, ComputedBy, ContentName, ContentWriter, Entries, IteratedEntry,
    MAX_VALUE_LEN, NewEntry, Transaction, Waiter,
};
pub use bulla_store::{EvictCounts, ExpireCounts, RefileCounts, SETTINGS_FRESH};
pub use bulla_store::{
    FlecheDirectory, FlecheError, FlecheFault, FlecheFile, FlecheImport, FlecheKeys, FlecheKind, FlecheListing,
    FlecheName, FlecheStat, MAX_FLECHE_LEN,
};
pub use dependents::{Dependents, VersionDependents};
pub use encoding::{DecodeError, Encoding, ParseEncodingError};
pub use error::{Error, Result};
pub use identity_file::{IdentityFile, PassphrasePrompt};
pub use key::Key;
pub use key_source::{KeySource, ParseKeySourceError};
pub use project::Project;
pub use session::{Session, SessionOptions, this_group, this_user};
pub use settings::{FILE_NAME, Origin, Setting, Settings, SettingsBuilder, SettingsError, Value};
