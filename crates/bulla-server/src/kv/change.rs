//! Changing one secret: a transaction over the settings, the secret and its versions (spec, "Writing").

use std::time::Duration;

use bulla_backend::Timestamp;
use bulla_store::{GetOptions, Namespace, PutOptions, Store, StoreError, Transaction};
use zeroize::Zeroizing;

use super::config::{CONFIG, Config};
use super::json::SecretJson;
use super::path::secret_path;
use super::record::{DEFAULT_VERSIONS, MAX_VERSIONS, Secret, Version};
use crate::ApiError;
use crate::engines::{Engine, EngineKind};

/// How often a change begins again since others were faster.
const MAX_ROUNDS: usize = 256;

/// One secret of a mount.
pub(crate) struct Spot<'a> {
    namespace: Namespace,
    path: &'a str,
}

/// A change of a secret that was begun.
pub(crate) struct Change<'a> {
    spot: &'a Spot<'a>,
    transaction: Transaction,
    pub(crate) config: Config,
    /// The secret, as it was found and as it is to be; `None` if there is none.
    pub(crate) secret: Option<Secret>,
}

/// What a change comes to.
pub(crate) enum Verdict<T> {
    /// It is to be written.
    Write(T),
    /// There is nothing to write.
    Keep(T),
}

impl<'a> Spot<'a> {
    pub(crate) fn of(store: &Store, engine: &Engine, path: &'a str) -> Result<Self, ApiError> {
        Ok(Self { path: secret_path(path)?, namespace: engine.namespace(store, EngineKind::Kv2)? })
    }

    /// Returns the name of the secret's entry.
    fn name(&self) -> Vec<u8> {
        [b"s/", self.path.as_bytes()].concat()
    }

    /// Returns the name of the entry of an older version.
    fn version_name(&self, number: u64) -> Vec<u8> {
        [b"v/", self.path.as_bytes(), &[0], &number.to_be_bytes()].concat()
    }

    /// Makes the error of a secret that is not there.
    pub(crate) fn absent(&self) -> ApiError {
        ApiError::not_found(format!("secret `{}`", self.path))
    }

