//! Which engines are enabled at which paths: the table that all servers of a project share (spec/kv.md, "Engines").
//!
//! It is what is stored, and nothing else: a server routes by its [`Mounts`](crate::Mounts), which follow this table.

mod auth;
mod closing;
mod enable;
mod endpoints;
mod engine;
mod remount;
mod show;
mod table;
mod tune;

use bulla_store::{ExpectedVersion, GetOptions, Namespace, PutOptions, Store, StoreError};

pub use auth::{auth_tune, auth_way, auth_ways};
pub(crate) use closing::GRACE;
pub use closing::SweepCounts;
pub use enable::{EnableRequest, OptionsRequest};
pub use endpoints::endpoints;
pub use engine::{ConfigRequest, Engine, EngineConfig, EngineKind, Visibility};
pub use remount::{Migration, MigrationInfo, RemountRequest, Remounted};
pub use show::{EngineView, EngineViews, InternalMount, InternalMounts, ShownConfig, VersionOption};
pub use table::{EngineTable, MAX_DESCRIPTION_LEN, MAX_ENGINES, RESERVED};
pub use tune::{TuneRequest, TuneResponse};

use crate::ApiError;

/// How often a change begins again since others were faster.
const MAX_ROUNDS: usize = 64;
const NAMESPACE: &str = "secrets/engines";
const NAME: &[u8] = b"table";

/// The engines of a project. Every question is answered from the store.
#[derive(Debug, Clone)]
pub struct Engines {
    store: Store,
}

impl Engines {
    /// Makes the engines of a store; nothing is read yet.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Reads the table.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn table(&self) -> Result<EngineTable, ApiError> {
        Ok(self.read().await?.0)
    }

    /// Changes the table; `decide` is asked again, with what is there then, as often as others were faster.
    async fn change<T>(&self, mut decide: impl FnMut(&mut EngineTable) -> Result<T, ApiError>) -> Result<T, ApiError> {
        let namespace = self.namespace()?;
        for _ in 0..MAX_ROUNDS {
            let (mut table, version) = self.read().await?;
            let before = table.clone();
            let result = decide(&mut table)?;
            if table == before {
                return Ok(result);
            }
            let expected = version.map_or(ExpectedVersion::Absent, ExpectedVersion::Version);
            let options = PutOptions { expected, sensitive: true, ..PutOptions::default() };
            match namespace.put(NAME, &table.encode()?, &options).await {
                Ok(_) => return Ok(result),
                Err(StoreError::VersionMismatch { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ApiError::lost_race())
    }

    async fn read(&self) -> Result<(EngineTable, Option<u64>), ApiError> {
        match self.namespace()?.get(NAME, &GetOptions::default()).await {
            Ok(value) => Ok((EngineTable::decode(&value.bytes)?, Some(value.stat.version))),
            Err(StoreError::NotFound(_)) => Ok((EngineTable::default(), None)),
            Err(error) => Err(error.into()),
        }
    }

    fn namespace(&self) -> Result<Namespace, ApiError> {
        Ok(self.store.namespace(NAMESPACE)?)
    }
}
