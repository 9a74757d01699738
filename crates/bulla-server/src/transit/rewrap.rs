//! Bringing ciphertexts under another version, without showing what is in them.

use bulla::Project;
use schemars::JsonSchema;
use serde::Deserialize;

use super::answer::{Answer, Outcomes, Results};
use super::binding::Binding;
use super::decrypt::required;
use super::encrypt::{Encrypted, common_context, has_text};
use super::fields::{Batch, Number};
use super::place::Place;
use super::sealing::{Opener, Sealer, refuse_nonce};
use crate::ApiError;

/// What is to be brought under another version: one ciphertext, or a batch.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RewrapRequest {
    /// The ciphertext.
    pub ciphertext: Option<String>,
    /// The context that it was made with, in base64.
    pub context: Option<String>,
    /// The associated data that it was made with, in base64.
    pub associated_data: Option<String>,
    /// The version to bring it under; the newest if it is 0.
    pub key_version: Option<Number>,
    /// Refused unless it is empty.
    pub nonce: Option<String>,
    /// The status to answer where some items of a batch failed.
    pub partial_failure_response_code: Option<Number>,
    /// Items in place of the one above.
    pub batch_input: Option<Batch<RewrapItem>>,
}

/// An item of a batch to rewrap.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RewrapItem {
    /// The ciphertext.
    pub ciphertext: Option<String>,
    /// The context that it was made with, in base64.
    pub context: Option<String>,
    /// The associated data that it was made with, in base64.
    pub associated_data: Option<String>,
    /// The version to bring it under; the newest if it is 0.
    pub key_version: Option<Number>,
    /// Refused unless it is empty.
    pub nonce: Option<String>,
    /// What the client calls the item.
    pub reference: Option<String>,
}

/// Brings ciphertexts of a key under its newest version, or under one that was chosen. One that is under it already is verified and comes back as
/// it is.
///
/// # Errors
/// As [`decrypt`](super::decrypt()) and [`encrypt`](super::encrypt()).
pub async fn rewrap(
    project: &Project,
    mount: &str,
    name: &str,
    request: RewrapRequest,
) -> Result<Answer<Results<Encrypted>>, ApiError> {
    let place = Place::of(mount, name)?;
    let Some(Batch(items)) = request.batch_input else {
        let RewrapRequest { ciphertext, context, associated_data, key_version, nonce, .. } = request;
        let item = RewrapItem { ciphertext, context, associated_data, key_version, nonce, reference: None };
        let with_context = has_text(item.context.as_ref());
        required(item.ciphertext.as_deref())?;
        let mut work = Rewrapping::begin(project, &place, with_context, 1).await?;
        return work.item(&item).await.map(|rewrapped| Answer::ok(Results::One(rewrapped)));
    };
    let with_context = common_context(items.iter().map(|item| item.context.as_ref()))?;
    let mut work = Rewrapping::begin(project, &place, with_context, items.len()).await?;
    let mut outcomes = Outcomes::with_room_for(items.len());
    for item in items {
        outcomes.push(work.item(&item).await, item.reference);
    }
    Ok(outcomes.answer(request.partial_failure_response_code))
}

struct Rewrapping<'a> {
    opener: Opener<'a>,
    sealer: Sealer<'a>,
    binding: Binding<'a>,
}

impl<'a> Rewrapping<'a> {
    async fn begin(project: &'a Project, place: &'a Place, with_context: bool, items: usize) -> Result<Self, ApiError> {
        Ok(Self {
            opener: Opener::new(project.keyring(), place, with_context),
            sealer: Sealer::new(project.keyring(), place, with_context, items).await?,
            binding: Binding::new(project.id(), place),
        })
    }

    async fn item(&mut self, item: &RewrapItem) -> Result<Encrypted, ApiError> {
        refuse_nonce(item.nonce.as_deref())?;
        let ciphertext = required(item.ciphertext.as_deref())?;
        let context = self.binding.context(item.associated_data.as_deref(), item.context.as_deref())?;
        let (message, under) = self.opener.open(ciphertext, &context).await?;
        if self.sealer.target(item.key_version) == Some(under) {
            return Ok(Encrypted { ciphertext: ciphertext.to_owned(), key_version: under });
        }
        let (ciphertext, key_version) = self.sealer.seal(item.key_version, &context, message).await?;
        Ok(Encrypted { ciphertext, key_version })
    }
}
