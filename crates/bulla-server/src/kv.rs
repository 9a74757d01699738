//! Secrets with versions, as the key-value secrets engines of Vault and OpenBao show them.
//!
//! `spec/kv.md` states how they lie in the store, `docs/secrets.md` what is as Vault has it and what differs. Everything
//! here takes a store, an [engine](crate::engines::Engine) and a request, and knows nothing of HTTP but statuses. The functions
//! of this module are those of version 2; [`v1`] has those of version 1. [`endpoints()`] and [`v1_endpoints()`] bring them into the table of
//! the server.

mod change;
mod config;
mod custom;
mod data;
mod endpoints;
mod json;
pub(crate) mod lenient;
mod list;
mod metadata;
mod moment;
mod patch;
mod path;
mod record;
mod subkeys;
mod transcript;
pub mod v1;
mod versions;
mod way;

pub use config::{ConfigRequest, ConfigResponse, read_config, write_config};
pub use custom::{CustomNotes, MAX_CUSTOM_KEY_LEN, MAX_CUSTOM_KEYS, MAX_CUSTOM_VALUE_LEN};
pub use data::{
    DataResponse, PatchResponse, VersionMetadata, WriteOptions, WriteRequest, delete_data, patch_data, read_data,
    write_data, write_data_as,
};
pub use endpoints::{KV1, KV2, endpoints, v1_endpoints};
pub use json::{MAX_DEPTH, MAX_SECRET_LEN, SecretJson};
pub use lenient::{Flag, Lenient, Seconds, Unsigned};
pub use list::{Keys, ListRequest, MAX_KEYS};
pub use metadata::{
    MetadataPatch, MetadataRequest, MetadataResponse, VersionState, delete_metadata, list, patch_metadata,
    read_metadata, write_metadata, write_metadata_as,
};
pub use moment::Moment;
pub use path::MAX_PATH_LEN;
pub use record::{DEFAULT_VERSIONS, MAX_VERSIONS};
pub use subkeys::{Subkeys, SubkeysResponse, read_subkeys};
pub use versions::{VersionsRequest, delete_versions, destroy_versions, undelete_versions};
pub use way::Way;

pub(crate) use endpoints::list_draft;
pub(crate) use list::list_names;
pub(crate) use path::{folder_of, secret_path};
