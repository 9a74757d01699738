use std::sync::Arc;

use bulla_keyring::KeyName;
use bulla_keyring::flows::{self, ChangeReport, Flow, KeyDefinition, OnChange, Result};
use bulla_keyring::source::{SecretPair, SecretValue, Source};
use pollster::block_on;

/// Keys that the application uses itself; see [`crate::Project::key_flows`].
#[derive(Debug, Clone)]
pub struct KeyFlows(pub(super) flows::KeyFlows);

impl KeyFlows {
    /// Returns the same keys with async methods.
    #[must_use]
    pub fn flows(&self) -> &flows::KeyFlows {
        &self.0
    }

    /// Defines a key. Its source is not asked yet.
    ///
    /// # Errors
    /// As [`flows::KeyFlows::define_key`].
    pub fn define_key(&self, name: &KeyName, source: Arc<dyn Source>, definition: KeyDefinition) -> Result<()> {
        self.0.define_key(name, source, definition).map(drop)
    }

    /// Returns the value of a key used one way, or that of the path whose turn it is.
    ///
    /// # Errors
    /// As [`flows::KeyFlows::key`].
    pub fn key(&self, name: &KeyName) -> Result<SecretValue> {
        block_on(self.0.key(name))
    }

    /// Returns the value of a key for a path.
    ///
    /// # Errors
    /// As [`flows::KeyFlows::key_for`].
    pub fn key_for(&self, name: &KeyName, flow: Flow) -> Result<SecretValue> {
        block_on(self.0.key_for(name, flow))
    }

    /// Returns the value to seal or encrypt with.
    ///
    /// # Errors
    /// As [`flows::KeyFlows::forward_path_key`].
    pub fn forward_path_key(&self, name: &KeyName) -> Result<SecretValue> {
        self.key_for(name, Flow::Forward)
    }

    /// Returns the value to open or decrypt with.
    ///
    /// # Errors
    /// As [`flows::KeyFlows::back_path_key`].
    pub fn back_path_key(&self, name: &KeyName) -> Result<SecretValue> {
        self.key_for(name, Flow::Back)
    }

    /// Declares that a key changes, before its source does, and runs its callbacks.
    ///
    /// # Errors
    /// As [`flows::KeyFlows::changed`].
    pub fn changed(&self, name: &KeyName, old: Option<SecretPair>, new: Option<SecretPair>) -> Result<ChangeReport> {
        block_on(self.0.changed(name, old, new))
    }

    /// Registers what is to run when a key changes; returns its name.
    ///
    /// # Errors
    /// As [`flows::KeyFlows::register_on_change`].
    pub fn register_on_change(
        &self,
        name: &KeyName,
        callback_name: Option<&str>,
        callback: OnChange,
    ) -> Result<String> {
        self.0.register_on_change(name, callback_name, callback)
    }

    /// Saves the state of a key.
    ///
    /// # Errors
    /// As [`flows::KeyFlows::save_state`].
    pub fn save_state(&self, name: &KeyName) -> Result<()> {
        block_on(self.0.save_state(name))
    }

    /// Saves the states of all stateful keys.
    ///
    /// # Errors
    /// As [`flows::KeyFlows::save_states`].
    pub fn save_states(&self) -> Result<()> {
        block_on(self.0.save_states())
    }
}
