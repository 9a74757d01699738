use bulla_guard::access::{Access, AppRole, AppRoleName, Cidr, PolicyName, Principal};
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
    let policies = request.token_policies.map(|policies| policies.parse::<PolicyName>("token_policies")).transpose()?;
    let token_cidrs = request.token_bound_cidrs.map(|cidrs| cidrs.parse::<Cidr>("token_bound_cidrs")).transpose()?;
    let secret_cidrs = request.secret_id_bound_cidrs;
    let secret_cidrs = secret_cidrs.map(|cidrs| cidrs.parse::<Cidr>("secret_id_bound_cidrs")).transpose()?;
    let number = |field, number: Option<Number>| number.map(|number| uses(field, Some(number))).transpose();
    let token_uses = number("token_num_uses", request.token_num_uses)?;
    let secret_uses = number("secret_id_num_uses", request.secret_id_num_uses)?;
    let time = |time: Option<Lifetime>| time.map(|Lifetime(time)| time);
    let (token_lifetime, token_max_lifetime) = (time(request.token_ttl), time(request.token_max_ttl));
    let (token_period, secret_lifetime) = (time(request.token_period), time(request.secret_id_ttl));
    let change = |role: &mut AppRole| {
        set(&mut role.policies, policies.as_ref());
        set(&mut role.token_lifetime, token_lifetime.as_ref());
        set(&mut role.token_max_lifetime, token_max_lifetime.as_ref());
        set(&mut role.token_period, token_period.as_ref());
        set(&mut role.token_uses, token_uses.as_ref());
        set(&mut role.token_cidrs, token_cidrs.as_ref());
        set(&mut role.secret_lifetime, secret_lifetime.as_ref());
        set(&mut role.secret_uses, secret_uses.as_ref());
        set(&mut role.secret_cidrs, secret_cidrs.as_ref());
    };
    access.given_by(caller).change_approle(name, change).await.map_err(ApiError::of_body)
}

/// Sets what a request says; what it does not say stays as it is.
fn set<T: Clone>(what: &mut T, wanted: Option<&T>) {
    if let Some(wanted) = wanted {
        what.clone_from(wanted);
    }
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
