//! The text form of what the API hands out: `vault:v`, the number of the version, `:`, and base64.

use bulla_guard::audit::Batch;
use data_encoding::BASE64;
use zeroize::Zeroizing;

use super::fields::decode_strictly;
use crate::ApiError;

const PREFIX: &str = "vault:v";

/// What of the API is written so: it tells messages apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ciphertext,
    Signature,
    Hmac,
}

/// A text, taken apart. Nothing of it is authentic yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wrapped<'a> {
    pub(super) version: u64,
    pub(super) encoded: &'a str,
}

/// Digests the texts that the items of a batch brought, for the audit log; `None` without any. What is not in this form counts as an empty text: it may
/// be a secret that somebody put into the wrong field.
pub(super) fn digest<'a>(texts: impl Iterator<Item = Option<&'a String>>) -> Option<Batch> {
    let is_ours = |text: &&str| Kind::Ciphertext.parse(text).is_ok();
    Batch::of(texts.map(|text| text.map(String::as_str).filter(is_ours).unwrap_or_default()))
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Ciphertext => "ciphertext",
            Self::Signature => "signature",
            Self::Hmac => "HMAC",
        }
    }

    /// Makes the error of a text that is none of this kind.
    pub(super) fn invalid(self, problem: &str) -> ApiError {
        let code = match self {
            Self::Ciphertext => "invalid_ciphertext",
            Self::Signature => "invalid_signature",
            Self::Hmac => "invalid_hmac",
        };
        ApiError::new(http::StatusCode::BAD_REQUEST, code, format!("invalid {}: {problem}", self.name()))
    }

    /// Makes the error of a version that the key does not have yet.
    pub(super) fn too_new(self) -> ApiError {
        self.invalid("version is too new")
    }

    /// Makes the error of a version that may not be used any more.
    pub(super) fn too_old() -> ApiError {
        let message = "ciphertext or signature version is disallowed by policy (too old)";
        ApiError::new(http::StatusCode::BAD_REQUEST, "below_minimum", message)
    }

    /// Takes a text apart. The number is written as [`wrap`] writes it, and in no other way.
    pub(super) fn parse(self, text: &str) -> Result<Wrapped<'_>, ApiError> {
        let rest = text.strip_prefix(PREFIX).ok_or_else(|| self.invalid("no prefix"))?;
        let (number, encoded) = rest.split_once(':').ok_or_else(|| self.invalid("wrong number of fields"))?;
        let is_canonical = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
        match number.parse() {
            Ok(version) if is_canonical => Ok(Wrapped { version, encoded }),
            _ => Err(self.invalid("version number could not be decoded")),
        }
    }

    /// Takes a text apart, and decodes it.
    pub(super) fn decode<'a>(self, text: &'a str, out: &mut Zeroizing<Vec<u8>>) -> Result<Wrapped<'a>, ApiError> {
        let wrapped = self.parse(text)?;
        if decode_strictly(wrapped.encoded.as_bytes(), out) {
            Ok(wrapped)
        } else {
            Err(self.invalid("could not decode base64"))
        }
    }
}

/// Writes bytes that a version made.
pub(super) fn wrap(version: u64, bytes: &[u8]) -> String {
    let mut text = begin(version, BASE64.encode_len(bytes.len()));
    BASE64.encode_append(bytes, &mut text);
    text
}

/// Writes what a version made, and what is encoded already.
pub(super) fn wrap_encoded(version: u64, encoded: &str) -> String {
    let mut text = begin(version, encoded.len());
    text.push_str(encoded);
    text
}

fn begin(version: u64, encoded_len: usize) -> String {
    /// Length of the largest number.
    const NUMBER_LEN: usize = 20;
    let mut text = String::with_capacity(PREFIX.len() + NUMBER_LEN + 1 + encoded_len);
    text.push_str(PREFIX);
    text.push_str(&version.to_string());
    text.push(':');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let text = wrap(12, b"hello");
        assert_eq!(text, "vault:v12:aGVsbG8=");
        assert_eq!(text, wrap_encoded(12, "aGVsbG8="));
        let mut out = Zeroizing::default();
        assert_eq!(Kind::Ciphertext.decode(&text, &mut out).unwrap().version, 12);
        assert_eq!(*out, b"hello");
        for (text, problem) in [
            ("", "no prefix"),
            ("vault:12:aGVsbG8=", "no prefix"),
            ("VAULT:v12:aGVsbG8=", "no prefix"),
            ("vault:v12", "wrong number of fields"),
            ("vault:v:aGVsbG8=", "version number could not be decoded"),
            ("vault:v0:aGVsbG8=", "version number could not be decoded"),
            ("vault:v012:aGVsbG8=", "version number could not be decoded"),
            ("vault:v+12:aGVsbG8=", "version number could not be decoded"),
            ("vault:v-1:aGVsbG8=", "version number could not be decoded"),
            ("vault:v18446744073709551616:aGVsbG8=", "version number could not be decoded"),
            ("vault:v12:aGVsbG8", "could not decode base64"),
            ("vault:v12:aGVs\nbG8=", "could not decode base64"),
            ("vault:v12:aGVsbG9=", "could not decode base64"),
            ("vault:v12:aGVs:bG8=", "could not decode base64"),
        ] {
            let error = Kind::Ciphertext.decode(text, &mut out).unwrap_err();
            assert_eq!(error.message(), format!("invalid ciphertext: {problem}"), "{text}");
        }
    }
}
