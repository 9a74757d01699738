//! The one road in: a credential comes, and somebody with rules goes on, or nobody does.

use std::net::IpAddr;
use std::sync::Arc;

use bulla_backend::{Expected, Timestamp};
use bulla_keyring::{KeyringError, SystemKey};
use bulla_seal::{KeyVersionId, constant_time_eq};

use super::api_key::{KeyRow, RevocationReason, RevokedRow};
use super::binding::{BindingRow, BindingSubject, CertificateFields};
use super::cidr::admits;
use super::compile::Granted;
use super::error::Result;
use super::machine::{MachineSignature, RequestDigest};
use super::principal::{Principal, PrincipalKind, Refused, RefusedReason};
use super::sealed::{ACCESS_TOKENS, Kind};
use super::snapshot::Snapshot;
use super::text::{CredentialKind, SecretMac};
use super::{Access, CredentialId, RoleGrant, SecretText};

/// By what somebody wants to be known.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Credential<'a> {
    /// An API key or a token, as it was presented.
    Bearer(&'a SecretText),
    /// A client certificate that was verified.
    Certificate(&'a CertificateFields),
    /// A process on this machine, as the operating system knows it.
    Peer {
        /// Its user.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// A request that a machine signed.
    Machine(&'a MachineSignature, &'a RequestDigest<'a>),
}

/// From where somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerInfo {
    /// The address, if there is one; never one that the peer says itself.
    pub address: Option<IpAddr>,
}

impl Access {
    /// Finds out who asks. One answer is good for one request: what changes is seen within a second, by asking again.
    ///
    /// # Errors
    /// [`Refused`], which says the same of every credential that is not good; [`Refused::is_unavailable`] if nobody can be let in.
    ///
    /// # Security
    /// An id that is not known costs as much as one that is. Count attempts by their source all the same, before this is called.
    pub async fn authenticate(
        &self,
        credential: &Credential<'_>,
        peer: &PeerInfo,
    ) -> std::result::Result<Principal, Refused> {
        let snapshot = self.fresh().await?;
        let now = self.clock.now();
        match credential {
            Credential::Bearer(secret) => match secret.kind() {
                CredentialKind::ApiKey { environment } => self.of_api_key(&snapshot, secret, environment, now).await,
                CredentialKind::Token => self.of_token(&snapshot, secret, peer, now).await,
                CredentialKind::AppRoleSecret => Err(Refused::of(secret.id(), RefusedReason::Malformed)),
            },
            Credential::Certificate(fields) => of_certificate(&snapshot, fields),
            Credential::Peer { uid, gid } => self.of_peer(&snapshot, *uid, *gid),
            Credential::Machine(signature, request) => self.of_machine(&snapshot, signature, request, now).await,
        }
    }

    async fn of_api_key(
        &self,
        snapshot: &Arc<Snapshot>,
        secret: &SecretText,
        environment: &str,
        now: Timestamp,
    ) -> std::result::Result<Principal, Refused> {
        let refused = |reason| Refused::of(secret.id(), reason);
        let row = snapshot.keys.get(&secret.id()).map(|(_, row)| row);
        let verified = self.verify_secret(secret, row.map(|row| (row.pepper, &row.mac))).await?;
        let Some(row) = row else { return Err(refused(RefusedReason::Unknown)) };
        if !verified || row.environment != environment {
            return Err(refused(RefusedReason::WrongSecret));
        }
        if let Some(revoked) = &row.revoked {
            return Err(refused(RefusedReason::Revoked(revoked.reason)));
        }
        if row.expires <= now {
            // That it is marked helps who reads the list; it lets nobody in either way.
            let expired = RevokedRow::new(now, RevocationReason::Expired, String::new());
            let _ = self.touch_key(row, |row| row.revoked = Some(expired.clone())).await;
            return Err(refused(RefusedReason::Expired));
        }
        let Some(granted) = snapshot.of_key(row) else { return Err(refused(RefusedReason::OwnerGone)) };
        self.renew_mac(row, secret).await;
        self.note_use(row.id, now).await;
        let Granted { rules, roles, requests_per_minute } = granted;
        Ok(Principal {
            kind: PrincipalKind::ApiKey,
            id: row.owner_name.to_string(),
            user: Some(row.owner_name.clone()),
            roles,
            policies: Vec::new(),
            credential: Some(row.id),
            requests_per_minute,
            expires: Some(row.expires),
            has_counted_uses: false,
            rules,
        })
    }

    async fn of_token(
        &self,
        snapshot: &Snapshot,
        secret: &SecretText,
        peer: &PeerInfo,
        now: Timestamp,
    ) -> std::result::Result<Principal, Refused> {
        let refused = |reason| Refused::of(secret.id(), reason);
        let found = self.read_token(secret.id()).await?;
        let stored = found.as_ref().map(|found| (found.row.pepper, &found.row.mac));
        let verified = self.verify_secret(secret, stored).await?;
        let Some(found) = found else { return Err(refused(RefusedReason::Unknown)) };
        if !verified {
            return Err(refused(RefusedReason::WrongSecret));
        }
        found.row.check(snapshot, now).map_err(refused)?;
        if !admits(&found.row.cidrs, peer.address) {
            return Err(refused(RefusedReason::Address));
        }
        self.check_parents(snapshot, &found.row).await.map_err(refused)?;
        let row = found.row.clone();
        if row.uses.is_some() {
            if !self.use_token(found).await? {
                return Err(refused(RefusedReason::Unknown));
            }
        } else if let Ok(Some((pepper, mac))) = self.newer_mac(row.pepper, secret).await {
            let renewed = super::token::TokenRow { pepper, mac, ..row.clone() };
            let expected = Expected::Revision(found.revision);
            // The old one serves as well; the next use tries again.
            let _ = self.write_loose(ACCESS_TOKENS, Kind::Token, row.id.as_str(), &renewed, expected).await;
        }
        Ok(Principal {
            kind: PrincipalKind::Token,
            id: row.id.to_string(),
            user: None,
            roles: Vec::new(),
            rules: snapshot.of_policies(&row.policies),
            policies: row.policies,
            credential: Some(row.id),
            requests_per_minute: None,
            expires: row.expires,
            has_counted_uses: row.uses.is_some(),
        })
    }

    fn of_peer(&self, snapshot: &Snapshot, uid: u32, gid: u32) -> std::result::Result<Principal, Refused> {
        let bindings = snapshot.bindings_of(|of| match of {
            BindingSubject::Uid(bound) => *bound == uid,
            BindingSubject::Gid(bound) => *bound == gid,
            _ => false,
        });
        // Whoever owns the project's files can do all of it anyway, unless they bound themselves to less.
        let is_owner = self.options.owner_uid == Some(uid);
        bound(snapshot, PrincipalKind::Peer, format!("uid:{uid}"), &bindings, is_owner)
    }

    async fn of_machine(
        &self,
        snapshot: &Snapshot,
        signature: &MachineSignature,
        request: &RequestDigest<'_>,
        now: Timestamp,
    ) -> std::result::Result<Principal, Refused> {
        let fingerprint = signature.machine();
        // The look at the trust log is as fresh as the snapshot.
        let machine = self.keyring.machine(fingerprint).await.map_err(super::AccessError::from)?;
        let machine = machine.ok_or(Refused::new(RefusedReason::Unknown))?;
        signature.verify(&machine.public.signing(), &self.keyring.project(), request).map_err(Refused::new)?;
        self.replays.take(signature, now).map_err(Refused::new)?;
        let bindings = snapshot.bindings_of(|of| *of == BindingSubject::Machine(fingerprint));
        // Who lets machines in can do all of it anyway.
        let may_authorise = machine.capability.is_some_and(bulla_keyring::Capability::may_authorise);
        bound(snapshot, PrincipalKind::Machine, machine.name.to_string(), &bindings, may_authorise)
    }

    /// Says whether a secret is the one whose HMAC is stored. Where nothing is stored, it does the same work for nothing.
    pub(crate) async fn verify_secret(
        &self,
        secret: &SecretText,
        stored: Option<(KeyVersionId, &SecretMac)>,
    ) -> Result<bool> {
        let pepper = SystemKey::pepper();
        let id = match stored {
            Some((id, _)) => id,
            None => match self.keyring.find_system_key(&pepper).await {
                Ok(Some(newest)) => newest.id(),
                // Nobody has a credential yet; or the pepper is about to be renewed.
                Ok(None) | Err(KeyringError::OldEpoch { .. }) => return Ok(false),
                Err(error) => return Err(error.into()),
            },
        };
        let version = self.keyring.system_version(&pepper, id).await?;
        let tag = version.tag(secret.message().expose());
        let mac = stored.map_or(&self.nothing, |(_, mac)| mac);
        Ok(constant_time_eq(&tag, mac) && stored.is_some())
    }

    /// Returns the HMAC under the newest version of the pepper, if that is another one.
    async fn newer_mac(&self, pepper: KeyVersionId, secret: &SecretText) -> Result<Option<(KeyVersionId, SecretMac)>> {
        let newest = self.keyring.system_key(&SystemKey::pepper()).await?;
        Ok((newest.id() != pepper).then(|| (newest.id(), newest.tag(secret.message().expose()))))
    }

    /// Brings the HMAC of an API key under the newest version of the pepper. The old one serves as well: what fails is tried at the next use.
    async fn renew_mac(&self, row: &Arc<KeyRow>, secret: &SecretText) {
        if let Ok(Some((pepper, mac))) = self.newer_mac(row.pepper, secret).await {
            let _ = self.touch_key(row, |row| (row.pepper, row.mac) = (pepper, mac)).await;
        }
    }
}

fn of_certificate(snapshot: &Snapshot, fields: &CertificateFields) -> std::result::Result<Principal, Refused> {
    let matches = |of: &BindingSubject| matches!(of, BindingSubject::Certificate(rule) if rule.matches(fields));
    let bindings = snapshot.bindings_of(matches);
    let names = fields.uris.first().or(fields.dns.first()).or(fields.emails.first()).or(fields.common_name.as_ref());
    let id = names.cloned().unwrap_or_else(|| format!("serial:{}", fields.serial));
    bound(snapshot, PrincipalKind::Certificate, id, &bindings, false)
}

/// Returns what all bindings of somebody come to; without any, they are an administrator or nobody.
fn bound(
    snapshot: &Snapshot,
    kind: PrincipalKind,
    id: String,
    bindings: &[Arc<BindingRow>],
    is_admin: bool,
) -> std::result::Result<Principal, Refused> {
    let admin: Vec<RoleGrant> = if bindings.is_empty() && is_admin {
        "admin".parse().map(RoleGrant::everywhere).into_iter().collect()
    } else {
        Vec::new()
    };
    if bindings.is_empty() && admin.is_empty() {
        return Err(Refused::new(RefusedReason::NoBinding));
    }
    let mut user = None;
    for binding in bindings {
        let Some(name) = &binding.user else { continue };
        let found = snapshot.users.get(name).filter(|(_, user)| Some(user.number) == binding.user_number);
        let (_, found) = found.ok_or(Refused::new(RefusedReason::OwnerGone))?;
        if user.replace(found).is_some_and(|before| before.number != found.number) {
            return Err(Refused::new(RefusedReason::Ambiguous));
        }
    }
    let of_user = user.iter().flat_map(|user| &user.grants);
    let of_bindings = bindings.iter().flat_map(|binding| &binding.grants);
    let Granted { rules, roles, requests_per_minute } = snapshot.of_grants(of_user.chain(of_bindings).chain(&admin));
    Ok(Principal {
        kind,
        id,
        user: user.map(|user| user.name.clone()),
        roles,
        policies: Vec::new(),
        credential: None,
        requests_per_minute,
        expires: None,
        has_counted_uses: false,
        rules,
    })
}

impl Access {
    /// Revokes the token that somebody presented, and with it all that it made.
    ///
    /// # Errors
    /// [`AccessError::UnknownToken`](super::AccessError::UnknownToken) if they presented none; as [`Access::refresh`].
    pub async fn revoke_self(&self, principal: &Principal) -> Result<bool> {
        self.revoke_token(own_token(principal)?).await
    }

    /// Renews the token that somebody presented.
    ///
    /// # Errors
    /// As [`Access::renew_token`].
    pub async fn renew_self(&self, principal: &Principal, wanted: Option<std::time::Duration>) -> Result<super::Token> {
        self.renew_token(own_token(principal)?, wanted).await
    }

    /// Returns what is known of the token that somebody presented.
    ///
    /// # Errors
    /// As [`Access::lookup_token`].
    pub async fn lookup_self(&self, principal: &Principal) -> Result<super::Token> {
        self.lookup_token(own_token(principal)?).await
    }
}

fn own_token(principal: &Principal) -> Result<CredentialId> {
    let own = principal.credential.filter(|_| principal.kind == PrincipalKind::Token);
    own.ok_or(super::AccessError::UnknownToken)
}
