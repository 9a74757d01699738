//! `AppRole`s: how programs log in for a token, with a role id and a secret (spec, "`AppRole`s").

use std::sync::Arc;
use std::time::Duration;

use bulla_backend::{DocumentKey, Expected, Timestamp};
use bulla_seal::KeyVersionId;

use super::authenticate::PeerInfo;
use super::cidr::admits;
use super::codec::record;
use super::error::{AccessError, Result};
use super::loose::Loose;
use super::principal::{Refused, RefusedReason};
use super::sealed::{ACCESS_TOKENS, Kind, Place};
use super::snapshot::{Object, Snapshot};
use super::store::Edit;
use super::text::{CredentialKind, SecretMac};
use super::{Access, AppRoleName, Cidr, CredentialId, IssuedToken, NewToken, PolicyName, SecretText};

/// How often a lost race for one secret is tried again.
const MAX_ATTEMPTS: usize = 100;
/// Most ranges of addresses of one role or secret.
const MAX_CIDRS: usize = 64;

/// What an `AppRole` gives, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AppRole {
    /// The policies of its tokens; `default` comes with them.
    pub policies: Vec<PolicyName>,
    /// How long its tokens live until they are renewed.
    pub token_lifetime: Option<Duration>,
    /// How long its tokens may live, however often they are renewed.
    pub token_max_lifetime: Option<Duration>,
    /// Makes its tokens periodic.
    pub token_period: Option<Duration>,
    /// How often each of its tokens can be used.
    pub token_uses: Option<u64>,
    /// Where its tokens may be used from; nothing for everywhere.
    pub token_cidrs: Vec<Cidr>,
    /// How long its secrets live; without, until they are destroyed.
    pub secret_lifetime: Option<Duration>,
    /// How often each of its secrets can be used to log in; without, any number of times.
    pub secret_uses: Option<u64>,
    /// Where logins may come from; nothing for everywhere.
    pub secret_cidrs: Vec<Cidr>,
}

/// What a secret of an `AppRole` is to be, within what its role says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewAppRoleSecret {
    /// Where logins with it may come from, of where the role lets them come from; nothing for all of it.
    pub cidrs: Vec<Cidr>,
    /// How long it lives, if not as long as the role says.
    pub lifetime: Option<Duration>,
    /// How often it can be used, if not as often as the role says.
    pub uses: Option<u64>,
}

/// A secret of an `AppRole`, without itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppRoleSecret {
    /// By which it is looked up and destroyed.
    pub accessor: CredentialId,
    /// When it was made.
    pub created: Timestamp,
    /// Until when it is good; `None` until it is destroyed.
    pub expires: Option<Timestamp>,
    /// How often it can still be used; `None` for any number of times.
    pub uses: Option<u64>,
    /// Where logins with it may come from, beside what the role says.
    pub cidrs: Vec<Cidr>,
}

/// A secret of an `AppRole` that was made just now.
#[derive(Debug)]
#[non_exhaustive]
pub struct IssuedSecret {
    /// What the program presents. It is shown now and never again.
    pub secret: SecretText,
    /// By which it is destroyed.
    pub accessor: CredentialId,
    /// Until when it is good.
    pub expires: Option<Timestamp>,
    /// How often it can be used.
    pub uses: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AppRoleRow {
    pub(crate) name: AppRoleName,
    /// Tells `AppRole`s of one name apart, so that the secrets of one that was deleted are nobody's.
    number: [u8; 16],
    role_id: CredentialId,
    policies: Vec<PolicyName>,
    token_lifetime: Option<Duration>,
    token_max_lifetime: Option<Duration>,
    token_period: Option<Duration>,
    token_uses: Option<u64>,
    token_cidrs: Vec<Cidr>,
    secret_lifetime: Option<Duration>,
    secret_uses: Option<u64>,
    secret_cidrs: Vec<Cidr>,
}

record!(AppRoleRow {
    name,
    number,
    role_id,
    policies,
    token_lifetime,
    token_max_lifetime,
    token_period,
    token_uses,
    token_cidrs,
    secret_lifetime,
    secret_uses,
    secret_cidrs,
});

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretRow {
    id: CredentialId,
    role: [u8; 16],
    pepper: KeyVersionId,
    mac: SecretMac,
    created: Timestamp,
    expires: Option<Timestamp>,
    uses: Option<u64>,
    cidrs: Vec<Cidr>,
}

record!(SecretRow { id, role, pepper, mac, created, expires, uses, cidrs });

impl SecretRow {
    fn describe(self) -> AppRoleSecret {
        let Self { id, created, expires, uses, cidrs, .. } = self;
        AppRoleSecret { accessor: id, created, expires, uses, cidrs }
    }

