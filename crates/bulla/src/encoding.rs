//! Bytes as text: how material, signatures and random bytes are written where text is wanted.

use std::fmt;
use std::str::FromStr;

use bulla_seal::SecretVec;
use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use zeroize::Zeroizing;

/// How bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// As they are.
    Raw,
    /// Two hex digits a byte, lower case; read in any case.
    Hex,
    /// Base64 with padding (RFC 4648, section 4).
    Base64,
}

impl Encoding {
    /// Every encoding.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Hex, Self::Base64];

    /// Returns the name that settings and the command line use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Hex => "hex",
            Self::Base64 => "base64",
        }
    }

    /// Writes bytes.
    ///
    /// # Security
    /// Of a secret, what is returned is as secret, and wiped on drop.
    #[must_use]
    pub fn encode(self, bytes: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Self::Raw => bytes.to_vec(),
            Self::Hex => HEXLOWER.encode(bytes).into_bytes(),
            Self::Base64 => BASE64.encode(bytes).into_bytes(),
        })
    }

    /// Reads what [`Self::encode`] wrote; white space around text does not count.
    ///
    /// # Errors
    /// [`DecodeError`], which shows nothing of the text.
    pub fn decode(self, text: &[u8]) -> Result<SecretVec, DecodeError> {
        let trimmed = text.trim_ascii();
        let decoded = match self {
            Self::Raw => Ok(text.to_vec()),
            Self::Hex => HEXLOWER_PERMISSIVE.decode(trimmed),
            Self::Base64 => BASE64.decode(trimmed),
        };
        decoded.map(SecretVec::new).map_err(|_| DecodeError(self))
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Encoding {
    type Err = ParseEncodingError;

    fn from_str(text: &str) -> Result<Self, ParseEncodingError> {
        Self::ALL.into_iter().find(|encoding| encoding.name() == text).ok_or(ParseEncodingError)
    }
}

/// The text names no encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the encodings are `raw`, `hex` and `base64`")]
pub struct ParseEncodingError;

/// The text is not of the encoding that it should be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not {0}")]
pub struct DecodeError(Encoding);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back() {
        for encoding in Encoding::ALL {
            let text = encoding.encode(b"\x00\xffkey");
            assert_eq!(encoding.decode(&text).unwrap().expose(), b"\x00\xffkey");
            assert_eq!(encoding.name().parse(), Ok(encoding));
        }
        assert_eq!(Encoding::Hex.decode(b" 00FF\n").unwrap().expose(), b"\x00\xff");
        assert_eq!(Encoding::Raw.decode(b"a\n").unwrap().expose(), b"a\n");
        for (encoding, text) in [(Encoding::Hex, &b"0"[..]), (Encoding::Hex, b"0g"), (Encoding::Base64, b"AA=")] {
            let error = encoding.decode(text).unwrap_err();
            assert_eq!(error.to_string(), format!("it is not {encoding}"));
        }
    }
}
