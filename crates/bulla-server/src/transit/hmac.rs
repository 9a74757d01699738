//! Authenticating.

use bulla::Project;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Outcomes, Results};
use super::fields::{Batch, Number, SecretText};
use super::place::Place;
use super::sign::{Maker, input, refuse_context};
use super::wrapped;
use crate::ApiError;

/// What is to be authenticated: one message, or a batch.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HmacRequest {
    /// The message, in base64.
    pub input: Option<SecretText>,
    /// The version to use; the newest if it is 0.
    pub key_version: Option<Number>,
    /// The hash algorithm: `sha2-256`.
    pub algorithm: Option<String>,
    /// Items in place of the one above.
    pub batch_input: Option<Batch<HmacItem>>,
}

/// An item of a batch to authenticate.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HmacItem {
    /// The message, in base64.
    pub input: Option<SecretText>,
    /// Refused unless it is empty.
    pub context: Option<String>,
    /// What the client calls the item.
    pub reference: Option<String>,
}

/// An HMAC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Authenticated {
    /// The HMAC: `vault:v`, the number of the version, `:`, and base64.
    pub hmac: String,
}

/// Computes HMACs under a key. The path may name the hash algorithm, which is taken before that of the body.
///
/// # Errors
/// 400 for what cannot be computed as asked; otherwise as the keyring says. Items of a batch have errors of their own.
pub async fn hmac(
    project: &Project,
    mount: &str,
    name: &str,
    algorithm: Option<&str>,
    request: HmacRequest,
) -> Result<Answer<Results<Authenticated>>, ApiError> {
    let place = Place::of(mount, name)?;
    require_sha256(algorithm.or(request.algorithm.as_deref()))?;
    let single = request.batch_input.is_none();
    let items = match request.batch_input {
        Some(Batch(items)) if items.is_empty() => {
            return Err(ApiError::field("batch_input", "missing batch input to process"));
        }
        Some(Batch(items)) => items,
        None => vec![HmacItem { input: request.input, context: None, reference: None }],
    };
    let keyring = project.keyring();
    let mut maker =
        Maker::new(keyring, place.key(false), request.key_version, items.len(), "encryption key not found").await?;
    if single {
        let authenticated = hmac_item(&mut maker, items.first()).await?;
        return Ok(Answer::ok(Results::One(authenticated)));
    }
    let mut outcomes = Outcomes::with_room_for(items.len());
    for item in items {
        outcomes.push(hmac_item(&mut maker, Some(&item)).await, item.reference);
    }
    Ok(outcomes.answer_each())
}

async fn hmac_item(maker: &mut Maker<'_>, item: Option<&HmacItem>) -> Result<Authenticated, ApiError> {
    refuse_context(item.and_then(|item| item.context.as_deref()))?;
    let input = input(item.and_then(|item| item.input.as_ref()))?;
    let version = maker.version().await?;
    Ok(Authenticated { hmac: wrapped::wrap(version.number(), &version.hmac(&input)?) })
}

/// Refuses other hash algorithms than the one that keys for HMAC have.
pub(super) fn require_sha256(algorithm: Option<&str>) -> Result<(), ApiError> {
    match algorithm {
        None | Some("" | "sha2-256") => Ok(()),
        Some(_) => Err(ApiError::field("algorithm", "keys for HMAC have `sha2-256`")),
    }
}
