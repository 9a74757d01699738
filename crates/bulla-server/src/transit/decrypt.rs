//! Decrypting.

use bulla::Project;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Outcomes, Results};
use super::binding::Binding;
use super::encrypt::{common_context, has_text};
use super::fields::{Batch, Number, SecretText};
use super::place::Place;
use super::sealing::{Opener, refuse_nonce};
use crate::ApiError;

/// What is to be decrypted: one ciphertext, or a batch.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DecryptRequest {
    /// The ciphertext, as [`encrypt`](super::encrypt()) made it.
    pub ciphertext: Option<String>,
    /// The context that it was made with, in base64.
    pub context: Option<String>,
    /// The associated data that it was made with, in base64.
    pub associated_data: Option<String>,
    /// Refused unless it is empty.
    pub nonce: Option<String>,
    /// The status to answer where some items of a batch failed.
    pub partial_failure_response_code: Option<Number>,
    /// Items to decrypt in place of the one above.
    pub batch_input: Option<Batch<DecryptItem>>,
}

/// An item of a batch to decrypt.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DecryptItem {
    /// The ciphertext.
    pub ciphertext: Option<String>,
    /// The context that it was made with, in base64.
    pub context: Option<String>,
    /// The associated data that it was made with, in base64.
    pub associated_data: Option<String>,
    /// Refused unless it is empty.
    pub nonce: Option<String>,
    /// What the client calls the item.
    pub reference: Option<String>,
}

/// A plaintext.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Decrypted {
    /// The plaintext, in base64.
    pub plaintext: SecretText,
}

/// Decrypts what a key has encrypted.
///
/// # Errors
/// 400 for what the key did not make, or not so; otherwise as the keyring says. Items of a batch have errors of their own.
pub async fn decrypt(
    project: &Project,
    mount: &str,
    name: &str,
    request: DecryptRequest,
) -> Result<Answer<Results<Decrypted>>, ApiError> {
    let place = Place::of(mount, name)?;
    let Some(Batch(items)) = request.batch_input else {
        let DecryptRequest { ciphertext, context, associated_data, nonce, .. } = request;
        let item = DecryptItem { ciphertext, context, associated_data, nonce, reference: None };
        let with_context = has_text(item.context.as_ref());
        let mut work = Decrypting::begin(project, &place, with_context);
        return work.item(&item).await.map(|decrypted| Answer::ok(Results::One(decrypted)));
    };
    let with_context = common_context(items.iter().map(|item| item.context.as_ref()))?;
    let mut work = Decrypting::begin(project, &place, with_context);
    work.opener.require_key().await?;
    let mut outcomes = Outcomes::with_room_for(items.len());
    for item in items {
        outcomes.push(work.item(&item).await, item.reference);
    }
    Ok(outcomes.answer(request.partial_failure_response_code))
}

struct Decrypting<'a> {
    opener: Opener<'a>,
    binding: Binding<'a>,
}

impl<'a> Decrypting<'a> {
    fn begin(project: &'a Project, place: &'a Place, with_context: bool) -> Self {
        Self { opener: Opener::new(project.keyring(), place, with_context), binding: Binding::new(project.id(), place) }
    }

    async fn item(&mut self, item: &DecryptItem) -> Result<Decrypted, ApiError> {
        refuse_nonce(item.nonce.as_deref())?;
        let ciphertext = required(item.ciphertext.as_deref())?;
        let context = self.binding.context(item.associated_data.as_deref(), item.context.as_deref())?;
        let (message, _) = self.opener.open(ciphertext, &context).await?;
        Ok(Decrypted { plaintext: SecretText::base64(message) })
    }
}

/// Requires a ciphertext.
pub(super) fn required(ciphertext: Option<&str>) -> Result<&str, ApiError> {
    ciphertext
        .filter(|ciphertext| !ciphertext.is_empty())
        .ok_or_else(|| ApiError::field("ciphertext", "missing ciphertext to decrypt"))
}
