//! What somebody asks for at the door.

use std::fmt;
use std::net::IpAddr;

use crate::access::{
    Capability, CertificateFields, Credential, MachineSignature, Permission, RequestDigest, RequestPath, Resource,
};
use crate::audit::{Class, Code, Event, Outcome};

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// By what they want to be known.
    pub presented: Option<Presented<'a>>,
    /// Where they ask from, if that is an address; never one that they say themselves.
    pub source: Option<IpAddr>,
    /// What is to be done, as the log names it: `transit.encrypt`.
    pub action: Code,
    /// What the record of it is about.
    pub class: Class,
    /// To what, as the log shows it to all who read it.
    pub subject: &'a str,
    /// What it takes.
    pub need: Need<'a>,
    /// How it is recorded.
    pub record: Record,
    /// The class of routes whose quota counts, besides the one for everything.
    pub route: &'a str,
    /// The id of the request, as the answer and other logs have it; may be empty.
    pub request: &'a str,
}

/// By what somebody wants to be known. Texts are silent in `Debug`.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Presented<'a> {
    /// An API key or a token, as it came.
    Bearer(&'a str),
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

/// What it takes to be let in.
#[derive(Debug, Clone, Copy)]
pub enum Need<'a> {
    /// Nothing.
    Nothing,
    /// A credential that is good, whatever it allows.
    Credential,
    /// A permission on a resource; or, as good, one of some capabilities on a path.
    Permission {
        /// The permission.
        permission: Permission,
        /// On what; `None` if its name is none, so that no pattern stands for it.
        resource: Option<&'a Resource>,
        /// The path that policies are asked about; `None` if there is none.
        path: Option<&'a RequestPath>,
        /// The capabilities of which one is enough.
        capabilities: &'a [Capability],
    },
}

/// How something is recorded. The table of [`admission`](crate::admission) says what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Record {
    /// Not at all: probes and descriptions.
    Nothing,
    /// It looks at what is no secret.
    Look,
    /// It reveals a secret, or uses a key.
    Reveal,
    /// It signs somebody in.
    SignIn,
    /// It changes data.
    Change,
    /// It changes who may do what, or how the system works.
    Administer,
}

impl Ask<'_> {
    /// Begins the event of it.
    pub(super) fn event(&self, class: Class, outcome: Outcome) -> Event {
        let mut event = Event::new(class, self.action.clone(), outcome);
        if !self.subject.is_empty() {
            event = event.resource(self.subject);
        }
        if let Some(source) = self.source {
            event = event.address(source.to_string());
        }
        if !self.request.is_empty() {
            event = event.text(Code::new("request"), self.request);
        }
        event
    }
}

impl<'a> Presented<'a> {
    /// Returns the name of what it is, as the log has it.
    pub(super) fn method(&self) -> &'static str {
        match self {
            Self::Bearer(_) => "bearer",
            Self::Certificate(_) => "certificate",
            Self::Peer { .. } => "peer",
            Self::Machine(..) => "machine",
        }
    }

    /// Returns what authentication takes, or a text that has to be read first.
    pub(super) fn credential(&self) -> Result<Credential<'a>, &'a str> {
        Ok(match *self {
            Self::Bearer(text) => return Err(text),
            Self::Certificate(fields) => Credential::Certificate(fields),
            Self::Peer { uid, gid } => Credential::Peer { uid, gid },
            Self::Machine(signature, request) => Credential::Machine(signature, request),
        })
    }
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presented({})", self.method())
    }
}
