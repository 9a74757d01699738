//! Secrets without versions: version 1 of the engine.

use bulla_backend::Timestamp;
use bulla_store::{ExpectedVersion, GetOptions, Lifetime, Namespace, PutOptions, Store, StoreError};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::change::Rounds;
use super::json::SecretJson;
use super::lenient::Seconds;
use super::list::{Keys, ListRequest, list_names};
use super::path::{folder_of, secret_path};
use super::way::Way;
use crate::ApiError;
use crate::engines::{Engine, EngineKind};

/// A secret that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadResponse {
    /// The data: what the answer has as its `data`.
    pub data: SecretJson,
    /// After how many seconds to read it again (`lease_duration`): what its member `ttl` says, or else the mount.
    pub lease_duration: u64,
}

/// Reads a secret.
///
/// # Errors
/// 404 if there is none; fails if the store cannot be read.
pub async fn read(store: &Store, engine: &Engine, path: &str) -> Result<ReadResponse, ApiError> {
    let namespace = engine.namespace(store, EngineKind::Kv1)?;
    let data = read_entry(&namespace, &name_of(path)?, path).await?;
    let lease_duration = time_to_live(&data).unwrap_or_else(|| engine.lease_duration());
    Ok(ReadResponse { data, lease_duration })
}

/// Writes a secret in place of what is there.
///
/// # Errors
/// 400 without data; 413; fails if the store cannot be written.
pub async fn write(store: &Store, engine: &Engine, path: &str, data: &SecretJson) -> Result<(), ApiError> {
    write_as(store, engine, path, data, Way::Any).await
}

/// Writes a secret, if it may be written in the way that it would be.
///
/// # Errors
/// 403 if it may not; as [`write`](write()).
pub async fn write_as(store: &Store, engine: &Engine, path: &str, data: &SecretJson, way: Way) -> Result<(), ApiError> {
    write_entry(&engine.namespace(store, EngineKind::Kv1)?, &name_of(path)?, data, None, way).await
}

/// Removes a secret. Nothing happens if there is none.
///
/// # Errors
/// Fails if the store cannot be written.
pub async fn delete(store: &Store, engine: &Engine, path: &str) -> Result<(), ApiError> {
    remove_entry(&engine.namespace(store, EngineKind::Kv1)?, &name_of(path)?).await
}

/// Lists the secrets and folders in a folder; folders end with `/`.
///
/// # Errors
/// As [`list`](super::list()).
pub async fn list(store: &Store, engine: &Engine, folder: &str, request: &ListRequest) -> Result<Keys, ApiError> {
    let prefix = format!("s/{}", folder_of(folder)?);
    list_names(&engine.namespace(store, EngineKind::Kv1)?, &prefix, request).await
}

/// Reads the data of an entry.
pub(crate) async fn read_entry(namespace: &Namespace, name: &[u8], path: &str) -> Result<SecretJson, ApiError> {
    match namespace.get(name, &GetOptions::default()).await {
        Ok(value) => SecretJson::stored(value.bytes).ok_or_else(|| ApiError::corrupt("the secret is")),
        Err(StoreError::NotFound(_)) => Err(ApiError::not_found(format!("secret `{path}`"))),
        Err(error) => Err(error.into()),
    }
}

/// Writes the data of an entry, in a way in which it may be written.
pub(crate) async fn write_entry(
    namespace: &Namespace,
    name: &[u8],
    data: &SecretJson,
    expires: Option<Timestamp>,
    way: Way,
) -> Result<(), ApiError> {
    data.check()?;
    if super::patch::members(data.expose())?.is_empty() {
        return Err(ApiError::new(http::StatusCode::BAD_REQUEST, "no_data", "missing data fields"));
    }
    let lifetime = expires.map_or(Lifetime::Unlimited, Lifetime::Until);
    let mut rounds = Rounds::default();
    loop {
        let expected = match way {
            Way::Any => ExpectedVersion::Any,
            Way::New => ExpectedVersion::Absent,
            Way::Replace => match namespace.stat(name, &GetOptions::default()).await {
                Ok(stat) => ExpectedVersion::Version(stat.version),
                Err(StoreError::NotFound(_)) => return Err(ApiError::forbidden()),
                Err(error) => return Err(error.into()),
            },
        };
        let options = PutOptions { sensitive: true, lifetime, expected, ..PutOptions::default() };
        let put = match namespace.put(name, data.expose().as_bytes(), &options).await {
            // There is one, which is not to be replaced.
            Err(StoreError::VersionMismatch { .. }) if way == Way::New => Err(ApiError::forbidden()),
            // Another was put in its place: that one may be replaced as well.
            Err(StoreError::VersionMismatch { .. }) => Err(ApiError::lost_race()),
            put => put.map(drop).map_err(ApiError::from),
        };
        if let Some(done) = rounds.settle(put) {
            return done;
        }
    }
}

/// Removes an entry, if it is there.
pub(crate) async fn remove_entry(namespace: &Namespace, name: &[u8]) -> Result<(), ApiError> {
    Ok(namespace.remove(name, ExpectedVersion::Any).await.map(drop)?)
}

fn name_of(path: &str) -> Result<Vec<u8>, ApiError> {
    Ok([b"s/", secret_path(path)?.as_bytes()].concat())
}

/// Reads what the data says about how long it is of use.
fn time_to_live(data: &SecretJson) -> Option<u64> {
    #[derive(Deserialize)]
    struct Said<'a> {
        #[serde(borrow, default)]
        ttl: Option<&'a RawValue>,
    }
    let ttl = serde_json::from_str::<Said<'_>>(data.expose()).ok()?.ttl?;
    let mut reader = serde_json::Deserializer::from_str(ttl.get());
    let seconds: Option<Seconds> = super::lenient::optional(&mut reader).ok()?;
    u64::try_from(seconds?.0).ok().filter(|seconds| *seconds > 0)
}
