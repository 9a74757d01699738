//! Tokens, as Vault's `auth/token` has them.

mod create;
mod endpoints;
mod lookup;
mod renew;
mod revoke;
mod sweep;

pub use create::{CreateTokenRequest, create_token};
pub(super) use endpoints::endpoints;
pub use lookup::{TokenView, list_accessors, look_up_accessor, look_up_self, look_up_token};
pub use renew::{RenewAccessorRequest, RenewRequest, RenewSelfRequest, renew_accessor, renew_self, renew_token};
pub use revoke::{revoke_accessor, revoke_self, revoke_token};
pub use sweep::{SweepView, sweep_tokens};

use bulla_backend::Timestamp;
use bulla_guard::access::{Access, AccessError, Token};
use schemars::JsonSchema;
use serde::Deserialize;

use super::fields::parse;
use super::time::left;
use crate::ApiError;
use crate::table::Authenticated;
use crate::transit::SecretText;

/// Names a token by itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TokenRequest {
    /// The token.
    pub token: Option<SecretText>,
}

/// Names a token by its accessor.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AccessorRequest {
    /// The accessor.
    pub accessor: Option<String>,
}

/// Finds the token that a request names.
async fn named(access: &Access, token: Option<&SecretText>) -> Result<Token, ApiError> {
    let text = token.ok_or_else(|| ApiError::field("token", "it is missing"))?;
    let secret = bulla_guard::access::SecretText::parse(text.expose()).map_err(|_| AccessError::UnknownToken)?;
    Ok(access.find_token(&secret).await?)
}

/// Finds the token whose accessor a request names.
async fn of_accessor(access: &Access, accessor: Option<&str>) -> Result<Token, ApiError> {
    let text = accessor.ok_or_else(|| ApiError::field("accessor", "it is missing"))?;
    Ok(access.lookup_token(parse("accessor", text)?).await?)
}

/// Makes of a token what clients get. `secret` is empty for those who know its accessor only.
pub(super) fn authenticated(token: &Token, secret: SecretText, now: Timestamp) -> Authenticated {
    let policies: Vec<String> = token.policies.iter().map(ToString::to_string).collect();
    Authenticated {
        client_token: secret,
        accessor: token.accessor.to_string(),
        token_policies: policies.clone(),
        policies,
        metadata: None,
        lease_duration: left(token.expires, now),
        renewable: token.is_renewable && token.expires.is_some(),
        entity_id: String::new(),
        token_type: "service".to_owned(),
        orphan: token.parent.is_none(),
        mfa_requirement: None,
        num_uses: token.uses.unwrap_or(0),
    }
}
