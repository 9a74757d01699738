use serde::{Deserialize, Serialize};

use super::Transit;
use super::items::{Base64, Message};
use crate::Result;
use crate::ask::Ask;

/// A signature or an HMAC to verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature<'a> {
    /// A signature, `vault:v1:…`.
    Signature(&'a str),
    /// An HMAC, `vault:v1:…`.
    Hmac(&'a str),
}

impl Transit<'_> {
    /// Signs.
    ///
    /// # Errors
    /// [`ClientError`](crate::ClientError).
    pub async fn sign<'m>(&self, key: &str, message: impl Into<Message<'m>>) -> Result<String> {
        #[derive(Deserialize)]
        struct Signed {
            signature: String,
        }
        let body = MessageBody::of(message.into(), None);
        let answer = self.client.send(Ask::post(self.path("sign", key)?, &body)?.repeatable()).await?;
        answer.data().map(|Signed { signature }| signature)
    }

    /// Computes the HMAC of a message.
    ///
    /// # Errors
    /// [`ClientError`](crate::ClientError).
    pub async fn hmac<'m>(&self, key: &str, message: impl Into<Message<'m>>) -> Result<String> {
        #[derive(Deserialize)]
        struct Authenticated {
            hmac: String,
        }
        let message = message.into();
        let mut body = MessageBody::of(message, None);
        (body.algorithm, body.hash_algorithm) = (message.hash_algorithm, None);
        let answer = self.client.send(Ask::post(self.path("hmac", key)?, &body)?.repeatable()).await?;
        answer.data().map(|Authenticated { hmac }| hmac)
    }

    /// Says whether a signature or an HMAC is right.
    ///
    /// # Errors
    /// [`ClientError::Invalid`](crate::ClientError::Invalid) if it is none at all; [`ClientError`](crate::ClientError).
    pub async fn verify<'m>(
        &self,
        key: &str,
        message: impl Into<Message<'m>>,
        signature: Signature<'_>,
    ) -> Result<bool> {
        #[derive(Deserialize)]
        struct Verified {
            valid: bool,
        }
        let body = MessageBody::of(message.into(), Some(signature));
        let answer = self.client.send(Ask::post(self.path("verify", key)?, &body)?.repeatable()).await?;
        answer.data().map(|Verified { valid }| valid)
    }
}

#[derive(Serialize)]
struct MessageBody<'a> {
    input: Base64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    prehashed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash_algorithm: Option<&'a str>,
    /// What `hmac` calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithm: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hmac: Option<&'a str>,
}

impl<'a> MessageBody<'a> {
    fn of(message: Message<'a>, signature: Option<Signature<'a>>) -> Self {
        let (signature, hmac) = match signature {
            Some(Signature::Signature(text)) => (Some(text), None),
            Some(Signature::Hmac(text)) => (None, Some(text)),
            None => (None, None),
        };
        Self {
            input: Base64::of(message.bytes),
            prehashed: message.prehashed,
            hash_algorithm: message.hash_algorithm,
            algorithm: None,
            // A signature names its version itself.
            key_version: if signature.is_none() && hmac.is_none() { message.key_version } else { None },
            signature,
            hmac,
        }
    }
}
