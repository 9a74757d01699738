//! Environment variables.

use std::env;
use std::os::unix::ffi::OsStringExt;

use async_trait::async_trait;

use super::{SecretPair, Source, SourceError, checked};

/// Takes the value of an environment variable, as it is when it is asked. Text where it is UTF-8, bytes otherwise.
///
/// # Security
/// The environment of a process is inherited by every program it starts, and readable by its user.
#[derive(Debug, Clone)]
pub struct EnvironmentSource {
    name: String,
}

impl EnvironmentSource {
    /// Names the variable.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }
}

#[async_trait]
impl Source for EnvironmentSource {
    async fn fetch(&self) -> Result<SecretPair, SourceError> {
        let value = env::var_os(&self.name).ok_or_else(|| SourceError::NoVariable(self.name.clone()))?;
        let value = checked(value.into_vec(), || format!("the environment variable `{}`", self.name))?;
        Ok(value.into())
    }
}
