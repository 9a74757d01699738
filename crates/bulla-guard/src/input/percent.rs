//! Percent-encoding (RFC 3986, section 2), decoded once and strictly.
//!
//! # Security
//! What is decoded is not decoded again: `%252e` is the text `%2e`, here and everywhere behind. Whoever writes a decoded segment into a path or
//! URL encodes it anew, with [`encode`].

use super::error::{Fault, InputError};

/// What a decoded segment of a path may contain. By default it is text that cannot be taken for a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowed {
    /// A slash or backslash that was encoded.
    pub slash: bool,
    /// A zero byte.
    pub nul: bool,
    /// A segment that is `.` or `..`.
    pub dots: bool,
    /// Bytes that are not UTF-8.
    pub bytes: bool,
}

impl Allowed {
    /// Whatever an entry's name may be: any bytes.
    pub const ANYTHING: Self = Self { slash: true, nul: true, dots: true, bytes: true };
}

/// Decodes one segment of a path.
///
/// # Errors
/// [`InputError`] that names `field`: for a `%` without two digits, a character that no segment has (RFC 3986, section 3.3), and what is not allowed.
pub fn segment(field: &str, encoded: &str, allowed: Allowed) -> Result<Vec<u8>, InputError> {
    let refused = |fault| InputError::of_field(field, fault);
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => match escaped(&mut bytes).ok_or_else(|| refused(Fault::PercentSequence))? {
                b'/' | b'\\' if !allowed.slash => return Err(refused(Fault::EncodedSlash)),
                byte => byte,
            },
            _ if is_segment(byte) => byte,
            _ => return Err(refused(Fault::Unencoded)),
        };
        if byte == 0 && !allowed.nul {
            return Err(refused(Fault::Nul));
        }
        decoded.push(byte);
    }
    if !allowed.dots && matches!(decoded.as_slice(), b"." | b"..") {
        return Err(refused(Fault::DotSegment));
    }
    if !allowed.bytes && std::str::from_utf8(&decoded).is_err() {
        return Err(refused(Fault::Utf8));
    }
    Ok(decoded)
}

/// Decodes one segment of a path to text.
///
/// # Errors
/// As [`segment`]; what is not UTF-8 is refused in any case.
pub fn text_segment(field: &str, encoded: &str, allowed: Allowed) -> Result<String, InputError> {
    let decoded = segment(field, encoded, Allowed { bytes: false, ..allowed })?;
    String::from_utf8(decoded).map_err(|_| InputError::of_field(field, Fault::Utf8))
}

/// Encodes bytes as one segment of a path, or one name or value of a query string: all but letters, digits and `-._~`.
///
/// The segments `.` and `..`, which clients resolve however they are encoded, come out as they are.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len());
    for byte in bytes {
        if is_unreserved(*byte) {
            encoded.push(char::from(*byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Reads the two digits behind a `%`.
pub(super) fn escaped(bytes: &mut std::str::Bytes<'_>) -> Option<u8> {
    let mut digit =
        || bytes.next().and_then(|byte| char::from(byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok());
    Some(digit()? << 4 | digit()?)
}

/// `pchar`, without the `%`.
fn is_segment(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,;=:@".contains(&byte)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}
