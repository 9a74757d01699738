//! What somebody may do: roles, scopes and policies, compiled for asking.

mod acl;

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Capabilities, Capability, ParameterValue, Pattern, Permission, Permissions, Policy, RequestPath, Resource,
};

use self::acl::Acl;

/// What somebody may do. One question costs nanoseconds, whatever it was compiled from.
///
/// Two languages meet here: *permissions* on resources, which roles grant and nothing takes away again, and *capabilities* on paths, of which
/// the most specific path of all policies decides, and where `deny` wins.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// What is allowed on every resource.
    everywhere: Permissions,
    /// What is allowed on some.
    within: Vec<Grant>,
    acl: Acl,
    is_root: bool,
}

/// Permissions on resources that all of some patterns stand for.
#[derive(Debug, Clone)]
struct Grant {
    permissions: Permissions,
    patterns: Vec<Arc<Pattern>>,
}

/// What a request asks of a path.
#[derive(Debug, Clone, Copy)]
pub struct PathRequest<'a> {
    /// The path.
    pub path: &'a RequestPath,
    /// What is to be done there.
    pub capability: Capability,
    /// The parameters that come with it, by name.
    pub parameters: &'a [(String, ParameterValue)],
    /// How long the answer is to be wrapped, if it is.
    pub wrapping: Option<Duration>,
}

impl<'a> PathRequest<'a> {
    /// Makes a request without parameters.
    #[must_use]
    pub const fn new(capability: Capability, path: &'a RequestPath) -> Self {
        Self { path, capability, parameters: &[], wrapping: None }
    }
}

impl Rules {
    /// Adds permissions, on every resource or on those that a pattern stands for.
    pub(crate) fn grant(&mut self, permissions: Permissions, pattern: Option<&Arc<Pattern>>) {
        match pattern {
            None => self.everywhere = self.everywhere | permissions,
            Some(pattern) => self.within.push(Grant { permissions, patterns: vec![Arc::clone(pattern)] }),
        }
    }

    /// Takes away what is not among some permissions, and what is on other resources than a pattern stands for.
    pub(crate) fn narrow(&mut self, permissions: Option<Permissions>, pattern: Option<&Arc<Pattern>>) {
        if let Some(permissions) = permissions {
            self.everywhere = self.everywhere & permissions;
            self.within.iter_mut().for_each(|grant| grant.permissions = grant.permissions & permissions);
        }
        if let Some(pattern) = pattern {
            self.within.iter_mut().for_each(|grant| grant.patterns.push(Arc::clone(pattern)));
            if !self.everywhere.is_empty() {
                self.within.push(Grant { permissions: self.everywhere, patterns: vec![Arc::clone(pattern)] });
                self.everywhere = Permissions::NONE;
            }
        }
        self.within.retain(|grant| !grant.permissions.is_empty());
    }

    /// Takes policies, among which the most specific path decides.
    pub(crate) fn set_policies<'a>(&mut self, policies: impl IntoIterator<Item = &'a Policy>) {
        self.acl = Acl::new(policies);
    }

    /// Allows everything on every path, and every permission on every resource.
    pub(crate) fn root() -> Self {
        Self { everywhere: Permissions::ALL, is_root: true, ..Self::default() }
    }

    /// Says whether they are the rules of the `root` policy.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.is_root
    }

    /// Says whether something may be done to a resource.
    #[must_use]
    pub fn allows(&self, permission: Permission, resource: &Resource) -> bool {
        self.everywhere.contains(permission)
            || self.within.iter().any(|grant| {
                grant.permissions.contains(permission) && grant.patterns.iter().all(|pattern| pattern.matches(resource))
            })
    }

    /// Says whether a request on a path is allowed by the policies.
    #[must_use]
    pub fn allows_path(&self, request: &PathRequest<'_>) -> bool {
        self.is_root || self.acl.allows(request)
    }

    /// Says whether the policies may allow something on a path: they do, or it depends on parameters that are not known yet.
    #[must_use]
    pub fn may_allow(&self, capability: Capability, path: &RequestPath) -> bool {
        self.is_root || self.acl.may_allow(&PathRequest::new(capability, path))
    }

    /// Says whether what the policies allow on a path depends on parameters.
    #[must_use]
    pub fn has_parameters(&self, capability: Capability, path: &RequestPath) -> bool {
        !self.is_root && self.acl.has_parameters(capability, path)
    }

    /// Returns what the policies allow on a path, as `sys/capabilities` answers: `deny` where it is nothing.
    #[must_use]
    pub fn capabilities(&self, path: &RequestPath) -> Capabilities {
        if self.is_root { Capabilities::ROOT } else { self.acl.capabilities(path) }
    }

    /// Returns the permissions that are granted on every resource.
    #[must_use]
    pub fn everywhere(&self) -> Permissions {
        self.everywhere
    }

    /// Says whether everything may be done: every permission on every resource.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.everywhere == Permissions::ALL
    }

    /// Says whether permissions are granted on every resource that a pattern stands for; on every one there is, without a pattern. What policies allow
    /// is no permission.
    #[must_use]
    pub fn covers(&self, permissions: Permissions, pattern: Option<&Pattern>) -> bool {
        let patterns = pattern.map(std::slice::from_ref).unwrap_or_default();
        permissions.iter().all(|permission| self.covers_one(permission, patterns))
    }

    /// Says whether whatever other rules grant is granted by these as well.
    pub(crate) fn covers_rules(&self, other: &Self) -> bool {
        self.covers(other.everywhere, None)
            && other
                .within
                .iter()
                .all(|grant| grant.permissions.iter().all(|permission| self.covers_one(permission, &grant.patterns)))
    }

    /// Says whether a permission is granted on all that some patterns stand for together; on everything, if there are none.
    fn covers_one(&self, permission: Permission, within: &[impl Borrow<Pattern>]) -> bool {
        self.everywhere.contains(permission)
            || self.within.iter().any(|grant| {
                let covered = |pattern: &Arc<Pattern>| within.iter().any(|narrower| pattern.covers(narrower.borrow()));
                grant.permissions.contains(permission) && grant.patterns.iter().all(covered)
            })
    }

    /// Returns the permissions that are granted on some resource or other.
    #[must_use]
    pub fn anywhere(&self) -> Permissions {
        self.within.iter().fold(self.everywhere, |all, grant| all | grant.permissions)
    }
}
