//! Users: who owns API keys and has roles.

use std::sync::Arc;

use bulla_backend::Timestamp;

use super::api_key::{RevocationReason, RevokedRow};
use super::codec::record;
use super::error::{AccessError, Result};
use super::sealed::{Kind, Place};
use super::snapshot::{Object, Snapshot};
use super::store::{Edit, MAX_EDITS};
use super::{Access, Pattern, Permissions, RoleGrant, RoleName, UserName};

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// Their name.
    pub name: UserName,
    /// Their roles.
    pub grants: Vec<RoleGrant>,
    /// When they were created.
    pub created: Timestamp,
}

/// What somebody may do, by all of their roles.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EffectivePermissions {
    /// What they may do to every resource.
    pub everywhere: Permissions,
    /// What they may do to those that a pattern stands for.
    pub within: Vec<(Pattern, Permissions)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UserRow {
    pub(crate) name: UserName,
    /// Tells users of one name apart, so that the keys of one who was deleted are nobody's.
    pub(crate) number: [u8; 16],
    pub(crate) grants: Vec<RoleGrant>,
    pub(crate) created: Timestamp,
}

record!(UserRow { name, number, grants, created });

impl UserRow {
    fn describe(&self) -> User {
        User { name: self.name.clone(), grants: self.grants.clone(), created: self.created }
    }
}

impl Snapshot {
    pub(crate) fn user(&self, name: &UserName) -> Result<&(Place, Arc<UserRow>)> {
        self.users.get(name).ok_or_else(|| AccessError::UnknownUser(name.clone()))
    }
}

impl Access {
    /// Creates a user with roles.
    ///
    /// # Errors
    /// [`AccessError::UserExists`], [`AccessError::UnknownRole`]; as [`Access::refresh`], [`AccessError::Full`].
    pub async fn create_user(&self, name: &UserName, grants: &[RoleGrant]) -> Result<()> {
        self.create_user_if(name, grants, |_| Ok(())).await
    }

    pub(crate) async fn create_user_if(
        &self,
        name: &UserName,
        grants: &[RoleGrant],
        may: impl Fn(&Snapshot) -> Result<()>,
    ) -> Result<()> {
        let place = Place::random(Kind::User)?;
        let mut grants = grants.to_vec();
        grants.sort_unstable();
        grants.dedup();
        let row = UserRow { name: name.clone(), number: place.number, grants, created: self.clock.now() };
        let row = Arc::new(row);
        self.change(|snapshot| {
            if snapshot.users.contains_key(name) {
                return Err(AccessError::UserExists(name.clone()));
            }
            snapshot.check_grants(&row.grants)?;
            may(snapshot)?;
            Ok((vec![Edit::Put(place, Object::User(Arc::clone(&row)))], ()))
        })
        .await
    }

    /// Returns all users, in the order of their names.
    ///
    /// # Errors
    /// As [`Access::refresh`].
    pub async fn users(&self) -> Result<Vec<User>> {
        Ok(self.fresh().await?.users.values().map(|(_, row)| row.describe()).collect())
    }

    /// Returns a user.
    ///
    /// # Errors
    /// [`AccessError::UnknownUser`]; as [`Access::refresh`].
    pub async fn user(&self, name: &UserName) -> Result<User> {
        Ok(self.fresh().await?.user(name)?.1.describe())
    }

    /// Gives a user a role; says whether they did not have it so already.
    ///
    /// # Errors
    /// [`AccessError::UnknownUser`], [`AccessError::UnknownRole`]; as [`Access::refresh`].
    pub async fn assign(&self, name: &UserName, grant: &RoleGrant) -> Result<bool> {
        self.assign_if(name, grant, |_| Ok(())).await
    }

    pub(crate) async fn assign_if(
        &self,
        name: &UserName,
        grant: &RoleGrant,
        may: impl Fn(&Snapshot) -> Result<()>,
    ) -> Result<bool> {
        let add = |grants: &mut Vec<RoleGrant>| {
            if grants.contains(grant) {
                return false;
            }
            grants.push(grant.clone());
            grants.sort_unstable();
            true
        };
        self.change_grants(name, add, may).await
    }

    /// Takes a role away from a user, however it was granted; says whether they had it.
    ///
    /// # Errors
    /// [`AccessError::UnknownUser`]; as [`Access::refresh`].
    pub async fn remove(&self, name: &UserName, role: &RoleName) -> Result<bool> {
        let take = |grants: &mut Vec<RoleGrant>| {
            let before = grants.len();
            grants.retain(|grant| grant.role != *role);
            grants.len() < before
        };
        self.change_grants(name, take, |_| Ok(())).await
    }

    async fn change_grants(
        &self,
        name: &UserName,
        edit: impl Fn(&mut Vec<RoleGrant>) -> bool,
        may: impl Fn(&Snapshot) -> Result<()>,
    ) -> Result<bool> {
        self.change(|snapshot| {
            let (place, row) = snapshot.user(name)?;
            let mut grants = row.grants.clone();
            if !edit(&mut grants) {
                return Ok((Vec::new(), false));
            }
            snapshot.check_grants(&grants)?;
            may(snapshot)?;
            let row = UserRow { grants, ..(**row).clone() };
            Ok((vec![Edit::Put(*place, Object::User(Arc::new(row)))], true))
        })
        .await
    }

    /// Deletes a user. From that moment on none of their API keys lets anybody in, also if a user of the same name is created later; they
    /// stay on record as revoked.
    ///
    /// # Errors
    /// [`AccessError::UnknownUser`]; as [`Access::refresh`]. Interrupted, the user is gone all the same.
    pub async fn delete_user(&self, name: &UserName) -> Result<()> {
        let now = self.clock.now();
        let mut number = None;
        loop {
            let left = self
                .change(|snapshot| {
                    let mut edits = Vec::new();
                    let owner = match number {
                        Some(number) => number,
                        None => {
                            let (place, row) = snapshot.user(name)?;
                            edits.push(Edit::Delete(*place));
                            row.number
                        }
                    };
                    let mut keys =
                        snapshot.keys.values().filter(|(_, key)| key.owner == owner && key.revoked.is_none());
                    for (place, row) in keys.by_ref().take(MAX_EDITS - edits.len()) {
                        let mut row = (**row).clone();
                        row.revoked = Some(RevokedRow::new(now, RevocationReason::OwnerLeft, String::new()));
                        edits.push(Edit::Put(*place, Object::Key(Arc::new(row))));
                    }
                    Ok((edits, keys.next().map(|_| owner)))
                })
                .await?;
            match left {
                Some(owner) => number = Some(owner),
                None => return Ok(()),
            }
        }
    }

    /// Returns what a user may do, by all of their roles.
    ///
    /// # Errors
    /// [`AccessError::UnknownUser`]; as [`Access::refresh`].
    pub async fn permissions(&self, name: &UserName) -> Result<EffectivePermissions> {
        let snapshot = self.fresh().await?;
        let (_, row) = snapshot.user(name)?;
        let mut effective = EffectivePermissions { everywhere: Permissions::NONE, within: Vec::new() };
        for grant in &row.grants {
            let permissions = snapshot.role(&grant.role)?.permissions;
            match &grant.pattern {
                None => effective.everywhere = effective.everywhere | permissions,
                Some(pattern) => match effective.within.iter_mut().find(|(known, _)| known == pattern) {
                    Some((_, known)) => *known = *known | permissions,
                    None => effective.within.push((pattern.clone(), permissions)),
                },
            }
        }
        Ok(effective)
    }
}
