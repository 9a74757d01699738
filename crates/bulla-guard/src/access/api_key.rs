//! API keys: made, rolled over, revoked and listed. The secret is shown once, and only an HMAC of it is stored.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bulla_backend::Timestamp;
use bulla_keyring::SystemKey;
use bulla_seal::KeyVersionId;

use super::codec::{Field, record};
use super::error::{AccessError, Result};
use super::sealed::{Kind, Place};
use super::snapshot::{Object, Snapshot};
use super::store::{Edit, MAX_EDITS};
use super::text::{CredentialKind, SecretMac, is_environment};
use super::{Access, CredentialId, Pattern, Permissions, RoleName, SecretText, UserName};

/// Longest label of an API key, and longest words beside the reason of a revocation, in bytes.
pub const MAX_LABEL_LEN: usize = 200;

/// What an API key is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiKey {
    /// The word for where it is used, `live` by default: 1 to 16 of `a`–`z` and `0`–`9`.
    pub environment: String,
    /// How long it lives; the project's lifetime by default.
    pub lifetime: Option<Duration>,
    /// Which of its owner's roles it has; all by default, also those that the owner gets later.
    pub roles: Option<Vec<RoleName>>,
    /// Which of their permissions it has; all by default.
    pub permissions: Option<Permissions>,
    /// For which resources it is good; all by default.
    pub pattern: Option<Pattern>,
    /// How many requests a minute it may make, if not as many as others.
    pub requests_per_minute: Option<u32>,
    /// What it is for, in words.
    pub label: String,
}

impl Default for NewApiKey {
    fn default() -> Self {
        Self {
            environment: "live".to_owned(),
            lifetime: None,
            roles: None,
            permissions: None,
            pattern: None,
            requests_per_minute: None,
            label: String::new(),
        }
    }
}

/// An API key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiKey {
    /// Its id, with which it can be shown.
    pub id: CredentialId,
    /// Where it is used.
    pub environment: String,
    /// Whose it is, or was.
    pub owner: UserName,
    /// Which of its owner's roles it has; `None` for all.
    pub roles: Option<Vec<RoleName>>,
    /// Which of their permissions it has; `None` for all.
    pub permissions: Option<Permissions>,
    /// For which resources it is good; `None` for all.
    pub pattern: Option<Pattern>,
    /// How many requests a minute it may make, if not as many as others.
    pub requests_per_minute: Option<u32>,
    /// What it is for.
    pub label: String,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is good for nothing.
    pub expires: Timestamp,
    /// When, why and with which words it was revoked.
    pub revoked: Option<Revocation>,
    /// The key that it succeeds.
    pub predecessor: Option<CredentialId>,
    /// The key that succeeds it.
    pub successor: Option<CredentialId>,
}

/// That an API key was revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revocation {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
    /// What was said about it.
    pub words: String,
}

/// An API key that was made just now, with its secret.
#[derive(Debug)]
#[non_exhaustive]
pub struct IssuedKey {
    /// What its holder presents. It is shown now and never again.
    pub secret: SecretText,
    /// What is known of it.
    pub key: ApiKey,
}

/// Why an API key was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum RevocationReason {
    /// Somebody wanted it so.
    #[default]
    Manual,
    /// Its secret is known to others.
    Compromised,
    /// Another key has taken its place.
    Superseded,
    /// Its time was over.
    Expired,
    /// Its owner is no user any more.
    OwnerLeft,
    /// What the words say.
    Other,
}

impl RevocationReason {
    const ALL: [Self; 6] =
        [Self::Manual, Self::Compromised, Self::Superseded, Self::Expired, Self::OwnerLeft, Self::Other];

