use std::collections::BTreeMap;

use bulla_guard::access::{NewToken, Principal};
use bulla_guard::admission::Guard;
use schemars::JsonSchema;
use serde::Deserialize;

use super::authenticated;
use crate::ApiError;
use crate::auth::fields::uses;
use crate::auth::{Lifetime, Texts};
use crate::table::Auth;
use crate::transit::{Flag, Number, SecretText};

/// What a token is to be.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CreateTokenRequest {
    /// Its policies; those of whoever makes it, if there are none.
    pub policies: Option<Texts>,
    /// Leaves the policy `default` away.
    pub no_default_policy: Option<Flag>,
    /// How long it is good until it is renewed.
    pub ttl: Option<Lifetime>,
    /// How long it may be good, however often it is renewed.
    pub explicit_max_ttl: Option<Lifetime>,
    /// Makes it periodic.
    pub period: Option<Lifetime>,
    /// How often it can be used; 0 for any number of times.
    pub num_uses: Option<Number>,
    /// Makes it a token of nobody.
    pub no_parent: Option<Flag>,
    /// Whether it can be renewed.
    pub renewable: Option<Flag>,
    /// What it is called.
    pub display_name: Option<String>,
    /// Not kept.
    pub meta: Option<BTreeMap<String, String>>,
    /// `service`, which is all there is.
    pub r#type: Option<String>,
    /// Where it may be used from.
    pub bound_cidrs: Option<Texts>,
    /// Refused: tokens are drawn.
    pub id: Option<SecretText>,
    /// Refused: there are no identities.
    pub entity_alias: Option<String>,
}

/// Makes a token. What it may do is never more than what its maker may.
///
/// # Errors
/// 400 for a field that is not as it must be, or a policy that is not there; 403 for more than the maker has.
pub async fn create_token(
    guard: &Guard,
    maker: &Principal,
    is_orphan: bool,
    request: CreateTokenRequest,
) -> Result<Auth, ApiError> {
    if request.id.is_some_and(|id| !id.expose().is_empty()) {
        return Err(ApiError::field("id", "tokens are drawn, not chosen"));
    }
    if request.entity_alias.is_some_and(|alias| !alias.is_empty()) {
        return Err(ApiError::field("entity_alias", "there are no identities"));
    }
    if !matches!(request.r#type.as_deref(), None | Some("" | "service" | "default" | "default-service")) {
        return Err(ApiError::field("type", "there are tokens of the type `service` only"));
    }
    let is_set = |flag: Option<Flag>| flag.is_some_and(|Flag(flag)| flag);
    let time = |time: Option<Lifetime>| time.and_then(|Lifetime(time)| time);
    let wanted = time(request.ttl);
    let new = NewToken {
        policies: request.policies.unwrap_or_default().parse("policies")?,
        no_default_policy: is_set(request.no_default_policy),
        lifetime: wanted,
        max_lifetime: time(request.explicit_max_ttl),
        period: time(request.period),
        uses: uses("num_uses", request.num_uses)?,
        not_renewable: request.renewable.is_some_and(|Flag(flag)| !flag),
        orphan: is_orphan || is_set(request.no_parent),
        cidrs: request.bound_cidrs.unwrap_or_default().parse("bound_cidrs")?,
        display_name: match request.display_name.as_deref() {
            None | Some("") => "token".to_owned(),
            Some(name) => format!("token-{name}"),
        },
    };
    let issued = guard.access().create_token(maker, &new).await.map_err(ApiError::of_body)?;
    let auth = authenticated(&issued.token, issued.secret.expose().into(), guard.now());
    let is_shorter = auth.lease_duration > 0 && wanted.is_some_and(|wanted| wanted.as_secs() > auth.lease_duration);
    let mut answer = Auth::new(auth);
    if is_shorter {
        answer = answer.with_warning("ttl: the token is good for less, since it may not be good for longer");
    }
    if request.meta.is_some_and(|meta| !meta.is_empty()) {
        answer = answer.with_warning("meta: it is not kept");
    }
    Ok(answer)
}
