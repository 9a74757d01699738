//! A strict reader of JSON.
//!
//! It reads a document (RFC 8259) straight into a type of serde's, in one pass, and stops at the first byte that breaks a rule:
//!
//! - UTF-8 only, without a byte-order mark; nothing behind the document;
//! - no name twice in one object, however it is escaped, also where the type would ignore it;
//! - no half of a surrogate pair, and no whole number that does not fit 64 bits: it would be read as another;
//! - depth, members, elements, lengths within the [`Bounds`] of the route.
//!
//! Fields that a type does not know are refused if it says `#[serde(deny_unknown_fields)]`, as every request does. `null` is nothing for an
//! `Option`, and a struct is an object. What is accepted is what `serde_json` reads, except that fractions are always the nearest there is.

mod de;
mod error;
mod reader;

use serde::Deserialize;

use super::bounds::Bounds;
use super::error::{Fault, InputError};
use reader::Reader;

/// Reads a document.
///
/// Texts without escapes can be borrowed from `bytes`. Types that look into `serde_json`'s own workings (`RawValue`) cannot be read.
///
/// # Errors
/// [`InputError`] with a JSON pointer to the field.
///
/// # Security
/// No value is in the error, unless a type's own `Deserialize` puts it into what it says.
///
/// # Examples
/// ```
/// use bulla_guard::input::{Bounds, json};
///
/// #[derive(Debug, serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Seal {
///     plaintext: String,
///     context: Option<String>,
/// }
///
/// let seal: Seal = json::from_slice(br#"{"plaintext": "eA==", "context": null}"#, &Bounds::DEFAULT)?;
/// let twice = json::from_slice::<Seal>(br#"{"plaintext": "eA==", "pl\u0061intext": ""}"#, &Bounds::DEFAULT);
/// assert_eq!(twice.unwrap_err().to_string(), "/plaintext: is there twice");
/// # Ok::<(), bulla_guard::input::InputError>(())
/// ```
pub fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8], bounds: &Bounds) -> Result<T, InputError> {
    if bytes.len() > bounds.body {
        return Err(InputError::within(Fault::Body(bounds.body), None));
    }
    let mut reader = Reader::new(bytes, bounds);
    if bytes.starts_with("\u{feff}".as_bytes()) {
        return Err(reader.fail(Fault::ByteOrderMark));
    }
    let value = T::deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}
