//! Verifying signatures and HMACs.

use bulla::{KeyName, Keyring, KeyringError, Project};
use bulla_keyring::OneWayVersion;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::answer::{Answer, Outcomes, Results};
use super::fields::{Batch, Flag, SecretText};
use super::hmac::require_sha256;
use super::place::Place;
use super::sign::{input, refuse_context};
use super::signature::{Asked, Manner};
use super::wrapped::Kind;
use crate::ApiError;

/// What is to be verified: one message, or a batch.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VerifyRequest {
    /// The key, which the path names too, as some clients say it twice. Refused if it is another.
    pub name: Option<String>,
    /// The message, or its digest, in base64.
    pub input: Option<SecretText>,
    /// The signature, as [`sign`](super::sign()) made it.
    pub signature: Option<String>,
    /// The HMAC, as [`hmac`](super::hmac()) made it.
    pub hmac: Option<String>,
    /// Refused unless it is empty.
    pub context: Option<String>,
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
    /// Items to verify in place of the one above: all with a signature, or all with an HMAC.
    pub batch_input: Option<Batch<VerifyItem>>,
}

/// An item of a batch to verify.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VerifyItem {
    /// The message, or its digest, in base64.
    pub input: Option<SecretText>,
    /// The signature.
    pub signature: Option<String>,
    /// The HMAC.
    pub hmac: Option<String>,
    /// Refused unless it is empty.
    pub context: Option<String>,
    /// What the client calls the item.
    pub reference: Option<String>,
}

/// Whether a signature or an HMAC is the key's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Verified {
    /// Whether it is.
    pub valid: bool,
}

/// Verifies signatures or HMACs. The path may name the hash algorithm, which is taken before that of the body.
///
/// # Errors
/// 400 for what is neither; otherwise as the keyring says. Items of a batch have errors of their own.
pub async fn verify(
    project: &Project,
    mount: &str,
    name: &str,
    algorithm: Option<&str>,
    request: VerifyRequest,
) -> Result<Answer<Results<Verified>>, ApiError> {
    if request.name.as_deref().is_some_and(|said| said != name) {
        return Err(ApiError::field("name", "is not the key that the path names"));
    }
    let place = Place::of(mount, name)?;
    let single = request.batch_input.is_none();
    let items = match request.batch_input {
        Some(Batch(items)) if items.is_empty() => {
            return Err(ApiError::field("batch_input", "missing batch input to process"));
        }
        Some(Batch(items)) => items,
        None => vec![VerifyItem {
            input: request.input,
            signature: request.signature,
            hmac: request.hmac,
            context: request.context,
            reference: None,
        }],
    };
    let asked = Asked {
        hash_algorithm: algorithm.or(request.hash_algorithm.as_deref()).or(request.algorithm.as_deref()),
        prehashed: request.prehashed.is_some_and(|flag| flag.0),
        signature_algorithm: request.signature_algorithm.as_deref(),
        marshaling_algorithm: request.marshaling_algorithm.as_deref(),
    };
    let kind = kind(&items)?;
    if kind == Kind::Hmac {
        require_sha256(asked.hash_algorithm)?;
    }
    let keyring = project.keyring();
    let name = place.key(false);
    let key = keyring.key(name).await.map_err(|error| match error {
        KeyringError::NoKey(_) => {
            ApiError::new(StatusCode::BAD_REQUEST, "not_found", "signature verification key not found")
        }
        error => error.into(),
    })?;
    let manner = match kind {
        Kind::Signature => Some(Manner::of(key.algorithm, &asked)?),
        _ => None,
    };
    let mut verifier = Verifier { keyring, name, newest: key.newest, manner, last: None };
    if single {
        let verified = verifier.item(items.first()).await?;
        return Ok(Answer::ok(Results::One(verified)));
    }
    let mut outcomes = Outcomes::with_room_for(items.len());
    for item in items {
        outcomes.push(verifier.item(Some(&item)).await, item.reference);
    }
    Ok(outcomes.answer_each())
}

/// Says whether the items bring signatures or HMACs: all of them the same.
fn kind(items: &[VerifyItem]) -> Result<Kind, ApiError> {
    let has = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let signatures = items.iter().filter(|item| has(&item.signature)).count();
    let hmacs = items.iter().filter(|item| has(&item.hmac)).count();
    match (signatures, hmacs) {
        (0, 0) => Err(ApiError::field("signature", "neither a 'signature' nor an 'hmac' were given to verify")),
        (_, 0) if signatures == items.len() => Ok(Kind::Signature),
        (0, _) if hmacs == items.len() => Ok(Kind::Hmac),
        _ => Err(ApiError::field("signature", "all that is to be verified brings 'signature', or all of it 'hmac'")),
    }
}

struct Verifier<'a> {
    keyring: &'a Keyring,
    name: &'a KeyName,
    newest: u64,
    /// How signatures are written, unless it is an HMAC that is verified.
    manner: Option<Manner>,
    last: Option<OneWayVersion>,
}

impl Verifier<'_> {
    async fn item(&mut self, item: Option<&VerifyItem>) -> Result<Verified, ApiError> {
        refuse_context(item.and_then(|item| item.context.as_deref()))?;
        let input = input(item.and_then(|item| item.input.as_ref()))?;
        let manner = self.manner;
        let kind = if manner.is_some() { Kind::Signature } else { Kind::Hmac };
        let text =
            item.and_then(|item| if manner.is_some() { item.signature.as_deref() } else { item.hmac.as_deref() });
        let wrapped = kind.parse(text.unwrap_or_default())?;
        let version = self.version(kind, wrapped.version).await?;
        let valid = match manner {
            Some(manner) => manner.verify(version, &input, wrapped.encoded)?,
            None => {
                let mut tag = Zeroizing::default();
                kind.decode(text.unwrap_or_default(), &mut tag)?;
                version.verify_hmac(&input, &tag)?
            }
        };
        Ok(Verified { valid })
    }

    async fn version(&mut self, kind: Kind, number: u64) -> Result<&OneWayVersion, ApiError> {
        let known = self.last.take().filter(|last| last.number() == number);
        let version = match known {
            Some(version) => version,
            None => self.keyring.one_way_of(self.name, number).await.map_err(|error| match error {
                KeyringError::NoVersion { .. } if number > self.newest => kind.too_new(),
                KeyringError::NoVersion { .. } | KeyringError::BelowMinimum { .. } => Kind::too_old(),
                error => error.into(),
            })?,
        };
        Ok(&*self.last.insert(version))
    }
}
