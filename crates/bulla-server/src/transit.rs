//! Named keys, as the transit secrets engine of Vault and OpenBao shows them.
//!
//! Each operation is a function from a request to an [`Answer`], over a project: it knows nothing of HTTP but statuses. [`endpoints()`] brings
//! them into the table of the server. What differs from Vault, and why, is in `docs/transit.md`; what a ciphertext is made of, in
//! `spec/transit.md`.
//!
//! These functions compute for as long as their work takes. Batches are best run where that holds up nobody.

mod answer;
mod backup;
mod binding;
mod config;
mod datakey;
mod decrypt;
mod encrypt;
mod endpoints;
mod export;
mod fields;
mod hash;
mod hmac;
mod import;
mod key_type;
mod keys;
mod place;
mod public_key;
mod random;
mod rewrap;
mod sealing;
mod sign;
mod signature;
mod verify;
mod wrapped;
mod wrapping_key;

pub use answer::{Answer, ItemResult, Results};
pub use backup::{KeyBackup, RestoreRequest, back_up_key, restore_key};
pub use config::{ConfigRequest, TrimRequest, configure_key, rotate_key, trim_key};
pub use datakey::{DataKey, DataKeyRequest, data_key};
pub use decrypt::{DecryptItem, DecryptRequest, Decrypted, decrypt};
pub use encrypt::{EncryptItem, EncryptRequest, Encrypted, encrypt};
pub use endpoints::{TRANSIT, TransitOptions, endpoints};
pub use export::{ExportRequest, Exported, export_key};
pub use fields::{Batch, Flag, MAX_BATCH, Number, Period, SecretText};
pub use hash::{HashRequest, Hashed, hash};
pub use hmac::{Authenticated, HmacItem, HmacRequest, hmac};
pub use import::{ImportRequest, ImportVersionRequest, import_key, import_key_version};
pub use keys::{
    CreateKeyRequest, KeyList, KeyView, ListKeysRequest, create_key, delete_key, list_keys, read_key,
    restore_deleted_key, soft_delete_key,
};
pub use random::{MAX_RANDOM_BYTES, RandomBytes, RandomRequest, random};
pub use rewrap::{RewrapItem, RewrapRequest, rewrap};
pub use sign::{SignItem, SignRequest, Signed, sign};
pub use verify::{Verified, VerifyItem, VerifyRequest, verify};
pub use wrapping_key::{WrappingKeyView, wrapping_key};