    /// Says whether it is good for nothing any more.
    pub(crate) fn has_ended(&self, snapshot: &Snapshot, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
            || !snapshot.approles.values().any(|(_, role)| role.number == self.role)
    }
}

impl AppRoleRow {
    fn describe(&self) -> AppRole {
        AppRole {
            policies: self.policies.clone(),
            token_lifetime: self.token_lifetime,
            token_max_lifetime: self.token_max_lifetime,
            token_period: self.token_period,
            token_uses: self.token_uses,
            token_cidrs: self.token_cidrs.clone(),
            secret_lifetime: self.secret_lifetime,
            secret_uses: self.secret_uses,
            secret_cidrs: self.secret_cidrs.clone(),
        }
    }

    fn token(&self) -> NewToken {
        NewToken {
            policies: token_policies(&self.policies),
            lifetime: self.token_lifetime,
            max_lifetime: self.token_max_lifetime,
            period: self.token_period,
            uses: self.token_uses,
            cidrs: self.token_cidrs.clone(),
            display_name: format!("approle-{}", self.name),
            ..NewToken::default()
        }
    }
}

/// Returns the policies of the tokens of an `AppRole`.
pub(crate) fn token_policies(policies: &[PolicyName]) -> Vec<PolicyName> {
    let mut policies = policies.to_vec();
    policies.extend(PolicyName::default_policy());
    policies.sort_unstable();
    policies.dedup();
    policies
}

impl Snapshot {
    fn approle(&self, name: &AppRoleName) -> Result<&(Place, Arc<AppRoleRow>)> {
        self.approles.get(name).ok_or_else(|| AccessError::UnknownAppRole(name.clone()))
    }
}

impl Access {
    /// Writes an `AppRole`, in place of one of the same name, whose role id and secrets stay.
    ///
    /// # Errors
    /// [`AccessError::UnknownPolicy`]; [`AccessError::NotPermitted`] for `root`; [`AccessError::Invalid`] for what is out of bounds; as
    /// [`Access::refresh`], [`AccessError::Full`].
    pub async fn put_approle(&self, name: &AppRoleName, role: &AppRole) -> Result<()> {
        self.change_approle_if(name, |before| role.clone_into(before), |_| Ok(())).await
    }

    /// Changes an `AppRole`, or makes one of what is there by default, if what comes of it may be. `change` begins anew where others were faster.
    pub(crate) async fn change_approle_if(
        &self,
        name: &AppRoleName,
        change: impl Fn(&mut AppRole),
        may: impl Fn(&AppRole) -> Result<()>,
    ) -> Result<()> {
        let (new, role_id) = (Place::random(Kind::AppRole)?, CredentialId::random()?);
        self.change(|snapshot| {
            let known = snapshot.approles.get(name);
            let mut role = known.map_or_else(AppRole::default, |(_, row)| row.describe());
            change(&mut role);
            check(&role)?;
            may(&role)?;
            snapshot.check_policies(&role.policies)?;
            let place = known.map_or(new, |(place, _)| *place);
            let row = AppRoleRow {
                name: name.clone(),
                number: place.number,
                role_id: known.map_or(role_id, |(_, row)| row.role_id),
                policies: role.policies,
                token_lifetime: role.token_lifetime,
                token_max_lifetime: role.token_max_lifetime,
                token_period: role.token_period,
                token_uses: role.token_uses,
                token_cidrs: role.token_cidrs,
                secret_lifetime: role.secret_lifetime,
                secret_uses: role.secret_uses,
                secret_cidrs: role.secret_cidrs,
            };
            Ok((vec![Edit::Put(place, Object::AppRole(Arc::new(row)))], ()))
        })
        .await
    }

    /// Deletes an `AppRole`; its secrets let nobody in any more. Its tokens live on: they are revoked for themselves.
    ///
    /// # Errors
    /// [`AccessError::UnknownAppRole`]; as [`Access::refresh`].
    pub async fn delete_approle(&self, name: &AppRoleName) -> Result<()> {
        self.change(|snapshot| Ok((vec![Edit::Delete(snapshot.approle(name)?.0)], ()))).await
    }

