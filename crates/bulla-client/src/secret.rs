//! Secrets that go to a server and come from one.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use bytes::Bytes;
use http::HeaderValue;
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};
use zeroize::{Zeroize, Zeroizing};

use crate::{ClientError, Result};

/// Longest token, in bytes. Vault's longest, with everything in them, have a few thousand.
const MAX_TOKEN_LEN: usize = 16_384;

/// What a client shows a server to be let in. Clones share the one copy, which is wiped when the last of them is dropped.
///
/// # Examples
/// ```
/// use bulla_client::Token;
///
/// let token = Token::new("s.example".to_owned())?;
/// assert_eq!(format!("{token:?}"), "Token(..)");
/// assert!(Token::new("two words".to_owned()).is_err());
/// # Ok::<(), bulla_client::ClientError>(())
/// ```
#[derive(Clone)]
pub struct Token(HeaderValue);

impl Token {
    /// Takes a token over. White space around it is taken away.
    ///
    /// # Errors
    /// [`ClientError::Token`] if it is empty, too long, or has characters that no token has.
    pub fn new(text: String) -> Result<Self> {
        Self::of_bytes(&Zeroizing::new(text.into_bytes()))
    }

    /// Reads a token from a file, which not everybody may have access to.
    ///
    /// # Errors
    /// [`ClientError::File`] and [`ClientError::Exposed`], and those of [`Token::new`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        Self::of_bytes(&read_secret(path.as_ref(), MAX_TOKEN_LEN as u64)?)
    }

    fn of_bytes(bytes: &[u8]) -> Result<Self> {
        let bytes = bytes.trim_ascii();
        if bytes.is_empty() {
            return Err(ClientError::Token("it is empty"));
        }
        if bytes.len() > MAX_TOKEN_LEN {
            return Err(ClientError::Token("it is too long"));
        }
        if !bytes.iter().all(u8::is_ascii_graphic) {
            return Err(ClientError::Token("it has a character that no token has"));
        }
        // Every copy of the header shares these bytes.
        let shared = Bytes::from_owner(Zeroizing::new(bytes.to_vec()));
        let mut header = HeaderValue::from_maybe_shared(shared)
            .map_err(|_| ClientError::Token("it has a character that no token has"))?;
        header.set_sensitive(true);
        Ok(Self(header))
    }

    /// Shows the token.
    ///
    /// # Security
    /// Whoever calls it answers for every copy.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(|_| de::Error::custom("no token"))
    }
}

/// What a secret holds: fields and their values. Silent in `Debug`, and its texts are wiped on drop.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub struct SecretData(Map<String, Value>);

impl SecretData {
    /// Shows the fields.
    ///
    /// # Security
    /// Whoever calls it answers for every copy.
    #[must_use]
    pub fn expose(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Shows a field that is text.
    ///
    /// # Security
    /// Whoever calls it answers for every copy.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field)?.as_str()
    }
}

impl Drop for SecretData {
    fn drop(&mut self) {
        self.0.values_mut().for_each(wipe);
    }
}

impl fmt::Debug for SecretData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretData(..)")
    }
}

/// Wipes the texts in a value. Values that were parsed are not nested too deeply for this.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(fields) => fields.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Secret bytes, written in base64.
pub(crate) struct Base64Secret(pub(crate) bulla_seal::SecretVec);

impl<'de> Deserialize<'de> for Base64Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = data_encoding::BASE64.decode(text.as_bytes()).map_err(|_| de::Error::custom("no base64"))?;
        Ok(Self(bulla_seal::SecretVec::new(bytes)))
    }
}

/// Reads a file that not everybody may be able to use.
pub(crate) fn read_secret(path: &Path, longest: u64) -> Result<Zeroizing<Vec<u8>>> {
    let failed = |source| ClientError::File { path: path.to_owned(), source };
    let file = open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if mode & 0o007 != 0 {
        return Err(ClientError::Exposed { path: path.to_owned(), mode });
    }
    read_all(file, longest).map_err(failed)
}

/// Reads a file that anybody may know.
pub(crate) fn read_file(path: &Path, longest: u64) -> Result<Zeroizing<Vec<u8>>> {
    open(path)
        .and_then(|file| read_all(file, longest))
        .map_err(|source| ClientError::File { path: path.to_owned(), source })
}

/// Opens a regular file; whatever else has that name is not waited for.
fn open(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    File::open(path)
}

fn read_all(file: File, longest: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let length = file.metadata()?.len();
    if length > longest {
        return Err(io::Error::other(format!("it has more than {longest} bytes")));
    }
    // Reserved at once, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or_default() + 1));
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}
