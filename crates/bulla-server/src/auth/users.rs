//! Users and their roles.

use bulla_guard::access::{Access, Pattern, Permissions, Principal, RoleName, UserName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fields::{name, parse};
use super::time::moment;
use super::{Grant, KeyList, USERS};
use crate::table::{Audit, Capability, Data, Draft, Endpoint, NoContent};
use crate::{ApiError, Call};

/// What a user is to be.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CreateUserRequest {
    /// Their roles.
    pub roles: Option<Vec<Grant>>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UserView {
    /// Their name.
    pub name: String,
    /// When they were created.
    pub created: String,
    /// Their roles.
    pub roles: Vec<Grant>,
    /// What they may do to every resource.
    pub permissions: Vec<String>,
    /// What they may do to some.
    pub permissions_within: Vec<PermissionsWithin>,
}

/// What somebody may do to the resources that a pattern stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PermissionsWithin {
    /// Which resources.
    pub pattern: String,
    /// What they may do.
    pub permissions: Vec<String>,
}

/// Creates a user.
///
/// # Errors
/// 400 for a role that is not there; 403 for roles that permit what the caller may not; 409 if there is one of that name.
pub async fn create_user(
    access: &Access,
    caller: &Principal,
    name: &UserName,
    request: CreateUserRequest,
) -> Result<(), ApiError> {
    let grants = Grant::parse_all(request.roles)?;
    access.given_by(caller).create_user(name, &grants).await.map_err(ApiError::of_body)
}

/// Shows a user, with what they may do by all of their roles.
///
/// # Errors
/// 404 if there is none.
pub async fn show_user(access: &Access, name: &UserName) -> Result<UserView, ApiError> {
    let (user, effective) = (access.user(name).await?, access.permissions(name).await?);
    let within = |(pattern, permissions): &(Pattern, Permissions)| PermissionsWithin {
        pattern: pattern.to_string(),
        permissions: names(*permissions),
    };
    Ok(UserView {
        name: user.name.to_string(),
        created: moment(user.created),
        roles: user.grants.iter().map(Grant::from).collect(),
        permissions: names(effective.everywhere),
        permissions_within: effective.within.iter().map(within).collect(),
    })
}

/// Gives a user a role.
///
/// # Errors
/// 403 for a role that permits what the caller may not; 404 if there is no such user; 400 if there is no such role.
pub async fn assign_role(access: &Access, caller: &Principal, name: &UserName, grant: &Grant) -> Result<(), ApiError> {
    access.user(name).await?;
    access.given_by(caller).assign(name, &grant.parse()?).await.map_err(ApiError::of_body)?;
    Ok(())
}

/// Takes a role away from a user, however it was granted.
///
/// # Errors
/// 404 if they have it not.
pub async fn remove_role(access: &Access, name: &UserName, role: &RoleName) -> Result<(), ApiError> {
    if access.remove(name, role).await? { Ok(()) } else { Err(ApiError::not_found("such role of this user")) }
}

pub(super) fn names(permissions: Permissions) -> Vec<String> {
    permissions.iter().map(|permission| permission.name().to_owned()).collect()
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    const USER: &str = "/v1/users/{name}";
    let on = |draft: Draft, capability| draft.on("users/{name}").permission(USERS, capability).fails_with(&[404]);
    let showing = |draft, capability| on(draft, capability).audit(Audit::Look);
    let changing = |draft, capability| on(draft, capability).audit(Audit::Administer);
    vec![
        showing(Endpoint::list("users.list", "/v1/users"), Capability::List).summary("Lists the users.").plain(
            |call: Call| async move {
                let users = call.session()?.guard().access().users().await?;
                Ok(Data::new(KeyList::of(users.iter().map(|user| &user.name))))
            },
        ),
        showing(Endpoint::get("users.show", USER), Capability::Read)
            .summary("Shows a user, with what they may do by all of their roles.")
            .plain(|call: Call| async move {
                show_user(call.session()?.guard().access(), &name(&call)?).await.map(Data::new)
            }),
        changing(Endpoint::write("users.create", USER), Capability::Create)
            .summary("Creates a user.")
            .fails_with(&[409])
            .json(|call: Call, request| async move {
                let access = call.session()?.guard().access();
                create_user(access, call.principal()?, &name(&call)?, request).await.map(|()| NoContent)
            }),
        changing(Endpoint::delete("users.delete", USER), Capability::Delete)
            .summary("Deletes a user; none of their API keys lets anybody in any more.")
            .plain(|call: Call| async move {
                call.session()?.guard().access().delete_user(&name(&call)?).await?;
                Ok(NoContent)
            }),
        changing(Endpoint::write("users.roles.assign", "/v1/users/{name}/roles"), Capability::Update)
            .summary("Gives a user a role, for everything or for what a pattern stands for.")
            .json(|call: Call, grant: Grant| async move {
                let access = call.session()?.guard().access();
                assign_role(access, call.principal()?, &name(&call)?, &grant).await.map(|()| NoContent)
            }),
        changing(Endpoint::delete("users.roles.remove", "/v1/users/{name}/roles/{role}"), Capability::Delete)
            .summary("Takes a role away from a user.")
            .plain(|call: Call| async move {
                let role = parse("role", call.param("role"))?;
                remove_role(call.session()?.guard().access(), &name(&call)?, &role).await.map(|()| NoContent)
            }),
    ]
}
