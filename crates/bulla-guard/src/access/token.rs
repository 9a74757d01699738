//! Tokens: credentials that live shortly, are renewed, and make others with no more power than their own (spec, "Tokens").

use std::time::Duration;

use bulla_backend::{DocumentKey, ErrorKind, Expected, Timestamp};
use bulla_seal::KeyVersionId;

use super::codec::record;
use super::error::{AccessError, Result};
use super::loose::Loose;
use super::principal::RefusedReason;
use super::sealed::{ACCESS_TOKENS, Kind};
use super::snapshot::Snapshot;
use super::text::{CredentialKind, SecretMac};
use super::{Access, Capabilities, Capability, Cidr, CredentialId, PolicyName, Principal, PrincipalKind, SecretText};

/// Most tokens of which each was made by the one before.
pub const MAX_TOKEN_DEPTH: usize = 16;
/// Longest name that is shown for a token, and most bytes of what else is said of it.
const MAX_NAME_LEN: usize = 200;
/// How often a lost race for one token is tried again.
const MAX_ATTEMPTS: usize = 100;

/// What a token is to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewToken {
    /// Its policies; those of whoever makes it, if there are none. `default` comes with them.
    pub policies: Vec<PolicyName>,
    /// Leaves `default` away.
    pub no_default_policy: bool,
    /// How long it lives until it is renewed; the project's lifetime by default, or for the `root` policy for ever.
    pub lifetime: Option<Duration>,
    /// How long it may live, however often it is renewed.
    pub max_lifetime: Option<Duration>,
    /// Makes it periodic: it can be renewed for this long again and again. Needs `sudo`.
    pub period: Option<Duration>,
    /// How often it can be used; without, any number of times.
    pub uses: Option<u64>,
    /// Forbids renewal.
    pub not_renewable: bool,
    /// Makes it a token of nobody, which lives on when its maker is revoked. Needs `sudo`, or `auth/token/create-orphan`.
    pub orphan: bool,
    /// Where it may be used from; nothing for everywhere.
    pub cidrs: Vec<Cidr>,
    /// What it is called in the audit log.
    pub display_name: String,
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Token {
    /// Its accessor: with it a token is looked up and revoked, and nobody let in.
    pub accessor: CredentialId,
    /// Its policies.
    pub policies: Vec<PolicyName>,
    /// What it is called.
    pub display_name: String,
    /// The token that made it.
    pub parent: Option<CredentialId>,
    /// When it was made.
    pub created: Timestamp,
    /// Until when it is good; `None` for ever.
    pub expires: Option<Timestamp>,
    /// How long a renewal is good for, if not told otherwise.
    pub lifetime: Option<Duration>,
    /// Beyond which time from its making it is not renewed.
    pub max_lifetime: Option<Duration>,
    /// How long each renewal of a periodic token is good for.
    pub period: Option<Duration>,
    /// How often it can still be used.
    pub uses: Option<u64>,
    /// Whether it can be renewed.
    pub is_renewable: bool,
    /// Where it may be used from; nothing for everywhere.
    pub cidrs: Vec<Cidr>,
}

/// A token that was made just now, with its secret.
#[derive(Debug)]
#[non_exhaustive]
pub struct IssuedToken {
    /// What its holder presents. It is shown now and never again.
    pub secret: SecretText,
    /// What is known of it.
    pub token: Token,
}

/// How far a sweep is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// How many documents it deleted.
    pub deleted: usize,
    /// How many it could not read. They let nobody in.
    pub unreadable: usize,
    /// Where the next step begins; `None` if this was the last.
    pub next: Option<DocumentKey>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenRow {
    pub(crate) id: CredentialId,
    pub(crate) pepper: KeyVersionId,
    pub(crate) mac: SecretMac,
    pub(crate) parent: Option<CredentialId>,
    pub(crate) depth: u64,
    pub(crate) policies: Vec<PolicyName>,
    pub(crate) display_name: String,
    pub(crate) created: Timestamp,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) lifetime: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) period: Option<Duration>,
    pub(crate) uses: Option<u64>,
    pub(crate) is_renewable: bool,
    pub(crate) cidrs: Vec<Cidr>,
}

