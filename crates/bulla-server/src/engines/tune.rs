//! Reading and changing how an engine is set.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Engines;
use super::enable::{OptionsRequest, check_description};
use super::engine::{ConfigRequest, DEFAULT_LEASE, Engine, Visibility};
use super::show::{VersionOption, no_engine};
use super::table::engine_path;
use crate::ApiError;
use crate::kv::{Flag, Seconds};

/// What is to be changed; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TuneRequest {
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// How long a lease is.
    #[serde(default, deserialize_with = "crate::kv::lenient::optional")]
    pub default_lease_ttl: Option<Seconds>,
    /// How long a lease is at most.
    #[serde(default, deserialize_with = "crate::kv::lenient::optional")]
    pub max_lease_ttl: Option<Seconds>,
    /// Accepted, and of no effect.
    #[serde(default, deserialize_with = "crate::kv::lenient::optional")]
    pub force_no_cache: Option<Flag>,
    /// `hidden`, `unauth`, or nothing.
    #[serde(default)]
    pub listing_visibility: Option<String>,
    /// The version of the engine; another one than it has is refused.
    #[serde(default)]
    pub options: Option<OptionsRequest>,
}

/// How an engine is set, with what holds where it is not. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TuneResponse {
    /// How long a lease is.
    pub default_lease_ttl: u64,
    /// What it is for.
    pub description: String,
    /// Of no effect.
    pub force_no_cache: bool,
    /// Who sees it in the list for user interfaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listing_visibility: Option<Visibility>,
    /// How long a lease is at most.
    pub max_lease_ttl: u64,
    /// The version of the engine, where it has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<VersionOption>,
    /// Which tokens a way to sign in makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_type: Option<&'static str>,
}

impl Engines {
    /// Reads how the engine at a path is set.
    ///
    /// # Errors
    /// 400 if there is none; fails if the store cannot be read.
    pub async fn read_tune(&self, path: &str) -> Result<TuneResponse, ApiError> {
        let table = self.table().await?;
        let engine = table.at(path).ok_or_else(|| no_engine(path))?;
        let or_default = |seconds| if seconds == 0 { DEFAULT_LEASE } else { seconds };
        Ok(TuneResponse {
            default_lease_ttl: or_default(engine.config.default_lease_ttl),
            description: engine.description.clone(),
            force_no_cache: engine.config.force_no_cache,
            listing_visibility: engine.config.listing_visibility,
            max_lease_ttl: or_default(engine.config.max_lease_ttl),
            options: engine.kind.version().map(|version| VersionOption { version }),
            token_type: None,
        })
    }

    /// Changes how the engine at a path is set.
    ///
    /// # Errors
    /// 400 if there is none, or for what it cannot be set to; fails if the store cannot be written.
    pub async fn tune(&self, path: &str, request: &TuneRequest) -> Result<(), ApiError> {
        let path = engine_path(path).map_err(|_| no_engine(path))?;
        if let Some(description) = &request.description {
            check_description(description)?;
        }
        self.change(|table| {
            let mut engine = Engine::clone(table.at(path).ok_or_else(|| no_engine(path))?);
            if let Some(version) = request.options.and_then(|options| options.version)
                && engine.kind.version() != Some(version.0.to_string().as_str())
            {
                return Err(ApiError::field("options.version", "the version of an engine cannot be changed")
                    .with_hint("enable a mount of that version, and copy the secrets"));
            }
            engine.config.change(&ConfigRequest {
                default_lease_ttl: request.default_lease_ttl,
                force_no_cache: request.force_no_cache,
                max_lease_ttl: request.max_lease_ttl,
                listing_visibility: request.listing_visibility.clone(),
                options: None,
            })?;
            if let Some(description) = &request.description {
                engine.description.clone_from(description);
            }
            table.replace(engine);
            Ok(())
        })
        .await
    }
}
