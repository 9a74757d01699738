//! Copies of keys, sealed so that only this project opens them.

use bulla::{KeyringError, Project};
use data_encoding::BASE64;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::fields::{self, Flag};
use super::keys;
use super::place::{Mount, Place};
use crate::ApiError;

/// A backup of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KeyBackup {
    /// The backup, in base64. It is sealed: it shows nothing of the key.
    pub backup: String,
}

/// A backup to restore.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RestoreRequest {
    /// The backup.
    pub backup: Option<String>,
    /// Whether a key that is there gets back the versions that it lacks.
    pub force: Option<Flag>,
    /// As in the path.
    pub name: Option<String>,
}

/// Makes a backup of a key with all of its versions.
///
/// # Errors
/// 404 if there is no such key.
pub async fn back_up_key(project: &Project, mount: &str, name: &str) -> Result<Answer<KeyBackup>, ApiError> {
    let place = Place::of(mount, name)?;
    let (key, _) = keys::find(project.keyring(), &place).await?;
    let backup = project.keyring().backup_key(&key).await?;
    Ok(Answer::ok(KeyBackup { backup: BASE64.encode(&backup) }))
}

/// Restores a key from a backup, under the name that it had.
///
/// # Errors
/// 400 for what is no backup of a key of this mount, for one of another key than the one that is named, and for a key that is there, unless
/// it is forced.
pub async fn restore_key(
    project: &Project,
    mount: &str,
    name: Option<&str>,
    request: RestoreRequest,
) -> Result<Answer<()>, ApiError> {
    let mount = Mount::new(mount)?;
    let keyring = project.keyring();
    let backup = request.backup.filter(|backup| !backup.is_empty());
    let backup = backup.ok_or_else(|| ApiError::field("backup", "'backup' must be supplied"))?;
    let backup = fields::decode("backup", &backup)?;
    let key = keyring.name_in_backup(&backup).await?;
    let in_mount = mount.name_of(&key);
    let of =
        in_mount.ok_or_else(|| ApiError::field("backup", "it is the backup of a key that is not of this mount"))?;
    if name.or(request.name.as_deref()).is_some_and(|name| !name.is_empty() && name != of) {
        return Err(ApiError::field(
            "name",
            "it is the backup of a key of another name, and a key is restored under its own",
        ));
    }
    let forced = request.force.is_some_and(|flag| flag.0);
    if !forced && let Some((there, _)) = keys::look(keyring, &mount.place(of)?).await? {
        let error: ApiError = KeyringError::KeyExists(there).into();
        return Err(ApiError::new(StatusCode::BAD_REQUEST, error.code(), error.message()));
    }
    keyring.restore_key(&backup).await?;
    Ok(Answer::empty())
}
