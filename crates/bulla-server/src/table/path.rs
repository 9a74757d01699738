//! The path of a request: cut into segments, decoded once, and never cleaned.

use std::borrow::Cow;

use crate::ApiError;

/// Longest path, in bytes as it was sent.
const MAX_PATH: usize = 4096;

/// Most segments of a path.
const MAX_SEGMENTS: usize = 64;

/// The segments of a path.
#[derive(Debug)]
pub(crate) struct RequestPath<'a> {
    segments: Vec<Cow<'a, str>>,
    ends_with_slash: bool,
}

impl<'a> RequestPath<'a> {
    /// Cuts and decodes a path.
    ///
    /// Refused, not repaired: an escape that is none, text that is not UTF-8, control characters, empty segments, `.` and `..`, escaped or not.
    pub(crate) fn parse(path: &'a str) -> Result<Self, ApiError> {
        let bad = |problem: &str| ApiError::field("path", problem);
        if path.len() > MAX_PATH {
            return Err(ApiError::new(
                http::StatusCode::URI_TOO_LONG,
                "path_too_long",
                format!("the path is longer than {MAX_PATH} bytes"),
            ));
        }
        let inner = path.strip_prefix('/').ok_or_else(|| bad("does not begin with a slash"))?;
        let ends_with_slash = inner.ends_with('/');
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let mut segments = Vec::with_capacity(8);
        if !inner.is_empty() {
            for raw in inner.split('/') {
                if segments.len() == MAX_SEGMENTS {
                    return Err(bad("has too many segments"));
                }
                let segment = decode(raw).ok_or_else(|| bad("has an escape that is none, or is not UTF-8"))?;
                if segment.is_empty() || segment == "." || segment == ".." {
                    return Err(bad("has a segment that is empty, `.` or `..`"));
                }
                if segment.chars().any(char::is_control) {
                    return Err(bad("has a control character"));
                }
                segments.push(segment);
            }
        }
        Ok(Self { segments, ends_with_slash })
    }

    pub(crate) fn segments(&self) -> Vec<&str> {
        self.segments.iter().map(|segment| &**segment).collect()
    }

    pub(crate) fn ends_with_slash(&self) -> bool {
        self.ends_with_slash
    }
}

/// Appends a segment to the name of a resource. A slash within a segment stays `%2F`, so that no two resources have one name.
pub(crate) fn segment_of_resource(resource: &mut String, segment: &str) {
    if !resource.is_empty() {
        resource.push('/');
    }
    if !segment.contains(['/', '%']) {
        return resource.push_str(segment);
    }
    for character in segment.chars() {
        match character {
            '/' => resource.push_str("%2F"),
            '%' => resource.push_str("%25"),
            other => resource.push(other),
        }
    }
}

/// Decodes `%` escapes, once.
pub(crate) fn decode(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.contains('%') {
        return Some(Cow::Borrowed(raw));
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let high = char::from(rest.next()?).to_digit(16)?;
        let low = char::from(rest.next()?).to_digit(16)?;
        bytes.push(u8::try_from(high << 4 | low).ok()?);
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}
