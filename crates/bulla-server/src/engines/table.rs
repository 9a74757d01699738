//! The table of engines, and its bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::engine::{Engine, EngineKind};
use crate::ApiError;

/// How many engines there can be, and how many that are being closed.
pub const MAX_ENGINES: usize = 256;
/// Longest description of an engine, in bytes.
pub const MAX_DESCRIPTION_LEN: usize = 512;
/// Most segments of a path.
const MAX_SEGMENTS: usize = 8;
/// Longest path, in bytes.
const MAX_PATH_LEN: usize = 256;
/// Longest segment of a path.
const MAX_SEGMENT_LEN: usize = 128;
/// The segment behind the path of an engine, where it is set.
const TUNE: &str = "tune";
/// Beginnings of paths that are not for engines: they have doors of their own.
pub const RESERVED: &[&str] = &[
    "audit",
    "auth",
    "cubbyhole",
    "health",
    "identity",
    "keys",
    "livez",
    "machines",
    "metrics",
    "objects",
    "openapi.json",
    "ready",
    "readyz",
    "roles",
    "store",
    "sys",
];

/// What is mounted where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineTable {
    engines: BTreeMap<String, Arc<Engine>>,
    /// What was disabled, and has entries that are not all removed.
    pub(super) closing: Vec<Engine>,
}

/// The table as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    engines: Vec<Engine>,
    closing: Vec<Engine>,
}

impl Default for EngineTable {
    fn default() -> Self {
        let engines = [
            Engine::by_default("secret", EngineKind::Kv2, "key/value secret storage"),
            Engine::by_default("transit", EngineKind::Transit, "named keys"),
            Engine::by_default("cubbyhole", EngineKind::Cubbyhole, "per-token private secret storage"),
        ];
        Self::of(engines, Vec::new())
    }
}

impl EngineTable {
    fn of(engines: impl IntoIterator<Item = Engine>, closing: Vec<Engine>) -> Self {
        let engines = engines.into_iter().map(|engine| (engine.path.clone(), Arc::new(engine))).collect();
        Self { engines, closing }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, ApiError> {
        let engines = self.engines.values().map(|engine| (**engine).clone()).collect();
        let stored = Stored { engines, closing: self.closing.clone() };
        serde_json::to_vec(&stored).map_err(|_| ApiError::corrupt("the table of engines is"))
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, ApiError> {
        let stored: Stored = serde_json::from_slice(bytes).map_err(|_| ApiError::corrupt("the table of engines is"))?;
        Ok(Self::of(stored.engines, stored.closing))
    }

    /// Returns all engines, in order of their paths.
    pub fn engines(&self) -> impl Iterator<Item = &Arc<Engine>> {
        self.engines.values()
    }

    /// Returns the engine at a path, which may end with `/`.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Arc<Engine>> {
        self.engines.get(path.strip_suffix('/').unwrap_or(path))
    }

    /// Returns the engine that a path lies in.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&Arc<Engine>> {
        let ends = path.match_indices('/').map(|(at, _)| at).take(MAX_SEGMENTS).chain([path.len()]);
        ends.filter_map(|end| path.get(..end)).find_map(|start| self.engines.get(start))
    }

    /// Adds an engine.
    ///
    /// # Errors
    /// 400 if its path is taken, or lies in another engine's, or there are too many.
    pub(super) fn add(&mut self, engine: Engine) -> Result<(), ApiError> {
        let lies_in = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if let Some(taken) =
            self.engines.keys().find(|taken| lies_in(taken, &engine.path) || lies_in(&engine.path, taken))
        {
            return Err(ApiError::field("path", format!("path is already in use at {taken}/")));
        }
        if self.engines.len() >= MAX_ENGINES {
            return Err(ApiError::field("path", format!("there are {MAX_ENGINES} engines already")));
        }
        self.engines.insert(engine.path.clone(), Arc::new(engine));
        Ok(())
    }

    /// Takes an engine out, if it is there.
    pub(super) fn take(&mut self, path: &str) -> Option<Engine> {
        self.engines.remove(path).map(Arc::unwrap_or_clone)
    }

    /// Puts a changed engine in the place of itself.
    pub(super) fn replace(&mut self, engine: Engine) {
        self.engines.insert(engine.path.clone(), Arc::new(engine));
    }
}

/// Checks the path of an engine, which may end with `/`, and returns it without.
pub(super) fn engine_path(path: &str) -> Result<&str, ApiError> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let is_segment = |segment: &str| {
        let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (1..=MAX_SEGMENT_LEN).contains(&segment.len())
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
            && edge(segment.bytes().next())
            && edge(segment.bytes().next_back())
            && !segment.contains("..")
    };
    if path.len() > MAX_PATH_LEN || path.split('/').count() > MAX_SEGMENTS || !path.split('/').all(is_segment) {
        let form = "it has 1 to 8 segments of letters, digits, `_`, `.` and `-`, as `team/secrets`";
        return Err(ApiError::field("path", form));
    }
    Ok(path)
}

/// Refuses a path that is not for engines.
pub(super) fn check_reserved(path: &str) -> Result<(), ApiError> {
    // How the engine before it is set is told there.
    if path.split('/').next_back() == Some(TUNE) {
        return Err(ApiError::field("path", format!("its last segment cannot be `{TUNE}`")));
    }
    let first = path.split('/').next().unwrap_or_default();
    if RESERVED.contains(&first) {
        return Err(ApiError::field("path", format!("cannot mount \"{path}/\": `{first}` has a meaning of its own")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_the_engine_that_it_lies_in() {
        let mut table = EngineTable::default();
        table.add(Engine::by_default("team/a", EngineKind::Kv1, "")).unwrap();
        let found = |path| table.find(path).map(|engine| engine.path.as_str());
        for path in ["secret/data/x", "secret", "secret/"] {
            assert_eq!(found(path), Some("secret"), "{path}");
        }
        assert_eq!(found("team/a/b/c"), Some("team/a"));
        for path in ["", "/", "secre", "secrets/x", "team", "team/b", "/secret/x", "//"] {
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[test]
    fn no_engine_lies_in_another() {
        let mut table = EngineTable::default();
        table.add(Engine::by_default("team/a", EngineKind::Kv1, "")).unwrap();
        for path in ["team/a", "team", "team/a/b", "secret/x"] {
            assert!(table.add(Engine::by_default(path, EngineKind::Kv1, "")).is_err(), "{path}");
        }
        for path in ["team/ab", "tea", "secret-x"] {
            table.add(Engine::by_default(path, EngineKind::Kv1, "")).unwrap();
        }
        assert_eq!(EngineTable::decode(&table.encode().unwrap()).unwrap(), table);
    }

    #[test]
    fn paths_of_engines_are_names() {
        for path in ["a", "a/", "a_b.c-d/e", &"a/".repeat(8)] {
            assert!(engine_path(path).is_ok(), "{path}");
        }
        for path in ["", "/", "a//b", "..", "a..b", "-a", "a b", "ü", "a\0", &"a/".repeat(9), &"a".repeat(129)] {
            assert!(engine_path(path).is_err(), "{path}");
        }
    }
}
