//! Who asks, once that is known; and why somebody was not let in.

use std::fmt;
use std::sync::Arc;

use bulla_backend::Timestamp;

use super::{
    AccessError, Capabilities, CredentialId, ParseCredentialError, PathRequest, Permission, PolicyName, RequestPath,
    Resource, RevocationReason, RoleName, Rules, UserName,
};

/// By what somebody is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PrincipalKind {
    /// An API key.
    ApiKey,
    /// A token.
    Token,
    /// A client certificate.
    Certificate,
    /// The operating system of this machine.
    Peer,
    /// The identity of a machine.
    Machine,
}

impl PrincipalKind {
    /// Returns the name that the audit log uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::Token => "token",
            Self::Certificate => "certificate",
            Self::Peer => "peer",
            Self::Machine => "machine",
        }
    }
}

impl fmt::Display for PrincipalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who asks, and what they may do. Only [`Access::authenticate`](super::Access::authenticate) makes one; it is good for the request that it was
/// made for.
#[derive(Debug, Clone)]
pub struct Principal {
    pub(crate) kind: PrincipalKind,
    pub(crate) id: String,
    pub(crate) user: Option<UserName>,
    pub(crate) roles: Vec<RoleName>,
    pub(crate) policies: Vec<PolicyName>,
    pub(crate) credential: Option<CredentialId>,
    pub(crate) requests_per_minute: Option<u32>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) has_counted_uses: bool,
    pub(crate) rules: Arc<Rules>,
}

impl Principal {
    /// Returns by what they are known.
    #[must_use]
    pub fn kind(&self) -> PrincipalKind {
        self.kind
    }

    /// Returns who they are, among those known by the same.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the user that they are, if they are one.
    #[must_use]
    pub fn user(&self) -> Option<&UserName> {
        self.user.as_ref()
    }

    /// Returns their roles.
    #[must_use]
    pub fn roles(&self) -> &[RoleName] {
        &self.roles
    }

    /// Returns their policies.
    #[must_use]
    pub fn policies(&self) -> &[PolicyName] {
        &self.policies
    }

    /// Returns the id of the credential that they presented; for a token it is its accessor too.
    #[must_use]
    pub fn credential(&self) -> Option<CredentialId> {
        self.credential
    }

    /// Returns how many requests a minute they may make, if that is not what others may.
    #[must_use]
    pub fn requests_per_minute(&self) -> Option<u32> {
        self.requests_per_minute
    }

    /// Returns until when the credential is good, if that is known.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Returns all that they may do.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Says whether they may do something to a resource.
    #[must_use]
    pub fn allows(&self, permission: Permission, resource: &Resource) -> bool {
        self.rules.allows(permission, resource)
    }

    /// Says whether their policies allow a request on a path.
    #[must_use]
    pub fn allows_path(&self, request: &PathRequest<'_>) -> bool {
        self.rules.allows_path(request)
    }

    /// Returns what their policies allow on a path.
    #[must_use]
    pub fn capabilities(&self, path: &RequestPath) -> Capabilities {
        self.rules.capabilities(path)
    }
}

/// Somebody was not let in. To whoever asked it says the same of every credential that is not good.
///
/// # Security
/// [`Refused::reason`] is for the audit log. It tells a guess that was nearly right from one that was not: it goes to nobody else.
#[derive(Debug)]
pub struct Refused {
    reason: RefusedReason,
    credential: Option<CredentialId>,
}

impl Refused {
    pub(crate) fn new(reason: RefusedReason) -> Self {
        Self { reason, credential: None }
    }

    pub(crate) fn of(credential: CredentialId, reason: RefusedReason) -> Self {
        Self { reason, credential: Some(credential) }
    }

    /// Returns why, for the audit log only.
    #[must_use]
    pub fn reason(&self) -> &RefusedReason {
        &self.reason
    }

    /// Returns the id that was presented, if it was one of ours or looked like it. For the audit log only.
    #[must_use]
    pub fn credential(&self) -> Option<CredentialId> {
        self.credential
    }

    /// Says whether it was not the credential: nobody can be let in at the moment.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self.reason, RefusedReason::Unavailable(_) | RefusedReason::Crowded)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_unavailable() {
            "it cannot be verified now who is asking; try again later"
        } else {
            "the credential is not accepted"
        })
    }
}

impl std::error::Error for Refused {}

impl From<ParseCredentialError> for Refused {
    fn from(_: ParseCredentialError) -> Self {
        Self::new(RefusedReason::Malformed)
    }
}

impl From<AccessError> for Refused {
    fn from(error: AccessError) -> Self {
        Self::new(RefusedReason::Unavailable(error))
    }
}

/// Why somebody was not let in: for the audit log only.
#[derive(Debug)]
#[non_exhaustive]
pub enum RefusedReason {
    /// It is of no form that credentials have, or its checksum is wrong.
    Malformed,
    /// There is no such credential.
    Unknown,
    /// The id is known, the secret is another.
    WrongSecret,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked(RevocationReason),
    /// Its owner is no user any more.
    OwnerGone,
    /// A token that this one was made by is none any more.
    ParentGone,
    /// All tokens of its time were revoked.
    AllRevoked,
    /// It is bound to other addresses.
    Address,
    /// Nothing says which user or roles they have.
    NoBinding,
    /// Several bindings say different users.
    Ambiguous,
    /// The signature of the request is not the machine's over this request.
    Signature,
    /// The request was made too long ago, or is yet to be made.
    Time,
    /// The request was made before.
    Replayed,
    /// More signed requests came in a minute than are remembered.
    Crowded,
    /// Who may do what is not known at the moment.
    Unavailable(AccessError),
}

impl RefusedReason {
    /// Returns the name that the audit log uses.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::WrongSecret => "wrong_secret",
            Self::Expired => "expired",
            Self::Revoked(_) => "revoked",
            Self::OwnerGone => "owner_gone",
            Self::ParentGone => "parent_gone",
            Self::AllRevoked => "all_revoked",
            Self::Address => "address",
            Self::NoBinding => "no_binding",
            Self::Ambiguous => "ambiguous",
            Self::Signature => "signature",
            Self::Time => "time",
            Self::Replayed => "replayed",
            Self::Crowded => "crowded",
            Self::Unavailable(_) => "unavailable",
        }
    }
}