    /// Returns the names of all `AppRole`s.
    ///
    /// # Errors
    /// As [`Access::refresh`].
    pub async fn approles(&self) -> Result<Vec<AppRoleName>> {
        Ok(self.fresh().await?.approles.keys().cloned().collect())
    }

    /// Returns an `AppRole`, with its role id, which is no secret.
    ///
    /// # Errors
    /// [`AccessError::UnknownAppRole`]; as [`Access::refresh`].
    pub async fn approle(&self, name: &AppRoleName) -> Result<(CredentialId, AppRole)> {
        let snapshot = self.fresh().await?;
        let (_, row) = snapshot.approle(name)?;
        Ok((row.role_id, row.describe()))
    }

    /// Makes a secret of an `AppRole`, which is good for no longer, no more often and from nowhere else than the role says.
    ///
    /// # Errors
    /// [`AccessError::UnknownAppRole`]; [`AccessError::Invalid`] for too many ranges, and for more than the role gives; as [`Access::refresh`].
    pub async fn create_approle_secret(&self, name: &AppRoleName, new: &NewAppRoleSecret) -> Result<IssuedSecret> {
        if new.cidrs.len() > MAX_CIDRS {
            return Err(AccessError::Invalid { what: "a secret", bound: "has at most 64 ranges of addresses" });
        }
        let snapshot = self.fresh().await?;
        let (_, role) = snapshot.approle(name)?;
        let exceeds = |wanted: Option<u128>, most: Option<u128>| {
            wanted.is_some_and(|wanted| wanted == 0 || most.is_some_and(|most| wanted > most))
        };
        let millis = |time: Option<Duration>| time.map(|time| time.as_millis());
        if exceeds(millis(new.lifetime), millis(role.secret_lifetime))
            || exceeds(new.uses.map(u128::from), role.secret_uses.map(u128::from))
        {
            let bound = "has a lifetime and a number of uses above nothing, and at most those of its AppRole";
            return Err(AccessError::Invalid { what: "a secret", bound });
        }
        let (secret, pepper, mac) = self.draw(CredentialKind::AppRoleSecret).await?;
        let now = self.clock.now();
        let row = SecretRow {
            id: secret.id(),
            role: role.number,
            pepper,
            mac,
            created: now,
            expires: new.lifetime.or(role.secret_lifetime).map(|lifetime| now.saturating_add(lifetime)),
            uses: new.uses.or(role.secret_uses),
            cidrs: new.cidrs.clone(),
        };
        self.write_loose(ACCESS_TOKENS, Kind::Secret, row.id.as_str(), &row, Expected::Absent).await?;
        Ok(IssuedSecret { accessor: secret.id(), secret, expires: row.expires, uses: row.uses })
    }

    /// Returns what is known of a secret of an `AppRole`, by its accessor; `None` if there is none of that role that is still good.
    ///
    /// # Errors
    /// [`AccessError::UnknownAppRole`]; as [`Access::refresh`].
    pub async fn approle_secret(&self, name: &AppRoleName, accessor: CredentialId) -> Result<Option<AppRoleSecret>> {
        let snapshot = self.fresh().await?;
        let (_, role) = snapshot.approle(name)?;
        let found = self.read_loose::<SecretRow>(ACCESS_TOKENS, Kind::Secret, accessor.as_str()).await?;
        let row = found.map(|found| found.row).filter(|row| row.id == accessor && row.role == role.number);
        let now = self.clock.now();
        Ok(row.filter(|row| !row.has_ended(&snapshot, now)).map(SecretRow::describe))
    }

    /// Returns what is known of a secret of an `AppRole`, by the secret itself; `None` if it is none of that role that is still good.
    ///
    /// # Errors
    /// [`AccessError::UnknownAppRole`]; as [`Access::refresh`].
    pub async fn find_approle_secret(&self, name: &AppRoleName, secret: &SecretText) -> Result<Option<AppRoleSecret>> {
        let found = self.read_loose::<SecretRow>(ACCESS_TOKENS, Kind::Secret, secret.id().as_str()).await?;
        let stored = found.as_ref().map(|found| (found.row.pepper, &found.row.mac));
        if !self.verify_secret(secret, stored).await? {
            return Ok(None);
        }
        self.approle_secret(name, secret.id()).await
    }

