//! What an event says of something: public, an identifier, or that there was a secret.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use bulla_keyring::SystemVersion;
use bulla_seal::KeyVersionId;
use data_encoding::HEXLOWER;

/// Longest text of a value, in bytes; longer ones are cut, and say so.
pub const MAX_TEXT_LEN: usize = 2_048;
/// Longest code.
pub(super) const MAX_CODE_LEN: usize = 64;
/// Longest name of a field.
pub(super) const MAX_FIELD_NAME_LEN: usize = 32;

const TAG_LEN: usize = 16;
const LABEL: &[u8] = b"bulla/audit/v1\0";

/// A stable word that programs compare: an action, or the name of a field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Code(Cow<'static, str>);

impl Code {
    /// Takes a word: 1 to 64 of `a`–`z`, `0`–`9`, `_`, `.` and `-`, beginning with a letter; as the name of a field at most
    /// 32.
    ///
    /// # Panics
    /// Panics, at compile time where used for a constant, if it is not of that form.
    #[must_use]
    pub const fn new(word: &'static str) -> Self {
        assert!(is_code(word.as_bytes()), "a code");
        Self(Cow::Borrowed(word))
    }

    /// Returns the word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The order of CBOR's keys: by length, then by bytes.
    pub(super) fn rank(&self) -> (usize, &str) {
        (self.0.len(), &self.0)
    }

    pub(super) fn is_field_name(&self) -> bool {
        self.0.len() <= MAX_FIELD_NAME_LEN
    }
}

const fn is_code(word: &[u8]) -> bool {
    if word.is_empty() || word.len() > MAX_CODE_LEN || !word[0].is_ascii_lowercase() {
        return false;
    }
    let mut at = 0;
    while at < word.len() {
        if !(word[at].is_ascii_lowercase() || word[at].is_ascii_digit() || matches!(word[at], b'_' | b'.' | b'-')) {
            return false;
        }
        at += 1;
    }
    true
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Code {
    type Err = ParseCodeError;

    fn from_str(word: &str) -> Result<Self, ParseCodeError> {
        if is_code(word.as_bytes()) { Ok(Self(Cow::Owned(word.to_owned()))) } else { Err(ParseCodeError) }
    }
}

/// The text was no [`Code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a code is 1 to 64 lower-case letters, digits, `_`, `.` and `-`, and begins with a letter")]
pub struct ParseCodeError;

/// Public text as it came: perhaps no UTF-8, perhaps cut.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Text {
    bytes: Vec<u8>,
    len: u64,
}

impl Text {
    /// Takes text; what is longer than [`MAX_TEXT_LEN`] is cut, between two characters if it is UTF-8.
    #[must_use]
    pub fn new(text: impl AsRef<[u8]>) -> Self {
        let text = text.as_ref();
        let mut kept = text.get(..MAX_TEXT_LEN).unwrap_or(text);
        if kept.len() < text.len()
            && let Err(error) = std::str::from_utf8(kept)
            && error.error_len().is_none()
        {
            // Only the last character is not whole. Of what is no UTF-8 further on, too, the start is.
            kept = &kept[..error.valid_up_to()];
        }
        Self { bytes: kept.to_vec(), len: text.len() as u64 }
    }

    /// Reads what is stored: the first bytes, and how many there were.
    pub(super) fn stored(bytes: &[u8], len: u64) -> Option<Self> {
        let text = Self { bytes: bytes.to_vec(), len };
        let kept = bytes.len() as u64;
        let longest = if std::str::from_utf8(bytes).is_ok() {
            MAX_TEXT_LEN - 3..=MAX_TEXT_LEN
        } else {
            MAX_TEXT_LEN..=MAX_TEXT_LEN
        };
        let is_kept =
            if len == kept { bytes.len() <= MAX_TEXT_LEN } else { len > kept && longest.contains(&bytes.len()) };
        is_kept.then_some(text)
    }

    /// Returns the bytes that were kept.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns how many bytes there were before the text was cut.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Says whether there was nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Says whether it was cut.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.len > self.bytes.len() as u64
    }
}

/// Without anything that a terminal or a line of a log would obey.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character == '\\' || (!is_tricky(character) && !character.is_control()) {
                    write!(f, "{character}")?;
                } else {
                    write!(f, "{}", character.escape_default())?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        if self.is_cut() { f.write_str("…") } else { Ok(()) }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({self})")
    }
}

/// Says whether a character changes how its neighbours are shown: line separators, marks of direction, and what has no width.
fn is_tricky(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// Somebody or somewhere, recognisable only to who has the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identifier {
    /// Which version of the key it was made with.
    pub version: KeyVersionId,
    /// The first bytes of its HMAC.
    pub tag: [u8; TAG_LEN],
}

impl Identifier {
    /// Blinds an identifier.
    #[must_use]
    pub fn blind(key: &SystemVersion, identifier: &[u8]) -> Self {
        let full = key.tag(&[LABEL, identifier].concat());
        let mut tag = [0; TAG_LEN];
        tag.copy_from_slice(&full[..TAG_LEN]);
        Self { version: key.id(), tag }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "id:{}:{}", HEXLOWER.encode(&self.version.0), HEXLOWER.encode(&self.tag))
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identifier({self})")
    }
}

/// What an event says, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Value {
    /// Public text.
    Text(Text),
    /// A public number.
    Number(u64),
    /// Public, yes or no.
    Flag(bool),
    /// A public digest.
    Digest([u8; 32]),
    /// An identifier.
    Identifier(Identifier),
    /// There was a secret; nothing of it is here.
    Secret,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => text.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::Digest(digest) => write!(f, "sha256:{}", HEXLOWER.encode(digest)),
            Self::Identifier(identifier) => identifier.fmt(f),
            Self::Secret => f.write_str("[secret]"),
        }
    }
}
