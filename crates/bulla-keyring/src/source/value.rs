//! The secrets that sources give.

use std::fmt;
use std::sync::Arc;

use bulla_seal::SecretVec;

/// One secret value of a key: text or bytes. Clones share the one copy, which is wiped when the last of them is dropped.
///
/// It compares in constant time, and text never equals bytes.
///
/// # Security
/// `Debug` says nothing. `Display` shows text censored, as `keys-management` does: at each end a quarter of it, at most four characters, and stars
/// between. That is up to eight characters of the secret: print it only where a person has to tell keys apart. Of
/// bytes only their number is shown.
///
/// # Examples
/// ```
/// use bulla_keyring::source::SecretValue;
///
/// let value = SecretValue::from("correct horse");
/// assert_eq!(value.to_string(), "cor*******rse");
/// assert_eq!(format!("{value:?}"), "SecretValue(..)");
/// ```
#[doc(alias = "SecretKeyValue")]
#[derive(Clone)]
pub struct SecretValue(Arc<Material>);

struct Material {
    bytes: SecretVec,
    is_text: bool,
}

impl SecretValue {
    /// Shows the secret as bytes.
    ///
    /// # Security
    /// Whoever calls it answers for every copy.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.bytes.expose()
    }

    /// Shows the secret as text, or returns `None` if it is bytes.
    ///
    /// # Security
    /// Whoever calls it answers for every copy.
    #[must_use]
    pub fn expose_text(&self) -> Option<&str> {
        self.0.is_text.then(|| std::str::from_utf8(self.expose()).ok()).flatten()
    }

    /// Says whether the secret is text.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.0.is_text
    }

    /// Takes bytes that were read from somewhere that does not say which they are: text where they are UTF-8.
    pub(crate) fn from_read(bytes: Vec<u8>) -> Self {
        let is_text = std::str::from_utf8(&bytes).is_ok();
        Self(Arc::new(Material { bytes: SecretVec::new(bytes), is_text }))
    }
}

impl From<String> for SecretValue {
    fn from(text: String) -> Self {
        Self(Arc::new(Material { bytes: SecretVec::new(text.into_bytes()), is_text: true }))
    }
}

impl From<&str> for SecretValue {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<Vec<u8>> for SecretValue {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Material { bytes: SecretVec::new(bytes), is_text: false }))
    }
}

impl From<&[u8]> for SecretValue {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl PartialEq for SecretValue {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_text == other.0.is_text && self.0.bytes == other.0.bytes
    }
}

impl Eq for SecretValue {}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(..)")
    }
}

impl fmt::Display for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST_SHOWN: usize = 4;
        let Some(text) = self.expose_text() else {
            return write!(f, "<{} bytes>", self.expose().len());
        };
        let count = text.chars().count();
        let shown = (count / 4).min(MOST_SHOWN);
        for (at, character) in text.chars().enumerate() {
            let visible = at < shown || at >= count - shown;
            fmt::Write::write_char(f, if visible { character } else { '*' })?;
        }
        Ok(())
    }
}

/// What a source gives: one value for both paths, or one for the forward path and another for the back path.
///
/// # Security
/// `Debug` says nothing; `Display` shows the values as [`SecretValue`] does.
#[doc(alias = "SecretKeyPair")]
#[derive(Clone)]
pub struct SecretPair {
    forward: SecretValue,
    /// `None` where one value serves both paths.
    back: Option<SecretValue>,
}

impl SecretPair {
    /// Pairs a value for the forward path (seal, encrypt) with one for the back path (open, decrypt).
    #[must_use]
    pub fn new(forward: SecretValue, back: SecretValue) -> Self {
        Self { forward, back: Some(back) }
    }

    /// Returns the value for the forward path.
    #[must_use]
    pub fn forward(&self) -> &SecretValue {
        &self.forward
    }

    /// Returns the value for the back path.
    #[must_use]
    pub fn back(&self) -> &SecretValue {
        self.back.as_ref().unwrap_or(&self.forward)
    }

    /// Says whether it was made of one value.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.back.is_none()
    }

    /// Says whether both paths use the same value.
    #[must_use]
    pub fn is_symmetric(&self) -> bool {
        self.back.as_ref().is_none_or(|back| *back == self.forward)
    }
}

impl<V: Into<SecretValue>> From<V> for SecretPair {
    fn from(value: V) -> Self {
        Self { forward: value.into(), back: None }
    }
}

impl<F: Into<SecretValue>, B: Into<SecretValue>> From<(F, B)> for SecretPair {
    fn from((forward, back): (F, B)) -> Self {
        Self::new(forward.into(), back.into())
    }
}

impl PartialEq for SecretPair {
    fn eq(&self, other: &Self) -> bool {
        self.forward == other.forward && self.back() == other.back()
    }
}

impl Eq for SecretPair {}

impl fmt::Debug for SecretPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretPair(..)")
    }
}

impl fmt::Display for SecretPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_symmetric() {
            write!(f, "\"{}\"", self.back())
        } else {
            write!(f, "encrypt: \"{}\", decrypt: \"{}\"", self.forward, self.back())
        }
    }
}
