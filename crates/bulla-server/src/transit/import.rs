//! Taking keys from outside.
//!
//! A client draws a key of AES-256, wraps its material with it (AES key wrap with padding, RFC 5649), encrypts the key with the wrapping
//! key (RSA-OAEP, RFC 8017), and sends the one behind the other.

use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin, EcPrivateKeyBin};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use bulla::{Algorithm, Exportable, KeySetting, KeyringError, Project, SecretVec};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::answer::Answer;
use super::fields::{self, Flag, Number, Period};
use super::place::Place;
use super::{key_type, keys, wrapping_key};
use crate::ApiError;

/// Longest material, wrapped, in bytes.
const MAX_MATERIAL_LEN: usize = 16_384;

/// A key to take.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ImportRequest {
    /// The wrapped key, in base64.
    pub ciphertext: Option<String>,
    /// The hash function of RSA-OAEP: SHA256 unless given.
    pub hash_function: Option<String>,
    /// The type of the key.
    pub r#type: Option<String>,
    /// Refused: only whole keys are taken.
    pub public_key: Option<String>,
    /// Refused if it is set: only who brought the material brings the next.
    pub allow_rotation: Option<Flag>,
    /// Whether everything is bound to a context.
    pub derived: Option<Flag>,
    /// Whether the material is handed out.
    pub exportable: Option<Flag>,
    /// Without effect: backups are sealed.
    pub allow_plaintext_backup: Option<Flag>,
    /// Refused unless it is 0: nothing rotates such a key by itself.
    pub auto_rotate_period: Option<Period>,
}

/// The next version of a key that was taken.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ImportVersionRequest {
    /// The wrapped key, in base64.
    pub ciphertext: Option<String>,
    /// The hash function of RSA-OAEP: SHA256 unless given.
    pub hash_function: Option<String>,
    /// Refused: only whole keys are taken.
    pub public_key: Option<String>,
    /// Refused: there are no versions without their private part.
    pub version: Option<Number>,
}

/// Makes a key of material that the client brings.
///
/// # Errors
/// 400 for what is no wrapped key of the type, and for a name that is taken.
pub async fn import_key(
    project: &Project,
    mount: &str,
    name: &str,
    request: ImportRequest,
) -> Result<Answer<()>, ApiError> {
    let place = Place::of(mount, name)?;
    let keyring = project.keyring();
    let wanted = |flag: Option<Flag>| flag.is_some_and(|flag| flag.0);
    let algorithm = key_type::parse(request.r#type.as_deref(), None)?;
    let derived = wanted(request.derived);
    if derived && !key_type::encrypts(algorithm) {
        return Err(ApiError::field("derived", "keys of this type cannot be derived"));
    }
    if wanted(request.allow_rotation) {
        return Err(ApiError::field(
            "allow_rotation",
            "who brought the material of a key brings the next version, with import_version",
        ));
    }
    if keys::period(request.auto_rotate_period)?.is_some() {
        return Err(ApiError::field("auto_rotate_period", "a key of material from outside is not rotated by itself"));
    }
    refuse_public(request.public_key.as_deref())?;
    let padding = wrapping_key::padding(request.hash_function.as_deref())?;
    let ciphertext = decoded(request.ciphertext.as_deref())?;
    if keys::look(keyring, &place).await?.is_some() {
        let message = "the key is there already; import_version brings the next version of one that was imported";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "already_exists", message));
    }
    let material = unwrap(project, padding, algorithm, &ciphertext).await?;
    let mut settings = Vec::new();
    if wanted(request.exportable) {
        settings.push(KeySetting::Exportable(Exportable::Yes));
    }
    let key = place.key(derived);
    let made = keyring.create_external_key(key, algorithm, &settings, &material).await.map_err(refused)?;
    keyring.change_settings(key, &[KeySetting::MinSeal(Some(made.first))]).await?;
    Ok(Answer::empty())
}

