//! The one table of endpoints. What the server routes, admits, documents, counts and is tested by is read from it.

mod draft;
mod endpoint;
mod markdown;
mod path;
mod respond;
mod route;

use std::collections::HashMap;
use std::sync::Arc;

pub use draft::Draft;
pub(crate) use endpoint::Input;
pub use endpoint::{Audit, Capability, Endpoint, Requires, Verb};
pub(crate) use path::{RequestPath, segment_of_resource};
pub use respond::{Auth, Authenticated, Data, NoContent, Plain, Respond, Text};
pub(crate) use route::Found;
use route::Routes;

/// A kind of mount: a table of endpoints whose paths are relative to where it is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind(pub &'static str);

/// All endpoints of a server.
#[derive(Debug, Default)]
pub struct Table {
    endpoints: Vec<Arc<Endpoint>>,
    fixed: Routes,
    kinds: HashMap<Kind, Routes>,
}

/// Why a table is no table: a mistake of the program, found when it starts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// Two endpoints have one id.
    #[error("two endpoints are called {0}")]
    SameId(&'static str),
    /// Two endpoints answer one method on one path.
    #[error("{id} and another endpoint answer {verb} on {path}")]
    SamePath {
        /// The second of them.
        id: &'static str,
        /// The method of both.
        verb: Verb,
        /// The path of both.
        path: &'static str,
    },
    /// A path is not written as paths of the table are.
    #[error("{id}: {path} is no path of a table")]
    BadPath {
        /// Whose path it is.
        id: &'static str,
        /// The path.
        path: &'static str,
    },
}

impl Table {
    /// Makes an empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds endpoints whose paths begin at `/`.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn add(&mut self, endpoints: impl IntoIterator<Item = Endpoint>) -> Result<(), TableError> {
        endpoints.into_iter().try_for_each(|endpoint| self.insert(None, endpoint))
    }

    /// Adds the endpoints of a kind of mount, whose paths begin where it is mounted.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn add_kind(&mut self, kind: Kind, endpoints: impl IntoIterator<Item = Endpoint>) -> Result<(), TableError> {
        self.kinds.entry(kind).or_default();
        endpoints.into_iter().try_for_each(|endpoint| self.insert(Some(kind), endpoint))
    }

    /// Returns every endpoint, in the order in which they were added.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().map(|endpoint| &**endpoint)
    }

    /// Returns the endpoint of an id.
    #[must_use]
    pub fn endpoint(&self, id: &str) -> Option<&Endpoint> {
        self.endpoints().find(|endpoint| endpoint.id() == id)
    }

    /// Says whether there is a table for mounts of this kind.
    #[must_use]
    pub fn has_kind(&self, kind: Kind) -> bool {
        self.kinds.contains_key(&kind)
    }

    /// Says whether a path is among our own, so that nothing can be mounted there. Ways to sign in are mounted under `auth`.
    pub(crate) fn owns(&self, segments: &[&str]) -> bool {
        let first = segments.get(..1).unwrap_or_default();
        self.fixed.begins(&["v1"], segments) || (first != ["auth"] && self.fixed.begins(&["v1"], first))
    }

    pub(crate) fn find<'p>(&self, segments: &[&'p str]) -> Option<Found<'_, 'p>> {
        self.fixed.find(segments)
    }

    pub(crate) fn find_in<'p>(&self, kind: Kind, segments: &[&'p str]) -> Option<Found<'_, 'p>> {
        self.kinds.get(&kind)?.find(segments)
    }

    pub(crate) fn at(&self, index: usize) -> Option<&Arc<Endpoint>> {
        self.endpoints.get(index)
    }

    pub(crate) fn len(&self) -> usize {
        self.endpoints.len()
    }

    fn insert(&mut self, kind: Option<Kind>, mut endpoint: Endpoint) -> Result<(), TableError> {
        if self.endpoint(endpoint.id()).is_some() {
            return Err(TableError::SameId(endpoint.id()));
        }
        let index = self.endpoints.len();
        let routes = match kind {
            Some(kind) => self.kinds.entry(kind).or_default(),
            None => &mut self.fixed,
        };
        if let Some(&path) = endpoint.paths().iter().find(|path| path.starts_with('/') != kind.is_none()) {
            return Err(TableError::BadPath { id: endpoint.id(), path });
        }
        routes.insert(&endpoint, index)?;
        endpoint.place(index, kind);
        self.endpoints.push(Arc::new(endpoint));
        Ok(())
    }
}
