//! Secrets that a Vault keeps: Bulla's own server, OpenBao or HashiCorp Vault.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bulla_keyring::source::Source;

use super::ParseKeySourceError;

#[cfg(feature = "vault")]
mod access;
#[cfg(feature = "vault")]
mod fetch;
#[cfg(not(feature = "vault"))]
mod not_built;

#[cfg(feature = "vault")]
use fetch::VaultSource;
#[cfg(not(feature = "vault"))]
use not_built::VaultSource;

/// Longest path, in bytes.
const MAX_LEN: usize = 2_048;

/// Names a field of a secret: `PATH#FIELD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VaultSpec {
    /// Has two segments at least: a mount, and a name under it.
    path: String,
    /// Has no `#`.
    field: String,
}

impl VaultSpec {
    pub(super) fn source(&self) -> Arc<dyn Source> {
        Arc::new(VaultSource::new(self.clone()))
    }
}

impl FromStr for VaultSpec {
    type Err = ParseKeySourceError;

    fn from_str(text: &str) -> Result<Self, ParseKeySourceError> {
        let (path, field) = text.rsplit_once('#').ok_or(ParseKeySourceError::Vault)?;
        let is_segment = |segment: &str| !matches!(segment, "" | "." | "..");
        let is_path = path.contains('/') && path.split('/').all(is_segment);
        if !is_path || field.is_empty() || text.len() > MAX_LEN || text.chars().any(char::is_control) {
            return Err(ParseKeySourceError::Vault);
        }
        Ok(Self { path: path.to_owned(), field: field.to_owned() })
    }
}

impl fmt::Display for VaultSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.path, self.field)
    }
}
