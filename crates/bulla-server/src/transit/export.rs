//! Handing out keys.

use std::collections::BTreeMap;

use bulla::{Algorithm, Exportable, KeyInfo, KeyName, Keyring, KeyringError, Project, Secret};
use bulla_seal::SigningKey;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::answer::Answer;
use super::fields::SecretText;
use super::place::Place;
use super::{key_type, keys, public_key};
use crate::ApiError;

/// How keys are to be written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExportRequest {
    /// Refused unless it is empty or `raw`: what is written how follows from the type of the key.
    pub format: Option<String>,
}

/// Keys, by the numbers of their versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Exported {
    /// The name of the key.
    pub name: String,
    /// Its type.
    pub r#type: &'static str,
    /// The versions: base64, or PEM for ECDSA.
    pub keys: BTreeMap<u64, SecretText>,
}

/// What is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Encryption,
    Signing,
    Hmac,
    Public,
}

/// Hands out a key: the part that the path names, of all versions that decrypt, of one, or of the `latest`.
///
/// # Errors
/// 404 if there is no such key; 400 unless the configuration of the key allows it, for a part that it does not have, and for a version that may not
/// be used any more.
pub async fn export_key(
    project: &Project,
    mount: &str,
    part: &str,
    name: &str,
    version: Option<&str>,
    request: ExportRequest,
) -> Result<Answer<Exported>, ApiError> {
    let place = Place::of(mount, name)?;
    let refuse = |message: &str| Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_field", message));
    let part = match part {
        "encryption-key" => Part::Encryption,
        "signing-key" => Part::Signing,
        "hmac-key" => Part::Hmac,
        "public-key" => Part::Public,
        _ => return refuse("invalid export type; there are encryption-key, signing-key, hmac-key and public-key"),
    };
    if !matches!(request.format.as_deref(), None | Some("" | "raw")) {
        return Err(ApiError::field("format", "only the format that the type of the key has is written"));
    }
    let keyring = project.keyring();
    let (key, info) = keys::find(keyring, &place).await?;
    match part {
        Part::Encryption if !key_type::encrypts(info.algorithm) => {
            return refuse("encryption not supported for the key");
        }
        Part::Signing if !key_type::signs(info.algorithm) => return refuse("signing not supported for the key"),
        Part::Public if !key_type::signs(info.algorithm) => return refuse("the key has no public part"),
        Part::Hmac if info.algorithm != Algorithm::HmacSha256 => {
            return refuse("the key is none for HMAC: only keys of type hmac are");
        }
        Part::Public => {}
        _ if info.settings.exportable != Exportable::Yes => return refuse("private key material is not exportable"),
        _ => {}
    }
    let mut exported = BTreeMap::new();
    match chosen(&info, version)? {
        Some(number) => {
            exported.insert(number, export(keyring, &key, &info, part, number).await?);
        }
        None => {
            for version in keys::versions(keyring, &key, &info).await? {
                match export(keyring, &key, &info, part, version.number).await {
                    Ok(text) => {
                        exported.insert(version.number, text);
                    }
                    // What was put out of use one by one is not handed out, and hides nothing else.
                    Err(error) if ["version_disabled", "version_destroyed"].contains(&error.code()) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    let (name, r#type) = (place.name().to_owned(), key_type::name(info.algorithm));
    Ok(Answer::ok(Exported { name, r#type, keys: exported }))
}

fn chosen(info: &KeyInfo, version: Option<&str>) -> Result<Option<u64>, ApiError> {
    let bad = |problem: &str| Err(ApiError::field("version", problem));
    match version {
        None | Some("") => Ok(None),
        Some("latest") => Ok(Some(info.newest)),
        Some(number) => match number.parse() {
            Ok(number) if number < info.settings.min_open => bad("it is below the minimum decryption version"),
            Ok(number) if number > info.newest => bad("it does not exist or cannot be found"),
            Ok(number) => Ok(Some(number)),
            Err(_) => bad("invalid key version"),
        },
    }
}

async fn export(
    keyring: &Keyring,
    key: &KeyName,
    info: &KeyInfo,
    part: Part,
    number: u64,
) -> Result<SecretText, ApiError> {
    if part == Part::Public {
        return Ok(public_key::text(&keyring.public_key(key, Some(number)).await?).into());
    }
    let material = keyring.export_version(key, number).await.map_err(|error| match error {
        KeyringError::NotExportable(_) => {
            ApiError::new(StatusCode::BAD_REQUEST, "not_exportable", "private key material is not exportable")
        }
        error => error.into(),
    })?;
    match info.algorithm {
        Algorithm::Ed25519 => {
            // The seed and the public key, one behind the other.
            let seed = Secret::<32>::from_slice(material.expose()).ok_or(bulla::SealError::NoPrivateKey)?;
            let key = SigningKey::from_seed(seed)?;
            let mut both = Zeroizing::new(Vec::with_capacity(64));
            both.extend_from_slice(key.seed().expose());
            both.extend_from_slice(&key.verifying_key().0);
            Ok(SecretText::base64(&both))
        }
        Algorithm::EcdsaP256 => public_key::p256_private(&material),
        _ => Ok(SecretText::base64(material.expose())),
    }
}
