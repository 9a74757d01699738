//! The path of a request: cut into segments, decoded once, and never cleaned.

use bulla_guard::input::percent::{Allowed, text_segment};

use crate::ApiError;

/// Longest path, in bytes as it was sent.
const MAX_PATH: usize = 4096;

/// Most segments of a path.
const MAX_SEGMENTS: usize = 64;

/// The segments of a path.
#[derive(Debug)]
pub(crate) struct RequestPath {
    segments: Vec<String>,
    ends_with_slash: bool,
}

impl RequestPath {
    /// Cuts and decodes a path.
    ///
    /// Refused, not repaired: an escape that is none, text that is not UTF-8, control characters, empty segments, `.` and `..`, escaped or not.
    pub(crate) fn parse(path: &str) -> Result<Self, ApiError> {
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
                if raw.is_empty() {
                    return Err(bad("has an empty segment"));
                }
                // A slash within a segment is one of a name, and stays apart from those between segments.
                let segment = text_segment("path", raw, Allowed { slash: true, ..Allowed::default() })?;
                if segment.chars().any(char::is_control) {
                    return Err(bad("has a control character"));
                }
                segments.push(segment);
            }
        }
        Ok(Self { segments, ends_with_slash })
    }

    pub(crate) fn segments(&self) -> Vec<&str> {
        self.segments.iter().map(String::as_str).collect()
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
