use bulla_seal::SecretVec;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Transit;
use super::items::{BATCH_STATUSES, Base64, Batch, ItemError, Plaintext, refused_empty, results};
use crate::ask::Ask;
use crate::secret::Base64Secret;
use crate::{ClientError, Result};

/// Something that was encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Encrypted {
    /// As text: `vault:v1:…`.
    pub ciphertext: String,
    /// The version of the key, if the server says so.
    #[serde(default)]
    pub key_version: u64,
}

/// Something to decrypt, or to encrypt under the newest version.
#[derive(Debug, Clone, Copy)]
pub struct Ciphertext<'a> {
    /// As text: `vault:v1:…`.
    pub text: &'a str,
    /// What derived the key, of keys that are derived.
    pub context: Option<&'a [u8]>,
    /// What was told when it was encrypted.
    pub associated_data: Option<&'a [u8]>,
}

impl<'a> Ciphertext<'a> {
    /// Takes a text that was encrypted with nothing beside it.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text, context: None, associated_data: None }
    }
}

impl<'a> From<&'a str> for Ciphertext<'a> {
    fn from(text: &'a str) -> Self {
        Self::new(text)
    }
}

/// A key to use at once, and itself encrypted to be kept.
#[derive(Debug)]
#[non_exhaustive]
pub struct DataKey {
    /// The key; wiped on drop.
    pub plaintext: SecretVec,
    /// What [`Transit::decrypt`] makes the key of again.
    pub ciphertext: String,
}

impl Transit<'_> {
    /// Encrypts under the newest version of a key.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn encrypt<'p>(&self, key: &str, plaintext: impl Into<Plaintext<'p>>) -> Result<Encrypted> {
        let ask = Ask::post(self.path("encrypt", key)?, &PlaintextBody::of(plaintext.into()))?.repeatable();
        self.client.send(ask).await?.data()
    }

    /// Encrypts many in one request. One that goes wrong does not keep the others from it.
    ///
    /// # Errors
    /// [`ClientError`] if nothing was done at all.
    pub async fn encrypt_batch(
        &self,
        key: &str,
        plaintexts: &[Plaintext<'_>],
    ) -> Result<Vec<std::result::Result<Encrypted, ItemError>>> {
        self.batch("encrypt", key, plaintexts.iter().map(|plaintext| PlaintextBody::of(*plaintext)).collect()).await
    }

    /// Decrypts.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] if it does not open; [`ClientError`].
    pub async fn decrypt<'c>(&self, key: &str, ciphertext: impl Into<Ciphertext<'c>>) -> Result<SecretVec> {
        let ask = Ask::post(self.path("decrypt", key)?, &CiphertextBody::of(ciphertext.into()))?.repeatable();
        self.client.send(ask).await?.data().map(|Opened { plaintext }| plaintext.0)
    }

    /// Decrypts many in one request. One that does not open does not keep the others from it.
    ///
    /// # Errors
    /// [`ClientError`] if nothing was done at all.
    pub async fn decrypt_batch(
        &self,
        key: &str,
        ciphertexts: &[Ciphertext<'_>],
    ) -> Result<Vec<std::result::Result<SecretVec, ItemError>>> {
        let bodies = ciphertexts.iter().map(|ciphertext| CiphertextBody::of(*ciphertext)).collect();
        let opened = self.batch::<_, Opened>("decrypt", key, bodies).await?;
        Ok(opened.into_iter().map(|item| item.map(|Opened { plaintext }| plaintext.0)).collect())
    }

    /// Encrypts under the newest version what was encrypted under an older one, without showing it.
    ///
    /// # Errors
    /// As [`Transit::decrypt`].
    pub async fn rewrap<'c>(&self, key: &str, ciphertext: impl Into<Ciphertext<'c>>) -> Result<Encrypted> {
        let ask = Ask::post(self.path("rewrap", key)?, &CiphertextBody::of(ciphertext.into()))?.repeatable();
        self.client.send(ask).await?.data()
    }

    /// Rewraps many in one request.
    ///
    /// # Errors
    /// [`ClientError`] if nothing was done at all.
    pub async fn rewrap_batch(
        &self,
        key: &str,
        ciphertexts: &[Ciphertext<'_>],
    ) -> Result<Vec<std::result::Result<Encrypted, ItemError>>> {
        self.batch("rewrap", key, ciphertexts.iter().map(|ciphertext| CiphertextBody::of(*ciphertext)).collect()).await
    }

    /// Draws a key of 128, 256 or 512 bits.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn data_key(&self, key: &str, bits: u16) -> Result<DataKey> {
        #[derive(Deserialize)]
        struct Drawn {
            plaintext: Base64Secret,
            ciphertext: String,
        }
        if !matches!(bits, 128 | 256 | 512) {
            return Err(ClientError::Request("a data key has 128, 256 or 512 bits"));
        }
        let ask = Ask::post(self.path("datakey/plaintext", key)?, &json!({ "bits": bits }))?.repeatable();
        let Drawn { plaintext, ciphertext } = self.client.send(ask).await?.data()?;
        Ok(DataKey { plaintext: plaintext.0, ciphertext })
    }

    async fn batch<B: Serialize, T: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        key: &str,
        batch_input: Vec<B>,
    ) -> Result<Vec<std::result::Result<T, ItemError>>> {
        refused_empty(batch_input.len())?;
        let asked = batch_input.len();
        let ask = Ask::post(self.path(what, key)?, &Batch { batch_input })?.repeatable().accepting(BATCH_STATUSES);
        results(&self.client.send(ask).await?, asked)
    }
}

#[derive(Serialize)]
struct PlaintextBody {
    plaintext: Base64,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Base64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    associated_data: Option<Base64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_version: Option<u64>,
}

impl PlaintextBody {
    fn of(plaintext: Plaintext<'_>) -> Self {
        Self {
            plaintext: Base64::of(plaintext.bytes),
            context: plaintext.context.map(Base64::of),
            associated_data: plaintext.associated_data.map(Base64::of),
            key_version: plaintext.key_version,
        }
    }
}

#[derive(Serialize)]
struct CiphertextBody<'a> {
    ciphertext: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Base64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    associated_data: Option<Base64>,
}

impl<'a> CiphertextBody<'a> {
    fn of(ciphertext: Ciphertext<'a>) -> Self {
        Self {
            ciphertext: ciphertext.text,
            context: ciphertext.context.map(Base64::of),
            associated_data: ciphertext.associated_data.map(Base64::of),
        }
    }
}

#[derive(Deserialize)]
struct Opened {
    plaintext: Base64Secret,
}
