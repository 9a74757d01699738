//! Nobody hands out more than they have (spec, "Handing out").
//!
//! Whoever may see to users, roles or `AppRole`s is not thereby allowed everything: what they grant, they must have themselves. The checks are made
//! on the same state that is changed, so that nothing slips in between.

use std::time::Duration;

use super::api_key::KeyRow;
use super::approle::token_policies;
use super::binding::BindingRow;
use super::error::{AccessError, Result};
use super::snapshot::Snapshot;
use super::token::{gives_all_policies, on};
use super::{
    Access, AppRole, AppRoleName, Binding, BindingName, BindingSubject, Capability, CredentialId, IssuedKey,
    IssuedSecret, NewApiKey, NewAppRoleSecret, Permissions, PolicyName, Principal, PrincipalKind, RoleGrant, RoleName,
    UserName,
};

/// Changes who may do what for somebody who asks for it, and hands out nothing that they have not.
///
/// What takes something away needs no such check, and is done on [`Access`] itself. [`Access::create_token`] has its own.
///
/// # Examples
/// ```
/// # use std::sync::Arc;
/// # use bulla_backend::{MemoryDocuments, SystemClock};
/// # use bulla_guard::access::{Access, AccessOptions, Credential, NewApiKey, PeerInfo, RoleGrant, SecretText};
/// # use bulla_keyring::{Identity, Keyring};
/// # pollster::block_on(async {
/// # let documents = Arc::new(MemoryDocuments::new());
/// # let (identity, clock) = (Arc::new(Identity::generate()?), Arc::new(SystemClock));
/// # let keyring = Keyring::create(documents.clone(), identity, &"laptop".parse()?, clock.clone()).await?;
/// # let access = Access::open(Arc::new(keyring), documents, clock, None, AccessOptions::default()).await?;
/// access.create_user(&"ann".parse()?, &[RoleGrant::within("operator".parse()?, "keys/**".parse()?)]).await?;
/// let key = access.create_key(&"ann".parse()?, &NewApiKey::default()).await?;
/// let ann = access.authenticate(&Credential::Bearer(&key.secret), &PeerInfo::default()).await?;
///
/// let (bob, giving) = ("bob".parse()?, access.given_by(&ann));
/// giving.create_user(&bob, &[RoleGrant::within("user".parse()?, "keys/orders-*".parse()?)]).await?;
/// assert!(giving.assign(&bob, &RoleGrant::everywhere("viewer".parse()?)).await.is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Giving<'a> {
    access: &'a Access,
    giver: &'a Principal,
}

impl Access {
    /// Changes who may do what for somebody, who hands out no more than they have.
    #[must_use]
    pub fn given_by<'a>(&'a self, giver: &'a Principal) -> Giving<'a> {
        Giving { access: self, giver }
    }
}

