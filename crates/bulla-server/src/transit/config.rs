//! How a key may be used: its configuration, rotation, and the end of old versions.

use bulla::{Exportable, KeyInfo, KeySetting, Project};
use schemars::JsonSchema;
use serde::Deserialize;

use super::answer::Answer;
use super::fields::{Flag, Number, Period};
use super::keys::{self, KeyView};
use super::place::Place;
use crate::ApiError;

/// What is to change of a key's configuration. What is not given stays.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigRequest {
    /// The lowest version that decrypts and verifies.
    pub min_decryption_version: Option<Number>,
    /// The lowest version that may be chosen to encrypt or sign; any if it is 0.
    pub min_encryption_version: Option<Number>,
    /// Whether the key may be deleted.
    pub deletion_allowed: Option<Flag>,
    /// Whether the material is handed out.
    pub exportable: Option<Flag>,
    /// Without effect: backups are sealed.
    pub allow_plaintext_backup: Option<Flag>,
    /// How long a version is the newest; without end if it is 0.
    pub auto_rotate_period: Option<Period>,
}

/// Which versions are to go.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrimRequest {
    /// The lowest version that stays.
    pub min_available_version: Option<Number>,
}

/// Changes the configuration of a key, all of what is asked for or none.
///
/// # Errors
/// 400 for what the key cannot have; 403 if it restricts the key, and this server's machine may not.
pub async fn configure_key(
    project: &Project,
    mount: &str,
    name: &str,
    request: ConfigRequest,
) -> Result<Answer<KeyView>, ApiError> {
    let place = Place::of(mount, name)?;
    let keyring = project.keyring();
    let (key, info) = keys::require(keyring, &place, &format!("no existing key named {name} could be found")).await?;
    let settings = changes(&info, &request)?;
    // What is as it is asked to be needs no authority.
    let info = if settings.is_empty() { info } else { keyring.change_settings(&key, &settings).await? };
    let shown = Answer::ok(keys::show(keyring, &place, &key, &info).await?);
    let warn = request.allow_plaintext_backup.is_some_and(|flag| flag.0);
    Ok(if warn { shown.warned(keys::NO_PLAINTEXT_BACKUP) } else { shown })
}

fn changes(info: &KeyInfo, request: &ConfigRequest) -> Result<Vec<KeySetting>, ApiError> {
    let mut settings = Vec::new();
    let min_open = match version("min_decryption_version", request.min_decryption_version, info)? {
        // Vault counts from 1, and takes 0 for it.
        Some(0) => info.first,
        Some(number) => number,
        None => info.settings.min_open,
    };
    if min_open < info.first {
        return Err(ApiError::field("min_decryption_version", "it is less than the minimum available version"));
    }
    let min_seal = version("min_encryption_version", request.min_encryption_version, info)?;
    let shown = min_seal.unwrap_or_else(|| keys::min_encryption_version(info));
    if shown > 0 && shown < min_open {
        let problem =
            format!("min encryption version of {shown} is less than the min decryption version of {min_open}");
        return Err(ApiError::field("min_encryption_version", problem));
    }
    if min_open != info.settings.min_open {
        settings.push(KeySetting::MinOpen(min_open));
    }
    if let Some(number) = min_seal {
        let lowest = number.max(info.first);
        if info.settings.min_seal != Some(lowest) {
            settings.push(KeySetting::MinSeal(Some(lowest)));
        }
    }
    if let Some(Flag(allowed)) = request.deletion_allowed
        && allowed != info.settings.deletion_allowed
    {
        settings.push(KeySetting::DeletionAllowed(allowed));
    }
    match (request.exportable, info.settings.exportable) {
        (Some(Flag(true)), Exportable::No | Exportable::Never) => {
            settings.push(KeySetting::Exportable(Exportable::Yes));
        }
        (Some(Flag(false)), Exportable::Yes) => settings.push(KeySetting::Exportable(Exportable::No)),
        _ => {}
    }
    if request.auto_rotate_period.is_some() {
        let period = keys::period(request.auto_rotate_period)?;
        if period != info.settings.period {
            settings.push(KeySetting::Period(period));
        }
    }
    Ok(settings)
}

/// Reads the number of a version that the key has, or 0.
fn version(field: &str, number: Option<Number>, info: &KeyInfo) -> Result<Option<u64>, ApiError> {
    let Some(Number(number)) = number else { return Ok(None) };
    let number = u64::try_from(number).map_err(|_| ApiError::field(field, "it cannot be negative"))?;
    if number > info.newest {
        let problem = format!("it cannot be {number}: the latest key version is {}", info.newest);
        return Err(ApiError::field(field, problem));
    }
    Ok(Some(number))
}

/// Makes a new version of a key.
///
/// # Errors
/// 400 if there is no such key, or its material comes from outside.
pub async fn rotate_key(project: &Project, mount: &str, name: &str) -> Result<Answer<KeyView>, ApiError> {
    let place = Place::of(mount, name)?;
    let keyring = project.keyring();
    let (key, _) = keys::require(keyring, &place, "key not found").await?;
    keyring.rotate_key(&key).await?;
    let info = keyring.key(&key).await?;
    keys::show(keyring, &place, &key, &info).await.map(Answer::ok)
}

/// Removes old versions of a key for good.
///
/// # Errors
/// 400 unless the configuration of the key excludes them from decryption and encryption.
pub async fn trim_key(
    project: &Project,
    mount: &str,
    name: &str,
    request: TrimRequest,
) -> Result<Answer<KeyView>, ApiError> {
    let place = Place::of(mount, name)?;
    let keyring = project.keyring();
    let (key, info) = keys::require(keyring, &place, "invalid key name").await?;
    let bad = |problem: &str| Err(ApiError::field("min_available_version", problem));
    let Some(Number(number)) = request.min_available_version else { return bad("missing min_available_version") };
    let Ok(number) = u64::try_from(number) else { return bad("it cannot be negative") };
    let min_seal = keys::min_encryption_version(&info);
    match number {
        0 => return bad("it should be positive"),
        _ if number < info.first => return bad("it cannot be decremented"),
        // Trimming below the first version removes nothing.
        _ if number == info.first => {}
        _ if min_seal == 0 => return bad("it cannot be set when the minimum encryption version is not set"),
        _ if number > min_seal => return bad("it cannot be greater than the minimum encryption version"),
        _ if number > info.settings.min_open => return bad("it cannot be greater than the minimum decryption version"),
        _ => {}
    }
    keyring.trim_key(&key, number).await?;
    let info = keyring.key(&key).await?;
    keys::show(keyring, &place, &key, &info).await.map(Answer::ok)
}