record!(TokenRow {
    id,
    pepper,
    mac,
    parent,
    depth,
    policies,
    display_name,
    created,
    expires,
    lifetime,
    max_lifetime,
    period,
    uses,
    is_renewable,
    cidrs,
});

impl TokenRow {
    pub(crate) fn describe(&self) -> Token {
        Token {
            accessor: self.id,
            policies: self.policies.clone(),
            display_name: self.display_name.clone(),
            parent: self.parent,
            created: self.created,
            expires: self.expires,
            lifetime: self.lifetime,
            max_lifetime: self.max_lifetime,
            period: self.period,
            uses: self.uses,
            is_renewable: self.is_renewable,
            cidrs: self.cidrs.clone(),
        }
    }

    /// Requires that it is good by what stands in it.
    pub(crate) fn check(&self, snapshot: &Snapshot, now: Timestamp) -> std::result::Result<(), RefusedReason> {
        if self.expires.is_some_and(|expires| expires <= now) {
            return Err(RefusedReason::Expired);
        }
        if snapshot.tokens_since().is_some_and(|since| self.created <= since) {
            return Err(RefusedReason::AllRevoked);
        }
        Ok(())
    }

    /// Returns until when it is good if it is renewed at a moment.
    fn renewed(&self, now: Timestamp, wanted: Option<Duration>) -> Option<Timestamp> {
        let lifetime = self.period.or(wanted).or(self.lifetime)?;
        let longest = self.max_lifetime.map(|longest| self.created.saturating_add(longest));
        let until = now.saturating_add(lifetime);
        Some(longest.map_or(until, |longest| until.min(longest)))
    }
}

impl Access {
    /// Makes a token. What it may do is never more than what its maker may: its policies are among those of the maker, unless the maker is
    /// `root`, has `sudo` on `auth/token/create`, or has every permission on every resource.
    ///
    /// A token that a token makes is its child: it is good for nothing once its parent is none any more.
    ///
    /// # Errors
    /// [`AccessError::NotPermitted`], [`AccessError::UnknownPolicy`]; [`AccessError::Invalid`] for what is out of bounds; as
    /// [`Access::refresh`].
    pub async fn create_token(&self, maker: &Principal, new: &NewToken) -> Result<IssuedToken> {
        let snapshot = self.fresh().await?;
        let (may_all, may_orphan) = rights(maker);
        let refuse = |why| Err(AccessError::NotPermitted(why));
        if maker.has_counted_uses {
            return refuse("a token whose uses are counted makes no others");
        }
        if maker.kind != PrincipalKind::Token && !may_all {
            return refuse("a token is made by a token, or by those with every permission on every resource");
        }
        let mut policies = if new.policies.is_empty() { maker.policies.clone() } else { new.policies.clone() };
        if !may_all && !policies.iter().all(|policy| maker.policies.contains(policy)) {
            return refuse("a token has no other policies than those of its maker");
        }
        if !may_all && new.period.is_some() {
            return refuse("a periodic token is made by those with `sudo` on `auth/token/create`");
        }
        if new.orphan && !may_all && !may_orphan {
            return refuse("a token of nobody is made by those with `sudo`, or with `auth/token/create-orphan`");
        }
        if !maker.rules.is_root() && maker.kind == PrincipalKind::Token && policies.iter().any(PolicyName::is_root) {
            return refuse("a token with the policy `root` is made by one that has it");
        }
        // `default` is added to what was asked for, and was the maker's as well if it did not leave it away.
        let default = PolicyName::default_policy()
            .filter(|default| !new.no_default_policy && (may_all || maker.policies.contains(default)));
        if policies.iter().any(PolicyName::is_root) {
            policies.retain(PolicyName::is_root);
        } else {
            policies.extend(default);
        }
        policies.sort_unstable();
        policies.dedup();
        let parent = maker.credential.filter(|_| maker.kind == PrincipalKind::Token && !new.orphan);
        let depth = match parent {
            None => 0,
            Some(parent) => self.read_token(parent).await?.ok_or(AccessError::UnknownToken)?.row.depth + 1,
        };
        if depth >= MAX_TOKEN_DEPTH as u64 {
            return refuse("a token has at most 15 tokens before it");
        }
        self.issue_token(&snapshot, NewToken { policies, ..new.clone() }, parent, depth).await
    }

