use bulla_guard::access::{Access, AccessError, AppRole, AppRoleName, Cidr, PolicyName, Principal};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ApiError;
use crate::auth::fields::uses;
use crate::auth::time::seconds;
use crate::auth::{Lifetime, Texts};
use crate::transit::{Flag, Number};

/// What an `AppRole` is to be. What is not said stays as it is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AppRoleRequest {
    /// True, which is all there is: a login brings a secret.
    pub bind_secret_id: Option<Flag>,
    /// Where logins may come from.
    pub secret_id_bound_cidrs: Option<Texts>,
    /// How often each secret can be used; 0 for any number of times.
    pub secret_id_num_uses: Option<Number>,
    /// How long each secret is good.
    pub secret_id_ttl: Option<Lifetime>,
    /// False, which is all there is.
    pub local_secret_ids: Option<Flag>,
    /// The same.
    pub enable_local_secret_ids: Option<Flag>,
    /// The policies of its tokens; `default` comes with them.
    #[serde(alias = "policies")]
    pub token_policies: Option<Texts>,
    /// How long its tokens are good until they are renewed.
    pub token_ttl: Option<Lifetime>,
    /// How long its tokens may be good, however often they are renewed.
    pub token_max_ttl: Option<Lifetime>,
    /// Refused: `token_max_ttl` is what there is.
    pub token_explicit_max_ttl: Option<Lifetime>,
    /// Makes its tokens periodic.
    #[serde(alias = "period")]
    pub token_period: Option<Lifetime>,
    /// How often each of its tokens can be used; 0 for any number of times.
    pub token_num_uses: Option<Number>,
    /// Where its tokens may be used from.
    pub token_bound_cidrs: Option<Texts>,
    /// False, which is all there is.
    pub token_no_default_policy: Option<Flag>,
    /// `service`, which is all there is.
    pub token_type: Option<String>,
    /// Refused: role ids are drawn.
    pub role_id: Option<String>,
}

/// An `AppRole`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields of the request")]
pub struct AppRoleView {
    pub bind_secret_id: bool,
    pub secret_id_bound_cidrs: Option<Vec<String>>,
    pub secret_id_num_uses: u64,
    pub secret_id_ttl: u64,
    pub local_secret_ids: bool,
    pub token_policies: Vec<String>,
    pub token_ttl: u64,
    pub token_max_ttl: u64,
    pub token_explicit_max_ttl: u64,
    pub token_period: u64,
    pub token_num_uses: u64,
    pub token_bound_cidrs: Option<Vec<String>>,
    pub token_no_default_policy: bool,
    pub token_type: String,
}

/// What names an `AppRole` at its logins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RoleIdView {
    /// The role id, which is no secret.
    pub role_id: String,
}

/// Writes an `AppRole`; what the request does not say stays as it is.
///
/// # Errors
/// 400 for a field that is not as it must be, or a policy that is not there; 403 for policies that the caller has not.
pub async fn write_approle(
    access: &Access,
    caller: &Principal,
    name: &AppRoleName,
    request: AppRoleRequest,
) -> Result<(), ApiError> {
    let wrong = |field: &str, problem: &str| Err(ApiError::field(field, problem));
    let is_set = |flag: Option<Flag>| flag.is_some_and(|Flag(flag)| flag);
    if request.bind_secret_id.is_some_and(|Flag(flag)| !flag) {
        return wrong("bind_secret_id", "a login without a secret is none");
    }
    if is_set(request.local_secret_ids) || is_set(request.enable_local_secret_ids) {
        return wrong("local_secret_ids", "every server knows every secret");
    }
    if request.token_explicit_max_ttl.is_some_and(|Lifetime(time)| time.is_some()) {
        return wrong("token_explicit_max_ttl", "give token_max_ttl");
    }
    if is_set(request.token_no_default_policy) {
        return wrong("token_no_default_policy", "`default` comes with every token of an AppRole");
    }
    if !matches!(request.token_type.as_deref(), None | Some("" | "service" | "default" | "default-service")) {
        return wrong("token_type", "there are tokens of the type `service` only");
    }
    if request.role_id.is_some_and(|id| !id.is_empty()) {
        return wrong("role_id", "role ids are drawn, not chosen");
    }
    let mut role = match access.approle(name).await {
        Ok((_, role)) => role,
        Err(AccessError::UnknownAppRole(_)) => AppRole::default(),
        Err(error) => return Err(error.into()),
    };
    if let Some(policies) = request.token_policies {
        role.policies = policies.parse::<PolicyName>("token_policies")?;
    }
    let times = [
        (request.token_ttl, &mut role.token_lifetime),
        (request.token_max_ttl, &mut role.token_max_lifetime),
        (request.token_period, &mut role.token_period),
        (request.secret_id_ttl, &mut role.secret_lifetime),
    ];
    for (wanted, time) in times {
        if let Some(Lifetime(wanted)) = wanted {
            *time = wanted;
        }
    }
    if request.token_num_uses.is_some() {
        role.token_uses = uses("token_num_uses", request.token_num_uses)?;
    }
    if request.secret_id_num_uses.is_some() {
        role.secret_uses = uses("secret_id_num_uses", request.secret_id_num_uses)?;
    }
    if let Some(cidrs) = request.token_bound_cidrs {
        role.token_cidrs = cidrs.parse("token_bound_cidrs")?;
    }
    if let Some(cidrs) = request.secret_id_bound_cidrs {
        role.secret_cidrs = cidrs.parse("secret_id_bound_cidrs")?;
    }
    access.given_by(caller).put_approle(name, &role).await.map_err(ApiError::of_body)
}

/// Shows an `AppRole`.
///
/// # Errors
/// 404 if there is none.
pub async fn read_approle(access: &Access, name: &AppRoleName) -> Result<AppRoleView, ApiError> {
    let (_, role) = access.approle(name).await?;
    Ok(AppRoleView {
        bind_secret_id: true,
        secret_id_bound_cidrs: texts(&role.secret_cidrs),
        secret_id_num_uses: role.secret_uses.unwrap_or(0),
        secret_id_ttl: seconds(role.secret_lifetime),
        local_secret_ids: false,
        token_policies: role.policies.iter().map(ToString::to_string).collect(),
        token_ttl: seconds(role.token_lifetime),
        token_max_ttl: seconds(role.token_max_lifetime),
        token_explicit_max_ttl: 0,
        token_period: seconds(role.token_period),
        token_num_uses: role.token_uses.unwrap_or(0),
        token_bound_cidrs: texts(&role.token_cidrs),
        token_no_default_policy: false,
        token_type: "service".to_owned(),
    })
}

/// Shows the role id of an `AppRole`.
///
/// # Errors
/// 404 if there is none.
pub async fn role_id(access: &Access, name: &AppRoleName) -> Result<RoleIdView, ApiError> {
    let (id, _) = access.approle(name).await?;
    Ok(RoleIdView { role_id: id.to_string() })
}

/// Says that role ids are not chosen.
pub(super) fn no_chosen_id() -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "unsupported", "role ids are drawn, not chosen")
}

pub(super) fn texts(cidrs: &[Cidr]) -> Option<Vec<String>> {
    (!cidrs.is_empty()).then(|| cidrs.iter().map(ToString::to_string).collect())
}
