//! Compiling what is stored into rules, once for each generation.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};

use super::api_key::KeyRow;
use super::snapshot::Snapshot;
use super::user::UserRow;
use super::{CredentialId, PolicyName, RoleGrant, RoleName, Rules};

/// Most sets of policies whose rules are kept.
const MAX_KEPT: usize = 4_096;

/// Rules that were compiled for this generation.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    keys: RwLock<HashMap<CredentialId, Granted>>,
    policies: RwLock<HashMap<Vec<PolicyName>, Arc<Rules>>>,
}

/// What roles come to.
#[derive(Debug, Clone)]
pub(crate) struct Granted {
    pub(crate) rules: Arc<Rules>,
    pub(crate) roles: Vec<RoleName>,
    /// The most generous of what the roles say, if one says something.
    pub(crate) requests_per_minute: Option<u32>,
}

impl Snapshot {
    /// Returns what an API key of this generation grants; `None` if its owner is gone.
    pub(crate) fn of_key(&self, row: &KeyRow) -> Option<Granted> {
        let owner = self.owner_of(row)?;
        Some(kept(&self.compiled.keys, &row.id, || self.of_owner(owner, row)))
    }

    /// Returns what an API key would grant, which is none of this generation yet; `None` if its owner is gone.
    pub(crate) fn grants_of(&self, row: &KeyRow) -> Option<Granted> {
        Some(self.of_owner(self.owner_of(row)?, row))
    }

    fn owner_of(&self, row: &KeyRow) -> Option<&UserRow> {
        let (_, owner) = self.users.get(&row.owner_name).filter(|(_, owner)| owner.number == row.owner)?;
        Some(owner)
    }

    fn of_owner(&self, owner: &UserRow, row: &KeyRow) -> Granted {
        let is_in_scope = |grant: &&RoleGrant| row.roles.as_ref().is_none_or(|roles| roles.contains(&grant.role));
        let mut granted = self.of_grants(owner.grants.iter().filter(is_in_scope));
        if row.permissions.is_some() || row.pattern.is_some() {
            let mut rules = (*granted.rules).clone();
            rules.narrow(row.permissions, row.pattern.clone().map(Arc::new).as_ref());
            granted.rules = Arc::new(rules);
        }
        granted.requests_per_minute = row.requests_per_minute.or(granted.requests_per_minute);
        granted
    }

    /// Returns what some grants of roles come to.
    pub(crate) fn of_grants<'a>(&self, grants: impl Iterator<Item = &'a RoleGrant>) -> Granted {
        let mut rules = Rules::default();
        let mut roles = Vec::new();
        let mut requests_per_minute = None;
        for grant in grants {
            // A role is deleted only when nobody has it.
            let Ok(role) = self.role(&grant.role) else { continue };
            rules.grant(role.permissions, grant.pattern.clone().map(Arc::new).as_ref());
            requests_per_minute = requests_per_minute.max(role.requests_per_minute);
            if !roles.contains(&grant.role) {
                roles.push(grant.role.clone());
            }
        }
        Granted { rules: Arc::new(rules), roles, requests_per_minute }
    }

    /// Returns what some policies come to.
    pub(crate) fn of_policies(&self, names: &[PolicyName]) -> Arc<Rules> {
        kept(&self.compiled.policies, &names.to_vec(), || {
            if names.iter().any(PolicyName::is_root) {
                return Arc::new(Rules::root());
            }
            let rows: Vec<_> = names.iter().filter_map(|name| self.policy(name)).collect();
            let mut rules = Rules::default();
            rules.set_policies(rows.iter().map(|row| &row.policy));
            Arc::new(rules)
        })
    }
}

fn kept<K: Eq + Hash + Clone, V: Clone>(map: &RwLock<HashMap<K, V>>, key: &K, make: impl FnOnce() -> V) -> V {
    if let Some(known) = map.read().unwrap_or_else(PoisonError::into_inner).get(key) {
        return known.clone();
    }
    let made = make();
    let mut map = map.write().unwrap_or_else(PoisonError::into_inner);
    if map.len() >= MAX_KEPT {
        map.clear();
    }
    map.insert(key.clone(), made.clone());
    made
}