impl Giving<'_> {
    /// Creates a user, as [`Access::create_user`].
    ///
    /// # Errors
    /// [`AccessError::NotPermitted`] for roles that permit what the giver may not; as [`Access::create_user`].
    pub async fn create_user(&self, name: &UserName, grants: &[RoleGrant]) -> Result<()> {
        self.access.create_user_if(name, grants, |snapshot| self.may_grant(snapshot, grants)).await
    }

    /// Gives a user a role, as [`Access::assign`].
    ///
    /// # Errors
    /// [`AccessError::NotPermitted`] for a role that permits what the giver may not; as [`Access::assign`].
    pub async fn assign(&self, name: &UserName, grant: &RoleGrant) -> Result<bool> {
        let grants = std::slice::from_ref(grant);
        self.access.assign_if(name, grant, |snapshot| self.may_grant(snapshot, grants)).await
    }

    /// Makes an API key, as [`Access::create_key`]. Whoever makes it sees its secret.
    ///
    /// # Errors
    /// [`AccessError::NotPermitted`] if the key may do what the giver may not, or could once its owner may; as [`Access::create_key`].
    pub async fn create_key(&self, owner: &UserName, new: &NewApiKey) -> Result<IssuedKey> {
        self.access.create_key_if(owner, new, |snapshot, row| self.may_see(snapshot, row)).await
    }

    /// Makes a successor of an API key, as [`Access::roll_key`]. Whoever makes it sees its secret.
    ///
    /// # Errors
    /// [`AccessError::NotPermitted`] if the key may do what the giver may not; as [`Access::roll_key`].
    pub async fn roll_key(&self, id: CredentialId, overlap: Duration) -> Result<IssuedKey> {
        self.access.roll_key_if(id, overlap, |snapshot, row| self.may_see(snapshot, row)).await
    }

    /// Defines a role, as [`Access::put_role`]. Who has the role everywhere gets what is added to it everywhere.
    ///
    /// # Errors
    /// [`AccessError::NotPermitted`] if it comes to permit what the giver may not do everywhere; as [`Access::put_role`].
    pub async fn put_role(
        &self,
        name: &RoleName,
        permissions: Permissions,
        requests_per_minute: Option<u32>,
    ) -> Result<()> {
        let may = |added| self.require(self.giver.rules.covers(added, None), MORE);
        self.access.put_role_if(name, permissions, requests_per_minute, may).await
    }

    /// Writes a policy, as [`Access::put_policy`].
    ///
    /// A policy can open every path to whoever has it, and take away what others deny: who writes one may do everything, or has `sudo` on
    /// `sys/policies/acl/` and its name.
    ///
    /// # Errors
    /// [`AccessError::NotPermitted`]; as [`Access::put_policy`].
    pub async fn put_policy(&self, name: &PolicyName, text: &str) -> Result<()> {
        self.may_write_policy(name)?;
        self.access.put_policy(name, text).await
    }

    /// Deletes a policy, as [`Access::delete_policy`]. What it denied to those who have it, others of their policies may allow: so that it takes what
    /// [`put_policy`](Self::put_policy) takes.
    ///
    /// # Errors
    /// [`AccessError::NotPermitted`]; as [`Access::delete_policy`].
    pub async fn delete_policy(&self, name: &PolicyName) -> Result<bool> {
        self.may_write_policy(name)?;
        self.access.delete_policy(name).await
    }

    /// Writes an `AppRole`, as [`Access::put_approle`].
    ///
    /// # Errors
    /// [`AccessError::NotPermitted`] for policies that the giver has not, unless they may hand out all; as [`Access::put_approle`].
    pub async fn put_approle(&self, name: &AppRoleName, role: &AppRole) -> Result<()> {
        self.change_approle(name, |before| role.clone_into(before)).await
    }

    /// Changes an `AppRole`, or makes one of what is there by default. `change` begins anew where others were faster, so that nothing they did is lost.
    ///
    /// # Errors
    /// As [`put_approle`](Self::put_approle).
    pub async fn change_approle(&self, name: &AppRoleName, change: impl Fn(&mut AppRole)) -> Result<()> {
        let may = |role: &AppRole| self.require(self.gives_policies(name, &role.policies), POLICIES);
        self.access.change_approle_if(name, change, may).await
    }

    /// Makes a secret of an `AppRole`, as [`Access::create_approle_secret`]. Whoever makes it sees it, and can log in with it.
    ///
    /// A token whose policies allow it on the path of this very `AppRole` was let to hand out its secrets by whoever wrote them: that is what `AppRole`s are
    /// for. A permission says nothing of policies, so that it does not suffice.
    ///
    /// # Errors
    /// [`AccessError::NotPermitted`]; as [`Access::create_approle_secret`].
    pub async fn create_approle_secret(&self, name: &AppRoleName, new: &NewAppRoleSecret) -> Result<IssuedSecret> {
        let is_let = || {
            let allowed = on(self.giver, &format!("auth/approle/role/{name}/secret-id"));
            self.giver.kind == PrincipalKind::Token
                && (allowed.contains(Capability::Update) || allowed.contains(Capability::Create))
        };
        if !is_let() {
            let (_, role) = self.access.approle(name).await?;
            self.require(self.gives_policies(name, &role.policies), POLICIES)?;
        }
        self.access.create_approle_secret(name, new).await
    }

    /// Writes a binding, as [`Access::bind`].
    ///
    /// # Errors
    /// [`AccessError::NotPermitted`] if it gives what the giver has not, or takes the place of one without which somebody may be an administrator; as
    /// [`Access::bind`].
    pub async fn bind(&self, name: &BindingName, binding: &Binding) -> Result<()> {
        let may = |snapshot: &Snapshot, before: Option<&BindingRow>, after: &BindingRow| {
            if let Some(before) = before.filter(|before| before.of != after.of) {
                self.may_unbind(before)?;
            }
            if before.is_none_or(|before| before.of != after.of) {
                // The first binding of somebody who is an administrator without one takes that away.
                self.may_unbind(after)?;
            }
            if let Some(user) = &after.user {
                self.may_be(user)?;
            }
            let user = after.user.as_ref().map(|user| snapshot.user(user)).transpose()?;
            if let Some((_, user)) = user {
                self.may_grant(snapshot, &user.grants)?;
            }
            self.may_grant(snapshot, &after.grants)
        };
        self.access.bind_if(name, binding, may).await
    }

    /// Deletes a binding, as [`Access::unbind`].
    ///
    /// # Errors
    /// [`AccessError::NotPermitted`] for one without which somebody may be an administrator; as [`Access::unbind`].
    pub async fn unbind(&self, name: &BindingName) -> Result<()> {
        self.access.unbind_if(name, |row| self.may_unbind(row)).await
    }

    fn require(&self, allowed: bool, otherwise: &'static str) -> Result<()> {
        if allowed || self.giver.rules.is_everything() { Ok(()) } else { Err(AccessError::NotPermitted(otherwise)) }
    }

    fn may_grant(&self, snapshot: &Snapshot, grants: &[RoleGrant]) -> Result<()> {
        grants.iter().try_for_each(|grant| {
            let permissions = snapshot.role(&grant.role)?.permissions;
            self.require(self.giver.rules.covers(permissions, grant.pattern.as_ref()), MORE)
        })
    }

    fn may_see(&self, snapshot: &Snapshot, key: &KeyRow) -> Result<()> {
        let granted = snapshot.grants_of(key).ok_or(AccessError::KeyEnded(key.id))?;
        self.require(self.giver.rules.covers_rules(&granted.rules), MORE)?;
        if self.giver.user.as_ref() == Some(&key.owner_name) {
            return Ok(());
        }
        // What its owner is granted later reaches the key too: of somebody else's, it is bounded by what the giver has.
        let most = key.permissions.unwrap_or(Permissions::ALL);
        self.require(self.giver.rules.covers(most, key.pattern.as_ref()), OTHERS)
    }

    /// Whoever is bound to a user gets what the user is granted later, too.
    fn may_be(&self, user: &UserName) -> Result<()> {
        let is_self = self.giver.user.as_ref() == Some(user);
        self.require(is_self, "a binding to another user is made by those who may do everything")
    }

    fn may_write_policy(&self, name: &PolicyName) -> Result<()> {
        let sudo = on(self.giver, &format!("sys/policies/acl/{name}")).contains(Capability::Sudo);
        self.require(
            sudo,
            "a policy is written by those who may do everything, or with `sudo` on sys/policies/acl/NAME",
        )
    }

    fn gives_policies(&self, name: &AppRoleName, policies: &[PolicyName]) -> bool {
        gives_all_policies(self.giver)
            || on(self.giver, &format!("auth/approle/role/{name}")).contains(Capability::Sudo)
            || token_policies(policies).iter().all(|policy| self.giver.policies.contains(policy))
    }

    /// Without a binding, the owner of the project's files is an administrator, and so is a machine that lets others in.
    fn may_unbind(&self, row: &BindingRow) -> Result<()> {
        let is_safe = matches!(row.of, BindingSubject::Certificate(_));
        self.require(
            is_safe,
            "the binding of a local user, group or machine is taken away by those who may do everything",
        )
    }
}

const MORE: &str =
    "nobody hands out more than they have: whoever grants it must be allowed it too, on the same resources";
const OTHERS: &str = "a key of another user is narrowed to permissions and a pattern that its maker has: what the user is granted later \
     would reach it too";
const POLICIES: &str = "nobody hands out policies that they have not, unless they may do everything, or with `sudo`";
