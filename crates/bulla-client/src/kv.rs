//! Secrets with versions: KV version 2.

use std::collections::BTreeMap;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::ask::Ask;
use crate::{Client, ClientError, Result, SecretData, path};

/// The door to secrets with versions. [`Client::kv`] opens it.
///
/// Paths are as people write them, `shop/database` say, without `data/`.
#[derive(Debug, Clone, Copy)]
pub struct Kv<'a> {
    client: &'a Client,
    mount: &'a str,
}

/// What a secret holds, and which version of it that is.
#[derive(Debug, Deserialize)]
#[non_exhaustive]
pub struct Secret {
    /// Its fields.
    pub data: SecretData,
    /// What is known of the version.
    pub metadata: Version,
}

/// A version of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Version {
    /// Its number.
    pub version: u64,
    /// When it was made, and what became of it.
    #[serde(flatten)]
    pub state: VersionState,
}

/// What became of a version of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct VersionState {
    /// When it was made.
    pub created_time: String,
    /// When it was deleted, or empty.
    #[serde(default)]
    pub deletion_time: String,
    /// Whether it is gone for good.
    #[serde(default)]
    pub destroyed: bool,
}

/// What is known of a secret without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Metadata {
    /// Number of the newest version.
    pub current_version: u64,
    /// Number of the oldest one that is kept.
    #[serde(default)]
    pub oldest_version: u64,
    /// When it was made.
    #[serde(default)]
    pub created_time: String,
    /// When it was last changed.
    #[serde(default)]
    pub updated_time: String,
    /// How many versions are kept; 0 is as many as the mount says.
    #[serde(default)]
    pub max_versions: u64,
    /// Whether writing needs [`Expect`].
    #[serde(default)]
    pub cas_required: bool,
    /// What people have written beside it.
    #[serde(default)]
    pub custom_metadata: Option<BTreeMap<String, String>>,
    /// Its versions by their numbers.
    #[serde(default)]
    pub versions: BTreeMap<u64, VersionState>,
}

/// What a writer expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Whatever is there.
    Anything,
    /// Nothing that was ever written.
    Nothing,
    /// This version as the newest.
    Version(u64),
}

impl Expect {
    fn options(self) -> Map<String, Value> {
        let cas = match self {
            Self::Anything => return Map::new(),
            Self::Nothing => 0,
            Self::Version(version) => version,
        };
        Map::from_iter([("cas".to_owned(), cas.into())])
    }
}

impl<'a> Kv<'a> {
    pub(crate) fn new(client: &'a Client, mount: &'a str) -> Self {
        Self { client, mount }
    }

    /// Reads the newest version.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is none, or it was deleted; [`ClientError`].
    pub async fn read(&self, path: &str) -> Result<Secret> {
        self.read_at(self.path("data", path)?).await
    }

    /// Reads a version.
    ///
    /// # Errors
    /// As [`Kv::read`].
    pub async fn read_version(&self, path: &str, version: u64) -> Result<Secret> {
        self.read_at(format!("{}?version={version}", self.path("data", path)?)).await
    }

    async fn read_at(&self, path: String) -> Result<Secret> {
        let answer = self.client.send(Ask::get(path).accepting(&[404])).await?;
        if answer.status.as_u16() != 404 {
            return answer.data();
        }
        match deleted(&answer) {
            Some(message) => Err(ClientError::NotFound(answer.said(vec![message]))),
            None => Err(answer.failure()),
        }
    }

    /// Writes a new version, of the fields that `data` has when it is written as JSON.
    ///
    /// # Errors
    /// [`ClientError::Conflict`] if what is there is not what was expected; [`ClientError`].
    pub async fn put(&self, path: &str, data: &impl Serialize, expect: Expect) -> Result<Version> {
        let body = Write { data, options: expect.options() };
        self.client.send(Ask::post(self.path("data", path)?, &body)?).await?.data()
    }

    /// Writes a new version that differs from the newest in the fields that are given; `null` takes a field away.
    ///
    /// # Errors
    /// As [`Kv::put`]; [`ClientError::NotFound`] if there is no version to begin from.
    pub async fn patch(&self, path: &str, data: &impl Serialize, expect: Expect) -> Result<Version> {
        let body = Write { data, options: expect.options() };
        let mut ask = Ask::new(Method::PATCH, self.path("data", path)?).with_body(&body)?;
        ask.media_type = "application/merge-patch+json";
        self.client.send(ask).await?.data()
    }

    /// Deletes the newest version; [`Kv::undelete`] brings it back.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete(&self, path: &str) -> Result<()> {
        self.client.send(Ask::new(Method::DELETE, self.path("data", path)?)).await.map(drop)
    }

    /// Deletes versions; [`Kv::undelete`] brings them back.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete_versions(&self, path: &str, versions: &[u64]) -> Result<()> {
        self.change("delete", path, versions).await
    }

    /// Brings deleted versions back.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn undelete(&self, path: &str, versions: &[u64]) -> Result<()> {
        self.change("undelete", path, versions).await
    }

    /// Removes versions for good.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn destroy(&self, path: &str, versions: &[u64]) -> Result<()> {
        self.change("destroy", path, versions).await
    }

    async fn change(&self, how: &str, path: &str, versions: &[u64]) -> Result<()> {
        let ask = Ask::post(self.path(how, path)?, &json!({ "versions": versions }))?;
        self.client.send(ask).await.map(drop)
    }

    /// Lists what is under a path, or under the mount if it is empty. What ends with `/` has more under it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list(&self, path: &str) -> Result<Vec<String>> {
        let below = if path.is_empty() { String::new() } else { path::encoded(path)? };
        list(self.client, format!("{}/metadata/{below}", path::encoded(self.mount)?)).await
    }

    /// Reads what is known of a secret and its versions.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such secret; [`ClientError`].
    pub async fn metadata(&self, path: &str) -> Result<Metadata> {
        self.client.send(Ask::get(self.path("metadata", path)?)).await?.data()
    }

    /// Removes a secret for good, with all of its versions.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete_all(&self, path: &str) -> Result<()> {
        self.client.send(Ask::new(Method::DELETE, self.path("metadata", path)?)).await.map(drop)
    }

    fn path(&self, what: &str, path: &str) -> Result<String> {
        Ok(format!("{}/{what}/{}", path::encoded(self.mount)?, path::encoded(path)?))
    }
}

#[derive(Serialize)]
struct Write<'a, T> {
    data: &'a T,
    #[serde(skip_serializing_if = "Map::is_empty")]
    options: Map<String, Value>,
}

/// Says what became of a version that was there, if that is why nothing was found.
fn deleted(answer: &Answer) -> Option<String> {
    #[derive(Deserialize)]
    struct Gone {
        metadata: Version,
    }
    let Version { version, state } = answer.data::<Gone>().ok()?.metadata;
    Some(format!("version {version} was {}", if state.destroyed { "destroyed" } else { "deleted" }))
}

/// Lists what is under a path. Where nothing is, servers answer 404 without a word.
pub(crate) async fn list(client: &Client, path: String) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Keys {
        keys: Vec<String>,
    }
    match client.send(Ask::list(path)).await {
        Ok(answer) => answer.data::<Keys>().map(|Keys { keys }| keys),
        Err(ClientError::NotFound(said)) if said.messages().is_empty() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
