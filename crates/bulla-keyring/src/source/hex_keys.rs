//! Lists of keys in hexadecimal.

use std::fmt;
use std::str::FromStr;

use bulla_seal::SecretVec;
use data_encoding::HEXLOWER_PERMISSIVE;
use zeroize::Zeroizing;

use super::{MAX_VALUE_LEN, SecretValue};

/// Shortest key that seals or signs, in bytes.
pub const MIN_SIGNING_KEY_LEN: usize = 16;
/// Most keys of one list.
pub const MAX_HEX_KEYS: usize = 1_024;

/// Keys as `FLECHE_SECRET_KEY` has them: hexadecimal, joined by `:`. The first one seals and signs, any of them opens and verifies.
///
/// # Examples
/// ```
/// use bulla_keyring::source::HexKeys;
///
/// let keys: HexKeys = "00112233445566778899aabbccddeeff:c0ffee".parse()?;
/// assert_eq!(keys.signing()?.expose().len(), 16);
/// assert_eq!(keys.verifying().count(), 2);
/// assert_eq!(keys.warnings().count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct HexKeys {
    /// At least one.
    keys: Vec<SecretVec>,
}

impl HexKeys {
    /// Returns the key that seals and signs: the first.
    ///
    /// # Errors
    /// [`ShortKeyError`] if it has fewer than 16 bytes: such a key only opens and verifies.
    pub fn signing(&self) -> Result<&SecretVec, ShortKeyError> {
        let len = self.keys[0].expose().len();
        if len < MIN_SIGNING_KEY_LEN { Err(ShortKeyError(len)) } else { Ok(&self.keys[0]) }
    }

    /// Returns the keys that open and verify: all, in order.
    #[must_use]
    pub fn verifying(&self) -> impl ExactSizeIterator<Item = &SecretVec> {
        self.keys.iter()
    }

    /// Returns what is to be said to whoever set the keys.
    pub fn warnings(&self) -> impl Iterator<Item = HexKeyWarning> {
        let numbered = (1..).zip(&self.keys);
        numbered
            .map(|(part, key)| HexKeyWarning { part, len: key.expose().len() })
            .filter(|warning| warning.len < MIN_SIGNING_KEY_LEN)
    }
}

/// Reads what a source gave: for keys that lie in an environment variable, `env:FLECHE_SECRET_KEY`.
impl TryFrom<&SecretValue> for HexKeys {
    type Error = ParseHexKeysError;

    fn try_from(value: &SecretValue) -> Result<Self, ParseHexKeysError> {
        value.expose_text().ok_or(ParseHexKeysError::NotText)?.parse()
    }
}

impl FromStr for HexKeys {
    type Err = ParseHexKeysError;

    fn from_str(text: &str) -> Result<Self, ParseHexKeysError> {
        if text.len() > MAX_VALUE_LEN || text.split(':').nth(MAX_HEX_KEYS).is_some() {
            return Err(ParseHexKeysError::TooLong);
        }
        let numbered = (1..).zip(text.split(':'));
        let keys = numbered.map(|(part, digits)| parse_key(part, digits.trim_ascii())).collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }
}

fn parse_key(part: usize, digits: &str) -> Result<SecretVec, ParseHexKeysError> {
    if digits.is_empty() {
        return Err(ParseHexKeysError::Empty { part });
    }
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(ParseHexKeysError::Digit { part });
    }
    if !digits.len().is_multiple_of(2) {
        return Err(ParseHexKeysError::HalfByte { part });
    }
    let mut key = Zeroizing::new(vec![0; digits.len() / 2]);
    HEXLOWER_PERMISSIVE.decode_mut(digits.as_bytes(), &mut key).map_err(|_| ParseHexKeysError::Digit { part })?;
    Ok(SecretVec::new(std::mem::take(&mut key)))
}

/// A text is no list of keys. The message names the part by its number and shows none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseHexKeysError {
    /// A part of no digits.
    #[error("part {part} of the key list is empty; keys are hexadecimal, joined by `:`")]
    Empty {
        /// Which part, from 1.
        part: usize,
    },
    /// A character that is no digit.
    #[error("part {part} of the key list has a character that is no hexadecimal digit")]
    Digit {
        /// Which part, from 1.
        part: usize,
    },
    /// An odd number of digits.
    #[error("part {part} of the key list has an odd number of digits")]
    HalfByte {
        /// Which part, from 1.
        part: usize,
    },
    /// Bytes that are no text.
    #[error("a key list is text: hexadecimal, joined by `:`")]
    NotText,
    /// Too many parts or characters.
    #[error("a key list has at most {MAX_HEX_KEYS} keys and {MAX_VALUE_LEN} characters")]
    TooLong,
}

impl ParseHexKeysError {
    /// Returns the stable code of the failure.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "invalid_hex_keys"
    }
}

/// The first key of a list is too short to seal or sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the first key has {0} bytes: it opens and verifies, but only {MIN_SIGNING_KEY_LEN} or more seal and sign; put a longer one first"
)]
pub struct ShortKeyError(usize);

/// A key of a list that is shorter than is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HexKeyWarning {
    /// Which part, from 1.
    pub part: usize,
    /// How many bytes it has.
    pub len: usize,
}

impl fmt::Display for HexKeyWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, len } = self;
        write!(
            f,
            "part {part} of the key list has {len} bytes, fewer than {MIN_SIGNING_KEY_LEN}: it verifies, but never signs"
        )
    }
}