/// Makes material that the client brings the newest version of a key whose material was brought before.
///
/// # Errors
/// As [`import_key`]; 400 for a key that was made here.
pub async fn import_key_version(
    project: &Project,
    mount: &str,
    name: &str,
    request: ImportVersionRequest,
) -> Result<Answer<()>, ApiError> {
    let place = Place::of(mount, name)?;
    let keyring = project.keyring();
    if request.version.is_some() {
        return Err(ApiError::field("version", "a new version gets the next number"));
    }
    refuse_public(request.public_key.as_deref())?;
    let padding = wrapping_key::padding(request.hash_function.as_deref())?;
    let ciphertext = decoded(request.ciphertext.as_deref())?;
    let (key, info) = keys::require(keyring, &place, "there is no such key; import makes one").await?;
    let material = unwrap(project, padding, info.algorithm, &ciphertext).await?;
    keyring.import_version(&key, &material).await.map_err(refused)?;
    Ok(Answer::empty())
}

fn refuse_public(public_key: Option<&str>) -> Result<(), ApiError> {
    match public_key {
        None | Some("") => Ok(()),
        Some(_) => Err(ApiError::field("public_key", "only whole keys are taken")),
    }
}

fn refused(error: KeyringError) -> ApiError {
    match error {
        KeyringError::KeyExists(_) => {
            let error = ApiError::from(error);
            ApiError::new(StatusCode::BAD_REQUEST, error.code(), error.message())
        }
        // Whose it is is nothing that the client needs to know.
        KeyringError::MaterialInUse { .. } => {
            let message = "this material is no new one: a key of the project has it";
            ApiError::new(StatusCode::BAD_REQUEST, "material_in_use", message)
        }
        error => error.into(),
    }
}

fn decoded(ciphertext: Option<&str>) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    let ciphertext = ciphertext.filter(|ciphertext| !ciphertext.is_empty());
    let ciphertext = ciphertext.ok_or_else(|| ApiError::field("ciphertext", "missing wrapped key to import"))?;
    let bytes = fields::decode("ciphertext", ciphertext)?;
    if (wrapping_key::WRAPPED_LEN + 1..=wrapping_key::WRAPPED_LEN + MAX_MATERIAL_LEN).contains(&bytes.len()) {
        Ok(bytes)
    } else {
        Err(ApiError::field("ciphertext", "it has not the length of a wrapped key"))
    }
}

/// Unwraps what a client brings, and takes the material of the type from it.
async fn unwrap(
    project: &Project,
    padding: &'static aws_lc_rs::rsa::OaepAlgorithm,
    algorithm: Algorithm,
    ciphertext: &[u8],
) -> Result<SecretVec, ApiError> {
    // One error for all: which step failed would tell about the inside of what was encrypted.
    let bad =
        || ApiError::field("ciphertext", "it is no key that was wrapped with this wrapping key and hash function");
    let (key, wrapped) = ciphertext.split_at_checked(wrapping_key::WRAPPED_LEN).ok_or_else(bad)?;
    let key = wrapping_key::decrypt(project, padding, key).await?.ok_or_else(bad)?;
    let kek = AesKek::new(&AES_256, &key).map_err(|_| bad())?;
    let mut out = Zeroizing::new(vec![0; wrapped.len()]);
    let len = kek.unwrap_with_padding(wrapped, &mut out).map_err(|_| bad())?.len();
    let plain = out.get(..len).ok_or_else(bad)?;
    material(algorithm, plain).ok_or_else(|| {
        ApiError::field("ciphertext", "what is wrapped is no key of this type: 32 bytes, or PKCS #8 for keys that sign")
    })
}

/// Takes the material of a type: the bytes themselves, or what lies in PKCS #8.
fn material(algorithm: Algorithm, plain: &[u8]) -> Option<SecretVec> {
    /// Lengths of HMAC keys, as in Vault.
    const HMAC: std::ops::RangeInclusive<usize> = 32..=512;
    match algorithm {
        Algorithm::Aes256Gcm | Algorithm::Aes256Deterministic | Algorithm::ChaCha20Poly1305 => {
            (plain.len() == 32).then(|| SecretVec::new(plain.to_vec()))
        }
        Algorithm::HmacSha256 => HMAC.contains(&plain.len()).then(|| SecretVec::new(plain.to_vec())),
        Algorithm::Ed25519 => {
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(plain).ok()?;
            let seed: Curve25519SeedBin<'_> = pair.seed().ok()?.as_be_bytes().ok()?;
            Some(SecretVec::new(seed.as_ref().to_vec()))
        }
        Algorithm::EcdsaP256 => {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, plain).ok()?;
            let scalar: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().ok()?;
            Some(SecretVec::new(scalar.as_ref().to_vec()))
        }
        _ => None,
    }
}
