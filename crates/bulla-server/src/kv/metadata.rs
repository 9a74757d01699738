//! What is known of a secret beside its data: reading, changing and removing it, and listing secrets.

use std::collections::BTreeMap;

use bulla_backend::Timestamp;
use bulla_store::Store;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::{Spot, Verdict};
use super::config::check_max_versions;
use super::custom::CustomNotes;
use super::lenient::{Flag, Seconds, Unsigned, optional, patched};
use super::list::{Keys, ListRequest, list_names};
use super::moment::{Moment, text_of_seconds};
use super::path::folder_of;
use super::record::Secret;
use super::way::Way;
use crate::ApiError;
use crate::engines::{Engine, EngineKind};

/// What is to be changed; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetadataRequest {
    /// How many versions are kept; 0 for what the mount says.
    #[serde(default, deserialize_with = "optional")]
    pub max_versions: Option<Unsigned>,
    /// Whether each write has to say which version it replaces.
    #[serde(default, deserialize_with = "optional")]
    pub cas_required: Option<Flag>,
    /// How long new versions live; 0 for what the mount says.
    #[serde(default, deserialize_with = "optional")]
    pub delete_version_after: Option<Seconds>,
    /// Notes in place of all that are there.
    #[serde(default)]
    pub custom_metadata: Option<CustomNotes>,
}

/// What is to be changed, as a merge patch: what is absent stays, and `null` sets back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetadataPatch {
    /// How many versions are kept.
    #[serde(default, deserialize_with = "patched")]
    pub max_versions: Option<Option<Unsigned>>,
    /// Whether each write has to say which version it replaces.
    #[serde(default, deserialize_with = "patched")]
    pub cas_required: Option<Option<Flag>>,
    /// How long new versions live.
    #[serde(default, deserialize_with = "patched")]
    pub delete_version_after: Option<Option<Seconds>>,
    /// Notes, a merge patch themselves.
    #[serde(default, deserialize_with = "patched_notes")]
    pub custom_metadata: Option<Option<CustomNotes>>,
}

/// What is known of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MetadataResponse {
    /// Whether each write has to say which version it replaces.
    pub cas_required: bool,
    /// When it was first written.
    pub created_time: Moment,
    /// The number of the newest version; 0 if there never was one.
    pub current_version: u64,
    /// What people note about it.
    pub custom_metadata: Option<BTreeMap<String, String>>,
    /// How long new versions live.
    pub delete_version_after: String,
    /// How many versions are kept.
    pub max_versions: u64,
    /// The number of the oldest version that is kept; 0 if all are.
    pub oldest_version: u64,
    /// When a version was last added, or this changed.
    pub updated_time: Moment,
    /// The versions by their numbers.
    pub versions: BTreeMap<u64, VersionState>,
}

/// What is known of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VersionState {
    /// When it was written.
    pub created_time: Moment,
    /// From when on it is hidden.
    pub deletion_time: Moment,
    /// Whether its data is gone.
    pub destroyed: bool,
}

impl MetadataResponse {
    fn of(secret: &Secret) -> Self {
        let oldest = secret.oldest();
        let state = |version: &super::record::Version| VersionState {
            created_time: Moment(Some(version.created)),
            deletion_time: Moment(version.deleted),
            destroyed: version.destroyed,
        };
        Self {
            cas_required: secret.cas_required,
            created_time: Moment(Some(secret.created)),
            current_version: secret.current,
            custom_metadata: Some(&secret.custom).filter(|custom| !custom.is_empty()).cloned(),
            delete_version_after: text_of_seconds(i64::try_from(secret.delete_version_after).unwrap_or(i64::MAX)),
            max_versions: secret.max_versions,
            oldest_version: if oldest == 1 { 0 } else { oldest },
            updated_time: Moment(Some(secret.updated)),
            versions: secret.numbered().map(|(number, version)| (number, state(version))).collect(),
        }
    }
}

/// Reads what is known of a secret.
///
/// # Errors
/// 404 if there is no such secret; fails if the store cannot be read.
pub async fn read_metadata(store: &Store, engine: &Engine, path: &str) -> Result<MetadataResponse, ApiError> {
    let spot = Spot::of(store, engine, path)?;
    let secret = spot.secret().await?.ok_or_else(|| spot.absent())?;
    Ok(MetadataResponse::of(&secret))
}

