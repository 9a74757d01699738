//! Reading, writing and deleting the data of a secret.

use std::collections::BTreeMap;

use bulla_backend::Timestamp;
use bulla_store::Store;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::{Change, Spot, Verdict};
use super::json::SecretJson;
use super::lenient::{Unsigned, optional};
use super::moment::Moment;
use super::patch::merge;
use super::record::{Secret, Version};
use super::way::Way;
use crate::ApiError;
use crate::engines::Engine;

/// How often an older version is looked for, which others may move or remove meanwhile.
const MAX_LOOKS: usize = 8;

/// Data to write.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteRequest {
    /// How to write.
    #[serde(default)]
    pub options: Option<WriteOptions>,
    /// What to write; a merge patch, where that is asked for.
    #[serde(default, deserialize_with = "object_or_null")]
    pub data: Option<SecretJson>,
}

/// How to write data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteOptions {
    /// The version that is replaced; 0 for none.
    #[serde(default, deserialize_with = "optional")]
    pub cas: Option<Unsigned>,
}

/// Data that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DataResponse {
    /// The data; `None` if the version is deleted or destroyed.
    pub data: Option<SecretJson>,
    /// What is known of the version.
    pub metadata: VersionMetadata,
}

/// What is known of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VersionMetadata {
    /// When it was written.
    pub created_time: Moment,
    /// What people note about the secret.
    pub custom_metadata: Option<BTreeMap<String, String>>,
    /// From when on it is hidden.
    pub deletion_time: Moment,
    /// Whether its data is gone.
    pub destroyed: bool,
    /// Its number.
    pub version: u64,
}

/// What became of a patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum PatchResponse {
    /// It made this version.
    Written(VersionMetadata),
    /// The newest version, which is deleted or destroyed, so that there is nothing to patch.
    Gone(VersionMetadata),
}

impl WriteRequest {
    /// Returns the data.
    fn data(&self) -> Result<&SecretJson, ApiError> {
        let none = || ApiError::new(StatusCode::BAD_REQUEST, "no_data", "no data provided");
        let data = self.data.as_ref().ok_or_else(none)?;
        data.check()?;
        Ok(data)
    }

    fn cas(&self) -> Option<u64> {
        self.options.and_then(|options| options.cas).map(|cas| cas.0)
    }
}

impl DataResponse {
    /// Returns the status of the answer: 404, with the metadata, for a version that is deleted or destroyed.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        if self.data.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND }
    }
}

impl PatchResponse {
    /// Returns the status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Written(_) => StatusCode::OK,
            Self::Gone(_) => StatusCode::NOT_FOUND,
        }
    }
}

impl VersionMetadata {
    pub(crate) fn of(secret: &Secret, number: u64, version: &Version) -> Self {
        Self {
            created_time: Moment(Some(version.created)),
            custom_metadata: Some(&secret.custom).filter(|custom| !custom.is_empty()).cloned(),
            deletion_time: Moment(version.deleted),
            destroyed: version.destroyed,
            version: number,
        }
    }

    /// Describes the newest version.
    fn newest(secret: Option<&Secret>) -> Option<Self> {
        let secret = secret?;
        Some(Self::of(secret, secret.current, secret.versions.last()?))
    }
}

/// Reads the data of a version; `None` and 0 stand for the newest.
///
/// # Errors
/// 404 if there is no such secret or version, also none that was kept; fails if the store cannot be read.
pub async fn read_data(
    store: &Store,
    engine: &Engine,
    path: &str,
    version: Option<u64>,
    now: Timestamp,
) -> Result<DataResponse, ApiError> {
    let spot = Spot::of(store, engine, path)?;
    let mut seen = None;
    for _ in 0..MAX_LOOKS {
        let mut secret = spot.secret().await?.ok_or_else(|| spot.absent())?;
        let number = version.filter(|number| *number > 0).unwrap_or(secret.current);
        let missing = || ApiError::not_found(format!("version {number} of secret `{path}`"));
        let metadata = VersionMetadata::of(&secret, number, secret.version(number).ok_or_else(missing)?);
        let is_hidden = secret.version(number).is_some_and(|version| version.is_hidden(now));
        if is_hidden {
            return Ok(DataResponse { data: None, metadata });
        }
        let data = if number == secret.current { secret.data.take() } else { spot.older(number).await? };
        if data.is_some() {
            return Ok(DataResponse { data, metadata });
        }
        // Somebody may have pruned or destroyed it between the two reads; then the secret is another one by now.
        if seen.as_ref() == Some(&secret) {
            return Err(ApiError::corrupt("a version of the secret is"));
        }
        seen = Some(secret);
    }
    Err(ApiError::lost_race())
}

