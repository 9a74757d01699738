//! Signing.

use bulla::{KeyName, Keyring, KeyringError, Project};
use bulla_keyring::OneWayVersion;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Outcomes, Results};
use super::fields::{self, Batch, Flag, Number, SecretText};
use super::place::Place;
use super::signature::{Asked, Manner};
use crate::ApiError;

/// What is to be signed: one message, or a batch.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SignRequest {
    /// The message, or its digest, in base64.
    pub input: Option<SecretText>,
    /// Refused unless it is empty: keys that sign are not derived.
    pub context: Option<String>,
    /// The version to sign with; the newest if it is 0.
    pub key_version: Option<Number>,
    /// The hash algorithm, where the key leaves a choice.
    pub hash_algorithm: Option<String>,
    /// What `hash_algorithm` was called once.
    pub algorithm: Option<String>,
    /// Whether the input is a digest.
    pub prehashed: Option<Flag>,
    /// For RSA only.
    pub signature_algorithm: Option<String>,
    /// How the signature is written: `asn1` or `jws`.
    pub marshaling_algorithm: Option<String>,
    /// For RSA only.
    pub salt_length: Option<String>,
    /// Items to sign in place of the one above.
    pub batch_input: Option<Batch<SignItem>>,
}

/// An item of a batch to sign.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SignItem {
    /// The message, or its digest, in base64.
    pub input: Option<SecretText>,
    /// Refused unless it is empty.
    pub context: Option<String>,
    /// What the client calls the item.
    pub reference: Option<String>,
}

/// A signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Signed {
    /// The signature: `vault:v`, the number of the version, `:`, and base64.
    pub signature: String,
    /// The version that made it.
    pub key_version: u64,
}

/// Signs with a key. The path may name the hash algorithm, which is taken before that of the body.
///
/// # Errors
/// 400 for what cannot be signed as asked; otherwise as the keyring says. Items of a batch have errors of their own.
pub async fn sign(
    project: &Project,
    mount: &str,
    name: &str,
    algorithm: Option<&str>,
    request: SignRequest,
) -> Result<Answer<Results<Signed>>, ApiError> {
    let place = Place::of(mount, name)?;
    let asked = Asked {
        hash_algorithm: algorithm.or(request.hash_algorithm.as_deref()).or(request.algorithm.as_deref()),
        prehashed: request.prehashed.is_some_and(|flag| flag.0),
        signature_algorithm: request.signature_algorithm.as_deref(),
        marshaling_algorithm: request.marshaling_algorithm.as_deref(),
    };
    let single = request.batch_input.is_none();
    let items = match request.batch_input {
        Some(Batch(items)) if items.is_empty() => {
            return Err(ApiError::field("batch_input", "missing batch input to process"));
        }
        Some(Batch(items)) => items,
        None => vec![SignItem { input: request.input, context: request.context, reference: None }],
    };
    let mut maker =
        Maker::new(project.keyring(), place.key(false), request.key_version, items.len(), "signing key not found")
            .await?;
    let manner = Manner::of(maker.version.algorithm(), &asked)?;
    if single {
        let signed = sign_item(&mut maker, manner, items.first()).await?;
        return Ok(Answer::ok(Results::One(signed)));
    }
    let mut outcomes = Outcomes::with_room_for(items.len());
    for item in items {
        outcomes.push(sign_item(&mut maker, manner, Some(&item)).await, item.reference);
    }
    Ok(outcomes.answer_each())
}

async fn sign_item(maker: &mut Maker<'_>, manner: Manner, item: Option<&SignItem>) -> Result<Signed, ApiError> {
    refuse_context(item.and_then(|item| item.context.as_deref()))?;
    let input = input(item.and_then(|item| item.input.as_ref()))?;
    let version = maker.version().await?;
    Ok(Signed { signature: manner.sign(version, &input)?, key_version: version.number() })
}

/// Decodes the message of an item.
pub(super) fn input(input: Option<&SecretText>) -> Result<zeroize::Zeroizing<Vec<u8>>, ApiError> {
    let input = input.ok_or_else(|| ApiError::field("input", "missing input"))?;
    fields::decode("input", input.expose())
}

/// Refuses a context: what is signed or authenticated is bound to the message alone.
pub(super) fn refuse_context(context: Option<&str>) -> Result<(), ApiError> {
    match context {
        None | Some("") => Ok(()),
        Some(_) => Err(ApiError::field("context", "keys that sign or authenticate are not derived")),
    }
}

/// The version that makes what a request asks for.
pub(super) struct Maker<'a> {
    keyring: &'a Keyring,
    name: &'a KeyName,
    number: Option<u64>,
    is_counted: bool,
    fresh: bool,
    pub(super) version: OneWayVersion,
}

impl<'a> Maker<'a> {
    pub(super) async fn new(
        keyring: &'a Keyring,
        name: &'a KeyName,
        number: Option<Number>,
        items: usize,
        missing: &str,
    ) -> Result<Self, ApiError> {
        let number = match number {
            None | Some(Number(0)) => None,
            Some(Number(number)) => {
                Some(u64::try_from(number).map_err(|_| ApiError::field("key_version", "it cannot be negative"))?)
            }
        };
        let version = fetch(keyring, name, number).await.map_err(|error| match error.code() {
            "not_found" => ApiError::new(StatusCode::BAD_REQUEST, "not_found", missing),
            _ => error,
        })?;
        let is_counted = items > 1 && keyring.key(name).await?.settings.max_uses.is_some();
        Ok(Self { keyring, name, number, is_counted, fresh: true, version })
    }

    /// Returns the version for the next item.
    pub(super) async fn version(&mut self) -> Result<&OneWayVersion, ApiError> {
        if self.is_counted && !std::mem::take(&mut self.fresh) {
            self.version = fetch(self.keyring, self.name, self.number).await?;
        }
        Ok(&self.version)
    }
}

async fn fetch(keyring: &Keyring, name: &KeyName, number: Option<u64>) -> Result<OneWayVersion, ApiError> {
    let Some(number) = number else { return Ok(keyring.current_one_way(name).await?) };
    keyring.one_way_to_make(name, number).await.map_err(|error| match error {
        KeyringError::NoVersion { .. } => ApiError::field("key_version", "the key has no such version"),
        KeyringError::BelowMinimum { .. } => {
            ApiError::field("key_version", "it is less than the minimum encryption key version")
        }
        error => error.into(),
    })
}
