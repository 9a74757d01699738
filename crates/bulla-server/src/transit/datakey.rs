//! Keys for use elsewhere: to be used and forgotten, and encrypted, to be kept.

use bulla::Project;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::binding::Binding;
use super::encrypt::has_text;
use super::fields::{Number, SecretText};
use super::place::Place;
use super::sealing::{Sealer, refuse_nonce};
use crate::ApiError;

/// What kind of key is wanted.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DataKeyRequest {
    /// Its length: 128, 256 or 512; 256 unless given.
    pub bits: Option<Number>,
    /// What a derived key is bound to, in base64.
    pub context: Option<String>,
    /// What has to be told again to decrypt it, in base64.
    pub associated_data: Option<String>,
    /// The version to encrypt it under; the newest if it is 0.
    pub key_version: Option<Number>,
    /// Refused unless it is empty.
    pub nonce: Option<String>,
}

/// A key for use elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DataKey {
    /// The key, in base64, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plaintext: Option<SecretText>,
    /// The key, as [`decrypt`](super::decrypt()) opens it.
    pub ciphertext: String,
    /// The version that it is under.
    pub key_version: u64,
}

/// Draws a key, and encrypts it. `form` is the segment of the path that says whether it is shown: `plaintext` or `wrapped`.
///
/// # Errors
/// As [`encrypt`](super::encrypt()), for a key that is there.
pub async fn data_key(
    project: &Project,
    mount: &str,
    form: &str,
    name: &str,
    request: DataKeyRequest,
) -> Result<Answer<DataKey>, ApiError> {
    let is_shown = match form {
        "plaintext" => true,
        "wrapped" => false,
        _ => return Err(ApiError::field("path", "it is datakey/plaintext or datakey/wrapped")),
    };
    let place = Place::of(mount, name)?;
    refuse_nonce(request.nonce.as_deref())?;
    let len = match request.bits {
        None | Some(Number(256)) => 32,
        Some(Number(128)) => 16,
        Some(Number(512)) => 64,
        Some(_) => return Err(ApiError::field("bits", "invalid bit length: it is 128, 256 or 512")),
    };
    let keyring = project.keyring();
    let mut sealer = Sealer::new(keyring, &place, has_text(request.context.as_ref()), 1).await?;
    let context =
        Binding::new(project.id(), &place).context(request.associated_data.as_deref(), request.context.as_deref())?;
    let drawn = keyring.random(len)?;
    let (ciphertext, key_version) = sealer.seal(request.key_version, &context, drawn.expose()).await?;
    let plaintext = is_shown.then(|| SecretText::base64(drawn.expose()));
    Ok(Answer::ok(DataKey { plaintext, ciphertext, key_version }))
}
