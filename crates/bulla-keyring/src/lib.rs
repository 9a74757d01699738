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
//! | to be safe from old copies of the database | [`Keyring::pin`] |
//! | keys | [`Keyring::create_key`], [`Keyring::rotate_key`], [`Keyring::keys`], [`Keyring::key`], [`Keyring::versions`] |
//! | values in memory | [`Keyring::seal`], [`Keyring::open_sealed`], [`Keyring::rewrap`] |
//! | streams, or sealing of your own | [`Keyring::current`] to seal, [`Keyring::version`] to open |
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

mod cache;
mod cbor;
mod dek;
mod error;
mod fingerprint;
pub mod format;
mod identity;
mod key;
mod keyring;
mod name;
mod trust_log;

pub use error::{KeyringError, Result};
pub use fingerprint::{ENCRYPTION_KEY_LEN, Fingerprint, ParseFingerprintError, PublicIdentity};
pub use identity::{Identity, IdentityError, MAX_IDENTITY_LEN, ParseIdentityError};
pub use key::{
    Algorithm, KeyInfo, KeyPage, KeyVersion, ParseAlgorithmError, UseCase, VersionInfo, VersionPage, VersionState,
};
pub use keyring::Keyring;
pub use name::{KeyName, MAX_SEGMENT_LEN, MAX_SEGMENTS, MachineName, NameError};
pub use trust_log::{Capability, Machine, ParseTrustPinError, Problem, TrustLogError, TrustPin};