    /// Returns the name that the command line and the audit log use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Manual => "manual_revocation",
            Self::Compromised => "compromised",
            Self::Superseded => "superseded",
            Self::Expired => "expired",
            Self::OwnerLeft => "owner_left",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for RevocationReason {
    type Err = ParseRevocationReasonError;

    fn from_str(text: &str) -> std::result::Result<Self, ParseRevocationReasonError> {
        Self::ALL.into_iter().find(|reason| reason.name() == text).ok_or(ParseRevocationReasonError)
    }
}

/// The text is no reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the reasons are `manual_revocation`, `compromised`, `superseded`, `expired`, `owner_left` and `other`")]
pub struct ParseRevocationReasonError;

impl Field for RevocationReason {
    fn put(&self, out: &mut super::codec::Out<'_>) -> super::codec::Written {
        out.str(self.name()).map(drop)
    }

    fn take(from: &mut minicbor::Decoder<'_>) -> Option<Self> {
        from.str().ok()?.parse().ok()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RevokedRow {
    pub(crate) at: Timestamp,
    pub(crate) reason: RevocationReason,
    words: String,
}

record!(RevokedRow { at, reason, words });

impl RevokedRow {
    pub(crate) fn new(at: Timestamp, reason: RevocationReason, words: String) -> Self {
        Self { at, reason, words }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyRow {
    pub(crate) id: CredentialId,
    pub(crate) environment: String,
    pub(crate) owner_name: UserName,
    /// The number of its owner: a later user of the same name is another.
    pub(crate) owner: [u8; 16],
    pub(crate) pepper: KeyVersionId,
    pub(crate) mac: SecretMac,
    pub(crate) roles: Option<Vec<RoleName>>,
    pub(crate) permissions: Option<Permissions>,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) requests_per_minute: Option<u32>,
    pub(crate) label: String,
    pub(crate) created: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) revoked: Option<RevokedRow>,
    pub(crate) predecessor: Option<CredentialId>,
    pub(crate) successor: Option<CredentialId>,
}

record!(KeyRow {
    id,
    environment,
    owner_name,
    owner,
    pepper,
    mac,
    roles,
    permissions,
    pattern,
    requests_per_minute,
    label,
    created,
    expires,
    revoked,
    predecessor,
    successor,
});

impl KeyRow {
    fn describe(&self) -> ApiKey {
        let revoked = self.revoked.as_ref();
        ApiKey {
            id: self.id,
            environment: self.environment.clone(),
            owner: self.owner_name.clone(),
            roles: self.roles.clone(),
            permissions: self.permissions,
            pattern: self.pattern.clone(),
            requests_per_minute: self.requests_per_minute,
            label: self.label.clone(),
            created: self.created,
            expires: self.expires,
            revoked: revoked.map(|row| Revocation { at: row.at, reason: row.reason, words: row.words.clone() }),
            predecessor: self.predecessor,
            successor: self.successor,
        }
    }

    /// Says whether the key is good for nothing any more.
    fn has_ended(&self, now: Timestamp) -> bool {
        self.revoked.is_some() || self.expires <= now
    }
}

impl Snapshot {
    fn key(&self, id: CredentialId) -> Result<&(Place, Arc<KeyRow>)> {
        self.keys.get(&id).ok_or(AccessError::UnknownKey(id))
    }
}

impl Access {
    /// Makes an API key of a user.
    ///
    /// # Errors
    /// [`AccessError::UnknownUser`]; [`AccessError::UnknownRole`] for a role that its owner has not; [`AccessError::Invalid`] for a lifetime
    /// longer than the project allows, or words out of bounds; as [`Access::refresh`], [`AccessError::Full`].
    pub async fn create_key(&self, owner: &UserName, new: &NewApiKey) -> Result<IssuedKey> {
        self.create_key_if(owner, new, |_, _| Ok(())).await
    }

    pub(crate) async fn create_key_if(
        &self,
        owner: &UserName,
        new: &NewApiKey,
        may: impl Fn(&Snapshot, &KeyRow) -> Result<()>,
    ) -> Result<IssuedKey> {
        let invalid = |what, bound| AccessError::Invalid { what, bound };
        if !is_environment(&new.environment) {
            return Err(invalid("an environment", "has 1 to 16 of the characters a-z and 0-9"));
        }
        if new.label.len() > MAX_LABEL_LEN {
            return Err(invalid("a label", "has at most 200 bytes"));
        }
        let (secret, pepper, mac) = self.draw(CredentialKind::ApiKey { environment: new.environment.clone() }).await?;
        let (place, now) = (Place::random(Kind::Key)?, self.clock.now());
        let row = self
            .change(|snapshot| {
                let (_, user) = snapshot.user(owner)?;
                let roles = new.roles.clone().map(|mut roles| {
                    roles.sort_unstable();
                    roles.dedup();
                    roles
                });
                let has = |role: &&RoleName| !user.grants.iter().any(|grant| grant.role == **role);
                if let Some(role) = roles.iter().flatten().find(has) {
                    return Err(AccessError::UnknownRole(role.clone()));
                }
                let settings = snapshot.settings();
                let lifetime = new.lifetime.unwrap_or(settings.key_lifetime);
                if lifetime > settings.max_key_lifetime || lifetime.is_zero() {
                    let bound = "is more than nothing, and at most the project's longest";
                    return Err(invalid("the lifetime of an API key", bound));
                }
                let row = Arc::new(KeyRow {
                    id: secret.id(),
                    environment: new.environment.clone(),
                    owner_name: owner.clone(),
                    owner: user.number,
                    pepper,
                    mac,
                    roles,
                    permissions: new.permissions,
                    pattern: new.pattern.clone(),
                    requests_per_minute: new.requests_per_minute,
                    label: new.label.clone(),
                    created: now,
                    expires: now.saturating_add(lifetime),
                    revoked: None,
                    predecessor: None,
                    successor: None,
                });
                may(snapshot, &row)?;
                Ok((vec![Edit::Put(place, Object::Key(Arc::clone(&row)))], row))
            })
            .await?;
        Ok(IssuedKey { secret, key: row.describe() })
    }

    /// Makes a successor of an API key, with its owner, scope and limits and the project's lifetime. The old one is good for `overlap` longer,
    /// and never beyond its own time.
    ///
    /// # Errors
    /// [`AccessError::UnknownKey`], [`AccessError::KeyEnded`], also for one that has a successor; as [`Access::refresh`].
    pub async fn roll_key(&self, id: CredentialId, overlap: Duration) -> Result<IssuedKey> {
        self.roll_key_if(id, overlap, |_, _| Ok(())).await
    }

    pub(crate) async fn roll_key_if(
        &self,
        id: CredentialId,
        overlap: Duration,
        may: impl Fn(&Snapshot, &KeyRow) -> Result<()>,
    ) -> Result<IssuedKey> {
        // It may have been made just now, by another process.
        let environment = self.look().await?.key(id)?.1.environment.clone();
        let (secret, pepper, mac) = self.draw(CredentialKind::ApiKey { environment }).await?;
        let (place, now) = (Place::random(Kind::Key)?, self.clock.now());
        let row = self
            .change(|snapshot| {
                let (old_place, old) = snapshot.key(id)?;
                let has_owner = snapshot.users.get(&old.owner_name).is_some_and(|(_, user)| user.number == old.owner);
                if old.has_ended(now) || old.successor.is_some() || !has_owner {
                    return Err(AccessError::KeyEnded(id));
                }
                let row = Arc::new(KeyRow {
                    id: secret.id(),
                    pepper,
                    mac,
                    created: now,
                    expires: now.saturating_add(snapshot.settings().key_lifetime),
                    predecessor: Some(id),
                    ..(**old).clone()
                });
                may(snapshot, &row)?;
                let mut old = (**old).clone();
                old.successor = Some(secret.id());
                old.expires = old.expires.min(now.saturating_add(overlap));
                if overlap.is_zero() {
                    old.revoked = Some(RevokedRow::new(now, RevocationReason::Superseded, String::new()));
                }
                let edits = vec![
                    Edit::Put(place, Object::Key(Arc::clone(&row))),
                    Edit::Put(*old_place, Object::Key(Arc::new(old))),
                ];
                Ok((edits, row))
            })
            .await?;
        Ok(IssuedKey { secret, key: row.describe() })
    }

    /// Revokes an API key; says whether it was not revoked already. Within a second it lets nobody in any more, in any process.
    ///
    /// # Errors
    /// [`AccessError::UnknownKey`]; [`AccessError::Invalid`] for too many words; as [`Access::refresh`].
    pub async fn revoke_key(&self, id: CredentialId, reason: RevocationReason, words: &str) -> Result<bool> {
        if words.len() > MAX_LABEL_LEN {
            return Err(AccessError::Invalid { what: "the words beside a reason", bound: "have at most 200 bytes" });
        }
        let now = self.clock.now();
        self.change(|snapshot| {
            let (place, row) = snapshot.key(id)?;
            if row.revoked.is_some() {
                return Ok((Vec::new(), false));
            }
            let mut row = (**row).clone();
            row.revoked = Some(RevokedRow::new(now, reason, words.to_owned()));
            Ok((vec![Edit::Put(*place, Object::Key(Arc::new(row)))], true))
        })
        .await
    }

    /// Returns an API key, without its secret.
    ///
    /// # Errors
    /// [`AccessError::UnknownKey`]; as [`Access::refresh`].
    pub async fn key(&self, id: CredentialId) -> Result<ApiKey> {
        Ok(self.fresh().await?.key(id)?.1.describe())
    }

    /// Returns the API keys of a user, or of all, those that have ended too.
    ///
    /// # Errors
    /// As [`Access::refresh`].
    pub async fn keys(&self, owner: Option<&UserName>) -> Result<Vec<ApiKey>> {
        let snapshot = self.fresh().await?;
        let is_theirs = |row: &&Arc<KeyRow>| owner.is_none_or(|owner| row.owner_name == *owner);
        Ok(snapshot.keys.values().map(|(_, row)| row).filter(is_theirs).map(|row| row.describe()).collect())
    }

    /// Forgets API keys that ended before a moment, some at a time; returns how many, 0 once there are none left.
    ///
    /// # Errors
    /// As [`Access::refresh`].
    pub async fn forget_keys(&self, before: Timestamp) -> Result<usize> {
        self.change(|snapshot| {
            let ended = |row: &KeyRow| row.expires < before || row.revoked.as_ref().is_some_and(|row| row.at < before);
            let old = snapshot.keys.values().filter(|(_, row)| ended(row)).take(MAX_EDITS);
            let edits: Vec<_> = old.map(|(place, _)| Edit::Delete(*place)).collect();
            let count = edits.len();
            Ok((edits, count))
        })
        .await
    }

    /// Draws a credential; returns it with the version of the pepper and the HMAC to store.
    pub(crate) async fn draw(&self, kind: CredentialKind) -> Result<(SecretText, KeyVersionId, SecretMac)> {
        let secret = SecretText::draw(kind)?;
        let pepper = self.keyring.system_key(&SystemKey::pepper()).await?;
        let mac = pepper.tag(secret.message().expose());
        Ok((secret, pepper.id(), mac))
    }

    /// Changes an API key that is as it was read, at the first try or not at all: for what is not worth a second.
    pub(crate) async fn touch_key(&self, read: &Arc<KeyRow>, edit: impl Fn(&mut KeyRow)) -> Result<()> {
        self.change(|snapshot| {
            let Some((place, row)) = snapshot.keys.get(&read.id).filter(|(_, row)| row == read) else {
                return Ok((Vec::new(), ()));
            };
            let mut row = (**row).clone();
            edit(&mut row);
            Ok((vec![Edit::Put(*place, Object::Key(Arc::new(row)))], ()))
        })
        .await
    }
}
