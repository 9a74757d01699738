//! A handle to a single key.

use std::sync::Arc;

use super::key::Key;
use super::{ChangeReport, Flow, KeyDefinition, KeyFlows, OnChange, Result};
use crate::KeyName;
use crate::source::{SecretPair, SecretValue};

/// A single key of a [`KeyFlows`]: for the part of an application that uses that one only.
#[doc(alias = "SingleKeyManagement")]
#[derive(Debug, Clone)]
pub struct KeyHandle {
    flows: KeyFlows,
    key: Arc<Key>,
}

impl KeyHandle {
    pub(super) fn new(flows: KeyFlows, key: Arc<Key>) -> Self {
        Self { flows, key }
    }

    /// Returns the name of the key.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.key.name
    }

    /// Returns how the key is defined.
    #[must_use]
    pub fn definition(&self) -> &KeyDefinition {
        &self.key.definition
    }

    /// As [`KeyFlows::key`].
    ///
    /// # Errors
    /// As there.
    pub async fn key(&self) -> Result<SecretValue> {
        self.key.take(self.flows.states(), None).await
    }

    /// As [`KeyFlows::key_for`].
    ///
    /// # Errors
    /// As there.
    pub async fn key_for(&self, flow: Flow) -> Result<SecretValue> {
        self.key.take(self.flows.states(), Some(flow)).await
    }

    /// As [`KeyFlows::forward_path_key`].
    ///
    /// # Errors
    /// As there.
    #[doc(alias = "encrypt_key")]
    pub async fn forward_path_key(&self) -> Result<SecretValue> {
        self.key_for(Flow::Forward).await
    }

    /// As [`KeyFlows::back_path_key`].
    ///
    /// # Errors
    /// As there.
    #[doc(alias = "decrypt_key")]
    pub async fn back_path_key(&self) -> Result<SecretValue> {
        self.key_for(Flow::Back).await
    }

    /// As [`KeyFlows::encrypt_key`].
    ///
    /// # Errors
    /// As there.
    pub async fn encrypt_key(&self) -> Result<SecretValue> {
        self.forward_path_key().await
    }

    /// As [`KeyFlows::decrypt_key`].
    ///
    /// # Errors
    /// As there.
    pub async fn decrypt_key(&self) -> Result<SecretValue> {
        self.back_path_key().await
    }

    /// As [`KeyFlows::changed`].
    ///
    /// # Errors
    /// As there.
    pub async fn changed(&self, old: Option<SecretPair>, new: Option<SecretPair>) -> Result<ChangeReport> {
        super::change::run(&self.flows, &self.key, old, new).await
    }

    /// As [`KeyFlows::register_on_change`].
    #[expect(clippy::must_use_candidate, reason = "who does not choose a name seldom needs it")]
    pub fn register_on_change(&self, callback_name: Option<&str>, callback: OnChange) -> String {
        self.key.register(callback_name, callback)
    }

    /// As [`KeyFlows::save_state`].
    ///
    /// # Errors
    /// As there.
    pub async fn save_state(&self) -> Result<()> {
        self.flows.save(&self.key).await
    }
}
