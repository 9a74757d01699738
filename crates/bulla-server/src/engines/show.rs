//! How engines are shown.

use std::collections::BTreeMap;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::engine::{Engine, EngineConfig, Visibility};
use super::{Engines, auth};
use crate::ApiError;

/// All engines by their paths, which end with `/`.
pub type EngineViews = BTreeMap<String, EngineView>;

/// An engine as clients see it. Members that are always the same are what Vault has and we have no use for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EngineView {
    /// What audit logs and clients know it by.
    pub accessor: String,
    /// How it is set.
    pub config: ShownConfig,
    /// Always `supported`.
    pub deprecation_status: &'static str,
    /// What it is for.
    pub description: String,
    /// Always false.
    pub external_entropy_access: bool,
    /// Always false.
    pub local: bool,
    /// The version of the engine, where it has several.
    pub options: Option<VersionOption>,
    /// Always empty.
    pub plugin_version: &'static str,
    /// Always empty.
    pub running_plugin_version: &'static str,
    /// Always empty.
    pub running_sha256: &'static str,
    /// Always false: everything is sealed, and nothing twice.
    pub seal_wrap: bool,
    /// The name of the engine.
    #[serde(rename = "type")]
    pub engine: &'static str,
    /// Which one it is.
    pub uuid: String,
}

/// The settings of an engine, and which tokens it makes, if it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ShownConfig {
    /// The settings.
    #[serde(flatten)]
    pub config: EngineConfig,
    /// Which tokens a way to sign in makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_type: Option<&'static str>,
}

/// The version of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VersionOption {
    /// `1` or `2`.
    pub version: &'static str,
}

/// What user interfaces show to whoever asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct InternalMounts {
    /// Ways to sign in.
    pub auth: EngineViews,
    /// Engines.
    pub secret: EngineViews,
}

/// One engine, with its path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct InternalMount {
    /// The engine.
    #[serde(flatten)]
    pub engine: EngineView,
    /// Its path, which ends with `/`.
    pub path: String,
}

impl EngineView {
    pub(super) fn of(engine: &Engine) -> Self {
        let config = ShownConfig { config: engine.config.clone(), token_type: None };
        let options = engine.kind.version().map(|version| VersionOption { version });
        Self {
            options,
            ..Self::bare(engine.accessor(), config, &engine.description, engine.kind.engine(), engine.uuid())
        }
    }

    pub(super) fn bare(
        accessor: String,
        config: ShownConfig,
        description: &str,
        engine: &'static str,
        uuid: String,
    ) -> Self {
        Self {
            accessor,
            config,
            deprecation_status: "supported",
            description: description.to_owned(),
            external_entropy_access: false,
            local: false,
            options: None,
            plugin_version: "",
            running_plugin_version: "",
            running_sha256: "",
            seal_wrap: false,
            engine,
            uuid,
        }
    }
}

impl Engines {
    /// Lists the engines.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn list(&self) -> Result<EngineViews, ApiError> {
        let table = self.table().await?;
        let mut engines: EngineViews =
            table.engines().map(|engine| (engine.path_with_slash(), EngineView::of(engine))).collect();
        let (path, system) = auth::system();
        engines.insert(path, system);
        Ok(engines)
    }

    /// Shows the engine at a path.
    ///
    /// # Errors
    /// 400 if there is none; fails if the store cannot be read.
    pub async fn show(&self, path: &str) -> Result<EngineView, ApiError> {
        let with_slash = format!("{}/", path.strip_suffix('/').unwrap_or(path));
        self.list().await?.remove(&with_slash).ok_or_else(|| no_engine(path))
    }

    /// Lists for user interfaces, before anybody has signed in, the engines that everybody may see.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn internal(&self) -> Result<InternalMounts, ApiError> {
        let mut secret = self.list().await?;
        secret.retain(|_, engine| engine.config.config.listing_visibility == Some(Visibility::Unauth));
        Ok(InternalMounts { auth: EngineViews::new(), secret })
    }

    /// Shows for a client the engine that a path lies in.
    ///
    /// # Errors
    /// 403 if there is none, as Vault answers; fails if the store cannot be read.
    pub async fn internal_at(&self, path: &str) -> Result<InternalMount, ApiError> {
        let table = self.table().await?;
        let engine = table.find(path).ok_or_else(|| {
            let message = "there is no engine at that path, or it is not yours to use";
            ApiError::new(StatusCode::FORBIDDEN, "permission_denied", message)
        })?;
        Ok(InternalMount { engine: EngineView::of(engine), path: engine.path_with_slash() })
    }
}

/// Makes the error of a path where nothing is mounted: 400, as Vault answers.
pub(super) fn no_engine(path: &str) -> ApiError {
    let path = path.strip_suffix('/').unwrap_or(path);
    ApiError::new(StatusCode::BAD_REQUEST, "no_mount", format!("no secret engine mount at {path}/"))
        .with_hint("`sys/mounts` lists what is mounted")
}
