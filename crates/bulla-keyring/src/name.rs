//! Names of keys and machines.

use std::fmt;
use std::str::FromStr;

/// Longest segment of a name, in bytes.
pub const MAX_SEGMENT_LEN: usize = 128;
/// Most segments of a key name.
pub const MAX_SEGMENTS: usize = 8;

/// First segment of the keys that Bulla makes for itself.
const SYSTEM: &str = "sys";

/// The name of a key: 1 to 8 segments joined by `/`.
///
/// A segment has 1 to 128 of the characters `A`–`Z`, `a`–`z`, `0`–`9`, `_`, `.` and `-`; it neither begins nor ends with `.` or `-`, and
/// does not contain `..`. Names under `sys` belong to Bulla itself.
///
/// # Examples
/// ```
/// use bulla_keyring::KeyName;
///
/// let name: KeyName = "shop/orders".parse()?;
/// assert!("../orders".parse::<KeyName>().is_err());
/// # Ok::<(), bulla_keyring::NameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(Box<str>);

impl KeyName {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Says whether the name belongs to Bulla itself.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.0.split('/').next() == Some(SYSTEM)
    }

    /// Names a key that belongs to Bulla itself; the segment follows the grammar.
    pub(crate) fn of_system(segment: &'static str) -> Self {
        Self(format!("{SYSTEM}/{segment}").into())
    }
}

impl FromStr for KeyName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.split('/').nth(MAX_SEGMENTS).is_some() {
            return Err(NameError::Segments);
        }
        text.split('/').try_for_each(check_segment)?;
        Ok(Self(text.into()))
    }
}

/// The friendly name of a machine, unique within its project: one segment as in a [`KeyName`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MachineName(Box<str>);

impl MachineName {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MachineName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check_segment(text)?;
        Ok(Self(text.into()))
    }
}

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// A segment that is empty or too long.
    #[error("a segment of a name has 1 to {MAX_SEGMENT_LEN} characters, this one has {0}")]
    Length(usize),
    /// A character that names do not have.
    #[error("a name has only letters, digits, `_`, `.` and `-`, this one has {0:?}")]
    Character(char),
    /// A segment such as `.hidden` or `end-`.
    #[error("a segment of a name begins and ends with a letter, a digit or `_`")]
    Edge,
    /// `..` within a segment.
    #[error("a name does not contain `..`")]
    Dots,
    /// Too many segments.
    #[error("a name has at most {MAX_SEGMENTS} segments")]
    Segments,
}

fn check_segment(segment: &str) -> Result<(), NameError> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if let Some(other) = segment.chars().find(|&c| !word(c) && c != '.' && c != '-') {
        return Err(NameError::Character(other));
    }
    if segment.is_empty() || segment.len() > MAX_SEGMENT_LEN {
        return Err(NameError::Length(segment.len()));
    }
    if !segment.starts_with(word) || !segment.ends_with(word) {
        return Err(NameError::Edge);
    }
    if segment.contains("..") {
        return Err(NameError::Dots);
    }
    Ok(())
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyName({})", self.0)
    }
}

impl fmt::Display for MachineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MachineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MachineName({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_grammar() {
        let long = "a".repeat(128);
        for name in ["a", "_", "0", "a-b.c_d", "shop/orders", "1/2/3/4/5/6/7/8", &long] {
            assert_eq!(name.parse::<KeyName>().unwrap().as_str(), name);
        }
        let too_long = "a".repeat(129);
        for (name, error) in [
            ("", NameError::Length(0)),
            (too_long.as_str(), NameError::Length(129)),
            ("a//b", NameError::Length(0)),
            ("/a", NameError::Length(0)),
            ("a/", NameError::Length(0)),
            ("a b", NameError::Character(' ')),
            ("a\0", NameError::Character('\0')),
            ("größe", NameError::Character('ö')),
            (".a", NameError::Edge),
            ("a-", NameError::Edge),
            ("..", NameError::Edge),
            ("a..b", NameError::Dots),
            ("1/2/3/4/5/6/7/8/9", NameError::Segments),
        ] {
            assert_eq!(name.parse::<KeyName>(), Err(error), "{name}");
        }
        assert_eq!("a/b".parse::<MachineName>(), Err(NameError::Character('/')));
    }

    #[test]
    fn system_names_are_known() {
        for (name, system) in [("sys", true), ("sys/pepper", true), ("system", false), ("a/sys", false)] {
            assert_eq!(name.parse::<KeyName>().unwrap().is_system(), system, "{name}");
        }
    }
}
