//! Where kinds of endpoints are mounted.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::ApiError;
use crate::engines::Engine;
use crate::table::{Kind, Table};

/// Most segments of the path of a mount.
const MAX_DEPTH: usize = 8;

/// Longest path of a mount.
const MAX_LENGTH: usize = 256;

/// A place under `/v1/` where endpoints of a kind answer.
pub struct Mount {
    path: String,
    kind: Kind,
    options: Box<dyn Any + Send + Sync>,
    engine: Option<Arc<Engine>>,
}

impl Mount {
    /// Makes a mount. A slash at the end of the path is no matter.
    #[must_use]
    pub fn new(path: &str, kind: Kind) -> Self {
        Self { path: path.strip_suffix('/').unwrap_or(path).to_owned(), kind, options: Box::new(()), engine: None }
    }

    /// Mounts an engine at its path.
    pub(crate) fn of_engine(engine: Arc<Engine>) -> Self {
        Self { engine: Some(engine.clone()), ..Self::new(&engine.path, engine.kind.routes()) }
    }

    /// Gives it what its handlers are to know of it.
    #[must_use]
    pub fn with_options<T: Any + Send + Sync>(self, options: T) -> Self {
        Self { options: Box::new(options), ..self }
    }

    /// Returns its path, without a slash at the end.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the engine, if that is why it is there.
    #[must_use]
    pub fn engine(&self) -> Option<&Engine> {
        self.engine.as_deref()
    }

    /// Returns what its handlers are to know, if it is a `T`.
    #[must_use]
    pub fn options<T: 'static>(&self) -> Option<&T> {
        self.options.downcast_ref()
    }
}

impl fmt::Debug for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mount").field("path", &self.path).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Why something is not mounted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// The path is not one that a mount can have.
    #[error(
        "nothing can be mounted at {0:?}: a path is up to {MAX_DEPTH} names of letters, digits, `.`, `_` and `-`, joined by `/`"
    )]
    BadPath(String),
    /// The path is taken.
    #[error("nothing can be mounted at {path}: {by} is there already")]
    Taken {
        /// The path.
        path: String,
        /// What is there.
        by: String,
    },
    /// There are no endpoints of that kind.
    #[error("there is nothing of the kind {0} to mount")]
    NoKind(&'static str),
}

impl From<MountError> for ApiError {
    fn from(error: MountError) -> Self {
        Self::field("path", error)
    }
}

/// All mounts of a server.
#[derive(Debug, Clone, Default)]
pub struct Mounts {
    by_path: HashMap<String, Arc<Mount>>,
}

impl Mounts {
    /// Returns the mounts, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Mount> {
        self.by_path.values().map(|mount| &**mount)
    }

    /// Adds a mount. None is within another, nor where the server's own paths are.
    pub(crate) fn insert(&mut self, table: &Table, mount: Mount) -> Result<(), MountError> {
        if !table.has_kind(mount.kind) {
            return Err(MountError::NoKind(mount.kind.0));
        }
        self.check(table, &mount.path)?;
        self.by_path.insert(mount.path.clone(), Arc::new(mount));
        Ok(())
    }

    /// Checks that something could be mounted at a path.
    pub(crate) fn check(&self, table: &Table, path: &str) -> Result<(), MountError> {
        let segments: Vec<&str> = path.split('/').collect();
        let is_name = |name: &&str| {
            let first = |c: char| c.is_ascii_alphanumeric() || c == '_';
            name.starts_with(first) && name.chars().all(|c| first(c) || c == '.' || c == '-')
        };
        if path.len() > MAX_LENGTH || segments.len() > MAX_DEPTH || !segments.iter().all(is_name) {
            return Err(MountError::BadPath(path.chars().take(MAX_LENGTH).collect()));
        }
        if table.owns(&segments) {
            return Err(MountError::Taken { path: path.to_owned(), by: "an endpoint of the server".to_owned() });
        }
        let within = |outer: &str, inner: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match self.iter().find(|other| within(&other.path, path) || within(path, &other.path)) {
            Some(other) => Err(MountError::Taken { by: other.path.clone(), path: path.to_owned() }),
            None => Ok(()),
        }
    }

    /// Returns those that are there whatever engines are enabled.
    pub(crate) fn without_engines(&self) -> Self {
        let kept = self.by_path.iter().filter(|(_, mount)| mount.engine.is_none());
        Self { by_path: kept.map(|(path, mount)| (path.clone(), mount.clone())).collect() }
    }

    /// Removes a mount, and returns it if it was there.
    pub(crate) fn remove(&mut self, path: &str) -> Option<Arc<Mount>> {
        self.by_path.remove(path.strip_suffix('/').unwrap_or(path))
    }

    /// Finds the mount that a path leads into, and how many of its segments are the mount's.
    pub(crate) fn find(&self, segments: &[&str]) -> Option<(&Arc<Mount>, usize)> {
        let mut path = String::new();
        for (index, segment) in segments.iter().take(MAX_DEPTH).enumerate() {
            if segment.contains('/') {
                return None;
            }
            if index > 0 {
                path.push('/');
            }
            path.push_str(segment);
            if let Some(mount) = self.by_path.get(&path) {
                return Some((mount, index + 1));
            }
        }
        None
    }
}
