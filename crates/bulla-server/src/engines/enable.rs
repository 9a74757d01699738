//! Enabling and disabling engines.

use bulla_backend::Timestamp;
use bulla_seal::fill_random;
use data_encoding::HEXLOWER;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Engines;
use super::engine::{ConfigRequest, Engine, EngineConfig, EngineKind};
use super::table::{MAX_DESCRIPTION_LEN, MAX_ENGINES, check_reserved, engine_path};
use crate::ApiError;
use crate::kv::{Flag, Unsigned};

/// What to mount.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnableRequest {
    /// `kv`, `kv-v1`, `kv-v2` or `transit`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// How it is set.
    #[serde(default)]
    pub config: Option<ConfigRequest>,
    /// Which version of the engine.
    #[serde(default)]
    pub options: Option<OptionsRequest>,
    /// Refused: there is nothing that an engine could be local to.
    #[serde(default, deserialize_with = "crate::kv::lenient::optional")]
    pub local: Option<Flag>,
    /// Refused: everything is sealed anyway.
    #[serde(default, deserialize_with = "crate::kv::lenient::optional")]
    pub seal_wrap: Option<Flag>,
    /// Refused.
    #[serde(default, deserialize_with = "crate::kv::lenient::optional")]
    pub external_entropy_access: Option<Flag>,
    /// Refused: there are no plugins.
    #[serde(default)]
    pub plugin_name: Option<String>,
    /// Refused: there are no plugins.
    #[serde(default)]
    pub plugin_version: Option<String>,
}

/// Options of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OptionsRequest {
    /// Its version.
    #[serde(default, deserialize_with = "crate::kv::lenient::optional")]
    pub version: Option<Unsigned>,
}

impl EnableRequest {
    fn kind(&self) -> Result<EngineKind, ApiError> {
        let version = self.options.unwrap_or_default().version.map(|version| version.0);
        match (self.kind.as_deref().unwrap_or_default(), version) {
            ("", _) => Err(ApiError::field("type", "backend type must be specified as a string")),
            ("kv", None | Some(1)) | ("kv-v1", None | Some(1)) => Ok(EngineKind::Kv1),
            ("kv", Some(2)) | ("kv-v2", None | Some(2)) => Ok(EngineKind::Kv2),
            ("kv" | "kv-v1" | "kv-v2", Some(_)) => {
                Err(ApiError::field("options.version", "it is 1 or 2, and what the type says"))
            }
            ("transit", None) => Ok(EngineKind::Transit),
            ("transit", Some(_)) => Err(ApiError::field("options.version", "transit has no versions")),
            ("cubbyhole", _) => Err(ApiError::field("type", "a cubbyhole is not mountable, there is one already")),
            _ => Err(ApiError::field("type", "there is no such engine; there are `kv`, `kv-v2` and `transit`")),
        }
    }

    fn refuse_unknown_to_us(&self) -> Result<(), ApiError> {
        let flags = [
            ("local", self.local),
            ("seal_wrap", self.seal_wrap),
            ("external_entropy_access", self.external_entropy_access),
        ];
        if let Some((name, _)) = flags.into_iter().find(|(_, flag)| flag.is_some_and(|flag| flag.0)) {
            return Err(ApiError::field(name, "there is no such choice: all engines are shared, and sealed, alike"));
        }
        let is_said = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
        if is_said(&self.plugin_name) || is_said(&self.plugin_version) {
            return Err(ApiError::field("plugin_name", "there are no plugins; say `type`"));
        }
        Ok(())
    }
}

/// Checks what an engine is said to be for.
pub(super) fn check_description(description: &str) -> Result<(), ApiError> {
    if description.len() > MAX_DESCRIPTION_LEN || description.contains(char::is_control) {
        let form = format!("it has at most {MAX_DESCRIPTION_LEN} bytes, and no control characters");
        return Err(ApiError::field("description", form));
    }
    Ok(())
}

impl Engines {
    /// Engines an engine at a path.
    ///
    /// # Errors
    /// 400 if the path is taken or reserved, or for what cannot be mounted; fails if the store cannot be written.
    pub async fn enable(&self, path: &str, request: &EnableRequest) -> Result<(), ApiError> {
        let path = engine_path(path)?;
        check_reserved(path)?;
        request.refuse_unknown_to_us()?;
        let kind = request.kind()?;
        let description = request.description.clone().unwrap_or_default();
        check_description(&description)?;
        let mut config = EngineConfig::default();
        config.change(request.config.as_ref().unwrap_or(&ConfigRequest::default()))?;
        let mut id = [0; 16];
        let no_random =
            |_| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "random", "the system gives no random bytes");
        fill_random(&mut id).map_err(no_random)?;
        let engine = Engine {
            path: path.to_owned(),
            id: HEXLOWER.encode(&id),
            kind,
            description,
            config,
            closed: None,
            moved_from: None,
        };
        self.change(|table| table.add(engine.clone())).await
    }

    /// Disables the engine at a path: nothing finds its secrets from then on, and [`Self::sweep`] removes them. Nothing happens if there is none.
    ///
    /// # Errors
    /// 400 for the cubbyhole; fails if the store cannot be written.
    pub async fn disable(&self, path: &str, now: Timestamp) -> Result<(), ApiError> {
        let path = engine_path(path)?;
        if RESERVED_FOR_GOOD.contains(&path) {
            return Err(ApiError::field("path", format!("cannot unmount \"{path}/\"")));
        }
        self.change(|table| {
            let Some(engine) = table.take(path) else { return Ok(()) };
            if engine.kind.has_entries() {
                if table.closing.len() >= MAX_ENGINES {
                    let message = "too many engines that were disabled are not swept yet";
                    return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "sweeping", message));
                }
                table.closing.push(Engine { closed: Some(now.0), ..engine });
            }
            Ok(())
        })
        .await
    }
}

/// Engines that stay.
pub(super) const RESERVED_FOR_GOOD: &[&str] = &["cubbyhole", "sys", "identity"];
