//! Making, showing, listing and deleting keys.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bulla::{
    Algorithm, Exportable, KeyInfo, KeyName, KeyOrigin, KeySetting, Keyring, KeyringError, Project, Timestamp,
    VersionInfo,
};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::fields::{Flag, Number, Period};
use super::key_type;
use super::place::{Mount, Place};
use super::public_key;
use crate::ApiError;

/// Most versions of a key that are shown, the newest ones.
pub(super) const MAX_SHOWN: u64 = 1_000;
/// Shortest period of automatic rotation, as in Vault.
const MIN_PERIOD: Duration = Duration::from_secs(3_600);
/// How long a key waits for its end that was deleted softly.
const SOFT: Duration = Duration::from_secs(7 * 86_400);

/// How a key is to be made.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CreateKeyRequest {
    /// The type of the key.
    pub r#type: Option<String>,
    /// Whether everything is bound to a context.
    pub derived: Option<Flag>,
    /// Whether equal plaintexts in equal contexts make equal ciphertexts.
    pub convergent_encryption: Option<Flag>,
    /// Whether the material is handed out.
    pub exportable: Option<Flag>,
    /// Without effect: backups are sealed.
    pub allow_plaintext_backup: Option<Flag>,
    /// How long a version is the newest.
    pub auto_rotate_period: Option<Period>,
    /// The length of an HMAC key, in bytes: 32, or 0 for as many.
    pub key_size: Option<Number>,
    /// Which ML-DSA.
    pub parameter_set: Option<String>,
}

/// Which keys are listed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListKeysRequest {
    /// Those whose names come after it.
    pub after: Option<String>,
    /// At most so many; all if it is not positive.
    pub limit: Option<Number>,
}

/// Names of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KeyList {
    /// The names, in order.
    pub keys: Vec<String>,
}

/// What is shown of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KeyView {
    name: String,
    r#type: &'static str,
    latest_version: u64,
    min_available_version: u64,
    min_decryption_version: u64,
    min_encryption_version: u64,
    deletion_allowed: bool,
    soft_deleted: bool,
    exportable: bool,
    allow_plaintext_backup: bool,
    auto_rotate_period: u64,
    imported_key: bool,
    derived: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    kdf: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    convergent_encryption: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    convergent_encryption_version: Option<i64>,
    supports_encryption: bool,
    supports_decryption: bool,
    supports_derivation: bool,
    supports_signing: bool,
    keys: BTreeMap<u64, VersionView>,
}

/// What is shown of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
enum VersionView {
    /// When it was made, in seconds.
    Made(u64),
    /// When it was made, and the key that verifies.
    Public { creation_time: String, name: &'static str, public_key: String, certificate_chain: &'static str },
}

/// Makes a key. One that is there stays as it is.
///
/// # Errors
/// 400 for a key that there cannot be; otherwise as the keyring says.
pub async fn create_key(
    project: &Project,
    mount: &str,
    name: &str,
    request: CreateKeyRequest,
) -> Result<Answer<KeyView>, ApiError> {
    let place = Place::of(mount, name)?;
    let keyring = project.keyring();
    let wanted = |flag: Option<Flag>| flag.is_some_and(|flag| flag.0);
    let (derived, convergent) = (wanted(request.derived), wanted(request.convergent_encryption));
    let algorithm = match key_type::parse(request.r#type.as_deref(), request.parameter_set.as_deref())? {
        _ if convergent && !derived => {
            return Err(ApiError::field("convergent_encryption", "it requires derivation to be enabled"));
        }
        algorithm if derived && !key_type::encrypts(algorithm) => {
            return Err(ApiError::field("derived", "keys of this type cannot be derived"));
        }
        Algorithm::Aes256Gcm if convergent => Algorithm::Aes256Deterministic,
        _ if convergent => return Err(no_convergent()),
        algorithm => algorithm,
    };
    match request.key_size {
        None | Some(Number(0)) => {}
        Some(Number(32)) if algorithm == Algorithm::HmacSha256 => {}
        Some(_) => return Err(ApiError::field("key_size", "a key for HMAC has 32 bytes, others have no choice")),
    }
    let mut settings = vec![KeySetting::Period(period(request.auto_rotate_period)?)];
    if wanted(request.exportable) {
        settings.push(KeySetting::Exportable(Exportable::Yes));
    }
    if let Some((key, info)) = look(keyring, &place).await? {
        let there = show(keyring, &place, &key, &info).await?;
        return Ok(Answer::ok(there).warned(format!("key {name} already existed")));
    }
    let info = match make(keyring, place.key(derived), algorithm, &settings).await {
        Ok(info) => info,
        // Another caller was faster.
        Err(KeyringError::KeyExists(key)) => keyring.key(&key).await?,
        Err(error) => return Err(error.into()),
    };
    let made = Answer::ok(show(keyring, &place, &info.name, &info).await?);
    Ok(if wanted(request.allow_plaintext_backup) { made.warned(NO_PLAINTEXT_BACKUP) } else { made })
}

