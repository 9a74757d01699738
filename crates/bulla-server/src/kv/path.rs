//! Paths of secrets: refused where they are not of the form, never changed.

use crate::ApiError;

/// Longest path of a secret, in bytes.
pub const MAX_PATH_LEN: usize = 900;

/// Checks the path of a secret.
pub(crate) fn secret_path(path: &str) -> Result<&str, ApiError> {
    match fault(path) {
        None => Ok(path),
        Some(fault) => Err(ApiError::field("path", fault)),
    }
}

/// Checks the path of a folder, which may end with `/`, and returns what the names of all secrets below it begin with.
pub(crate) fn folder_of(path: &str) -> Result<String, ApiError> {
    let folder = path.strip_suffix('/').unwrap_or(path);
    match folder {
        // A lone `/` is the folder of an empty name, which nothing is in.
        "" if path.is_empty() => Ok(String::new()),
        _ => Ok(format!("{}/", secret_path(folder)?)),
    }
}

fn fault(path: &str) -> Option<String> {
    if path.is_empty() {
        return Some("it is empty".to_owned());
    }
    if path.len() > MAX_PATH_LEN {
        return Some(format!("it is longer than {MAX_PATH_LEN} bytes"));
    }
    if path.ends_with('/') {
        return Some("the path of a secret does not end with `/`".to_owned());
    }
    if path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Some("a segment is empty, `.` or `..`".to_owned());
    }
    path.contains(is_hidden).then(|| "it contains a character that is not printed".to_owned())
}

/// Says whether a character is not shown as itself: controls, spaces other than the one of ASCII, and what changes how its
/// neighbours are shown.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{e000}'..='\u{f8ff}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
            | '\u{fffe}'..='\u{ffff}' | '\u{e0000}'..='\u{10ffff}')
}

/// Says whether all of a text is shown as itself.
pub(crate) fn is_printed(text: &str) -> bool {
    !text.contains(is_hidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_accepted_as_they_are_or_refused() {
        let longest = "a".repeat(MAX_PATH_LEN);
        for path in ["a", "a/b", "..a", "a..b", "...", "ü/ö", "a b", "x?y#+%", "日本", longest.as_str()] {
            assert_eq!(secret_path(path).unwrap(), path);
        }
        let longer = "a".repeat(MAX_PATH_LEN + 1);
        let bad = ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "a\0b", "a\nb", "a\u{202e}b", "a\u{a0}b"];
        for path in bad.into_iter().chain([longer.as_str()]) {
            assert_eq!(secret_path(path).unwrap_err().status(), 400, "{path:?}");
        }
    }

    #[test]
    fn folders_may_end_with_a_slash() {
        for (path, prefix) in [("", ""), ("a", "a/"), ("a/", "a/"), ("a/b/", "a/b/")] {
            assert_eq!(folder_of(path).unwrap(), prefix);
        }
        for path in ["/", "//", "a//", "../"] {
            assert!(folder_of(path).is_err(), "{path}");
        }
    }
}
