//! API keys.

mod endpoints;

use std::time::Duration;

use bulla_backend::Timestamp;
use bulla_guard::access::{
    Access, AccessError, ApiKey, CredentialId, IssuedKey, NewApiKey, Permission, Principal, RevocationReason, UserName,
};
use bulla_guard::admission::Guard;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fields::parse;
use super::time::moment;
use super::users::names;
use super::{KeyList, Lifetime, Texts};
use crate::ApiError;
use crate::transit::SecretText;

pub(super) use endpoints::endpoints;

/// What an API key is to be.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CreateKeyRequest {
    /// Whose it is to be, where the path does not say it.
    pub owner: Option<String>,
    /// Where it is used: `live` unless it is said.
    pub environment: Option<String>,
    /// How long it is good; as long as the project says, unless it is said.
    pub ttl: Option<Lifetime>,
    /// Which of its owner's roles it has; all, unless it is said.
    pub roles: Option<Texts>,
    /// Which of their permissions it has; all, unless it is said.
    pub permissions: Option<Texts>,
    /// For which resources it is good; all, unless it is said.
    pub pattern: Option<String>,
    /// How many requests a minute it may make, if not as many as others.
    pub requests_per_minute: Option<u32>,
    /// What it is for.
    pub label: Option<String>,
}

/// How long the old key is still good.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RollKeyRequest {
    /// How long; it is revoked at once, unless it is said.
    pub overlap: Option<Lifetime>,
}

/// Why a key is revoked.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RevokeKeyRequest {
    /// `manual_revocation` unless it is said, `compromised`, `superseded`, `expired`, `owner_left` or `other`.
    pub reason: Option<String>,
    /// More about it.
    pub text: Option<String>,
}

/// Which keys are to be forgotten.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ForgetKeysRequest {
    /// Those that ended so long ago, or longer.
    pub ended_for: Option<Lifetime>,
}

/// How many keys were forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ForgottenView {
    /// How many.
    pub forgotten: usize,
}

/// An API key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KeyView {
    /// Its id, which is no secret.
    pub id: String,
    /// Whose it is.
    pub owner: String,
    /// Where it is used.
    pub environment: String,
    /// Which of its owner's roles it has; null for all.
    pub roles: Option<Vec<String>>,
    /// Which of their permissions it has; null for all.
    pub permissions: Option<Vec<String>>,
    /// For which resources it is good; null for all.
    pub pattern: Option<String>,
    /// How many requests a minute it may make, if not as many as others.
    pub requests_per_minute: Option<u32>,
    /// What it is for.
    pub label: String,
    /// When it was made.
    pub created: String,
    /// From when on it is good for nothing.
    pub expires: String,
    /// When it was last used, to the hour; null if it is not known.
    pub last_used: Option<String>,
    /// That it was revoked.
    pub revoked: Option<RevocationView>,
    /// The key that it succeeds.
    pub predecessor: Option<String>,
    /// The key that succeeds it.
    pub successor: Option<String>,
}

/// That an API key was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RevocationView {
    /// When.
    pub at: String,
    /// Why.
    pub reason: String,
    /// What was said about it.
    pub text: String,
}

/// An API key that was made just now.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NewKeyView {
    /// What its holder presents. It is shown now and never again.
    pub key: SecretText,
    /// What is known of it.
    #[serde(flatten)]
    pub view: KeyView,
}

/// Makes an API key.
///
/// # Errors
/// 400 for an owner or role that is not there, and for what is out of bounds; 403 for a key that may do what the caller may not.
pub async fn create_key(
    access: &Access,
    caller: &Principal,
    owner: Option<&str>,
    request: CreateKeyRequest,
) -> Result<NewKeyView, ApiError> {
    let owner: UserName = match (owner, request.owner.as_deref()) {
        (Some(owner), None) | (None, Some(owner)) => parse("owner", owner)?,
        (Some(_), Some(_)) => return Err(ApiError::field("owner", "the path says it")),
        (None, None) => return Err(ApiError::field("owner", "it is missing")),
    };
    let usual = NewApiKey::default();
    let permissions = request.permissions.map(|texts| texts.parse::<Permission>("permissions")).transpose()?;
    let new = NewApiKey {
        environment: request.environment.unwrap_or(usual.environment),
        lifetime: request.ttl.and_then(|Lifetime(time)| time),
        roles: request.roles.map(|texts| texts.parse("roles")).transpose()?,
        permissions: permissions.map(|permissions| permissions.into_iter().collect()),
        pattern: request.pattern.as_deref().map(|pattern| parse("pattern", pattern)).transpose()?,
        requests_per_minute: request.requests_per_minute,
        label: request.label.unwrap_or_default(),
    };
    let issued = access.given_by(caller).create_key(&owner, &new).await.map_err(ApiError::of_body)?;
    Ok(issued_view(&issued))
}

