use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Transit;
use crate::ask::Ask;
use crate::kv::list;
use crate::{Result, path};

/// What a new key is to be; what is `None` is as the server has it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct KeyOptions<'a> {
    /// Its kind, `aes256-gcm96` or `ed25519` say.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'a str>,
    /// Whether a context derives keys from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub derived: Option<bool>,
    /// Whether its material is handed out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exportable: Option<bool>,
    /// After how long it makes a new version of itself, `720h` say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_rotate_period: Option<&'a str>,
}

/// What is known of a key.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct TransitKey {
    /// Its name.
    pub name: String,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// Number of the newest version.
    #[serde(default)]
    pub latest_version: u64,
    /// Lowest version that decrypts and verifies.
    #[serde(default)]
    pub min_decryption_version: u64,
    /// Lowest version that encrypts and signs; 0 is only the newest.
    #[serde(default)]
    pub min_encryption_version: u64,
    /// Whether it may be deleted.
    #[serde(default)]
    pub deletion_allowed: bool,
    /// Whether its material is handed out.
    #[serde(default)]
    pub exportable: bool,
    /// Whether a context derives keys from it.
    #[serde(default)]
    pub derived: bool,
    /// Whether it encrypts.
    #[serde(default)]
    pub supports_encryption: bool,
    /// Whether it signs.
    #[serde(default)]
    pub supports_signing: bool,
    /// Its versions by their numbers.
    #[serde(default)]
    pub keys: BTreeMap<u64, KeyVersionInfo>,
}

/// What is known of a version of a key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Value")]
#[non_exhaustive]
pub struct KeyVersionInfo {
    /// Its public key, if it has one: PEM, or base64 for Ed25519.
    pub public_key: Option<String>,
}

impl From<Value> for KeyVersionInfo {
    /// Of a key without public part, servers tell the time only.
    fn from(value: Value) -> Self {
        let public_key = value.get("public_key").and_then(Value::as_str).filter(|text| !text.is_empty());
        Self { public_key: public_key.map(str::to_owned) }
    }
}

impl Transit<'_> {
    /// Makes a key. One that is there already stays as it is.
    ///
    /// # Errors
    /// [`ClientError`](crate::ClientError).
    pub async fn create_key(&self, key: &str, options: &KeyOptions<'_>) -> Result<()> {
        self.client.send(Ask::post(self.path("keys", key)?, options)?.repeatable()).await.map(drop)
    }

    /// Reads what is known of a key.
    ///
    /// # Errors
    /// [`ClientError::NotFound`](crate::ClientError::NotFound) if there is none; [`ClientError`](crate::ClientError).
    pub async fn key(&self, key: &str) -> Result<TransitKey> {
        self.client.send(Ask::get(self.path("keys", key)?)).await?.data()
    }

    /// Lists the names of the keys.
    ///
    /// # Errors
    /// [`ClientError`](crate::ClientError).
    pub async fn keys(&self) -> Result<Vec<String>> {
        list(self.client, format!("{}/keys", path::encoded(self.mount)?)).await
    }

    /// Makes a new version of a key. What is encrypted still opens.
    ///
    /// # Errors
    /// [`ClientError`](crate::ClientError).
    pub async fn rotate(&self, key: &str) -> Result<()> {
        let ask = Ask::post(format!("{}/rotate", self.path("keys", key)?), &json!({}))?;
        self.client.send(ask).await.map(drop)
    }
}