/// Writes a new version.
///
/// # Errors
/// 400 without data, or if another version is there than the options say; 413; fails if the store cannot be written. After a failure of the
/// storage the version may be there or not.
pub async fn write_data(
    store: &Store,
    engine: &Engine,
    path: &str,
    request: &WriteRequest,
    now: Timestamp,
) -> Result<VersionMetadata, ApiError> {
    write_data_as(store, engine, path, request, Way::Any, now).await
}

/// Writes a new version, if it may be written in the way that it would be.
///
/// # Errors
/// 403 if it may not; as [`write_data`].
pub async fn write_data_as(
    store: &Store,
    engine: &Engine,
    path: &str,
    request: &WriteRequest,
    way: Way,
    now: Timestamp,
) -> Result<VersionMetadata, ApiError> {
    let data = request.data()?;
    let spot = Spot::of(store, engine, path)?;
    spot.change(store, |change| {
        way.check(change.secret.is_some())?;
        change.check_and_set(request.cas())?;
        add(change, data.clone(), now).map(Verdict::Write)
    })
    .await
}

/// Writes a new version that is the newest one, changed by a merge patch (RFC 7386).
///
/// # Errors
/// As [`write_data`]; 404 if there is no secret.
pub async fn patch_data(
    store: &Store,
    engine: &Engine,
    path: &str,
    request: &WriteRequest,
    now: Timestamp,
) -> Result<PatchResponse, ApiError> {
    let patch = request.data()?;
    let spot = Spot::of(store, engine, path)?;
    spot.change(store, |change| {
        let newest = VersionMetadata::newest(change.secret.as_ref()).ok_or_else(|| spot.absent())?;
        change.check_and_set(request.cas())?;
        let secret = change.secret.as_ref();
        let is_hidden = secret.and_then(|secret| secret.versions.last()).is_none_or(|version| version.is_hidden(now));
        match secret.and_then(|secret| secret.data.as_ref()) {
            Some(data) if !is_hidden => {
                let patched = merge(data, patch)?;
                add(change, patched, now).map(PatchResponse::Written).map(Verdict::Write)
            }
            _ => Ok(Verdict::Keep(PatchResponse::Gone(newest))),
        }
    })
    .await
}

/// Deletes the newest version: it is hidden, and can be undeleted. Nothing happens if there is none, or if it is hidden already.
///
/// # Errors
/// Fails if the store cannot be written.
pub async fn delete_data(store: &Store, engine: &Engine, path: &str, now: Timestamp) -> Result<(), ApiError> {
    let spot = Spot::of(store, engine, path)?;
    spot.change(store, |change| match change.secret.as_mut().and_then(|secret| secret.versions.last_mut()) {
        Some(version) if !version.is_hidden(now) => {
            version.deleted = Some(now);
            Ok(Verdict::Write(()))
        }
        _ => Ok(Verdict::Keep(())),
    })
    .await
}

fn add(change: &mut Change<'_>, data: SecretJson, now: Timestamp) -> Result<VersionMetadata, ApiError> {
    change.add_version(data, now)?;
    VersionMetadata::newest(change.secret.as_ref()).ok_or_else(|| ApiError::corrupt("the secret is"))
}

/// Reads data that may be `null`: an `Option` of raw JSON would be the text `null`.
fn object_or_null<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<SecretJson>, D::Error> {
    SecretJson::deserialize(deserializer).map(|data| Some(data).filter(|data| data.expose() != "null"))
}
