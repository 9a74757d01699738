//! Roles: names for sets of permissions.

use bulla_guard::access::{Access, Permission, Principal, Role, RoleName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fields::name;
use super::users::names;
use super::{KeyList, ROLES, Texts};
use crate::table::{Audit, Capability, Data, Draft, Endpoint, NoContent};
use crate::{ApiError, Call};

/// What a role is to be.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RoleRequest {
    /// What it permits.
    pub permissions: Option<Texts>,
    /// How many requests a minute whoever has it may make, if not as many as others.
    pub requests_per_minute: Option<u32>,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RoleView {
    /// Its name.
    pub name: String,
    /// What it permits.
    pub permissions: Vec<String>,
    /// How many requests a minute whoever has it may make, if not as many as others.
    pub requests_per_minute: Option<u32>,
    /// Whether it comes with Bulla, so that it cannot be changed.
    pub built_in: bool,
}

/// Defines a role, or changes what it permits for all who have it.
///
/// # Errors
/// 400 for a role that is built in, or a permission that there is not; 403 for permissions that the caller has not everywhere.
pub async fn put_role(
    access: &Access,
    caller: &Principal,
    name: &RoleName,
    request: RoleRequest,
) -> Result<(), ApiError> {
    let permissions = request.permissions.ok_or_else(|| ApiError::field("permissions", "it is missing"))?;
    let permissions = permissions.parse::<Permission>("permissions")?.into_iter().collect();
    Ok(access.given_by(caller).put_role(name, permissions, request.requests_per_minute).await?)
}

/// Shows a role.
///
/// # Errors
/// 404 if there is none.
pub async fn show_role(access: &Access, name: &RoleName) -> Result<RoleView, ApiError> {
    let role = access.roles().await?.into_iter().find(|role| role.name == *name);
    role.map(view).ok_or_else(|| bulla_guard::access::AccessError::UnknownRole(name.clone()).into())
}

fn view(role: Role) -> RoleView {
    RoleView {
        name: role.name.to_string(),
        permissions: names(role.permissions),
        requests_per_minute: role.requests_per_minute,
        built_in: role.is_built_in,
    }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ROLE: &str = "/v1/roles/{name}";
    let on = |draft: Draft, capability| draft.on("roles/{name}").permission(ROLES, capability).fails_with(&[404]);
    let showing = |draft, capability| on(draft, capability).audit(Audit::Look);
    let changing = |draft, capability| on(draft, capability).audit(Audit::Administer);
    vec![
        showing(Endpoint::list("roles.list", "/v1/roles"), Capability::List).summary("Lists the roles.").plain(
            |call: Call| async move {
                let roles = call.session()?.guard().access().roles().await?;
                Ok(Data::new(KeyList::of(roles.iter().map(|role| &role.name))))
            },
        ),
        showing(Endpoint::get("roles.show", ROLE), Capability::Read).summary("Shows what a role permits.").plain(
            |call: Call| async move { show_role(call.session()?.guard().access(), &name(&call)?).await.map(Data::new) },
        ),
        changing(Endpoint::write("roles.put", ROLE), Capability::Update)
            .summary("Defines a role, or changes what it permits for all who have it.")
            .json(|call: Call, request| async move {
                let access = call.session()?.guard().access();
                put_role(access, call.principal()?, &name(&call)?, request).await.map(|()| NoContent)
            }),
        changing(Endpoint::delete("roles.delete", ROLE), Capability::Delete)
            .summary("Deletes a role that nobody has.")
            .fails_with(&[404, 409])
            .plain(|call: Call| async move {
                call.session()?.guard().access().delete_role(&name(&call)?).await?;
                Ok(NoContent)
            }),
    ]
}
