//! Roles: names for sets of permissions. Four are built in; others are data.

use std::sync::Arc;

use bulla_backend::Timestamp;

use super::codec::record;
use super::error::{AccessError, Result};
use super::sealed::{Kind, Place};
use super::snapshot::{Object, Snapshot};
use super::store::Edit;
use super::{Access, Pattern, Permission, Permissions, RoleName};

const VIEWER: Permissions = Permissions::of(&[Permission::ReadQueries, Permission::ViewMetrics, Permission::ReadStore]);
const USER: Permissions = with(
    VIEWER,
    &[
        Permission::WriteQueries,
        Permission::UseKeys,
        Permission::WriteStore,
        Permission::CallObjects,
        Permission::ReadSecrets,
    ],
);
const OPERATOR: Permissions = with(
    USER,
    &[
        Permission::ManageCache,
        Permission::ManageKeys,
        Permission::ManageStore,
        Permission::ManageObjects,
        Permission::ReadMachines,
        Permission::ReadAudit,
        Permission::WriteSecrets,
    ],
);

/// The roles that Bulla brings along, from the least to the most.
const BUILT_IN: [(&str, Permissions); 4] =
    [("viewer", VIEWER), ("user", USER), ("operator", OPERATOR), ("admin", Permissions::ALL)];

const fn with(permissions: Permissions, more: &[Permission]) -> Permissions {
    permissions.with(Permissions::of(more))
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Role {
    /// Its name.
    pub name: RoleName,
    /// What it permits.
    pub permissions: Permissions,
    /// How many requests a minute whoever has it may make, if that is not what others may.
    pub requests_per_minute: Option<u32>,
    /// Whether Bulla brings it along, so that it cannot be changed.
    pub is_built_in: bool,
}

/// A role as somebody has it: for every resource, or for those that a pattern stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleGrant {
    /// Which role.
    pub role: RoleName,
    /// For which resources; `None` for all.
    pub pattern: Option<Pattern>,
}

impl RoleGrant {
    /// Grants a role for every resource.
    #[must_use]
    pub fn everywhere(role: RoleName) -> Self {
        Self { role, pattern: None }
    }

    /// Grants a role for the resources that a pattern stands for.
    #[must_use]
    pub fn within(role: RoleName, pattern: Pattern) -> Self {
        Self { role, pattern: Some(pattern) }
    }
}

record!(RoleGrant { role, pattern });

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoleRow {
    pub(crate) name: RoleName,
    pub(crate) permissions: Permissions,
    pub(crate) requests_per_minute: Option<u32>,
    pub(crate) created: Timestamp,
}

record!(RoleRow { name, permissions, requests_per_minute, created });

impl Snapshot {
    /// Finds a role, built in or not.
    pub(crate) fn role(&self, name: &RoleName) -> Result<Role> {
        if let Some((_, permissions)) = built_in(name) {
            return Ok(Role { name: name.clone(), permissions, requests_per_minute: None, is_built_in: true });
        }
        let (_, row) = self.roles.get(name).ok_or_else(|| AccessError::UnknownRole(name.clone()))?;
        Ok(describe(row))
    }

    /// Requires that all roles of some grants exist.
    pub(crate) fn check_grants(&self, grants: &[RoleGrant]) -> Result<()> {
        if grants.len() > MAX_GRANTS {
            return Err(AccessError::Invalid { what: "a holder of roles", bound: "has at most 256 grants" });
        }
        grants.iter().try_for_each(|grant| self.role(&grant.role).map(drop))
    }

    /// Says who has a role.
    fn holder(&self, role: &RoleName) -> Option<String> {
        let has = |grants: &[RoleGrant]| grants.iter().any(|grant| grant.role == *role);
        let user = self.users.values().find(|(_, user)| has(&user.grants));
        let binding = || self.bindings.values().find(|(_, binding)| has(&binding.grants));
        user.map(|(_, user)| format!("the user `{}`", user.name))
            .or_else(|| binding().map(|(_, binding)| format!("the binding `{}`", binding.name)))
    }
}

/// Most grants of one user or binding.
const MAX_GRANTS: usize = 256;

fn built_in(name: &RoleName) -> Option<(&'static str, Permissions)> {
    BUILT_IN.into_iter().find(|(known, _)| *known == name.as_str())
}

fn describe(row: &RoleRow) -> Role {
    Role {
        name: row.name.clone(),
        permissions: row.permissions,
        requests_per_minute: row.requests_per_minute,
        is_built_in: false,
    }
}

impl Access {
    /// Returns all roles: those built in first, then the others in the order of their names.
    ///
    /// # Errors
    /// As [`Access::refresh`].
    pub async fn roles(&self) -> Result<Vec<Role>> {
        let snapshot = self.fresh().await?;
        let built_in = BUILT_IN.iter().filter_map(|(name, _)| snapshot.role(&name.parse().ok()?).ok());
        Ok(built_in.chain(snapshot.roles.values().map(|(_, row)| describe(row))).collect())
    }

    /// Defines a role, or changes what it permits for all who have it.
    ///
    /// # Errors
    /// [`AccessError::BuiltInRole`]; as [`Access::refresh`], [`AccessError::Full`].
    pub async fn put_role(
        &self,
        name: &RoleName,
        permissions: Permissions,
        requests_per_minute: Option<u32>,
    ) -> Result<()> {
        self.put_role_if(name, permissions, requests_per_minute, |_| Ok(())).await
    }

    /// `may` is asked about what the role has not permitted until now.
    pub(crate) async fn put_role_if(
        &self,
        name: &RoleName,
        permissions: Permissions,
        requests_per_minute: Option<u32>,
        may: impl Fn(Permissions) -> Result<()>,
    ) -> Result<()> {
        if built_in(name).is_some() {
            return Err(AccessError::BuiltInRole(name.clone()));
        }
        let (new, now) = (Place::random(Kind::Role)?, self.clock.now());
        self.change(|snapshot| {
            let known = snapshot.roles.get(name);
            let before = known.map_or(Permissions::NONE, |(_, row)| row.permissions);
            may(permissions.iter().filter(|permission| !before.contains(*permission)).collect())?;
            let created = known.map_or(now, |(_, row)| row.created);
            let row = RoleRow { name: name.clone(), permissions, requests_per_minute, created };
            let place = known.map_or(new, |(place, _)| *place);
            Ok((vec![Edit::Put(place, Object::Role(Arc::new(row)))], ()))
        })
        .await
    }

    /// Deletes a role that nobody has.
    ///
    /// # Errors
    /// [`AccessError::UnknownRole`], [`AccessError::BuiltInRole`], [`AccessError::RoleInUse`]; as [`Access::refresh`].
    pub async fn delete_role(&self, name: &RoleName) -> Result<()> {
        if built_in(name).is_some() {
            return Err(AccessError::BuiltInRole(name.clone()));
        }
        self.change(|snapshot| {
            let (place, _) = snapshot.roles.get(name).ok_or_else(|| AccessError::UnknownRole(name.clone()))?;
            if let Some(holder) = snapshot.holder(name) {
                return Err(AccessError::RoleInUse { role: name.clone(), holder });
            }
            Ok((vec![Edit::Delete(*place)], ()))
        })
        .await
    }
}
