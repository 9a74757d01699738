use bulla_backend::Timestamp;
use bulla_guard::access::{AccessError, Principal, PrincipalKind, Token};
use bulla_guard::admission::Guard;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::{AccessorRequest, TokenRequest, named, of_accessor};
use crate::ApiError;
use crate::auth::KeyList;
use crate::auth::time::{left, moment, seconds};
use crate::transit::SecretText;

/// Tokens that are read at once where all are listed.
const PAGE: usize = 1_000;
/// Most accessors of one list.
const MAX_LISTED: usize = 100_000;

/// What is known of a token; or of somebody who is known by something else, as if that were one.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TokenView {
    /// The token itself, for whoever brought it.
    pub id: SecretText,
    /// Its accessor; for an API key its id, and else nothing.
    pub accessor: String,
    /// What it is called.
    pub display_name: String,
    /// Its policies.
    pub policies: Vec<String>,
    /// For how many seconds it is still good; 0 for ever.
    pub ttl: u64,
    /// For how many seconds it was good at first.
    pub creation_ttl: u64,
    /// When it was made, in seconds since 1970.
    pub creation_time: u64,
    /// The same, as text.
    pub issue_time: Option<String>,
    /// Until when it is good; null for ever.
    pub expire_time: Option<String>,
    /// Beyond how many seconds from its making it is not renewed; 0 if nothing says so.
    pub explicit_max_ttl: u64,
    /// For how many seconds each renewal is good, if it is periodic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<u64>,
    /// How often it can still be used; 0 for any number of times.
    pub num_uses: u64,
    /// Whether no token made it.
    pub orphan: bool,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// Where it may be used from; null for everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound_cidrs: Option<Vec<String>>,
    /// There are no identities: empty.
    pub entity_id: String,
    /// Not kept.
    pub meta: Option<()>,
    /// Where it was made.
    pub path: String,
    /// The kind of token.
    pub r#type: String,
    /// By what they are known: `token`, `api_key`, `certificate` or `peer`.
    pub kind: String,
    /// The user that they are, if they are one.
    pub user: Option<String>,
    /// Their roles.
    pub roles: Vec<String>,
}

/// Shows what is known of a token.
///
/// # Errors
/// 403 for one that is none, as Vault has it.
pub async fn look_up_token(guard: &Guard, request: TokenRequest) -> Result<TokenView, ApiError> {
    let token = named(guard.access(), request.token.as_ref()).await.map_err(bad_token)?;
    Ok(view(&token, request.token.unwrap_or_default(), guard.now()))
}

/// Shows what is known of a token, by its accessor.
///
/// # Errors
/// 403 for one that is none, as Vault has it.
pub async fn look_up_accessor(guard: &Guard, request: AccessorRequest) -> Result<TokenView, ApiError> {
    let token = of_accessor(guard.access(), request.accessor.as_deref()).await.map_err(bad_token)?;
    Ok(view(&token, SecretText::default(), guard.now()))
}

/// Shows somebody what they are known as.
///
/// # Errors
/// As [`Access::lookup_self`](bulla_guard::access::Access::lookup_self).
pub async fn look_up_self(
    guard: &Guard,
    caller: &Principal,
    presented: Option<&SecretText>,
) -> Result<TokenView, ApiError> {
    let (now, secret) = (guard.now(), presented.cloned().unwrap_or_default());
    if caller.kind() != PrincipalKind::Token {
        return Ok(of_another(caller, secret, now));
    }
    match guard.access().lookup_self(caller).await {
        Ok(token) => Ok(view(&token, secret, now)),
        // This was its last use: it is gone already, and was good.
        Err(AccessError::UnknownToken) => Ok(of_another(caller, secret, now)),
        Err(error) => Err(error.into()),
    }
}

/// Lists the accessors of all tokens.
///
/// # Errors
/// As [`Access::tokens`](bulla_guard::access::Access::tokens).
pub async fn list_accessors(guard: &Guard) -> Result<KeyList, ApiError> {
    let (mut after, mut keys) = (None, Vec::new());
    loop {
        let (tokens, next) = guard.access().tokens(after, PAGE).await?;
        keys.extend(tokens.iter().map(|token| token.accessor.to_string()));
        after = next;
        if after.is_none() || keys.len() >= MAX_LISTED {
            return Ok(KeyList { keys });
        }
    }
}

fn bad_token(error: ApiError) -> ApiError {
    match error.code() {
        "unknown_token" => ApiError::new(StatusCode::FORBIDDEN, "unknown_token", "bad token"),
        _ => error,
    }
}

fn view(token: &Token, secret: SecretText, now: Timestamp) -> TokenView {
    let at_first = token.period.or(token.lifetime);
    TokenView {
        id: secret,
        accessor: token.accessor.to_string(),
        display_name: token.display_name.clone(),
        policies: token.policies.iter().map(ToString::to_string).collect(),
        ttl: left(token.expires, now),
        creation_ttl: if token.expires.is_some() { seconds(at_first.or(token.max_lifetime)) } else { 0 },
        creation_time: token.created.0 / 1_000,
        issue_time: Some(moment(token.created)),
        expire_time: token.expires.map(moment),
        explicit_max_ttl: seconds(token.max_lifetime),
        period: token.period.map(|period| period.as_secs()),
        num_uses: token.uses.unwrap_or(0),
        orphan: token.parent.is_none(),
        renewable: token.is_renewable && token.expires.is_some(),
        bound_cidrs: (!token.cidrs.is_empty()).then(|| token.cidrs.iter().map(ToString::to_string).collect()),
        entity_id: String::new(),
        meta: None,
        path: "auth/token/create".to_owned(),
        r#type: "service".to_owned(),
        kind: PrincipalKind::Token.name().to_owned(),
        user: None,
        roles: Vec::new(),
    }
}

fn of_another(caller: &Principal, secret: SecretText, now: Timestamp) -> TokenView {
    TokenView {
        id: secret,
        accessor: caller.credential().map(|id| id.to_string()).unwrap_or_default(),
        display_name: format!("{}-{}", caller.kind(), caller.id()),
        policies: caller.policies().iter().map(ToString::to_string).collect(),
        ttl: left(caller.expires(), now),
        creation_ttl: 0,
        creation_time: 0,
        issue_time: None,
        expire_time: caller.expires().map(moment),
        explicit_max_ttl: 0,
        period: None,
        num_uses: 0,
        orphan: true,
        renewable: false,
        bound_cidrs: None,
        entity_id: String::new(),
        meta: None,
        path: String::new(),
        r#type: "service".to_owned(),
        kind: caller.kind().name().to_owned(),
        user: caller.user().map(ToString::to_string),
        roles: caller.roles().iter().map(ToString::to_string).collect(),
    }
}
