//! Encrypting.

use bulla::{Algorithm, KeyringError, Project};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::answer::{Answer, Outcomes, Results};
use super::binding::Binding;
use super::fields::{self, Batch, Flag, Number, SecretText};
use super::place::Place;
use super::sealing::{Sealer, no_key, refuse_nonce};
use super::{key_type, keys};
use crate::ApiError;

/// What is to be encrypted: one plaintext, or a batch.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EncryptRequest {
    /// The plaintext, in base64.
    pub plaintext: Option<SecretText>,
    /// What a derived key is bound to, in base64.
    pub context: Option<String>,
    /// What has to be told again to decrypt, in base64.
    pub associated_data: Option<String>,
    /// The version to encrypt under; the newest if it is 0.
    pub key_version: Option<Number>,
    /// Refused unless it is empty.
    pub nonce: Option<String>,
    /// The type of the key, if it has to be made.
    pub r#type: Option<String>,
    /// Whether the key, if it has to be made, makes equal ciphertexts of equal plaintexts.
    pub convergent_encryption: Option<Flag>,
    /// The status to answer where some items of a batch failed.
    pub partial_failure_response_code: Option<Number>,
    /// Items to encrypt in place of the one above.
    pub batch_input: Option<Batch<EncryptItem>>,
}

/// An item of a batch to encrypt.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EncryptItem {
    /// The plaintext, in base64.
    pub plaintext: Option<SecretText>,
    /// What a derived key is bound to, in base64.
    pub context: Option<String>,
    /// What has to be told again to decrypt, in base64.
    pub associated_data: Option<String>,
    /// The version to encrypt under; the newest if it is 0.
    pub key_version: Option<Number>,
    /// Refused unless it is empty.
    pub nonce: Option<String>,
    /// What the client calls the item.
    pub reference: Option<String>,
}

/// A ciphertext.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Encrypted {
    /// The ciphertext: `vault:v`, the number of the version, `:`, and base64.
    pub ciphertext: String,
    /// The version that made it.
    pub key_version: u64,
}

/// Encrypts under a key. Where there is none, one is made, if the caller may make keys.
///
/// # Errors
/// 400 for what cannot be encrypted as asked; otherwise as the keyring says. Items of a batch have errors of their own.
pub async fn encrypt(
    project: &Project,
    mount: &str,
    name: &str,
    may_create: bool,
    request: EncryptRequest,
) -> Result<Answer<Results<Encrypted>>, ApiError> {
    let place = Place::of(mount, name)?;
    let upsert = Upsert { may_create, r#type: request.r#type, convergent: request.convergent_encryption };
    let Some(Batch(items)) = request.batch_input else {
        let EncryptRequest { plaintext, context, associated_data, key_version, nonce, .. } = request;
        if plaintext.is_none() {
            return Err(missing_plaintext());
        }
        let item = EncryptItem { plaintext, context, associated_data, key_version, nonce, reference: None };
        let with_context = has_text(item.context.as_ref());
        let mut work = Encrypting::begin(project, &place, with_context, 1, &upsert).await?;
        return work.item(&item).await.map(|encrypted| Answer::ok(Results::One(encrypted)));
    };
    let with_context = common_context(items.iter().map(|item| item.context.as_ref()))?;
    let mut work = Encrypting::begin(project, &place, with_context, items.len(), &upsert).await?;
    let mut outcomes = Outcomes::with_room_for(items.len());
    for item in items {
        outcomes.push(work.item(&item).await, item.reference);
    }
    Ok(outcomes.answer(request.partial_failure_response_code))
}

/// Says whether the items of a batch have contexts: all of them, or none.
pub(super) fn common_context<'a>(mut contexts: impl Iterator<Item = Option<&'a String>>) -> Result<bool, ApiError> {
    let Some(first) = contexts.next() else {
        return Err(ApiError::field("batch_input", "missing batch input to process"));
    };
    let first = has_text(first);
    if contexts.all(|context| has_text(context) == first) {
        Ok(first)
    } else {
        Err(ApiError::field("context", "it should be set either in all items of a batch or in none"))
    }
}

pub(super) fn has_text(text: Option<&String>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}

fn missing_plaintext() -> ApiError {
    ApiError::field("plaintext", "missing plaintext to encrypt")
}

/// How a key is made that is not there.
struct Upsert {
    may_create: bool,
    r#type: Option<String>,
    convergent: Option<Flag>,
}

impl Upsert {
    async fn make(&self, project: &Project, place: &Place, derived: bool) -> Result<(), ApiError> {
        let convergent = self.convergent.is_some_and(|flag| flag.0);
        let algorithm = match key_type::parse(self.r#type.as_deref(), None)? {
            algorithm if !key_type::encrypts(algorithm) => {
                let message = format!("keys of type {} do not encrypt", key_type::name(algorithm));
                return Err(ApiError::field("type", message));
            }
            algorithm if !convergent => algorithm,
            Algorithm::Aes256Gcm if derived => Algorithm::Aes256Deterministic,
            Algorithm::Aes256Gcm => return Err(ApiError::field("context", "convergent encryption requires one")),
            _ => return Err(keys::no_convergent()),
        };
        match keys::make(project.keyring(), place.key(derived), algorithm, &[]).await {
            // Another caller was faster, and the key is there.
            Ok(_) | Err(KeyringError::KeyExists(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

struct Encrypting<'a> {
    sealer: Sealer<'a>,
    binding: Binding<'a>,
    plaintext: Zeroizing<Vec<u8>>,
}

impl<'a> Encrypting<'a> {
    async fn begin(
        project: &'a Project,
        place: &'a Place,
        with_context: bool,
        items: usize,
        upsert: &Upsert,
    ) -> Result<Self, ApiError> {
        let keyring = project.keyring();
        let sealer = match Sealer::new(keyring, place, with_context, items).await {
            Err(error) if error == no_key() && upsert.may_create => {
                upsert.make(project, place, with_context).await?;
                Sealer::new(keyring, place, with_context, items).await?
            }
            sealer => sealer?,
        };
        Ok(Self { sealer, binding: Binding::new(project.id(), place), plaintext: Zeroizing::default() })
    }

    async fn item(&mut self, item: &EncryptItem) -> Result<Encrypted, ApiError> {
        refuse_nonce(item.nonce.as_deref())?;
        let plaintext = item.plaintext.as_ref().ok_or_else(missing_plaintext)?;
        let context = self.binding.context(item.associated_data.as_deref(), item.context.as_deref())?;
        fields::decode_into("plaintext", plaintext.expose(), &mut self.plaintext)?;
        let (ciphertext, key_version) = self.sealer.seal(item.key_version, &context, &self.plaintext).await?;
        Ok(Encrypted { ciphertext, key_version })
    }
}
