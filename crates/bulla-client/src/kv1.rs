//! Secrets without versions: KV version 1.

use http::Method;
use serde::Serialize;

use crate::ask::Ask;
use crate::kv::list;
use crate::{Client, Result, SecretData, path};

/// The door to secrets without versions. [`Client::kv1`] opens it.
#[derive(Debug, Clone, Copy)]
pub struct Kv1<'a> {
    client: &'a Client,
    mount: &'a str,
}

impl<'a> Kv1<'a> {
    pub(crate) fn new(client: &'a Client, mount: &'a str) -> Self {
        Self { client, mount }
    }

    /// Reads a secret.
    ///
    /// # Errors
    /// [`ClientError::NotFound`](crate::ClientError::NotFound) if there is none; [`ClientError`](crate::ClientError).
    pub async fn read(&self, path: &str) -> Result<SecretData> {
        self.client.send(Ask::get(self.path(path)?)).await?.data()
    }

    /// Writes a secret, of the fields that `data` has when it is written as JSON, in the place of what was there.
    ///
    /// # Errors
    /// [`ClientError`](crate::ClientError).
    pub async fn write(&self, path: &str, data: &impl Serialize) -> Result<()> {
        // The same fields twice are the same secret.
        self.client.send(Ask::post(self.path(path)?, data)?.repeatable()).await.map(drop)
    }

    /// Lists what is under a path, or under the mount if it is empty. What ends with `/` has more under it.
    ///
    /// # Errors
    /// [`ClientError`](crate::ClientError).
    pub async fn list(&self, path: &str) -> Result<Vec<String>> {
        let below = if path.is_empty() { String::new() } else { path::encoded(path)? };
        list(self.client, format!("{}/{below}", path::encoded(self.mount)?)).await
    }

    /// Removes a secret.
    ///
    /// # Errors
    /// [`ClientError`](crate::ClientError).
    pub async fn delete(&self, path: &str) -> Result<()> {
        self.client.send(Ask::new(Method::DELETE, self.path(path)?)).await.map(drop)
    }

    fn path(&self, path: &str) -> Result<String> {
        Ok(format!("{}/{}", path::encoded(self.mount)?, path::encoded(path)?))
    }
}