/// Makes a successor of an API key.
///
/// # Errors
/// 400 for a key that has ended, or has a successor; 403 for one that may do what the caller may not; 404 if there is none.
pub async fn roll_key(
    access: &Access,
    caller: &Principal,
    id: CredentialId,
    request: RollKeyRequest,
) -> Result<NewKeyView, ApiError> {
    let overlap = request.overlap.and_then(|Lifetime(time)| time).unwrap_or_default();
    Ok(issued_view(&access.given_by(caller).roll_key(id, overlap).await?))
}

/// Revokes an API key. Within a second it lets nobody in any more, in any process.
///
/// # Errors
/// 400 for a reason that is none; 404 if there is no such key.
pub async fn revoke_key(access: &Access, id: CredentialId, request: RevokeKeyRequest) -> Result<(), ApiError> {
    let reason = match request.reason.as_deref() {
        None => RevocationReason::default(),
        Some(reason) => parse("reason", reason)?,
    };
    access.revoke_key(id, reason, request.text.as_deref().unwrap_or_default()).await?;
    Ok(())
}

/// Shows an API key.
///
/// # Errors
/// 404 if there is none.
pub async fn show_key(access: &Access, id: CredentialId) -> Result<KeyView, ApiError> {
    let key = access.key(id).await?;
    Ok(view(&key, access.last_used(id).await?))
}

/// Lists the ids of the API keys of a user, or of all.
///
/// # Errors
/// 404 if there is no such user.
pub async fn list_keys(access: &Access, owner: Option<&UserName>) -> Result<KeyList, ApiError> {
    if let Some(owner) = owner {
        access.user(owner).await?;
    }
    Ok(KeyList::of(access.keys(owner).await?.iter().map(|key| key.id)))
}

/// Forgets API keys that ended some time ago.
///
/// # Errors
/// 400 if it is not said how long ago.
pub async fn forget_keys(guard: &Guard, request: ForgetKeysRequest) -> Result<ForgottenView, ApiError> {
    let missing = || ApiError::field("ended_for", "it is missing");
    let time: Duration = request.ended_for.and_then(|Lifetime(time)| time).ok_or_else(missing)?;
    let before = Timestamp(guard.now().0.saturating_sub(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)));
    let mut forgotten = 0;
    loop {
        match guard.access().forget_keys(before).await? {
            0 => return Ok(ForgottenView { forgotten }),
            more => forgotten += more,
        }
    }
}

/// Finds the key that a request names, which has to be its owner's, where the path names one.
async fn named(access: &Access, owner: Option<&str>, id: &str) -> Result<CredentialId, ApiError> {
    let id: CredentialId = parse("id", id)?;
    let key = access.key(id).await?;
    match owner {
        Some(owner) if owner != key.owner.as_str() => Err(AccessError::UnknownKey(id).into()),
        _ => Ok(id),
    }
}

fn issued_view(issued: &IssuedKey) -> NewKeyView {
    NewKeyView { key: issued.secret.expose().into(), view: view(&issued.key, None) }
}

fn view(key: &ApiKey, last_used: Option<Timestamp>) -> KeyView {
    let revoked = key.revoked.as_ref().map(|revoked| RevocationView {
        at: moment(revoked.at),
        reason: revoked.reason.to_string(),
        text: revoked.words.clone(),
    });
    KeyView {
        id: key.id.to_string(),
        owner: key.owner.to_string(),
        environment: key.environment.clone(),
        roles: key.roles.as_ref().map(|roles| roles.iter().map(ToString::to_string).collect()),
        permissions: key.permissions.map(names),
        pattern: key.pattern.as_ref().map(ToString::to_string),
        requests_per_minute: key.requests_per_minute,
        label: key.label.clone(),
        created: moment(key.created),
        expires: moment(key.expires),
        last_used: last_used.map(moment),
        revoked,
        predecessor: key.predecessor.map(|id| id.to_string()),
        successor: key.successor.map(|id| id.to_string()),
    }
}
