//! One engine.

use bulla_seal::sha256;
use bulla_store::{Namespace, Store};
use data_encoding::HEXLOWER;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::enable::OptionsRequest;
use crate::ApiError;
use crate::cubbyhole::CUBBYHOLE;
use crate::kv::{Flag, KV1, KV2, Seconds};
use crate::table::Kind;
use crate::transit::TRANSIT;

/// How long leases are where nobody says, in seconds: 32 days, as with Vault.
pub(crate) const DEFAULT_LEASE: u64 = 2_764_800;

/// What is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// Secrets without versions.
    Kv1,
    /// Secrets with versions.
    Kv2,
    /// Named keys.
    Transit,
    /// Secrets of one token.
    Cubbyhole,
}

/// Something that is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// Where, without the `/` at the end.
    pub path: String,
    /// Which one it is: 32 hex digits that no other has.
    pub id: String,
    /// What it is.
    pub kind: EngineKind,
    /// What it is for, as people say.
    pub description: String,
    /// How it is set.
    pub config: EngineConfig,
    /// When it was disabled, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) closed: Option<u64>,
    /// Where it was before it was moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) moved_from: Option<String>,
}

/// How an engine is set. Times are in seconds, and 0 where they are not set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineConfig {
    /// How long a lease is.
    pub default_lease_ttl: u64,
    /// Said by clients, and of no effect: there is no such cache.
    pub force_no_cache: bool,
    /// How long a lease is at most.
    pub max_lease_ttl: u64,
    /// Whether strangers see in the list for user interfaces that it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing_visibility: Option<Visibility>,
}

/// Who sees an engine in the list for user interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Those who may use it.
    Hidden,
    /// Everybody.
    Unauth,
}

/// Settings to change; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigRequest {
    /// How long a lease is.
    #[serde(default, deserialize_with = "crate::kv::lenient::optional")]
    pub default_lease_ttl: Option<Seconds>,
    /// Accepted, and of no effect.
    #[serde(default, deserialize_with = "crate::kv::lenient::optional")]
    pub force_no_cache: Option<Flag>,
    /// How long a lease is at most.
    #[serde(default, deserialize_with = "crate::kv::lenient::optional")]
    pub max_lease_ttl: Option<Seconds>,
    /// `hidden`, `unauth`, or nothing.
    #[serde(default)]
    pub listing_visibility: Option<String>,
    /// Sent empty by Vault's own client; what is an option stands beside the settings.
    #[serde(default)]
    pub options: Option<OptionsRequest>,
}

impl EngineKind {
    /// Returns the name of the engine.
    #[must_use]
    pub const fn engine(self) -> &'static str {
        match self {
            Self::Kv1 | Self::Kv2 => "kv",
            Self::Transit => "transit",
            Self::Cubbyhole => "cubbyhole",
        }
    }

    /// Returns the version of the engine, where it has several.
    #[must_use]
    pub const fn version(self) -> Option<&'static str> {
        match self {
            Self::Kv1 => Some("1"),
            Self::Kv2 => Some("2"),
            Self::Transit | Self::Cubbyhole => None,
        }
    }

    /// Returns which endpoints answer for it.
    pub(crate) const fn routes(self) -> Kind {
        match self {
            Self::Kv1 => KV1,
            Self::Kv2 => KV2,
            Self::Transit => TRANSIT,
            Self::Cubbyhole => CUBBYHOLE,
        }
    }

    /// Says whether an engine of this kind has entries of its own, which go with it.
    #[must_use]
    pub const fn has_entries(self) -> bool {
        matches!(self, Self::Kv1 | Self::Kv2)
    }
}

impl Engine {
    /// Makes an engine that is there without anybody having enabled it.
    pub(crate) fn by_default(path: &str, kind: EngineKind, description: &str) -> Self {
        let digest = sha256(format!("bulla/engine/{path}").as_bytes());
        Self {
            path: path.to_owned(),
            id: HEXLOWER.encode(&digest[..16]),
            kind,
            description: description.to_owned(),
            config: EngineConfig::default(),
            closed: None,
            moved_from: None,
        }
    }

    /// Returns the path as Vault writes it, with a `/` at the end.
    #[must_use]
    pub fn path_with_slash(&self) -> String {
        format!("{}/", self.path)
    }

    /// Returns the name that audit logs and clients know the engine by.
    #[must_use]
    pub fn accessor(&self) -> String {
        format!("{}_{}", self.kind.engine(), self.id.get(..8).unwrap_or(&self.id))
    }

    /// Returns the id in the form of a UUID.
    #[must_use]
    pub fn uuid(&self) -> String {
        let part = |from, to| self.id.get(from..to).unwrap_or_default();
        format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
    }

    /// Returns how long a lease is, in seconds.
    #[must_use]
    pub fn lease_duration(&self) -> u64 {
        match self.config.default_lease_ttl {
            0 => DEFAULT_LEASE,
            seconds => seconds,
        }
    }

    /// Returns the namespace of the engine's entries, if it is of the kind that a request is for.
    pub(crate) fn namespace(&self, store: &Store, kind: EngineKind) -> Result<Namespace, ApiError> {
        if self.kind != kind || !kind.has_entries() {
            return Err(ApiError::not_found(format!("such path in the engine `{}`", self.path_with_slash())));
        }
        self.entries(store)
    }

    /// Returns the namespace of the engine's entries.
    pub(crate) fn entries(&self, store: &Store) -> Result<Namespace, ApiError> {
        Ok(store.namespace(&format!("secrets/{}", self.id))?)
    }
}

impl EngineConfig {
    /// Changes settings.
    ///
    /// # Errors
    /// 400 for what an engine cannot be set to.
    pub(crate) fn change(&mut self, request: &ConfigRequest) -> Result<(), ApiError> {
        if request.options.is_some_and(|options| options.version.is_some()) {
            return Err(ApiError::field("config.options", "the version of an engine stands in `options`, not here"));
        }
        let seconds = |name: &str, set: Option<Seconds>, before: u64| match set {
            None => Ok(before),
            Some(Seconds(set)) => u64::try_from(set).map_err(|_| ApiError::field(name, "it cannot be negative")),
        };
        let default = seconds("default_lease_ttl", request.default_lease_ttl, self.default_lease_ttl)?;
        let max = seconds("max_lease_ttl", request.max_lease_ttl, self.max_lease_ttl)?;
        if max > 0 && default > max {
            return Err(ApiError::field("max_lease_ttl", format!("{max} s is less than the default of {default} s")));
        }
        self.listing_visibility = match request.listing_visibility.as_deref() {
            None => self.listing_visibility,
            Some("") => None,
            Some("hidden") => Some(Visibility::Hidden),
            Some("unauth") => Some(Visibility::Unauth),
            Some(_) => return Err(ApiError::field("listing_visibility", "it is `hidden`, `unauth` or empty")),
        };
        self.force_no_cache = request.force_no_cache.map_or(self.force_no_cache, |set| set.0);
        (self.default_lease_ttl, self.max_lease_ttl) = (default, max);
        Ok(())
    }
}
