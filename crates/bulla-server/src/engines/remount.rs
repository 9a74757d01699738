//! Moving an engine to another path. Its secrets need not be moved: where they lie does not tell where it is mounted.

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Engines;
use super::enable::RESERVED_FOR_GOOD;
use super::engine::{Engine, EngineKind};
use super::table::{check_reserved, engine_path};
use crate::ApiError;

/// What to move where.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemountRequest {
    /// The path at which it is.
    #[serde(default)]
    pub from: Option<String>,
    /// The path at which it is to be.
    #[serde(default)]
    pub to: Option<String>,
}

/// What was moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Remounted {
    /// What to ask how far it is by.
    pub migration_id: String,
}

/// How far a move is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Migration {
    /// What was asked by.
    pub migration_id: String,
    /// How far it is.
    pub migration_info: MigrationInfo,
}

/// How far a move is, from where to where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MigrationInfo {
    /// The path at which it was.
    pub source_mount: String,
    /// The path at which it is.
    pub target_mount: String,
    /// Always `success`: it is done in one step.
    pub status: &'static str,
}

impl Engines {
    /// Moves an engine to a path where nothing is.
    ///
    /// # Errors
    /// 400 if there is no engine, the path is taken or reserved, or for an engine that stays where it is; fails if the store cannot be written.
    pub async fn remount(&self, request: &RemountRequest) -> Result<Remounted, ApiError> {
        let path = |name: &str, path: &Option<String>| {
            let path = path
                .as_deref()
                .filter(|path| !path.is_empty())
                .ok_or_else(|| ApiError::field(name, "it is missing"))?;
            Ok::<_, ApiError>(
                engine_path(path).map_err(|_| ApiError::field(name, "it is no path of an engine"))?.to_owned(),
            )
        };
        let (from, to) = (path("from", &request.from)?, path("to", &request.to)?);
        check_reserved(&to)?;
        if RESERVED_FOR_GOOD.contains(&from.as_str()) {
            return Err(ApiError::field("from", format!("cannot remount \"{from}/\"")));
        }
        self.change(|table| {
            let none = || ApiError::field("from", format!("no matching mount at \"{from}/\""));
            let engine = table.take(&from).ok_or_else(none)?;
            if engine.kind == EngineKind::Transit {
                return Err(ApiError::field(
                    "from",
                    "keys are named by the path of their engine, which therefore stays",
                )
                .with_hint("enable an engine at the new path, and make keys there"));
            }
            let migration_id = engine.uuid();
            table.add(Engine { path: to.clone(), moved_from: Some(from.clone()), ..engine })?;
            Ok(Remounted { migration_id })
        })
        .await
    }

    /// Says how far a move is. It is known for as long as the engine is where it was moved to.
    ///
    /// # Errors
    /// 404 if nothing was moved by that id; fails if the store cannot be read.
    pub async fn migration(&self, id: &str) -> Result<Migration, ApiError> {
        let table = self.table().await?;
        let moved = table.engines().find_map(|engine| {
            let from = engine.moved_from.as_deref().filter(|_| engine.uuid() == id)?;
            Some((format!("{from}/"), engine.path_with_slash()))
        });
        let (source_mount, target_mount) =
            moved.ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, "not_found", "nothing was moved by that id"))?;
        let migration_info = MigrationInfo { source_mount, target_mount, status: "success" };
        Ok(Migration { migration_id: id.to_owned(), migration_info })
    }
}