    /// Reads the secret, if there is one.
    pub(crate) async fn secret(&self) -> Result<Option<Secret>, ApiError> {
        match self.namespace.get(&self.name(), &GetOptions::default()).await {
            Ok(value) => decode(value.bytes).map(Some),
            Err(StoreError::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the data of an older version, if it is there.
    pub(crate) async fn older(&self, number: u64) -> Result<Option<SecretJson>, ApiError> {
        match self.namespace.get(&self.version_name(number), &GetOptions::default()).await {
            Ok(value) => Ok(Some(SecretJson::stored(value.bytes).ok_or_else(|| ApiError::corrupt("a version is"))?)),
            Err(StoreError::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes the secret; `decide` is asked again, with what is there then, as often as others were faster.
    pub(crate) async fn change<T>(
        &self,
        store: &Store,
        mut decide: impl FnMut(&mut Change<'_>) -> Result<Verdict<T>, ApiError>,
    ) -> Result<T, ApiError> {
        let mut rounds = Rounds::default();
        loop {
            if let Some(done) = rounds.settle(self.attempt(store, &mut decide).await) {
                return done;
            }
        }
    }

    async fn attempt<T>(
        &self,
        store: &Store,
        decide: &mut impl FnMut(&mut Change<'_>) -> Result<Verdict<T>, ApiError>,
    ) -> Result<T, ApiError> {
        let mut transaction = store.transaction()?;
        let config = transaction.get(&self.namespace, CONFIG).await?;
        let secret = transaction.get(&self.namespace, &self.name()).await?.map(decode).transpose()?;
        let config = Config::decode(config.as_deref())?;
        let mut change = Change { spot: self, transaction, config, secret };
        match decide(&mut change)? {
            Verdict::Keep(result) => Ok(result),
            Verdict::Write(result) => {
                change.commit().await?;
                Ok(result)
            }
        }
    }
}

impl Change<'_> {
    /// Adds a version, and returns its number.
    ///
    /// # Errors
    /// Fails if the transaction grows too large.
    pub(crate) fn add_version(&mut self, data: SecretJson, now: Timestamp) -> Result<u64, ApiError> {
        let deleted = self.lifetime().map(|lifetime| now.saturating_add(lifetime));
        let mut secret = self.secret.take().unwrap_or_else(|| Secret::new(now));
        if let Some(before) = secret.data.replace(data) {
            let name = self.spot.version_name(secret.current);
            self.transaction.put(&self.spot.namespace, &name, before.expose().as_bytes(), &options())?;
        }
        secret.current += 1;
        secret.updated = now;
        secret.versions.push(Version { created: now, deleted, destroyed: false });
        let kept = match self.config.max_versions.max(secret.max_versions) {
            0 => DEFAULT_VERSIONS,
            kept => kept.min(MAX_VERSIONS),
        };
        while secret.versions.len() as u64 > kept {
            self.remove_version(secret.oldest())?;
            secret.versions.remove(0);
        }
        let number = secret.current;
        self.secret = Some(secret);
        Ok(number)
    }

    /// Removes the entry of an older version, if it has one.
    pub(crate) fn remove_version(&mut self, number: u64) -> Result<(), ApiError> {
        Ok(self.transaction.remove(&self.spot.namespace, &self.spot.version_name(number))?)
    }

    /// Returns how long a new version lives, if it does not for ever.
    pub(crate) fn lifetime(&self) -> Option<Duration> {
        let own = self.secret.as_ref().map_or(0, |secret| secret.delete_version_after);
        match (u64::try_from(self.config.delete_version_after), own) {
            (Err(_), _) | (Ok(0), 0) => None,
            (Ok(0), seconds) | (Ok(seconds), 0) => Some(Duration::from_secs(seconds)),
            (Ok(mount), own) => Some(Duration::from_secs(mount.min(own))),
        }
    }

    /// Checks that a write says which version it replaces, where it has to, and that it is that one.
    pub(crate) fn check_and_set(&self, cas: Option<u64>) -> Result<(), ApiError> {
        let required = self.config.cas_required || self.secret.as_ref().is_some_and(|secret| secret.cas_required);
        let current = self.secret.as_ref().map_or(0, |secret| secret.current);
        match cas {
            Some(cas) if cas == current => Ok(()),
            Some(_) => Err(refused("check-and-set parameter did not match the current version", "cas_mismatch")
                .with_hint("read the secret again, and write with the version that you have read")),
            None if required => Err(refused("check-and-set parameter required for this call", "cas_required")
                .with_hint("set `options.cas` to the version that you have read, or to 0 for a new secret")),
            None => Ok(()),
        }
    }

    async fn commit(mut self) -> Result<(), ApiError> {
        let name = self.spot.name();
        match &self.secret {
            Some(secret) => self.transaction.put(&self.spot.namespace, &name, &secret.encode(), &options())?,
            None => self.transaction.remove(&self.spot.namespace, &name)?,
        }
        Ok(self.transaction.commit().await?)
    }
}

fn decode(bytes: Vec<u8>) -> Result<Secret, ApiError> {
    Secret::decode(Zeroizing::new(bytes)).ok_or_else(|| ApiError::corrupt("a secret is"))
}

fn options() -> PutOptions {
    PutOptions { sensitive: true, ..PutOptions::default() }
}

fn refused(message: &str, code: &'static str) -> ApiError {
    ApiError::new(http::StatusCode::BAD_REQUEST, code, message)
}

/// Counts how often something was tried, since others were faster.
#[derive(Debug, Default)]
pub(crate) struct Rounds(usize);

impl Rounds {
    /// Returns what an attempt came to, unless it is to be tried again.
    pub(crate) fn settle<T>(&mut self, result: Result<T, ApiError>) -> Option<Result<T, ApiError>> {
        self.0 += 1;
        let again = self.0 < MAX_ROUNDS && result.as_ref().is_err_and(ApiError::is_lost_race);
        (!again).then_some(result)
    }
}