    /// Lists the accessors of some secrets of an `AppRole`.
    ///
    /// # Errors
    /// [`AccessError::UnknownAppRole`]; as [`Access::refresh`].
    pub async fn approle_secrets(
        &self,
        name: &AppRoleName,
        after: Option<DocumentKey>,
        limit: usize,
    ) -> Result<(Vec<CredentialId>, Option<DocumentKey>)> {
        let snapshot = self.fresh().await?;
        let (_, role) = snapshot.approle(name)?;
        let page = self.list_loose::<SecretRow>(ACCESS_TOKENS, Kind::Secret, "", after, limit).await?;
        let rows = page.found.into_iter().filter_map(|(_, _, row)| row);
        Ok((rows.filter(|row| row.role == role.number).map(|row| row.id).collect(), page.next))
    }

    /// Destroys a secret of an `AppRole`, by its accessor; says whether there was one.
    ///
    /// # Errors
    /// As [`Access::refresh`].
    pub async fn destroy_approle_secret(&self, accessor: CredentialId) -> Result<bool> {
        self.fresh().await?;
        self.delete_loose(ACCESS_TOKENS, Kind::Secret, accessor.as_str(), Expected::Any).await
    }

    /// Logs a program in: a role id and a secret for a token.
    ///
    /// # Errors
    /// [`Refused`], which says the same of every role id and secret that are not good.
    pub async fn login_approle(
        &self,
        role_id: &str,
        secret: &str,
        peer: &PeerInfo,
    ) -> std::result::Result<IssuedToken, Refused> {
        let secret = SecretText::parse(secret).map_err(|_| Refused::new(RefusedReason::Malformed))?;
        if *secret.kind() != CredentialKind::AppRoleSecret {
            return Err(Refused::new(RefusedReason::Malformed));
        }
        let refused = |reason| Refused::of(secret.id(), reason);
        let snapshot = self.fresh().await?;
        let role = snapshot.approles.values().find(|(_, role)| role.role_id.as_str() == role_id).map(|(_, role)| role);
        for _ in 0..MAX_ATTEMPTS {
            let found = self.read_loose::<SecretRow>(ACCESS_TOKENS, Kind::Secret, secret.id().as_str()).await?;
            let stored = found.as_ref().map(|found| (found.row.pepper, &found.row.mac));
            let verified = self.verify_secret(&secret, stored).await?;
            let Some(Loose { revision, row }) = found else { return Err(refused(RefusedReason::Unknown)) };
            if !verified || row.id != secret.id() {
                return Err(refused(RefusedReason::WrongSecret));
            }
            let Some(role) = role.filter(|role| role.number == row.role) else {
                return Err(refused(RefusedReason::Unknown));
            };
            if row.has_ended(&snapshot, self.clock.now()) {
                return Err(refused(RefusedReason::Expired));
            }
            if !admits(&role.secret_cidrs, peer.address) || !admits(&row.cidrs, peer.address) {
                return Err(refused(RefusedReason::Address));
            }
            // The use is counted before the token is made: of two who share the last one, one gets it.
            let expected = Expected::Revision(revision);
            let id = row.id;
            let counted = match row.uses {
                None => Ok(true),
                Some(uses) if uses <= 1 => self.delete_loose(ACCESS_TOKENS, Kind::Secret, id.as_str(), expected).await,
                Some(uses) => {
                    let row = SecretRow { uses: Some(uses - 1), ..row };
                    self.write_loose(ACCESS_TOKENS, Kind::Secret, id.as_str(), &row, expected).await.map(|_| true)
                }
            };
            match counted {
                Ok(true) => return Ok(self.issue_token(&snapshot, role.token(), None, 0).await?),
                Ok(false) => return Err(refused(RefusedReason::Unknown)),
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AccessError::Conflict.into())
    }
}

/// Requires that an `AppRole` is within bounds.
fn check(role: &AppRole) -> Result<()> {
    if role.policies.iter().any(PolicyName::is_root) {
        return Err(AccessError::NotPermitted("no AppRole gives tokens with the policy `root`"));
    }
    let zero = |time: Option<Duration>| time.is_some_and(|time| time.as_millis() == 0);
    let times = [role.token_lifetime, role.token_max_lifetime, role.token_period, role.secret_lifetime];
    if times.into_iter().any(zero) || role.token_uses == Some(0) || role.secret_uses == Some(0) {
        return Err(AccessError::Invalid { what: "an AppRole", bound: "has lifetimes and numbers above nothing" });
    }
    if role.token_cidrs.len() > MAX_CIDRS || role.secret_cidrs.len() > MAX_CIDRS {
        return Err(AccessError::Invalid { what: "an AppRole", bound: "has at most 64 ranges of addresses" });
    }
    Ok(())
}
