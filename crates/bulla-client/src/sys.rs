//! The state of the server.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::ask::Ask;
use crate::{Client, Result, path};

/// Statuses by which a server says how it is: standby, secondary, uninitialised, sealed.
const STATES: &[u16] = &[429, 472, 473, 501, 503];

/// The door to the state of the server. [`Client::sys`] opens it.
#[derive(Debug, Clone, Copy)]
pub struct Sys<'a> {
    client: &'a Client,
}

/// How a server is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Health {
    /// Whether it was ever set up.
    pub initialized: bool,
    /// Whether it can open nothing now.
    pub sealed: bool,
    /// Whether another one does the work.
    #[serde(default)]
    pub standby: bool,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// The name of its cluster, if it has one.
    #[serde(default)]
    pub cluster_name: Option<String>,
}

/// How far a server is from being able to open anything.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct SealStatus {
    /// The kind of seal.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Whether it was ever set up.
    pub initialized: bool,
    /// Whether it can open nothing now.
    pub sealed: bool,
    /// How many shares open it.
    #[serde(default, rename = "t")]
    pub threshold: u64,
    /// How many shares there are.
    #[serde(default, rename = "n")]
    pub shares: u64,
    /// How many were given.
    #[serde(default)]
    pub progress: u64,
    /// Its version.
    #[serde(default)]
    pub version: String,
}

/// What is mounted somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Mount {
    /// Where, with a slash at its end.
    pub path: String,
    /// Its kind, `kv` say.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// What else was said when it was mounted.
    #[serde(default)]
    options: Option<BTreeMap<String, String>>,
}

impl Mount {
    /// Says whether it keeps secrets with versions, which [`Client::kv`] reads.
    #[must_use]
    pub fn is_versioned(&self) -> bool {
        self.options.as_ref().and_then(|options| options.get("version")).is_some_and(|version| version == "2")
    }
}

impl<'a> Sys<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client }
    }

    /// Asks how the server is. That it is sealed or standby is an answer, not an error.
    ///
    /// # Errors
    /// [`ClientError`](crate::ClientError).
    pub async fn health(&self) -> Result<Health> {
        let ask = Ask::get("sys/health".to_owned()).anonymous().accepting(STATES);
        let answer = self.client.send(ask).await?;
        answer.whole()?.ok_or_else(|| answer.unlike("it is empty"))
    }

    /// Asks whether the server is sealed.
    ///
    /// # Errors
    /// [`ClientError`](crate::ClientError).
    pub async fn seal_status(&self) -> Result<SealStatus> {
        let answer = self.client.send(Ask::get("sys/seal-status".to_owned()).anonymous()).await?;
        answer.whole()?.ok_or_else(|| answer.unlike("it is empty"))
    }

    /// Asks what is mounted where a path leads. Whoever may do anything below a mount may know that.
    ///
    /// # Errors
    /// [`ClientError::Refused`](crate::ClientError::Refused) if there is nothing that the token may use; [`ClientError`](crate::ClientError).
    pub async fn mount(&self, path: &str) -> Result<Mount> {
        self.client.send(Ask::get(format!("sys/internal/ui/mounts/{}", path::encoded(path)?))).await?.data()
    }
}