/// Changes what is known of a secret, making one without versions if there is none. A request that says nothing changes nothing.
///
/// # Errors
/// 400 for what is out of bounds; fails if the store cannot be written.
pub async fn write_metadata(
    store: &Store,
    engine: &Engine,
    path: &str,
    request: &MetadataRequest,
    now: Timestamp,
) -> Result<(), ApiError> {
    write_metadata_as(store, engine, path, request, Way::Any, now).await
}

/// Changes what is known of a secret, if it may be written in the way that it would be.
///
/// # Errors
/// 403 if it may not; as [`write_metadata`].
pub async fn write_metadata_as(
    store: &Store,
    engine: &Engine,
    path: &str,
    request: &MetadataRequest,
    way: Way,
    now: Timestamp,
) -> Result<(), ApiError> {
    check_max_versions(request.max_versions)?;
    let lifetime = request.delete_version_after.map(lifetime).transpose()?;
    let custom = request.custom_metadata.as_ref().map(CustomNotes::whole).transpose()?;
    let spot = Spot::of(store, engine, path)?;
    let says_nothing = *request == MetadataRequest::default();
    spot.change(store, |change| {
        way.check(change.secret.is_some())?;
        if says_nothing {
            return Ok(Verdict::Keep(()));
        }
        let secret = change.secret.get_or_insert_with(|| Secret::new(now));
        secret.max_versions = request.max_versions.map_or(secret.max_versions, |set| set.0);
        secret.cas_required = request.cas_required.map_or(secret.cas_required, |set| set.0);
        secret.delete_version_after = lifetime.unwrap_or(secret.delete_version_after);
        if let Some(custom) = &custom {
            secret.custom.clone_from(custom);
        }
        secret.updated = now;
        Ok(Verdict::Write(()))
    })
    .await
}

/// Changes what is known of a secret by a merge patch.
///
/// # Errors
/// As [`write_metadata`]; 404 if there is no such secret.
pub async fn patch_metadata(
    store: &Store,
    engine: &Engine,
    path: &str,
    patch: &MetadataPatch,
    now: Timestamp,
) -> Result<(), ApiError> {
    check_max_versions(patch.max_versions.flatten())?;
    let set_lifetime = patch.delete_version_after.map(|set| set.map_or(Ok(0), lifetime)).transpose()?;
    let spot = Spot::of(store, engine, path)?;
    spot.change(store, |change| {
        let secret = change.secret.as_mut().ok_or_else(|| spot.absent())?;
        if *patch == MetadataPatch::default() {
            return Ok(Verdict::Keep(()));
        }
        secret.max_versions = patch.max_versions.map_or(secret.max_versions, |set| set.map_or(0, |set| set.0));
        secret.cas_required = patch.cas_required.map_or(secret.cas_required, |set| set.is_some_and(|set| set.0));
        secret.delete_version_after = set_lifetime.unwrap_or(secret.delete_version_after);
        match &patch.custom_metadata {
            Some(Some(notes)) => notes.merge(&mut secret.custom)?,
            Some(None) => secret.custom.clear(),
            None => {}
        }
        secret.updated = now;
        Ok(Verdict::Write(()))
    })
    .await
}

/// Removes a secret with all of its versions, for good. Nothing happens if there is none.
///
/// # Errors
/// Fails if the store cannot be written.
pub async fn delete_metadata(store: &Store, engine: &Engine, path: &str) -> Result<(), ApiError> {
    let spot = Spot::of(store, engine, path)?;
    spot.change(store, |change| {
        let Some(secret) = change.secret.take() else { return Ok(Verdict::Keep(())) };
        for (number, version) in secret.numbered() {
            if number != secret.current && !version.destroyed {
                change.remove_version(number)?;
            }
        }
        Ok(Verdict::Write(()))
    })
    .await
}

/// Lists the secrets and folders in a folder; folders end with `/`.
///
/// # Errors
/// 404 if there are none; 400 if there are more than are listed at once; fails if the store cannot be read.
pub async fn list(store: &Store, engine: &Engine, folder: &str, request: &ListRequest) -> Result<Keys, ApiError> {
    let prefix = format!("s/{}", folder_of(folder)?);
    list_names(&engine.namespace(store, EngineKind::Kv2)?, &prefix, request).await
}

/// Checks how long the versions of a secret live.
fn lifetime(set: Seconds) -> Result<u64, ApiError> {
    u64::try_from(set.0).map_err(|_| ApiError::field("delete_version_after", "it cannot be negative for one secret"))
}

fn patched_notes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<CustomNotes>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