/// Told to those who allow plaintext backups.
pub(super) const NO_PLAINTEXT_BACKUP: &str = "allow_plaintext_backup: it has no effect, for no backup is in plaintext: each is sealed so that only this project opens it";

/// Shows a key.
///
/// # Errors
/// 404 if it is not there.
pub async fn read_key(project: &Project, mount: &str, name: &str) -> Result<Answer<KeyView>, ApiError> {
    let place = Place::of(mount, name)?;
    let (key, info) = find(project.keyring(), &place).await?;
    show(project.keyring(), &place, &key, &info).await.map(Answer::ok)
}

/// Lists the keys of a mount.
///
/// # Errors
/// 404 if there are none.
pub async fn list_keys(project: &Project, mount: &str, request: ListKeysRequest) -> Result<Answer<KeyList>, ApiError> {
    let mount = Mount::new(mount)?;
    let mut names = BTreeSet::new();
    let mut after = None;
    loop {
        let page = project.keyring().keys(after, 0).await?;
        // What cannot be read hides nothing else; whoever asks for it by its name is told.
        names.extend(page.keys.iter().flatten().filter_map(|key| mount.name_of(&key.name)).map(str::to_owned));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let limit = request.limit.and_then(|Number(limit)| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
    let after = request.after.unwrap_or_default();
    let keys: Vec<String> =
        names.into_iter().filter(|name| **name > *after).take(limit.unwrap_or(usize::MAX)).collect();
    if keys.is_empty() { Err(ApiError::not_found("key in this mount")) } else { Ok(Answer::ok(KeyList { keys })) }
}

/// Deletes a key, and with it whatever was encrypted under it.
///
/// # Errors
/// 400 unless its configuration allows it.
pub async fn delete_key(project: &Project, mount: &str, name: &str) -> Result<Answer<()>, ApiError> {
    remove(project, mount, name, Duration::ZERO).await
}

/// Puts a key out of use, and has it deleted in seven days.
///
/// # Errors
/// As [`delete_key`].
pub async fn soft_delete_key(project: &Project, mount: &str, name: &str) -> Result<Answer<()>, ApiError> {
    remove(project, mount, name, SOFT).await
}

async fn remove(project: &Project, mount: &str, name: &str, delay: Duration) -> Result<Answer<()>, ApiError> {
    let place = Place::of(mount, name)?;
    let (key, _) = require(project.keyring(), &place, "could not delete key; not found").await?;
    project.keyring().delete_key(&key, delay).await?;
    Ok(Answer::empty())
}

/// Takes back a key that was put out of use.
///
/// # Errors
/// 400 if it is not there any more.
pub async fn restore_deleted_key(project: &Project, mount: &str, name: &str) -> Result<Answer<()>, ApiError> {
    let place = Place::of(mount, name)?;
    let (key, _) = require(project.keyring(), &place, "key not found").await?;
    project.keyring().undelete_key(&key).await?;
    Ok(Answer::empty())
}

/// Makes a key that can be told to seal under any of its versions, as keys of Vault can.
pub(super) async fn make(
    keyring: &Keyring,
    key: &KeyName,
    algorithm: Algorithm,
    settings: &[KeySetting],
) -> Result<KeyInfo, KeyringError> {
    let mut all = settings.to_vec();
    all.push(KeySetting::MinSeal(Some(1)));
    match keyring.create_key_with(key, algorithm, &all).await {
        // Where a key of that name was deleted, the first version has a higher number.
        Err(KeyringError::Setting { .. }) => {
            let made = keyring.create_key_with(key, algorithm, settings).await?;
            keyring.change_settings(key, &[KeySetting::MinSeal(Some(made.first))]).await
        }
        made => made,
    }
}

/// Makes the error of convergent encryption for a type that has none.
pub(super) fn no_convergent() -> ApiError {
    ApiError::field("convergent_encryption", "only keys of type aes256-gcm96 have it")
}

/// Reads a period of rotation: none if it is zero.
pub(super) fn period(period: Option<Period>) -> Result<Option<Duration>, ApiError> {
    match period {
        None | Some(Period(Duration::ZERO)) => Ok(None),
        Some(Period(period)) if period < MIN_PERIOD => {
            Err(ApiError::field("auto_rotate_period", "it is 0 to disable rotation, or at least an hour"))
        }
        Some(Period(period)) => Ok(Some(period)),
    }
}

/// Finds a key, be it derived or not.
pub(super) async fn look(keyring: &Keyring, place: &Place) -> Result<Option<(KeyName, KeyInfo)>, ApiError> {
    for key in place.both(false) {
        match keyring.key(key).await {
            Ok(info) => return Ok(Some((key.clone(), info))),
            Err(KeyringError::NoKey(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Finds a key, or answers 404.
pub(super) async fn find(keyring: &Keyring, place: &Place) -> Result<(KeyName, KeyInfo), ApiError> {
    look(keyring, place).await?.ok_or_else(|| ApiError::not_found(format_args!("key named `{}`", place.name())))
}

/// Finds a key, or answers 400: what is to be done to it cannot be.
pub(super) async fn require(keyring: &Keyring, place: &Place, missing: &str) -> Result<(KeyName, KeyInfo), ApiError> {
    let found = look(keyring, place).await?;
    found.ok_or_else(|| ApiError::new(StatusCode::BAD_REQUEST, "not_found", missing))
}

/// Reads the versions that open, at most [`MAX_SHOWN`] of them.
pub(super) async fn versions(keyring: &Keyring, key: &KeyName, info: &KeyInfo) -> Result<Vec<VersionInfo>, ApiError> {
    let from = info.settings.min_open.max(info.newest.saturating_sub(MAX_SHOWN - 1));
    let mut versions = Vec::new();
    let mut after = Some(from.saturating_sub(1));
    while let Some(number) = after {
        let page = keyring.versions(key, Some(number), 0).await?;
        for version in page.versions {
            versions.push(version?);
        }
        after = page.next;
    }
    Ok(versions)
}

/// Returns the lowest version that may be chosen to seal under, as the API writes it: 0 if none was excluded.
pub(super) fn min_encryption_version(info: &KeyInfo) -> u64 {
    info.settings.min_seal.filter(|lowest| *lowest > 1).unwrap_or(0)
}

/// Makes what is shown of a key.
pub(super) async fn show(keyring: &Keyring, place: &Place, key: &KeyName, info: &KeyInfo) -> Result<KeyView, ApiError> {
    let algorithm = info.algorithm;
    let mut keys = BTreeMap::new();
    for version in versions(keyring, key, info).await? {
        keys.insert(version.number, show_version(keyring, info, &version).await?);
    }
    let derived = place.is_derived(key);
    let convergent = algorithm == Algorithm::Aes256Deterministic;
    Ok(KeyView {
        name: place.name().to_owned(),
        r#type: key_type::name(algorithm),
        latest_version: info.newest,
        min_available_version: if info.first > 1 { info.first } else { 0 },
        min_decryption_version: info.settings.min_open,
        min_encryption_version: min_encryption_version(info),
        deletion_allowed: info.settings.deletion_allowed,
        soft_deleted: info.deleting.is_some(),
        exportable: info.settings.exportable == Exportable::Yes,
        allow_plaintext_backup: false,
        auto_rotate_period: info.settings.period.map_or(0, |period| period.as_secs()),
        imported_key: info.origin == KeyOrigin::External,
        derived,
        kdf: derived.then_some("hkdf_sha256"),
        convergent_encryption: (derived || convergent).then_some(convergent),
        convergent_encryption_version: convergent.then_some(-1),
        supports_encryption: key_type::encrypts(algorithm),
        supports_decryption: key_type::encrypts(algorithm),
        supports_derivation: key_type::encrypts(algorithm),
        supports_signing: key_type::signs(algorithm),
        keys,
    })
}

async fn show_version(keyring: &Keyring, info: &KeyInfo, version: &VersionInfo) -> Result<VersionView, ApiError> {
    if !key_type::signs(info.algorithm) {
        return Ok(VersionView::Made(version.created.0 / 1_000));
    }
    let public_key = match keyring.public_key(&info.name, Some(version.number)).await {
        Ok(key) => public_key::text(&key),
        // One that is disabled, or was destroyed, verifies nothing.
        Err(
            KeyringError::VersionDisabled { .. } | KeyringError::VersionDestroyed { .. } | KeyringError::KeyDeleted(_),
        ) => String::new(),
        Err(error) => return Err(error.into()),
    };
    let name = match info.algorithm {
        Algorithm::EcdsaP256 => "P-256",
        other => other.name(),
    };
    Ok(VersionView::Public { creation_time: moment(version.created), name, public_key, certificate_chain: "" })
}

/// Writes a moment in UTC (RFC 3339).
fn moment(moment: Timestamp) -> String {
    let (seconds, millis) = (moment.0 / 1_000, moment.0 % 1_000);
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{millis:03}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

/// Returns the Gregorian date so many days after 1970-01-01.
///
/// Years are counted from 1 March of the year 0, so that a leap day is the last of its year; 400 of them have 146,097 days.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days.saturating_add(719_468);
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (cycle * 400 + year + u64::from(month <= 2), month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_a_calendar_has_them() {
        assert_eq!(moment(Timestamp(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(moment(Timestamp(951_782_400_001)), "2000-02-29T00:00:00.001Z");
        assert_eq!(moment(Timestamp(1_796_078_445_895)), "2026-11-30T22:40:45.895Z");
        assert!(!moment(Timestamp(u64::MAX)).is_empty());
    }
}
