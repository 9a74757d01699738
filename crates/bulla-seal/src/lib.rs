//! The sealed value: bytes that are authenticated and encrypted under a key, and bound to a context.
//!
//! `spec/seal.md` states the format byte by byte. This crate does no I/O of its own and knows neither names of keys nor
//! storage: bytes and randomness go in, values come out.
//!
//! # Which door
//!
//! | you have | use |
//! |---|---|
//! | a value in memory | [`SealKey::seal`], [`SealKey::open`] |
//! | a buffer that should be reused, or changed in place | [`SealKey::seal_into`], [`SealKey::open_into`], [`SealKey::seal_in_place`], [`SealKey::open_in_place`] |
//! | a `Write` or `Read` | [`SealWriter`], [`SealedStream`] |
//! | a file, and a range of it to read | [`RangeReader`] |
//! | chunks, and I/O of your own | [`StreamSealer`], [`ChunkOpener`] |
//! | a place that takes text only | [`text`] |
//! | a value that is to be recognised, not hidden | [`MacKey`]; by keys of others, [`MacVerifier`] |
//! | what another application wrote with Fernet | [`FernetKey`], which only opens |
//! | a value that others are to verify | [`SigningKey`] (Ed25519), [`EcdsaKey`] (P-256), [`MlDsaKey`] (ML-DSA-65) |
//!
//! # Examples
//!
//! ```
//! use bulla_seal::{Context, KeyVersionId, Params, ProjectId, SealKey, Secret};
//!
//! let project = ProjectId([7; 32]);
//! let key = SealKey::new(KeyVersionId::random()?, Secret::<32>::random()?.expose())?;
//! let context = Context::user(&project).text("table", "orders").int("row", 1234).build()?;
//!
//! let sealed = key.seal(Params::default(), &context, b"42 widgets")?;
//! assert_eq!(key.open(&context, &sealed)?, b"42 widgets");
//!
//! let elsewhere = Context::user(&project).text("table", "orders").int("row", 1235).build()?;
//! assert!(key.open(&elsewhere, &sealed).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(unsafe_code)]

mod chunk;
mod context;
mod ecdsa;
mod error;
mod fernet;
mod header;
mod key;
#[allow(unsafe_code)]
mod locked;
mod mac;
mod ml_dsa;
mod one_shot;
mod params;
mod primitive;
mod random;
mod range;
mod reader;
mod secret;
mod signing;
mod stream;
pub mod text;
mod writer;

#[cfg(feature = "danger")]
pub mod danger;

pub use chunk::{ChunkOpener, Layout};
pub use context::{Context, ContextBuilder, MAX_CONTEXT_LEN, ProjectId};
pub use ecdsa::{ECDSA_PUBLIC_LEN, ECDSA_SIGNATURE_LEN, EcdsaKey, EcdsaPublicKey};
pub use error::{OpenError, SealError};
pub use fernet::{FernetError, FernetKey, FernetMessage, MAX_FERNET_LEN};
pub use header::{HEADER_LEN, Header};
pub use key::{KeyVersionId, MAX_MATERIAL_LEN, MIN_MATERIAL_LEN, SealKey};
pub use mac::{MAC_LEN, MacKey, MacStream, MacVerifier};
pub use ml_dsa::{ML_DSA_PUBLIC_LEN, ML_DSA_SIGNATURE_LEN, MlDsaKey, MlDsaPublicKey};
pub use params::{ChunkSize, MAX_MESSAGE_LEN, Params, Suite, TAG_LEN};
pub use primitive::{Sha256, constant_time_eq, derive, sha256};
pub use random::fill_random;
pub use range::RangeReader;
pub use reader::{OpenReader, SealedStream};
pub use secret::{Secret, SecretVec};
pub use signing::{Signature, SigningKey, VerifyingKey};
pub use stream::StreamSealer;
pub use writer::SealWriter;
