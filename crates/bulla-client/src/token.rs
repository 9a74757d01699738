//! The client's own token.

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::ask::Ask;
use crate::{Client, Result};

/// The door to the client's own token. [`Client::token`] opens it.
#[derive(Debug, Clone, Copy)]
pub struct TokenDoor<'a> {
    client: &'a Client,
}

/// What a server knows of a token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct TokenInfo {
    /// Names the token without being it.
    #[serde(default)]
    pub accessor: String,
    /// Whose it is.
    #[serde(default)]
    pub display_name: String,
    /// Its policies.
    #[serde(default)]
    pub policies: Vec<String>,
    /// How long it is valid for, in seconds; zero is for ever.
    #[serde(default, deserialize_with = "seconds")]
    pub ttl: Duration,
    /// When it expires, if it does.
    #[serde(default)]
    pub expire_time: Option<String>,
    /// Whether it can be renewed.
    #[serde(default)]
    pub renewable: bool,
    /// What it was made by.
    #[serde(default)]
    pub path: String,
}

/// For how long a token is valid from now on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Lease {
    /// How long.
    #[serde(default, rename = "lease_duration", deserialize_with = "seconds")]
    pub duration: Duration,
    /// Whether it can be renewed again.
    #[serde(default)]
    pub renewable: bool,
    /// Its policies.
    #[serde(default)]
    pub policies: Vec<String>,
}

impl<'a> TokenDoor<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client }
    }

    /// Looks up what the token is.
    ///
    /// # Errors
    /// [`ClientError::Refused`](crate::ClientError::Refused) if it is none; [`ClientError`](crate::ClientError).
    pub async fn lookup_self(&self) -> Result<TokenInfo> {
        self.client.send(Ask::get("auth/token/lookup-self".to_owned())).await?.data()
    }

    /// Has the token be valid for longer: for `increment`, or for as long as it was made for.
    ///
    /// # Errors
    /// [`ClientError`](crate::ClientError).
    pub async fn renew_self(&self, increment: Option<Duration>) -> Result<Lease> {
        let body = match increment {
            Some(increment) => json!({ "increment": format!("{}s", increment.as_secs()) }),
            None => json!({}),
        };
        let answer = self.client.send(Ask::post("auth/token/renew-self".to_owned(), &body)?).await?;
        Auth::of(&answer)
    }

    /// Revokes the token, and all that were made with it.
    ///
    /// # Errors
    /// [`ClientError`](crate::ClientError).
    pub async fn revoke_self(&self) -> Result<()> {
        self.client.send(Ask::post("auth/token/revoke-self".to_owned(), &json!({}))?).await.map(drop)
    }
}

/// The part of an answer that tells of a token.
#[derive(Deserialize)]
pub(crate) struct Auth<T> {
    auth: T,
}

impl<T: serde::de::DeserializeOwned> Auth<T> {
    pub(crate) fn of(answer: &crate::answer::Answer) -> Result<T> {
        let auth: Option<Self> = answer.whole()?;
        auth.map(|Self { auth }| auth).ok_or_else(|| answer.unlike("it is empty"))
    }
}

pub(crate) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_secs)
}