    /// Makes the first token of a project, with the policy `root`, which never expires. For whoever holds the project's machine.
    ///
    /// # Errors
    /// As [`Access::refresh`].
    ///
    /// # Security
    /// It may do everything. Make what you need with it, and revoke it.
    pub async fn create_root_token(&self) -> Result<IssuedToken> {
        let snapshot = self.fresh().await?;
        let root = "root".parse().map_err(|_| AccessError::Invalid { what: "a policy", bound: "has a name" })?;
        let new = NewToken { policies: vec![root], display_name: "root".to_owned(), ..NewToken::default() };
        self.issue_token(&snapshot, new, None, 0).await
    }

    /// Makes a token whose policies were decided already.
    pub(crate) async fn issue_token(
        &self,
        snapshot: &Snapshot,
        new: NewToken,
        parent: Option<CredentialId>,
        depth: u64,
    ) -> Result<IssuedToken> {
        let invalid = |what, bound| Err(AccessError::Invalid { what, bound });
        if new.display_name.len() > MAX_NAME_LEN || new.cidrs.len() > 64 {
            return invalid("a token", "has a name of at most 200 bytes, and at most 64 ranges of addresses");
        }
        let zero = |time: Option<Duration>| time.is_some_and(|time| time.as_millis() == 0);
        if new.uses == Some(0) || zero(new.lifetime) || zero(new.max_lifetime) || zero(new.period) {
            return invalid("a token", "has lifetimes and a number of uses above nothing");
        }
        snapshot.check_policies(&new.policies)?;
        let settings = snapshot.settings();
        let is_root = new.policies.iter().any(PolicyName::is_root);
        let lifetime = new.lifetime.or((!is_root).then_some(settings.token_lifetime));
        // A periodic token has no longest life but its own.
        let longest = (!is_root && new.period.is_none()).then_some(settings.max_token_lifetime);
        let max_lifetime = new.max_lifetime.into_iter().chain(longest).min();
        let now = self.clock.now();
        let (secret, pepper, mac) = self.draw(CredentialKind::Token).await?;
        let mut row = TokenRow {
            id: secret.id(),
            pepper,
            mac,
            parent,
            depth,
            policies: new.policies,
            display_name: new.display_name,
            created: now,
            expires: None,
            lifetime,
            max_lifetime,
            period: new.period,
            uses: new.uses,
            is_renewable: !new.not_renewable,
            cidrs: new.cidrs,
        };
        row.expires = row.renewed(now, None).or_else(|| row.max_lifetime.map(|longest| now.saturating_add(longest)));
        self.write_loose(ACCESS_TOKENS, Kind::Token, row.id.as_str(), &row, Expected::Absent).await?;
        Ok(IssuedToken { secret, token: row.describe() })
    }

    /// Returns what is known of a token, by its accessor.
    ///
    /// # Errors
    /// [`AccessError::UnknownToken`] for one that is none any more; as [`Access::refresh`].
    pub async fn lookup_token(&self, accessor: CredentialId) -> Result<Token> {
        let snapshot = self.fresh().await?;
        Ok(self.good_token(&snapshot, accessor).await?.row.describe())
    }

    /// Returns what is known of a token, by the token itself. It is not used by that.
    ///
    /// # Errors
    /// [`AccessError::UnknownToken`] for one that is none, or none any more; as [`Access::refresh`].
    pub async fn find_token(&self, secret: &SecretText) -> Result<Token> {
        let snapshot = self.fresh().await?;
        let found = self.read_token(secret.id()).await?;
        let stored = found.as_ref().map(|found| (found.row.pepper, &found.row.mac));
        if !self.verify_secret(secret, stored).await? {
            return Err(AccessError::UnknownToken);
        }
        Ok(self.good_token(&snapshot, secret.id()).await?.row.describe())
    }

