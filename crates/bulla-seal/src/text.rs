//! The text form of a sealed value, for places that take text only.

use data_encoding::BASE64URL_NOPAD;

use crate::OpenError;

const PREFIX: &str = "bulla:v1:";

/// Writes a sealed value as text: `bulla:v1:` and base64url (RFC 4648 §5) without padding.
#[must_use]
pub fn encode(sealed: &[u8]) -> String {
    let mut text = PREFIX.to_owned();
    BASE64URL_NOPAD.encode_append(sealed, &mut text);
    text
}

/// Reads a sealed value from its text form.
///
/// # Errors
/// [`OpenError::BadText`] unless `text` is exactly what [`encode`] writes for some bytes.
pub fn decode(text: &str) -> Result<Vec<u8>, OpenError> {
    let encoded = text.strip_prefix(PREFIX).ok_or(OpenError::BadText)?;
    BASE64URL_NOPAD.decode(encoded.as_bytes()).map_err(|_| OpenError::BadText)
}
