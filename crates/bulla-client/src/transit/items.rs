use data_encoding::BASE64;
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::answer::Answer;
use crate::{ClientError, Result};

/// Something to encrypt.
#[derive(Clone, Copy)]
pub struct Plaintext<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// What derives the key, of keys that are derived.
    pub context: Option<&'a [u8]>,
    /// What has to be told again to decrypt it.
    pub associated_data: Option<&'a [u8]>,
    /// Another version of the key than the newest.
    pub key_version: Option<u64>,
}

impl<'a> Plaintext<'a> {
    /// Takes bytes, to be encrypted under the newest version of the key.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, context: None, associated_data: None, key_version: None }
    }
}

impl<'a> From<&'a [u8]> for Plaintext<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::new(bytes)
    }
}

impl std::fmt::Debug for Plaintext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plaintext").field("key_version", &self.key_version).finish_non_exhaustive()
    }
}

/// Something to sign or to authenticate.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The bytes, or their digest.
    pub bytes: &'a [u8],
    /// Whether they are a digest.
    pub prehashed: bool,
    /// By which hash function, `sha2-256` say, if not by the key's own.
    pub hash_algorithm: Option<&'a str>,
    /// Another version of the key than the newest.
    pub key_version: Option<u64>,
}

impl<'a> Message<'a> {
    /// Takes a message, for the newest version of the key.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, prehashed: false, hash_algorithm: None, key_version: None }
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::new(bytes)
    }
}

/// Why one of many was not done: the server's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ItemError(pub String);

/// Bytes in base64, for a body.
pub(super) struct Base64(Zeroizing<String>);

impl Base64 {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(BASE64.encode(bytes)))
    }
}

impl Serialize for Base64 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Many of something, in a body.
#[derive(Serialize)]
pub(super) struct Batch<T> {
    pub(super) batch_input: Vec<T>,
}

/// Reads the answers to many, in their order.
///
/// If any went wrong the server may answer 400, and says of each why.
pub(super) fn results<T: DeserializeOwned>(
    answer: &Answer,
    asked: usize,
) -> Result<Vec<std::result::Result<T, ItemError>>> {
    #[derive(Deserialize)]
    struct Data<T> {
        #[serde(bound(deserialize = "T: DeserializeOwned"))]
        batch_results: Vec<Item<T>>,
    }
    let items = match answer.data::<Data<T>>() {
        Ok(Data { batch_results }) if batch_results.len() == asked => batch_results,
        Ok(_) => return Err(answer.unlike("it has another number of results than there were questions")),
        Err(error) if answer.status.is_success() => return Err(error),
        Err(_) => return Err(answer.failure()),
    };
    Ok(items.into_iter().map(|item| item.result(answer)).collect())
}

/// One answer of many: either an error or what was asked for.
#[derive(Deserialize)]
struct Item<T> {
    #[serde(default)]
    error: String,
    #[serde(flatten, bound(deserialize = "T: DeserializeOwned"))]
    value: Option<T>,
}

impl<T> Item<T> {
    fn result(self, answer: &Answer) -> std::result::Result<T, ItemError> {
        match self.value {
            Some(value) if self.error.is_empty() => Ok(value),
            _ if self.error.is_empty() => Err(ItemError("the server gave neither a result nor a reason".to_owned())),
            _ => Err(ItemError(answer.cleaned(&self.error))),
        }
    }
}

/// Statuses, beside success, of answers that tell of each item.
pub(super) const BATCH_STATUSES: &[u16] = &[400];

pub(super) fn refused_empty(count: usize) -> Result<()> {
    if count == 0 { Err(ClientError::Request("there is nothing to do in it")) } else { Ok(()) }
}
