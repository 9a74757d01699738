//! The settings that all secrets of a mount share.

use bulla_store::{GetOptions, Namespace, PutOptions, Store, StoreError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::Rounds;
use super::lenient::{Flag, Seconds, Unsigned, optional};
use super::moment::text_of_seconds;
use super::record::MAX_VERSIONS;
use crate::ApiError;
use crate::engines::{Engine, EngineKind};

/// The name of the entry that they lie in.
pub(crate) const CONFIG: &[u8] = b"c";

/// The settings of a mount, as they are stored. What is 0 is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) max_versions: u64,
    pub(crate) cas_required: bool,
    /// In seconds; less than 0 means never, whatever a secret says.
    pub(crate) delete_version_after: i64,
}

/// Settings to change; what is absent stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigRequest {
    /// How many versions of a secret are kept; 0 for the default.
    #[serde(default, deserialize_with = "optional")]
    pub max_versions: Option<Unsigned>,
    /// Whether each write has to say which version it replaces.
    #[serde(default, deserialize_with = "optional")]
    pub cas_required: Option<Flag>,
    /// How long versions live; 0 for ever, less than 0 for ever whatever a secret says.
    #[serde(default, deserialize_with = "optional")]
    pub delete_version_after: Option<Seconds>,
}

/// The settings of a mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ConfigResponse {
    /// How many versions of a secret are kept; 0 for the default.
    pub max_versions: u64,
    /// Whether each write has to say which version it replaces.
    pub cas_required: bool,
    /// How long versions live.
    pub delete_version_after: String,
}

impl Config {
    /// Reads what is stored.
    pub(crate) fn decode(stored: Option<&[u8]>) -> Result<Self, ApiError> {
        let Some(stored) = stored else { return Ok(Self::default()) };
        serde_json::from_slice(stored).map_err(|_| ApiError::corrupt("the settings of the mount are"))
    }
}

/// Reads the settings of a mount.
///
/// # Errors
/// Fails if the store cannot be read.
pub async fn read_config(store: &Store, engine: &Engine) -> Result<ConfigResponse, ApiError> {
    let namespace = engine.namespace(store, EngineKind::Kv2)?;
    let config = match namespace.get(CONFIG, &GetOptions::default()).await {
        Ok(value) => Config::decode(Some(&value.bytes))?,
        Err(StoreError::NotFound(_)) => Config::default(),
        Err(error) => return Err(error.into()),
    };
    Ok(ConfigResponse {
        max_versions: config.max_versions,
        cas_required: config.cas_required,
        delete_version_after: text_of_seconds(config.delete_version_after),
    })
}

/// Changes the settings of a mount.
///
/// # Errors
/// 400 for more versions than can be kept; fails if the store cannot be read or written.
pub async fn write_config(store: &Store, engine: &Engine, request: &ConfigRequest) -> Result<(), ApiError> {
    check_max_versions(request.max_versions)?;
    let namespace = engine.namespace(store, EngineKind::Kv2)?;
    let mut rounds = Rounds::default();
    loop {
        if let Some(done) = rounds.settle(change_config(store, &namespace, request).await) {
            return done;
        }
    }
}

async fn change_config(store: &Store, namespace: &Namespace, request: &ConfigRequest) -> Result<(), ApiError> {
    let options = PutOptions { sensitive: true, ..PutOptions::default() };
    let mut transaction = store.transaction()?;
    let mut config = Config::decode(transaction.get(namespace, CONFIG).await?.as_deref())?;
    config.max_versions = request.max_versions.map_or(config.max_versions, |set| set.0);
    config.cas_required = request.cas_required.map_or(config.cas_required, |set| set.0);
    config.delete_version_after = request.delete_version_after.map_or(config.delete_version_after, |set| set.0);
    let encoded = serde_json::to_vec(&config).map_err(|_| ApiError::corrupt("the settings of the mount are"))?;
    transaction.put(namespace, CONFIG, &encoded, &options)?;
    Ok(transaction.commit().await?)
}

/// Checks how many versions are to be kept.
pub(crate) fn check_max_versions(max: Option<Unsigned>) -> Result<(), ApiError> {
    match max {
        Some(Unsigned(max)) if max > MAX_VERSIONS => {
            Err(ApiError::field("max_versions", format!("at most {MAX_VERSIONS} versions can be kept")))
        }
        _ => Ok(()),
    }
}
