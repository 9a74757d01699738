//! Which quota is whose.

use std::collections::BTreeMap;

use super::peer::Peer;
use super::quota::Quota;
use super::verdict::Policy;

/// Somebody whose credential was verified.
///
/// # Security
/// Implement this only for what verification returns. The id names the principal as it is stored; a name that somebody merely presents would give them
/// a fresh bucket for every name they invent.
pub trait Verified {
    /// Returns the principal's id, which is not a secret.
    fn limit_id(&self) -> &str;

    /// Returns the quota that their credential brings, which comes before all others.
    fn limit_quota(&self) -> Option<Quota> {
        None
    }

    /// Returns the names of the principal's roles.
    fn limit_roles(&self) -> impl Iterator<Item = &str>;
}

/// The quotas that are in force, as data. Changed ones are in force from the next check on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Of each peer that presented no credential, or a wrong one.
    pub peer: Quota,
    /// Of each principal for whom nothing else is said.
    pub principal: Quota,
    /// Of each holder of a role: not of all of them together. Of several, the widest counts.
    pub roles: BTreeMap<String, Quota>,
    /// Of one principal, by its id. Comes before its roles.
    pub principals: BTreeMap<String, Quota>,
    /// Of each peer and principal on one class of routes, besides the one for everything.
    pub routes: BTreeMap<String, Quota>,
}

/// Whose buckets a request is counted in, and by which quotas. [`Quotas`] makes it.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    pub(super) who: Who<'a>,
    pub(super) quota: Quota,
    pub(super) route: Option<(&'a str, Quota)>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Who<'a> {
    Peer(Peer),
    Principal(&'a str),
}

impl Who<'_> {
    /// The policy of the bucket for everything.
    pub(super) fn policy(&self) -> Policy {
        match self {
            Self::Peer(_) => Policy::Peer,
            Self::Principal(_) => Policy::Principal,
        }
    }
}

impl Quotas {
    /// Names the buckets of a peer on a class of routes.
    #[must_use]
    pub fn peer(&self, peer: Peer, route: &str) -> Subject<'_> {
        Subject { who: Who::Peer(peer), quota: self.peer, route: self.route(route) }
    }

    /// Names the buckets of a verified principal on a class of routes.
    #[must_use]
    pub fn principal<'a>(&'a self, who: &'a impl Verified, route: &str) -> Subject<'a> {
        let id = who.limit_id();
        let own = self.principals.get(id).copied();
        let quota = who.limit_quota().or(own).or_else(|| self.widest(who.limit_roles())).unwrap_or(self.principal);
        Subject { who: Who::Principal(id), quota, route: self.route(route) }
    }

    fn widest<'a>(&self, roles: impl Iterator<Item = &'a str>) -> Option<Quota> {
        let quotas = roles.filter_map(|role| self.roles.get(role));
        quotas.copied().reduce(|one, other| if other.is_wider(&one) { other } else { one })
    }

    /// Only routes with a quota have buckets, so that no request can name one into being.
    fn route(&self, route: &str) -> Option<(&str, Quota)> {
        self.routes.get_key_value(route).map(|(name, quota)| (name.as_str(), *quota))
    }
}
