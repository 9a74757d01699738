use bulla_guard::access::{AccessError, Principal, PrincipalKind};
use bulla_guard::admission::Guard;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{authenticated, named, of_accessor};
use crate::ApiError;
use crate::auth::Lifetime;
use crate::table::Auth;
use crate::transit::SecretText;

/// How long a token is to be good from now on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RenewSelfRequest {
    /// How long; as long as at first, if it is not said.
    pub increment: Option<Lifetime>,
}

/// Which token is to be good for how long from now on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RenewRequest {
    /// The token.
    pub token: Option<SecretText>,
    /// How long; as long as at first, if it is not said.
    pub increment: Option<Lifetime>,
}

/// The token of which accessor is to be good for how long from now on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RenewAccessorRequest {
    /// The accessor.
    pub accessor: Option<String>,
    /// How long; as long as at first, if it is not said.
    pub increment: Option<Lifetime>,
}

/// Renews a token.
///
/// # Errors
/// 400 for one that is none, or that is not renewed.
pub async fn renew_token(guard: &Guard, request: RenewRequest) -> Result<Auth, ApiError> {
    let token = named(guard.access(), request.token.as_ref()).await?;
    let renewed = guard.access().renew_token(token.accessor, wanted(request.increment)).await?;
    Ok(Auth::new(authenticated(&renewed, request.token.unwrap_or_default(), guard.now())))
}

/// Renews a token, by its accessor.
///
/// # Errors
/// 400 for one that is none, or that is not renewed.
pub async fn renew_accessor(guard: &Guard, request: RenewAccessorRequest) -> Result<Auth, ApiError> {
    let token = of_accessor(guard.access(), request.accessor.as_deref()).await?;
    let renewed = guard.access().renew_token(token.accessor, wanted(request.increment)).await?;
    Ok(Auth::new(authenticated(&renewed, SecretText::default(), guard.now())))
}

/// Renews the token that somebody shows.
///
/// # Errors
/// 400 for what is no token, and for one that is not renewed.
pub async fn renew_self(
    guard: &Guard,
    caller: &Principal,
    presented: Option<&SecretText>,
    request: RenewSelfRequest,
) -> Result<Auth, ApiError> {
    if caller.kind() != PrincipalKind::Token {
        return Err(AccessError::NotRenewable.into());
    }
    let renewed = guard.access().renew_self(caller, wanted(request.increment)).await?;
    Ok(Auth::new(authenticated(&renewed, presented.cloned().unwrap_or_default(), guard.now())))
}

fn wanted(increment: Option<Lifetime>) -> Option<std::time::Duration> {
    increment.and_then(|Lifetime(time)| time)
}
