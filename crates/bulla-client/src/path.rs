//! Paths of the API.

use crate::{ClientError, Result};

/// Longest path, in bytes.
const MAX_LEN: usize = 8_192;

/// Writes names as segments of a path, each with what has a meaning there encoded.
pub(crate) fn encoded(path: &str) -> Result<String> {
    let path = path.trim_matches('/');
    if path.is_empty() {
        return Err(ClientError::Path("it is empty"));
    }
    let mut written = String::with_capacity(path.len());
    for (at, segment) in path.split('/').enumerate() {
        if segment.is_empty() || is_dots(segment) {
            return Err(ClientError::Path("it has a segment that is empty, `.` or `..`"));
        }
        if at > 0 {
            written.push('/');
        }
        for byte in segment.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => written.push(char::from(byte)),
                _ => written.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    checked_length(written)
}

/// Takes one name for one segment.
pub(crate) fn segment(name: &str) -> Result<String> {
    if name.contains('/') {
        return Err(ClientError::Path("a name has no `/`"));
    }
    encoded(name)
}

/// Takes a path that is encoded already, perhaps with a query, from behind `/v1/`.
pub(crate) fn given(path: &str) -> Result<String> {
    let path = path.trim_start_matches('/');
    let before = path.split('?').next().unwrap_or_default();
    if before.is_empty() {
        return Err(ClientError::Path("it is empty"));
    }
    let plain = before.replace("%2e", ".").replace("%2E", ".");
    if plain.split('/').any(is_dots) {
        return Err(ClientError::Path("it has a segment that is `.` or `..`"));
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) || path.contains(['#', '\\']) {
        return Err(ClientError::Path("it has characters that have to be encoded"));
    }
    checked_length(path.to_owned())
}

fn is_dots(segment: &str) -> bool {
    segment == "." || segment == ".."
}

fn checked_length(path: String) -> Result<String> {
    if path.len() > MAX_LEN { Err(ClientError::Path("it is too long")) } else { Ok(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_segments() {
        assert_eq!(encoded("shop/data base#1?").unwrap(), "shop/data%20base%231%3F");
        assert_eq!(encoded("/a/ä%/").unwrap(), "a/%C3%A4%25");
        for text in ["", "/", "a//b", "a/../b", ".", "..", &"x".repeat(MAX_LEN + 1)] {
            assert!(encoded(text).is_err(), "{text:?}");
        }
        assert!(segment("a/b").is_err());
    }

    #[test]
    fn paths_that_leave_the_api_are_refused() {
        assert_eq!(given("/sys/mounts?list=true").unwrap(), "sys/mounts?list=true");
        for text in ["", "?x", "a/../../b", "a/%2e%2E/b", "a b", "a\r\nb", "a#b", "a\\b", "ä"] {
            assert!(given(text).is_err(), "{text:?}");
        }
    }
}
