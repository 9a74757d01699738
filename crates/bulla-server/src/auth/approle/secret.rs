use bulla_backend::Timestamp;
use bulla_guard::access::{Access, AppRoleName, AppRoleSecret, CredentialId, NewAppRoleSecret, Principal};
use bulla_guard::admission::Guard;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::role::texts;
use crate::ApiError;
use crate::auth::fields::{parse, uses};
use crate::auth::time::{left, moment};
use crate::auth::{KeyList, Lifetime, Texts};
use crate::transit::{Number, SecretText};

/// Secrets that are read at once where all are listed.
const PAGE: usize = 1_000;
/// Most accessors of one list.
const MAX_LISTED: usize = 100_000;

/// What a secret is to be, within what its `AppRole` says.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewSecretRequest {
    /// Where logins with it may come from.
    pub cidr_list: Option<Texts>,
    /// How long it is good.
    pub ttl: Option<Lifetime>,
    /// How often it can be used; 0 for as often as the `AppRole` says.
    pub num_uses: Option<Number>,
    /// Refused, unless it is empty: nothing is kept beside a secret.
    pub metadata: Option<String>,
    /// Refused, unless it is empty: the `AppRole` says where its tokens may be used from.
    pub token_bound_cidrs: Option<Texts>,
}

/// A secret that was made just now.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NewSecretView {
    /// The secret. It is shown now and never again.
    pub secret_id: SecretText,
    /// By which it is looked up and destroyed.
    pub secret_id_accessor: String,
    /// For how many seconds it is good; 0 until it is destroyed.
    pub secret_id_ttl: u64,
    /// How often it can be used; 0 for any number of times.
    pub secret_id_num_uses: u64,
}

/// Names a secret by itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SecretRequest {
    /// The secret.
    pub secret_id: Option<SecretText>,
}

/// Names a secret by its accessor.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SecretAccessorRequest {
    /// The accessor.
    pub secret_id_accessor: Option<String>,
}

/// A secret, without itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SecretView {
    /// By which it is looked up and destroyed.
    pub secret_id_accessor: String,
    /// For how many seconds it is still good; 0 until it is destroyed.
    pub secret_id_ttl: u64,
    /// How often it can still be used; 0 for any number of times.
    pub secret_id_num_uses: u64,
    /// When it was made.
    pub creation_time: String,
    /// Until when it is good; null until it is destroyed.
    pub expiration_time: Option<String>,
    /// Where logins with it may come from, beside what the `AppRole` says.
    pub cidr_list: Option<Vec<String>>,
}

/// Makes a secret of an `AppRole`.
///
/// # Errors
/// 400 for more than the `AppRole` gives; 403 for who may not hand out its policies; 404 if there is no such `AppRole`.
pub async fn create_secret(
    guard: &Guard,
    caller: &Principal,
    name: &AppRoleName,
    request: NewSecretRequest,
) -> Result<NewSecretView, ApiError> {
    if request.metadata.is_some_and(|metadata| !matches!(metadata.trim(), "" | "{}")) {
        return Err(ApiError::field("metadata", "nothing is kept beside a secret"));
    }
    if request.token_bound_cidrs.is_some_and(|cidrs| !cidrs.0.is_empty()) {
        return Err(ApiError::field("token_bound_cidrs", "the AppRole says where its tokens may be used from"));
    }
    let new = NewAppRoleSecret {
        cidrs: request.cidr_list.unwrap_or_default().parse("cidr_list")?,
        lifetime: request.ttl.and_then(|Lifetime(time)| time),
        uses: uses("num_uses", request.num_uses)?,
    };
    let issued = guard.access().given_by(caller).create_approle_secret(name, &new).await?;
    Ok(NewSecretView {
        secret_id: issued.secret.expose().into(),
        secret_id_accessor: issued.accessor.to_string(),
        secret_id_ttl: left(issued.expires, guard.now()),
        secret_id_num_uses: issued.uses.unwrap_or(0),
    })
}

/// Lists the accessors of the secrets of an `AppRole`.
///
/// # Errors
/// 404 if there is no such `AppRole`, or none of its secrets, as Vault has it.
pub async fn list_secrets(access: &Access, name: &AppRoleName) -> Result<KeyList, ApiError> {
    let (mut after, mut keys) = (None, Vec::new());
    loop {
        let (accessors, next) = access.approle_secrets(name, after, PAGE).await?;
        keys.extend(accessors.iter().map(ToString::to_string));
        after = next;
        if after.is_none() || keys.len() >= MAX_LISTED {
            return if keys.is_empty() { Err(ApiError::nothing()) } else { Ok(KeyList { keys }) };
        }
    }
}

/// Shows what is known of a secret.
///
/// # Errors
/// 404 for one that is none of this `AppRole`.
pub async fn look_up_secret(guard: &Guard, name: &AppRoleName, request: SecretRequest) -> Result<SecretView, ApiError> {
    Ok(view(&find(guard.access(), name, request).await?, guard.now()))
}

/// Shows what is known of a secret, by its accessor.
///
/// # Errors
/// 404 for one that is none of this `AppRole`.
pub async fn look_up_accessor(
    guard: &Guard,
    name: &AppRoleName,
    request: SecretAccessorRequest,
) -> Result<SecretView, ApiError> {
    Ok(view(&find_accessor(guard.access(), name, request).await?, guard.now()))
}

/// Destroys a secret, and returns its accessor.
///
/// # Errors
/// 404 for one that is none of this `AppRole`.
pub async fn destroy_secret(
    access: &Access,
    name: &AppRoleName,
    request: SecretRequest,
) -> Result<CredentialId, ApiError> {
    let found = find(access, name, request).await?;
    access.destroy_approle_secret(found.accessor).await?;
    Ok(found.accessor)
}

/// Destroys a secret, by its accessor, and returns that.
///
/// # Errors
/// 404 for one that is none of this `AppRole`.
pub async fn destroy_accessor(
    access: &Access,
    name: &AppRoleName,
    request: SecretAccessorRequest,
) -> Result<CredentialId, ApiError> {
    let found = find_accessor(access, name, request).await?;
    access.destroy_approle_secret(found.accessor).await?;
    Ok(found.accessor)
}

async fn find(access: &Access, name: &AppRoleName, request: SecretRequest) -> Result<AppRoleSecret, ApiError> {
    let text = request.secret_id.ok_or_else(|| ApiError::field("secret_id", "it is missing"))?;
    // Who knows the AppRole by name is told if there is none, whatever the secret is.
    access.approle(name).await?;
    let secret = bulla_guard::access::SecretText::parse(text.expose()).map_err(|_| none())?;
    access.find_approle_secret(name, &secret).await?.ok_or_else(none)
}

async fn find_accessor(
    access: &Access,
    name: &AppRoleName,
    request: SecretAccessorRequest,
) -> Result<AppRoleSecret, ApiError> {
    let text = request.secret_id_accessor.ok_or_else(|| ApiError::field("secret_id_accessor", "it is missing"))?;
    access.approle_secret(name, parse("secret_id_accessor", &text)?).await?.ok_or_else(none)
}

fn none() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "unknown_secret", "there is no such secret of this AppRole")
}

fn view(secret: &AppRoleSecret, now: Timestamp) -> SecretView {
    SecretView {
        secret_id_accessor: secret.accessor.to_string(),
        secret_id_ttl: left(secret.expires, now),
        secret_id_num_uses: secret.uses.unwrap_or(0),
        creation_time: moment(secret.created),
        expiration_time: secret.expires.map(moment),
        cidr_list: texts(&secret.cidrs),
    }
}
