//! The stored forms of `spec/keyring.md`, as far as they can be read without a secret.
//!
//! Nothing in them is authentic before a [`Keyring`](crate::Keyring) has verified it. They are public for tools that check or
//! test what is stored.

mod record;
mod row;
mod wrap;

pub use record::{Act, MAX_RECORD_LEN, ParseRecordHashError, Record, RecordHash, SignedRecord};
pub use row::{IdRow, KeyRow, MAX_ROW_LEN, VersionRow};
pub use wrap::{WRAPPED_LEN, Wrap};

pub(crate) use record::{Unreadable, position_key};
pub(crate) use row::{KeyBody, MATERIAL_LEN, name_from_key, version_key, version_number, version_prefix};
pub(crate) use wrap::wrap_key;

use bulla_backend::{Collection, Durability};

/// The signed, hash-chained records; key: position as 8 bytes, big-endian.
pub const TRUST_LOG: Collection = Collection::new("trust_log", Durability::Durable);
/// Data keys, wrapped to machines; key: fingerprint ‖ epoch as 8 bytes, big-endian.
pub const WRAPS: Collection = Collection::new("wraps", Durability::Durable);
/// Named keys; key: the name.
pub const KEYS: Collection = Collection::new("keys", Durability::Durable);
/// Versions of named keys; key: name ‖ 0 ‖ number as 8 bytes, big-endian.
pub const KEY_VERSIONS: Collection = Collection::new("key_versions", Durability::Durable);
/// Where each version lies; key: its id.
pub const KEY_IDS: Collection = Collection::new("key_ids", Durability::Durable);
