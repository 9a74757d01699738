//! What a named key is, as its callers see it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bulla_backend::{DocumentKey, Timestamp};
use bulla_seal::{KeyVersionId, Params, SealKey, Suite};

use crate::{KeyName, KeyringError};

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Algorithm {
    /// AES-256-GCM. The default.
    #[default]
    Aes256Gcm,
    /// ChaCha20-Poly1305, for machines without AES instructions.
    ChaCha20Poly1305,
    /// AES-256-GCM with a salt derived from the message, for equality look-up.
    ///
    /// # Security
    /// Whoever sees two sealed values learns whether their messages are equal.
    Aes256Deterministic,
}

impl Algorithm {
    const ALL: [Self; 3] = [Self::Aes256Gcm, Self::ChaCha20Poly1305, Self::Aes256Deterministic];

    /// Returns the name that the command line and `spec/keyring.md` use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes256-gcm",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
            Self::Aes256Deterministic => "aes256-det",
        }
    }

    /// Returns the use case that the algorithm serves.
    #[must_use]
    pub const fn use_case(self) -> UseCase {
        match self {
            Self::Aes256Gcm | Self::ChaCha20Poly1305 | Self::Aes256Deterministic => UseCase::RoundTrip,
        }
    }

    /// Returns how values are sealed with it.
    #[must_use]
    pub fn params(self) -> Params {
        Params::new(match self {
            Self::Aes256Gcm => Suite::Aes256Gcm,
            Self::ChaCha20Poly1305 => Suite::ChaCha20Poly1305,
            Self::Aes256Deterministic => Suite::Aes256Deterministic,
        })
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = ParseAlgorithmError;

    fn from_str(text: &str) -> Result<Self, ParseAlgorithmError> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == text).ok_or(ParseAlgorithmError)
    }
}

/// The text names no algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the algorithms are `aes256-gcm`, `chacha20-poly1305` and `aes256-det`")]
pub struct ParseAlgorithmError;

/// In which directions a key is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UseCase {
    /// Seal on the forward path, open on the back path.
    RoundTrip,
}

impl UseCase {
    /// Returns the name that the command line and `spec/keyring.md` use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoundTrip => "round-trip",
        }
    }
}

impl fmt::Display for UseCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A named key, without its material.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyInfo {
    /// Its name.
    pub name: KeyName,
    /// What it does.
    pub algorithm: Algorithm,
    /// When it was created.
    pub created: Timestamp,
    /// Number of its first version.
    pub first: u64,
    /// Number of its newest version, which seals.
    pub newest: u64,
}

/// One version of a key, without its material.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VersionInfo {
    /// Its number within the key.
    pub number: u64,
    /// Its name within the project, which sealed values carry.
    pub id: KeyVersionId,
    /// What it may be used for.
    pub state: VersionState,
    /// When it was made.
    pub created: Timestamp,
    /// Epoch of the data key that wraps it.
    pub epoch: u64,
}

/// What a version may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VersionState {
    /// It opens, and seals if it is the newest.
    Enabled,
}

impl fmt::Display for VersionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enabled => f.write_str("enabled"),
        }
    }
}

/// Some keys of a listing. A damaged row takes its own place in it and hides no other.
#[derive(Debug)]
pub struct KeyPage {
    /// The keys in order of their names, or why a row cannot be read.
    pub keys: Vec<Result<KeyInfo, KeyringError>>,
    /// Where the next page begins, or `None` if this was the last.
    pub next: Option<DocumentKey>,
}

/// Some versions of a key. A damaged row takes its own place in it and hides no other.
#[derive(Debug)]
pub struct VersionPage {
    /// The versions in order of their numbers, or why a row cannot be read.
    pub versions: Vec<Result<VersionInfo, KeyringError>>,
    /// The number behind which the next page begins, or `None` if this was the last.
    pub next: Option<u64>,
}

/// One version of a key, ready to seal and open.
pub struct KeyVersion {
    name: KeyName,
    number: u64,
    algorithm: Algorithm,
    key: Arc<SealKey>,
}

impl KeyVersion {
    pub(crate) fn new(name: KeyName, number: u64, algorithm: Algorithm, key: SealKey) -> Self {
        Self { name, number, algorithm, key: Arc::new(key) }
    }

    /// Returns the name of its key.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// Returns its number within the key.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns the id that values sealed under it carry.
    #[must_use]
    pub fn id(&self) -> KeyVersionId {
        self.key.id()
    }

    /// Returns how the key's algorithm seals.
    #[must_use]
    pub fn params(&self) -> Params {
        self.algorithm.params()
    }

    /// Returns the prepared key.
    ///
    /// # Security
    /// Seal only under the version that [`Keyring::current`](crate::Keyring::current) returned for this message: one kept for
    /// longer does not notice a rotation.
    #[must_use]
    pub fn seal_key(&self) -> &Arc<SealKey> {
        &self.key
    }
}

impl fmt::Debug for KeyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyVersion({} {} {})", self.name, self.number, self.id())
    }
}
