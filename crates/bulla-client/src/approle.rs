//! Logins of programs.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ask::Ask;
use crate::token::{Auth, seconds};
use crate::{Client, Result, Token, path};

/// The door to the logins of programs. [`Client::approle`] opens it.
#[derive(Debug, Clone, Copy)]
pub struct AppRole<'a> {
    client: &'a Client,
    mount: &'a str,
}

/// A token that a login gave; [`Client::with_token`] takes it.
#[derive(Clone, Deserialize)]
#[non_exhaustive]
pub struct Login {
    /// The token.
    #[serde(rename = "client_token")]
    pub token: Token,
    /// Names the token without being it.
    #[serde(default)]
    pub accessor: String,
    /// Its policies.
    #[serde(default)]
    pub policies: Vec<String>,
    /// For how long it is valid.
    #[serde(default, rename = "lease_duration", deserialize_with = "seconds")]
    pub duration: Duration,
    /// Whether it can be renewed.
    #[serde(default)]
    pub renewable: bool,
}

impl<'a> AppRole<'a> {
    pub(crate) fn new(client: &'a Client, mount: &'a str) -> Self {
        Self { client, mount }
    }

    /// Logs in. The client's token, if it has one, is not shown.
    ///
    /// # Errors
    /// [`ClientError::Invalid`](crate::ClientError::Invalid) for a wrong role or secret; [`ClientError`](crate::ClientError).
    pub async fn login(&self, role_id: &str, secret_id: &str) -> Result<Login> {
        #[derive(Serialize)]
        struct Body<'a> {
            role_id: &'a str,
            secret_id: &'a str,
        }
        let path = format!("auth/{}/login", path::encoded(self.mount)?);
        let ask = Ask::post(path, &Body { role_id, secret_id })?.anonymous().hiding(secret_id);
        Auth::of(&self.client.send(ask).await?)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("token", &self.token)
            .field("accessor", &self.accessor)
            .field("policies", &self.policies)
            .field("duration", &self.duration)
            .field("renewable", &self.renewable)
            .finish()
    }
}
