//! Where states are kept, and how they are sealed.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bulla_backend::{Collection, DocumentKey, Documents, Durability, Expected};
use bulla_seal::{Context, SecretVec};
use zeroize::Zeroizing;

use super::{FlowError, KeyState, Result};
use crate::{KeyName, Keyring, KeyringError};

/// States of keys; key: the name of the key.
pub const KEY_STATES: Collection = Collection::new("key_states", Durability::Durable);

/// What the states of keys are bound to, besides the name of their key.
const DOMAIN: &str = "bulla/key-state/v1";

/// Why a repository or a crypto tool failed: its own error.
pub type StateError = Box<dyn Error + Send + Sync>;

/// Keeps the states of keys between lifetimes of the application. What it is given is sealed.
#[doc(alias = "StateRepoInterface")]
#[async_trait]
pub trait StateRepo: Send + Sync + fmt::Debug {
    /// Reads the state of a key, or `None` where there is none.
    ///
    /// # Errors
    /// Fails if it cannot be read; "not there" is never said for "could not look".
    async fn read_state(&self, key: &KeyName) -> std::result::Result<Option<Vec<u8>>, StateError>;

    /// Writes the state of a key, in the place of the one before.
    ///
    /// # Errors
    /// Fails if it cannot be written.
    async fn write_state(&self, key: &KeyName, state: &[u8]) -> std::result::Result<(), StateError>;
}

/// Seals the states of keys.
///
/// # Security
/// A state holds secrets. The tool binds it to the name of its key, so that nobody who can write the repository can give one key the values of
/// another. An older state of the same key cannot be told from the newest.
#[async_trait]
pub trait CryptoTool: Send + Sync + fmt::Debug {
    /// Seals the state of a key.
    ///
    /// # Errors
    /// Fails if it cannot be sealed.
    async fn encrypt(&self, key: &KeyName, state: &[u8]) -> std::result::Result<Vec<u8>, StateError>;

    /// Opens the sealed state of a key.
    ///
    /// # Errors
    /// Fails if it was not sealed by this tool for this key.
    async fn decrypt(&self, key: &KeyName, sealed: &[u8]) -> std::result::Result<SecretVec, StateError>;
}

/// A repository on any backend: the collection `key_states`, a document for each key, as `spec/key-states.md` has it.
#[derive(Debug, Clone)]
pub struct SealedStates {
    documents: Arc<dyn Documents>,
}

impl SealedStates {
    /// Takes the database.
    #[must_use]
    pub fn new(documents: Arc<dyn Documents>) -> Self {
        Self { documents }
    }
}

#[async_trait]
impl StateRepo for SealedStates {
    async fn read_state(&self, key: &KeyName) -> std::result::Result<Option<Vec<u8>>, StateError> {
        let found = self.documents.get(KEY_STATES, &document_key(key)?).await?;
        Ok(found.map(|document| document.value))
    }

    async fn write_state(&self, key: &KeyName, state: &[u8]) -> std::result::Result<(), StateError> {
        self.documents.put(KEY_STATES, &document_key(key)?, state, Expected::Any).await?;
        Ok(())
    }
}

fn document_key(key: &KeyName) -> bulla_backend::Result<DocumentKey> {
    DocumentKey::new(key.as_str().as_bytes())
}

/// A crypto tool over a named key of a [`Keyring`], so that the key of the states is managed too: it can be rotated, and states sealed before
/// still open.
#[derive(Debug, Clone)]
pub struct KeyCryptoTool {
    keyring: Arc<Keyring>,
    key: KeyName,
}

impl KeyCryptoTool {
    /// Names the key: one that seals, and exists.
    #[must_use]
    pub fn new(keyring: Arc<Keyring>, key: KeyName) -> Self {
        Self { keyring, key }
    }

    fn context(&self, key: &KeyName) -> std::result::Result<Context, KeyringError> {
        Ok(Context::in_domain(DOMAIN, &self.keyring.project()).text("key", key.as_str()).build()?)
    }
}

#[async_trait]
impl CryptoTool for KeyCryptoTool {
    async fn encrypt(&self, key: &KeyName, state: &[u8]) -> std::result::Result<Vec<u8>, StateError> {
        Ok(self.keyring.seal(&self.key, &self.context(key)?, state).await?)
    }

    async fn decrypt(&self, key: &KeyName, sealed: &[u8]) -> std::result::Result<SecretVec, StateError> {
        Ok(SecretVec::new(self.keyring.open_sealed(&self.key, &self.context(key)?, sealed).await?))
    }
}

/// A repository and the tool that seals what it keeps.
#[derive(Debug)]
pub(super) struct States {
    pub(super) repo: Arc<dyn StateRepo>,
    pub(super) tool: Arc<dyn CryptoTool>,
}

impl States {
    pub(super) async fn read(&self, name: &KeyName) -> Result<Option<KeyState>> {
        let failed = |operation| move |source| FlowError::State { name: name.clone(), operation, source };
        let Some(sealed) = self.repo.read_state(name).await.map_err(failed("read"))? else {
            return Ok(None);
        };
        let opened = self.tool.decrypt(name, &sealed).await.map_err(failed("decrypt"))?;
        let state = KeyState::decode(opened.expose()).ok_or_else(|| FlowError::InvalidState(name.clone()))?;
        Ok(Some(state))
    }

    pub(super) async fn write(&self, name: &KeyName, state: &KeyState) -> Result<()> {
        let failed = |operation| move |source| FlowError::State { name: name.clone(), operation, source };
        let encoded = state.expose_encoded().ok_or_else(|| FlowError::StateTooLong(name.clone()))?;
        let encoded = Zeroizing::new(encoded);
        let sealed = self.tool.encrypt(name, &encoded).await.map_err(failed("encrypt"))?;
        self.repo.write_state(name, &sealed).await.map_err(failed("write"))
    }
}
