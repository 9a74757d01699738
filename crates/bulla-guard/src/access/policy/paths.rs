//! Paths of requests, and what policies write for many of them.

use std::fmt;
use std::str::FromStr;

/// Longest path of a request or a policy, in bytes.
pub const MAX_PATH_LEN: usize = 1_024;

/// The path of a request, behind `/v1/`: `secret/data/team/app`.
///
/// Printable ASCII in segments that are not empty, nor `.` or `..`; one `/` may stand at the end. It is decoded already: a `%` or `\` that is
/// left is refused, so that nothing reads it a second time.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestPath(Box<str>);

impl RequestPath {
    /// Returns the path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RequestPath {
    type Err = ParsePathError;

    fn from_str(text: &str) -> Result<Self, ParsePathError> {
        check(text)?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for RequestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RequestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestPath({})", self.0)
    }
}

/// Why a text is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParsePathError {
    /// Empty or too long.
    #[error("a path has 1 to {MAX_PATH_LEN} characters")]
    Length,
    /// A character that paths do not have.
    #[error("a path has only printable ASCII without `%` and `\\`")]
    Character,
    /// A segment that is empty, `.` or `..`.
    #[error("a segment of a path is not empty, nor `.` or `..`")]
    Segment,
    /// `*` elsewhere than at the end, or behind `+`.
    #[error("`*` stands only at the end of a path, and not behind `+`")]
    Star,
    /// `+` at the beginning of a segment that is longer.
    #[error("`+` stands for a whole segment")]
    Plus,
}

fn check(text: &str) -> Result<(), ParsePathError> {
    if text.is_empty() || text.len() > MAX_PATH_LEN {
        return Err(ParsePathError::Length);
    }
    if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'%' && byte != b'\\') {
        return Err(ParsePathError::Character);
    }
    let body = text.strip_suffix('/').unwrap_or(text);
    if body.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(ParsePathError::Segment);
    }
    Ok(())
}

/// What a policy writes for one path or many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PathGlob {
    /// This path.
    Exact(Box<str>),
    /// Every path that begins so.
    Prefix(Box<str>),
    /// With `+` for any one segment; if `prefix`, the last segment is only the beginning of what may follow.
    Wild { segments: Vec<WildSegment>, prefix: bool },
}

/// A segment of a path with wildcards.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WildSegment {
    /// Any one segment.
    Any,
    /// This one.
    Literal(Box<str>),
}

impl PathGlob {
    pub(crate) fn parse(text: &str) -> Result<Self, ParsePathError> {
        // Paths begin behind the slash.
        let text = text.strip_prefix('/').unwrap_or(text);
        if text.len() > MAX_PATH_LEN {
            return Err(ParsePathError::Length);
        }
        let (body, prefix) = text.strip_suffix('*').map_or((text, false), |body| (body, true));
        if !(prefix && body.is_empty()) {
            check(body)?;
        }
        if body.contains('*') || (prefix && body.ends_with('+')) {
            return Err(ParsePathError::Star);
        }
        let mut segments = body.split('/');
        if segments.clone().any(|segment| segment.len() > 1 && segment.starts_with('+')) {
            return Err(ParsePathError::Plus);
        }
        if segments.any(|segment| segment == "+") {
            let segment = |text: &str| if text == "+" { WildSegment::Any } else { WildSegment::Literal(text.into()) };
            return Ok(Self::Wild { segments: body.split('/').map(segment).collect(), prefix });
        }
        Ok(if prefix { Self::Prefix(body.into()) } else { Self::Exact(body.into()) })
    }
}

impl fmt::Display for PathGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => f.write_str(path),
            Self::Prefix(path) => write!(f, "{path}*"),
            Self::Wild { segments, prefix } => {
                for (number, segment) in segments.iter().enumerate() {
                    let slash = if number > 0 { "/" } else { "" };
                    let segment = if let WildSegment::Literal(text) = segment { text } else { "+" };
                    write!(f, "{slash}{segment}")?;
                }
                f.write_str(if *prefix { "*" } else { "" })
            }
        }
    }
}
