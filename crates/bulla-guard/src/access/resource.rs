//! What is acted on, by its name, and patterns of names.

use std::fmt;
use std::str::FromStr;

/// Longest name of a resource, in bytes.
pub const MAX_RESOURCE_LEN: usize = 1_280;
/// Most segments of a resource: what it is, and the eight segments of a name, and room for what lies in it.
pub const MAX_RESOURCE_SEGMENTS: usize = 12;
/// Longest segment, in bytes.
const MAX_SEGMENT_LEN: usize = 128;
/// Most `*` in one segment of a pattern, so that matching stays cheap.
const MAX_STARS: usize = 4;

/// The name of something that is acted on: `keys/orders`, `store/cache/pages`.
///
/// 1 to 12 segments joined by `/`. A segment follows the grammar of the names of keys: 1 to 128 of the characters `A`–`Z`, `a`–`z`, `0`–`9`,
/// `_`, `.` and `-`, neither beginning nor ending with `.` or `-`, and without `..`. Upper and lower case are different. What is not of this
/// form is refused and never cleaned: there is no second way to write a name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Resource(Box<str>);

impl Resource {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Resource {
    type Err = ParseResourceError;

    fn from_str(text: &str) -> Result<Self, ParseResourceError> {
        check_length(text)?;
        for segment in text.split('/') {
            check_segment(segment)?;
        }
        Ok(Self(text.into()))
    }
}

/// A pattern of names: `keys/orders-*`, `store/cache/**`.
///
/// Segments as in a [`Resource`]; `*` stands for any characters within its segment, also none, and `**`, which can only be the whole last
/// segment, for one or more segments of any form. `**` alone is everything.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// Returns the pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Says whether a name is one of those the pattern stands for.
    #[must_use]
    pub fn matches(&self, resource: &Resource) -> bool {
        let mut names = resource.0.split('/');
        for segment in self.0.split('/') {
            if segment == "**" {
                return names.next().is_some();
            }
            if !names.next().is_some_and(|name| segment_matches(segment.as_bytes(), name.as_bytes())) {
                return false;
            }
        }
        names.next().is_none()
    }

    /// Says whether every name that another pattern stands for is one that this stands for too. It never says so wrongly; of two patterns that are
    /// the same in other words it may not notice.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let mut others = other.0.split('/');
        for segment in self.0.split('/') {
            let Some(narrower) = others.next() else { return false };
            if segment == "**" {
                return true;
            }
            // A `*` of the other is a character that only a `*` of this one stands for: so does whatever it stands for.
            if narrower == "**" || !segment_matches(segment.as_bytes(), narrower.as_bytes()) {
                return false;
            }
        }
        others.next().is_none()
    }
}

impl FromStr for Pattern {
    type Err = ParseResourceError;

    fn from_str(text: &str) -> Result<Self, ParseResourceError> {
        check_length(text)?;
        let mut segments = text.split('/').peekable();
        while let Some(segment) = segments.next() {
            if segment == "**" {
                if segments.peek().is_some() {
                    return Err(ParseResourceError::Subtree);
                }
            } else if segment.contains("**") {
                return Err(ParseResourceError::Subtree);
            } else if segment.contains('*') {
                check_pattern_segment(segment)?;
            } else {
                check_segment(segment)?;
            }
        }
        Ok(Self(text.into()))
    }
}

/// Why a text is no name of a resource, or no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseResourceError {
    /// Empty, too long, or of too many segments.
    #[error("a resource has 1 to {MAX_RESOURCE_SEGMENTS} segments and at most {MAX_RESOURCE_LEN} characters")]
    Length,
    /// A segment that is empty or too long.
    #[error("a segment of a resource has 1 to {MAX_SEGMENT_LEN} characters")]
    Segment,
    /// A character that names do not have.
    #[error("a resource has only letters, digits, `_`, `.`, `-` and `/`, this one has {0:?}")]
    Character(char),
    /// A segment such as `.hidden` or `..`.
    #[error("a segment of a resource begins and ends with a letter, a digit or `_`, and does not contain `..`")]
    Dots,
    /// `**` where it is not the whole last segment.
    #[error("`**` can only be the whole last segment of a pattern")]
    Subtree,
    /// Too many `*` in one segment.
    #[error("a segment of a pattern has at most {MAX_STARS} `*`")]
    Stars,
}

fn check_length(text: &str) -> Result<(), ParseResourceError> {
    let fits =
        !text.is_empty() && text.len() <= MAX_RESOURCE_LEN && text.split('/').nth(MAX_RESOURCE_SEGMENTS).is_none();
    if fits { Ok(()) } else { Err(ParseResourceError::Length) }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn check_segment(segment: &str) -> Result<(), ParseResourceError> {
    check_characters(segment, |byte| is_word(byte) || byte == b'.' || byte == b'-')?;
    let bytes = segment.as_bytes();
    let edges = bytes.first().zip(bytes.last()).is_some_and(|(first, last)| is_word(*first) && is_word(*last));
    if edges && !segment.contains("..") { Ok(()) } else { Err(ParseResourceError::Dots) }
}

fn check_pattern_segment(segment: &str) -> Result<(), ParseResourceError> {
    check_characters(segment, |byte| is_word(byte) || byte == b'.' || byte == b'-' || byte == b'*')?;
    if segment.bytes().filter(|byte| *byte == b'*').count() > MAX_STARS {
        return Err(ParseResourceError::Stars);
    }
    let edge = |byte: Option<&u8>| byte.is_some_and(|byte| is_word(*byte) || *byte == b'*');
    let (first, last) = (segment.as_bytes().first(), segment.as_bytes().last());
    if edge(first) && edge(last) && !segment.contains("..") { Ok(()) } else { Err(ParseResourceError::Dots) }
}

fn check_characters(segment: &str, known: impl Fn(u8) -> bool) -> Result<(), ParseResourceError> {
    if let Some(other) = segment.chars().find(|c| !u8::try_from(*c).is_ok_and(&known)) {
        return Err(ParseResourceError::Character(other));
    }
    if segment.is_empty() || segment.len() > MAX_SEGMENT_LEN { Err(ParseResourceError::Segment) } else { Ok(()) }
}

/// Says whether a name matches; `*` is any bytes. It goes back only to the last `*`, so that no pattern makes it slow.
pub(crate) fn segment_matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut found) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while found < name.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, found));
            at += 1;
        } else if pattern.get(at) == Some(&name[found]) {
            at += 1;
            found += 1;
        } else if let Some((behind, from)) = star {
            star = Some((behind, from + 1));
            at = behind + 1;
            found = from + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resource({})", self.0)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({})", self.0)
    }
}
