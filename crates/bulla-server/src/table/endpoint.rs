use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bulla_guard::audit::Code;
use schemars::{Schema, SchemaGenerator};

use super::{Draft, Kind};
use crate::answer::Answer;
use crate::body::RequestBody;
use crate::{ApiError, Call};

/// Largest body of an endpoint that does not say otherwise.
pub(crate) const BODY: usize = 1 << 20;

/// Largest body of an endpoint that takes values or batches.
pub(crate) const LARGE_BODY: usize = 64 << 20;

/// What a request does to what its path names: an HTTP method, or Vault's LIST.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the methods of HTTP")]
pub enum Verb {
    Get,
    Post,
    Put,
    Patch,
    Delete,
    /// The method LIST, or GET with `?list=true`.
    List,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Self; 6] = [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete, Self::List];

    /// Returns its name as requests write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::List => "LIST",
        }
    }

    /// Reads the method of a request. A HEAD is a GET whose body is not sent.
    pub(crate) fn of(method: &http::Method, lists: bool) -> Option<Self> {
        Some(match method.as_str() {
            "GET" | "HEAD" if lists => Self::List,
            "GET" | "HEAD" => Self::Get,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "LIST" => Self::List,
            _ => return None,
        })
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an operation is, in the words of Vault's policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "Vault's own names")]
pub enum Capability {
    Create,
    Read,
    Update,
    /// `create` or `update`, whichever it comes to: the endpoint looks which, or it does not matter there.
    Write,
    Patch,
    Delete,
    List,
    Sudo,
}

impl Capability {
    /// Returns the name that policies use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Write => "create or update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Sudo => "sudo",
        }
    }
}

/// What somebody needs to be let in to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requires {
    /// Nothing: for what says that the server is there and how to speak to it, and for signing in.
    Nothing,
    /// A valid credential, whatever it allows: for what everybody may do to what is their own.
    Credential,
    /// A permission, such as `use:keys`; or, by a policy on the resource, a capability.
    Permission(&'static str, Capability),
}

/// How the audit log treats a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Audit {
    /// Not recorded: probes and descriptions.
    Unrecorded,
    /// Looks at what is no secret.
    Look,
    /// Reveals a secret, or uses a key for the one who asks.
    Reveal,
    /// Changes data.
    Change,
    /// Changes who may do what, or how the server works.
    Administer,
    /// Signs in, or fails to.
    SignIn,
}

/// What an endpoint reads besides its path.
#[derive(Clone, Copy)]
pub(crate) enum Input {
    Nothing,
    Json(fn(&mut SchemaGenerator) -> Schema),
    Stream,
}

/// Reads from a request what its record is to name, beyond its path.
pub(crate) type Names = fn(&Call) -> Option<(Code, Vec<u8>)>;
pub(crate) type Handled = Pin<Box<dyn Future<Output = Result<Answer, ApiError>> + Send>>;
pub(crate) type Handler = Arc<dyn Fn(Call, RequestBody) -> Handled + Send + Sync>;

/// One operation of the API, as data.
pub struct Endpoint {
    pub(super) index: usize,
    pub(super) kind: Option<Kind>,
    pub(super) id: &'static str,
    pub(super) verbs: &'static [Verb],
    pub(super) paths: Vec<&'static str>,
    pub(super) summary: &'static str,
    pub(super) query: &'static [&'static str],
    pub(super) requires: Requires,
    pub(super) object: &'static str,
    pub(super) audit: Audit,
    pub(super) writes: bool,
    pub(super) probe: bool,
    pub(super) body_limit: usize,
    pub(super) failures: &'static [u16],
    pub(super) names: Option<Names>,
    pub(super) input: Input,
    pub(super) output: Option<fn(&mut SchemaGenerator) -> Schema>,
    pub(super) status: u16,
    pub(super) handler: Handler,
}

impl Endpoint {
    /// Begins an endpoint that reads.
    pub fn get(id: &'static str, path: &'static str) -> Draft {
        Draft::new(id, &[Verb::Get], path)
    }

    /// Begins an endpoint that lists.
    pub fn list(id: &'static str, path: &'static str) -> Draft {
        Draft::new(id, &[Verb::List], path)
    }

    /// Begins an endpoint that writes, or does something with a body. As with Vault, POST and PUT are one.
    pub fn write(id: &'static str, path: &'static str) -> Draft {
        Draft::new(id, &[Verb::Post, Verb::Put], path)
    }

    /// Begins an endpoint that changes a part.
    pub fn patch(id: &'static str, path: &'static str) -> Draft {
        Draft::new(id, &[Verb::Patch], path)
    }

    /// Begins an endpoint that removes.
    pub fn delete(id: &'static str, path: &'static str) -> Draft {
        Draft::new(id, &[Verb::Delete], path)
    }

    /// Returns its id: stable, the same in metrics, logs and OpenAPI.
    #[must_use]
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// Returns the kind of mount it belongs to, unless its path begins at `/`.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// Returns the methods it answers.
    #[must_use]
    pub fn verbs(&self) -> &'static [Verb] {
        self.verbs
    }

    /// Returns its paths, relative to the mount if it belongs to one.
    #[must_use]
    pub fn paths(&self) -> &[&'static str] {
        &self.paths
    }

    /// Returns what it does, in one sentence.
    #[must_use]
    pub fn summary(&self) -> &'static str {
        self.summary
    }

    /// Returns the parameters of the query that it reads.
    #[must_use]
    pub fn query(&self) -> &'static [&'static str] {
        self.query
    }

    /// Returns what it takes to be let in.
    #[must_use]
    pub fn requires(&self) -> Requires {
        self.requires
    }

    /// Returns the name of what it acts on, with `{…}` where the path says it; empty if it names nothing.
    #[must_use]
    pub fn object(&self) -> &'static str {
        self.object
    }

    /// Returns how it is recorded.
    #[must_use]
    pub fn audit(&self) -> Audit {
        self.audit
    }

    /// Says whether it may have to wait for a disk.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.writes
    }

    /// Says whether it is also to be had on the listener for probes.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.probe
    }

    /// Returns how long its body may be, or `None` if that is no matter since it is streamed.
    #[must_use]
    pub fn body_limit(&self) -> Option<usize> {
        match self.input {
            Input::Stream => None,
            Input::Json(_) | Input::Nothing => Some(self.body_limit),
        }
    }

    /// Returns every status that it can answer, its own first, besides those that any request can get.
    pub fn statuses(&self) -> impl Iterator<Item = u16> {
        std::iter::once(self.status).chain(self.failures.iter().copied())
    }

    pub(super) fn place(&mut self, index: usize, kind: Option<Kind>) {
        (self.index, self.kind) = (index, kind);
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn names(&self) -> Option<Names> {
        self.names
    }

    pub(crate) fn input(&self) -> Input {
        self.input
    }

    pub(crate) fn output(&self) -> Option<fn(&mut SchemaGenerator) -> Schema> {
        self.output
    }

    pub(crate) fn handler(&self) -> &Handler {
        &self.handler
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("verbs", &self.verbs)
            .field("paths", &self.paths)
            .field("requires", &self.requires)
            .field("audit", &self.audit)
            .finish_non_exhaustive()
    }
}
