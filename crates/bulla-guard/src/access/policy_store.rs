//! The policies of a project, by name.

use std::sync::Arc;

use super::codec::record;
use super::error::{AccessError, Result};
use super::policy::DEFAULT_POLICY;
use super::sealed::{Kind, Place};
use super::snapshot::{Object, Snapshot};
use super::store::Edit;
use super::{Access, Policy, PolicyName, Rules};

/// The policy that permits everything. It has no text.
const ROOT: &str = "root";
/// The policy that every token has, unless it was made without.
const DEFAULT: &str = "default";

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PolicyRow {
    pub(crate) name: PolicyName,
    pub(crate) policy: Policy,
}

record!(PolicyRow { name, policy });

impl PolicyName {
    /// Returns the name of the policy that permits everything.
    pub(crate) fn is_root(&self) -> bool {
        self.as_str() == ROOT
    }

    /// Returns the name of the policy that every token has.
    pub(crate) fn default_policy() -> Option<Self> {
        DEFAULT.parse().ok()
    }
}

impl Snapshot {
    /// Finds what a policy says; `None` for `root`, which says nothing, and for those that were deleted.
    pub(crate) fn policy(&self, name: &PolicyName) -> Option<Arc<PolicyRow>> {
        if let Some((_, row)) = self.policies.get(name) {
            return Some(Arc::clone(row));
        }
        let policy = (name.as_str() == DEFAULT).then(|| DEFAULT_POLICY.parse().ok()).flatten()?;
        Some(Arc::new(PolicyRow { name: name.clone(), policy }))
    }

    /// Requires that policies exist.
    pub(crate) fn check_policies(&self, names: &[PolicyName]) -> Result<()> {
        if names.len() > MAX_POLICIES {
            return Err(AccessError::Invalid { what: "a credential", bound: "has at most 64 policies" });
        }
        let unknown = names.iter().find(|name| !name.is_root() && self.policy(name).is_none());
        unknown.map_or(Ok(()), |name| Err(AccessError::UnknownPolicy(name.clone())))
    }
}

/// Most policies of one credential.
const MAX_POLICIES: usize = 64;

impl Access {
    /// Writes a policy, in place of one of the same name.
    ///
    /// # Errors
    /// [`AccessError::Policy`] for a text that is none; [`AccessError::BuiltInPolicy`] for `root`; as [`Access::refresh`],
    /// [`AccessError::Full`].
    pub async fn put_policy(&self, name: &PolicyName, text: &str) -> Result<()> {
        if name.is_root() {
            return Err(AccessError::BuiltInPolicy(name.clone()));
        }
        let row = Arc::new(PolicyRow { name: name.clone(), policy: text.parse()? });
        let new = Place::random(Kind::Policy)?;
        self.change(|snapshot| {
            let place = snapshot.policies.get(name).map_or(new, |(place, _)| *place);
            Ok((vec![Edit::Put(place, Object::Policy(Arc::clone(&row)))], ()))
        })
        .await
    }

    /// Deletes a policy; says whether there was one. Tokens that have it have one less.
    ///
    /// # Errors
    /// [`AccessError::BuiltInPolicy`] for `root` and `default`; as [`Access::refresh`].
    pub async fn delete_policy(&self, name: &PolicyName) -> Result<bool> {
        if name.is_root() || name.as_str() == DEFAULT {
            return Err(AccessError::BuiltInPolicy(name.clone()));
        }
        self.change(|snapshot| {
            let found = snapshot.policies.get(name).map(|(place, _)| Edit::Delete(*place));
            let found: Vec<_> = found.into_iter().collect();
            let was_there = !found.is_empty();
            Ok((found, was_there))
        })
        .await
    }

    /// Returns the names of all policies, `default` and `root` among them.
    ///
    /// # Errors
    /// As [`Access::refresh`].
    pub async fn policies(&self) -> Result<Vec<PolicyName>> {
        let snapshot = self.fresh().await?;
        let built_in = [DEFAULT, ROOT].into_iter().filter_map(|name| name.parse().ok());
        let names: std::collections::BTreeSet<PolicyName> = snapshot.policies.keys().cloned().chain(built_in).collect();
        Ok(names.into_iter().collect())
    }

    /// Returns what some policies come to, taken together.
    ///
    /// # Errors
    /// As [`Access::refresh`].
    pub async fn rules_of(&self, names: &[PolicyName]) -> Result<Arc<Rules>> {
        Ok(self.fresh().await?.of_policies(names))
    }

    /// Returns a policy.
    ///
    /// # Errors
    /// [`AccessError::UnknownPolicy`], also for `root`, which has no text; as [`Access::refresh`].
    pub async fn policy(&self, name: &PolicyName) -> Result<Policy> {
        let found = self.fresh().await?.policy(name);
        found.map(|row| row.policy.clone()).ok_or_else(|| AccessError::UnknownPolicy(name.clone()))
    }
}