    /// Lists some tokens by their accessors; a token that ended is listed until it is swept away.
    ///
    /// # Errors
    /// As [`Access::refresh`].
    pub async fn tokens(&self, after: Option<DocumentKey>, limit: usize) -> Result<(Vec<Token>, Option<DocumentKey>)> {
        self.fresh().await?;
        let page = self.list_loose::<TokenRow>(ACCESS_TOKENS, Kind::Token, "", after, limit).await?;
        Ok((page.found.into_iter().filter_map(|(_, _, row)| Some(row?.describe())).collect(), page.next))
    }

    /// Renews a token, by its accessor, for `wanted` or its own lifetime, as far as its longest life goes; a periodic one for its period.
    ///
    /// # Errors
    /// [`AccessError::UnknownToken`], [`AccessError::NotRenewable`]; as [`Access::refresh`].
    pub async fn renew_token(&self, accessor: CredentialId, wanted: Option<Duration>) -> Result<Token> {
        for _ in 0..MAX_ATTEMPTS {
            let snapshot = self.fresh().await?;
            let Loose { revision, row } = self.good_token(&snapshot, accessor).await?;
            if !row.is_renewable {
                return Err(AccessError::NotRenewable);
            }
            let expires = row.renewed(self.clock.now(), wanted);
            let renewed = TokenRow { expires: if row.expires.is_none() { None } else { expires }, ..row };
            let expected = Expected::Revision(revision);
            match self.write_loose(ACCESS_TOKENS, Kind::Token, accessor.as_str(), &renewed, expected).await {
                Ok(_) => return Ok(renewed.describe()),
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
        Err(AccessError::Conflict)
    }

    /// Revokes a token, by its accessor, and with it all that it made, and those made; says whether there was one.
    ///
    /// # Errors
    /// As [`Access::refresh`].
    pub async fn revoke_token(&self, accessor: CredentialId) -> Result<bool> {
        self.fresh().await?;
        self.delete_loose(ACCESS_TOKENS, Kind::Token, accessor.as_str(), Expected::Any).await
    }

    /// Deletes up to `limit` tokens, and secrets of `AppRole`s, that are good for nothing any more, among as many documents.
    ///
    /// # Errors
    /// As [`Access::refresh`].
    pub async fn sweep_tokens(&self, after: Option<DocumentKey>, limit: usize) -> Result<Swept> {
        let snapshot = self.fresh().await?;
        let now = self.clock.now();
        let has_passed_secrets = after.as_ref().is_some_and(|after| !after.as_bytes().starts_with(b"secret/"));
        let mut swept = Swept { deleted: 0, unreadable: 0, next: None };
        // Secrets come first in the order of keys, and then tokens.
        if !has_passed_secrets {
            let page =
                self.list_loose::<super::approle::SecretRow>(ACCESS_TOKENS, Kind::Secret, "", after, limit).await?;
            for (id, revision, row) in page.found {
                let ended = row.as_ref().map(|row| row.has_ended(&snapshot, now));
                self.sweep(Kind::Secret, &id, revision, ended, &mut swept).await?;
            }
            swept.next = match page.next {
                Some(next) => Some(next),
                None => Some(DocumentKey::new(&b"token"[..])?),
            };
            return Ok(swept);
        }
        let page = self.list_loose::<TokenRow>(ACCESS_TOKENS, Kind::Token, "", after, limit).await?;
        for (id, revision, row) in page.found {
            let ended = match &row {
                None => None,
                Some(row) if row.check(&snapshot, now).is_err() => Some(true),
                Some(row) => Some(match self.check_parents(&snapshot, row).await {
                    Ok(()) => false,
                    Err(RefusedReason::Unavailable(error)) => return Err(error),
                    Err(_) => true,
                }),
            };
            self.sweep(Kind::Token, &id, revision, ended, &mut swept).await?;
        }
        swept.next = page.next;
        Ok(swept)
    }

    async fn sweep(
        &self,
        kind: Kind,
        id: &[u8],
        revision: bulla_backend::Revision,
        ended: Option<bool>,
        swept: &mut Swept,
    ) -> Result<()> {
        match (ended, std::str::from_utf8(id)) {
            (Some(true), Ok(id)) => {
                // One that was renewed meanwhile stays.
                match self.delete_loose(ACCESS_TOKENS, kind, id, Expected::Revision(revision)).await {
                    Ok(was_there) => swept.deleted += usize::from(was_there),
                    Err(error) if error.is_conflict() => {}
                    Err(error) => return Err(error),
                }
            }
            (Some(false), _) => {}
            _ => swept.unreadable += 1,
        }
        Ok(())
    }

    async fn good_token(&self, snapshot: &Snapshot, id: CredentialId) -> Result<Loose<TokenRow>> {
        let found = self.read_token(id).await?.ok_or(AccessError::UnknownToken)?;
        match found.row.check(snapshot, self.clock.now()) {
            Ok(()) => {}
            Err(_) => return Err(AccessError::UnknownToken),
        }
        match self.check_parents(snapshot, &found.row).await {
            Ok(()) => Ok(found),
            Err(RefusedReason::Unavailable(error)) => Err(error),
            Err(_) => Err(AccessError::UnknownToken),
        }
    }

    /// Requires that every token before this one is good.
    pub(crate) async fn check_parents(
        &self,
        snapshot: &Snapshot,
        row: &TokenRow,
    ) -> std::result::Result<(), RefusedReason> {
        let (mut parent, mut depth) = (row.parent, row.depth);
        while let Some(id) = parent {
            let found = self.read_token(id).await.map_err(RefusedReason::Unavailable)?;
            let found = found.ok_or(RefusedReason::ParentGone)?.row;
            // Each step is one up, so that no circle is walked for ever.
            if found.depth + 1 != depth || found.check(snapshot, self.clock.now()).is_err() {
                return Err(RefusedReason::ParentGone);
            }
            (parent, depth) = (found.parent, found.depth);
        }
        Ok(())
    }

    /// Uses a token once; says whether it was still there to be used.
    pub(crate) async fn use_token(&self, mut found: Loose<TokenRow>) -> Result<bool> {
        for _ in 0..MAX_ATTEMPTS {
            let id = found.row.id;
            let expected = Expected::Revision(found.revision);
            let used = match found.row.uses {
                None => return Ok(true),
                Some(uses) if uses <= 1 => self.delete_loose(ACCESS_TOKENS, Kind::Token, id.as_str(), expected).await,
                Some(uses) => {
                    let row = TokenRow { uses: Some(uses - 1), ..found.row };
                    self.write_loose(ACCESS_TOKENS, Kind::Token, id.as_str(), &row, expected).await.map(|_| true)
                }
            };
            match used {
                Err(AccessError::Backend(error)) if error.kind() == ErrorKind::Conflict => {}
                used => return used,
            }
            match self.read_token(id).await? {
                Some(again) => found = again,
                None => return Ok(false),
            }
        }
        Err(AccessError::Conflict)
    }
}

/// Says whether somebody may hand out every policy.
pub(crate) fn gives_all_policies(giver: &Principal) -> bool {
    giver.rules.is_everything() || on(giver, "auth/token/create").contains(Capability::Sudo)
}

/// Returns what the policies of somebody allow on a path.
pub(crate) fn on(giver: &Principal, path: &str) -> Capabilities {
    path.parse().map_or(Capabilities::NONE, |path| giver.capabilities(&path))
}

/// Says whether somebody may hand out every policy, and make tokens of nobody.
fn rights(maker: &Principal) -> (bool, bool) {
    let on = |path: &str| on(maker, path);
    let may_all = gives_all_policies(maker);
    let orphan = on("auth/token/create-orphan");
    (may_all, orphan.contains(Capability::Update) || orphan.contains(Capability::Create))
}
