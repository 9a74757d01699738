use std::fmt;
use std::str::FromStr;

use bulla_keyring::source::{HexKeys, ParseHexKeysError};
use bulla_seal::{MAC_LEN, MAX_MATERIAL_LEN, MacKey, MacStream, MacVerifier};

/// The keys of a fleche directory, prepared (spec, "Keys"): the first signs, any verifies.
///
/// # Security
/// A key of less than 16 bytes verifies, since there are files that it signed, but never signs; [`HexKeys::warnings`] tells of such
/// keys. Whoever can verify can also sign.
///
/// # Examples
/// ```
/// use bulla_store::FlecheKeys;
///
/// let key = "2a".repeat(32);
/// assert!(key.parse::<FlecheKeys>().is_ok());
/// // fleche takes what is behind the colon for a key, an empty one, which verifies anybody's file.
/// assert!(format!("{key}:").parse::<FlecheKeys>().is_err());
/// ```
pub struct FlecheKeys {
    verifiers: Vec<MacVerifier>,
    /// The first key, unless it is too short to sign.
    signer: Option<MacKey>,
}

/// Why there are no keys of a fleche directory. The message names a key by its position, from 1, and shows none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlecheKeysError {
    /// No list of keys.
    #[error(transparent)]
    Text(#[from] ParseHexKeysError),
    /// A key of zero bytes only, which HMAC does not tell from an empty one.
    #[error("key {0} consists of zeros, which is as good as empty: it would verify anybody's file")]
    Zero(usize),
    /// A key that is too long.
    #[error("key {0} is longer than {MAX_MATERIAL_LEN} bytes")]
    TooLong(usize),
}

impl FlecheKeysError {
    /// Returns the stable code of the failure.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Text(error) => error.code(),
            Self::Zero(_) | Self::TooLong(_) => "invalid_hex_keys",
        }
    }
}

impl FlecheKeys {
    pub(super) fn streams(&self) -> Vec<MacStream> {
        self.verifiers.iter().map(MacVerifier::stream).collect()
    }

    /// Signs with the first key; `None` if that is too short.
    pub(super) fn sign(&self, payload: &[u8]) -> Option<[u8; MAC_LEN]> {
        self.signer.as_ref().map(|key| key.tag(payload))
    }
}

impl TryFrom<&HexKeys> for FlecheKeys {
    type Error = FlecheKeysError;

    fn try_from(keys: &HexKeys) -> Result<Self, FlecheKeysError> {
        let mut verifiers = Vec::new();
        for (key, position) in keys.verifying().zip(1..) {
            let key = key.expose();
            verifiers.push(MacVerifier::new(key).map_err(|_| match key.len() {
                ..=MAX_MATERIAL_LEN => FlecheKeysError::Zero(position),
                _ => FlecheKeysError::TooLong(position),
            })?);
        }
        let signer = keys.signing().ok().and_then(|key| MacKey::new(key.expose()).ok());
        Ok(Self { verifiers, signer })
    }
}

impl FromStr for FlecheKeys {
    type Err = FlecheKeysError;

    fn from_str(text: &str) -> Result<Self, FlecheKeysError> {
        Self::try_from(&text.parse::<HexKeys>()?)
    }
}

impl fmt::Debug for FlecheKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlecheKeys({})", self.verifiers.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_signs_unless_it_is_short() {
        let keys: FlecheKeys = format!("{}:C0ffEE", "0f".repeat(16)).parse().unwrap();
        assert_eq!(keys.streams().len(), 2);
        assert_eq!(keys.sign(b"."), Some(MacKey::new(&[15; 16]).unwrap().tag(b".")));
        assert_eq!(format!("{keys:?}"), "FlecheKeys(2)");
        assert_eq!("c0ffee".parse::<FlecheKeys>().unwrap().sign(b"."), None);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let good = "0f".repeat(16);
        for text in ["", &format!("{good}:"), &format!(":{good}"), &format!("{good}: "), "0x12", "abc"] {
            let refused = text.parse::<FlecheKeys>().unwrap_err();
            assert!(matches!(refused, FlecheKeysError::Text(_)), "{refused}");
            assert!(!refused.to_string().contains("0f"), "{refused}");
        }
        for (text, error) in [
            (format!("{good}:{}", "00".repeat(32)), FlecheKeysError::Zero(2)),
            ("0f".repeat(MAX_MATERIAL_LEN + 1), FlecheKeysError::TooLong(1)),
        ] {
            let refused = text.parse::<FlecheKeys>().unwrap_err();
            assert_eq!((refused, refused.code()), (error, "invalid_hex_keys"));
            assert!(!refused.to_string().contains("0f"), "{refused}");
        }
    }
}
