//! The stored forms of `spec/keyring.md`, as far as they can be read without a secret.
//!
//! Nothing in them is authentic before a [`Keyring`](crate::Keyring) has verified it. They are public for tools that check or
//! test what is stored.

mod description;
mod ranges;
mod record;
mod row;
mod wrap;

pub use description::MAX_KEY_ROW_LEN;
pub use record::{Act, MAX_RECORD_LEN, ParseRecordHashError, Record, RecordHash, SignedRecord};
pub use row::{IdRow, KeyRow, MAX_ROW_LEN, UsesRow, VersionRow};
pub use wrap::{WRAPPED_LEN, Wrap};

pub(crate) use description::{BEGUN, KeyBody, MAX_RANGES, Settings};
pub(crate) use record::{Unreadable, position_key};
pub(crate) use row::{name_from_key, version_key, version_number, version_place, version_prefix};
pub(crate) use wrap::{wrap_key, wrap_prefix};

use bulla_backend::{Collection, Durability};

/// The signed, hash-chained records; key: position as 8 bytes, big-endian.
pub const TRUST_LOG: Collection = Collection::new("trust_log", Durability::Durable);
/// Data keys, wrapped to machines; key: fingerprint ‖ epoch as 8 bytes, big-endian ‖ commitment of the data key.
pub const WRAPS: Collection = Collection::new("wraps", Durability::Durable);
/// Named keys; key: the name.
pub const KEYS: Collection = Collection::new("keys", Durability::Durable);
/// Versions of named keys; key: name ‖ 0 ‖ number as 8 bytes, big-endian.
pub const KEY_VERSIONS: Collection = Collection::new("key_versions", Durability::Durable);
/// Where each version lies; key: its id.
pub const KEY_IDS: Collection = Collection::new("key_ids", Durability::Durable);
/// How many uses of a version were given out; key: the id of the version.
pub const KEY_USES: Collection = Collection::new("key_uses", Durability::Durable);
