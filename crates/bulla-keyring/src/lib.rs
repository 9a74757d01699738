//! Who may open what: machine identities, the signed trust log, and named keys with versions.
//!
//! A **project** is one trust domain. Its root key, the **data key**, is stored only wrapped to **machines**, each of which holds an
//! [`Identity`]: private keys that never leave it. A signed, hash-chained **trust log** says which machines were let in, by whom, and
//! which data keys are the project's. Under the data key lie **named keys**, and each is made of **versions**: the newest seals, every
//! one of them opens, and sealed data names its own.
//!
//! `spec/keyring.md` states what is stored byte by byte. This crate knows documents ([`bulla_backend::Documents`]), but no driver, socket or
//! runtime, and takes the time from a [`bulla_backend::Clock`].
//!
//! # Which door
//!
//! | you want | use |
//! |---|---|
//! | an identity for this machine | [`Identity::generate`], [`Identity::create_file`], [`Identity::read_file`] |
//! | a new project, or an existing one | [`Keyring::create`], [`Keyring::open`] |
//! | to be safe from old copies of the database | [`Keyring::pin`]; after a restore on purpose [`Keyring::accept_rollback`] |
//! | another machine in the project | [`Request::create`] there, [`Keyring::authorise`] here; [`Keyring::approve`] where two are needed |
//! | a machine out of it | [`Keyring::find_machine`], [`Keyring::revoke`], [`Keyring::begin_epoch`] |
//! | to know who is in, and who was | [`Keyring::machines`], [`Keyring::history`], [`Keyring::audit_machines`] |
//! | keys | [`Keyring::create_key`], [`Keyring::rotate_key`], [`Keyring::keys`], [`Keyring::key`], [`Keyring::versions`] |
//! | to say how a key may be used | [`Keyring::change_settings`], [`Keyring::disable_version`], [`Keyring::destroy_version`], [`Keyring::trim_key`], [`Keyring::delete_key`] |
//! | to sign, or to recognise | [`Keyring::sign`], [`Keyring::verify`], [`Keyring::hmac`], [`Keyring::public_key`]; [`Keyring::current_one_way`] to write the version down yourself |
//! | material to come in or go out | [`Keyring::create_external_key`], [`Keyring::import_version`], [`Keyring::export_version`], [`Keyring::backup_key`] |
//! | values in memory | [`Keyring::seal`], [`Keyring::open_sealed`], [`Keyring::rewrap`] |
//! | streams, or sealing of your own | [`Keyring::current`] to seal, [`Keyring::version`] to open |
//! | keys from the environment, a file, a command or a closure | [`mod@source`] |
//! | to know which of their values seals and opens, and to react to a change | [`mod@flows`] |
//! | a copy of it all, for a bad day | [`Keyring::back_up`], or with a store [`Keyring::begin_backup`]; [`Backup::read`], [`Backup::restore`] |
//! | to read what is stored without a secret | [`mod@format`] |
//!
//! # Examples
//!
//! ```
//! use std::sync::Arc;
//!
//! use bulla_backend::{MemoryDocuments, SystemClock};
//! use bulla_keyring::{Algorithm, Identity, KeyName, Keyring};
//! use bulla_seal::Context;
//!
//! # pollster::block_on(async {
//! let documents = Arc::new(MemoryDocuments::new());
//! let identity = Arc::new(Identity::generate()?);
//! let keyring = Keyring::create(documents.clone(), identity.clone(), &"laptop".parse()?, Arc::new(SystemClock)).await?;
//!
//! let orders: KeyName = "orders".parse()?;
//! keyring.create_key(&orders, Algorithm::default()).await?;
//! let context = Context::user(&keyring.project()).uint("row", 1234).build()?;
//! let sealed = keyring.seal(&orders, &context, b"42 widgets").await?;
//!
//! // New data goes under the new version; what was sealed before still opens, here or after a restart.
//! keyring.rotate_key(&orders).await?;
//! let pin = keyring.pin();
//! let keyring = Keyring::open(documents, identity, pin, Arc::new(SystemClock)).await?;
//! assert_eq!(keyring.open_sealed(&orders, &context, &sealed).await?, b"42 widgets");
//!
//! // And it can be brought under the new version without showing it.
//! let rewrapped = keyring.rewrap(&orders, &context, &sealed).await?.expect("sealed under an older version");
//! assert_eq!(keyring.open_sealed(&orders, &context, &rewrapped).await?, b"42 widgets");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod algorithm;
mod backup;
mod cache;
mod cbor;
mod dek;
mod error;
mod fingerprint;
pub mod flows;
pub mod format;
mod identity;
mod key;
mod keyring;
mod lease;
mod name;
mod passphrase;
mod private_file;
mod random;
mod recovery;
mod request;
mod sealed_to;
mod settings;
pub mod source;
mod trust_log;
mod wrapping;

pub use algorithm::{Algorithm, ParseAlgorithmError, UseCase};
pub use backup::{
    Backup, BackupContents, BackupError, BackupHeader, BackupId, BackupInfo, BackupItem, BackupWriter,
    MAX_BACKUP_HEADER_LEN, MAX_BACKUP_ITEM_LEN, RestoreProgress, Restored, StoreCounts,
};
pub use error::{KeyringError, Result};
pub use fingerprint::{ENCRYPTION_KEY_LEN, Fingerprint, ParseFingerprintError, PublicIdentity};
pub use identity::{
    Identity, IdentityError, LockedIdentity, MAX_IDENTITY_LEN, ParseIdentityError, StoredIdentity, UnlockError,
};
pub use key::{KeyInfo, KeyPage, KeyVersion, PublicKey, VersionInfo, VersionPage};
pub use keyring::Keyring;
pub use keyring::backup::{MAX_KEY_BACKUP_LEN, RestoredKey};
pub use keyring::data_key::{DataKey, MAX_RANDOM_LEN};
pub use keyring::machines::{Expectation, Finding, Outcome, Revocation, RevokeOptions};
pub use keyring::one_way::OneWayVersion;
pub use keyring::purge::Purged;
pub use keyring::renew::{OldEpochPage, Renewed};
pub use keyring::rotation::{Rotation, RotationEvent, RotationPhase};
pub use keyring::system::{SystemKey, SystemVersion};
pub use name::{KeyName, MAX_SEGMENT_LEN, MAX_SEGMENTS, MachineName, NameError};
pub use passphrase::{MAX_PASSPHRASE_LEN, Passphrase, PassphraseCost, PassphraseError};
pub use recovery::{ParseRecoveryWordsError, RECOVERY_WORDS, RecoveryWords};
pub use request::{MAX_REQUEST_LEN, OtherMachineError, ParseRequestError, Request};
pub use sealed_to::{ParseSealToKeyError, SEALED_TO_HEAD_LEN, SealToKey, SealedToHead, SealedToStream, XWingKey};
pub use settings::{Exportable, KeyOrigin, KeySetting, KeySettings, MIN_PERIOD, VersionState};
pub use trust_log::{
    Capability, Machine, Membership, ParseTrustPinError, Pending, PendingAct, Problem, PutOut, TrustLogError, TrustPin,
};
