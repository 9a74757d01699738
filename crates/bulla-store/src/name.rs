//! Names of namespaces and entries, and the keys of their documents.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bulla_backend::{DocumentKey, MAX_KEY_LEN};
use bulla_keyring::{KeyName, MAX_SEGMENT_LEN, MAX_SEGMENTS};

use crate::StoreError;

/// Longest entry name, in bytes.
pub const MAX_NAME_LEN: usize = 1_024;

/// What the name of a namespace's key begins with.
const KEY_PREFIX: &str = "store/";

const MAX_NAMESPACE_LEN: usize = MAX_SEGMENTS * (MAX_SEGMENT_LEN + 1) - 1 - KEY_PREFIX.len();
const _: () = assert!(MAX_NAMESPACE_LEN + 1 + MAX_NAME_LEN <= MAX_KEY_LEN, "every name makes a document key");

/// Name of a namespace: 1 to 7 segments joined by `/`, of the form that segments of a [`KeyName`] have.
///
/// A key name has one segment more: the namespace's key is called `store/` and the namespace.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespaceName(Arc<KeyName>);

impl NamespaceName {
    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str().strip_prefix(KEY_PREFIX).unwrap_or_default()
    }

    /// Returns the name of the key that seals the entries of the namespace.
    #[must_use]
    pub fn key(&self) -> &KeyName {
        &self.0
    }
}

impl FromStr for NamespaceName {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        match format!("{KEY_PREFIX}{text}").parse() {
            Ok(key) => Ok(Self(Arc::new(key))),
            Err(reason) => {
                Err(StoreError::InvalidNamespace { name: text.chars().take(MAX_SEGMENT_LEN).collect(), reason })
            }
        }
    }
}

impl fmt::Display for NamespaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for NamespaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NamespaceName({self})")
    }
}

/// Name of an entry: 1 to [`MAX_NAME_LEN`] bytes of any value. Shown with all but printable ASCII escaped.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryName(Box<[u8]>);

impl EntryName {
    /// Takes bytes as a name.
    ///
    /// # Errors
    /// [`StoreError::InvalidName`] if there are none, or more than [`MAX_NAME_LEN`].
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Result<Self, StoreError> {
        let bytes = bytes.into();
        check_len(&bytes)?;
        Ok(Self(bytes))
    }

    /// Takes a name that was found to be one before.
    pub(crate) fn known(name: &[u8]) -> Self {
        debug_assert!(check_len(name).is_ok(), "the name was checked");
        Self(name.into())
    }

    /// Returns the bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryName({self})")
    }
}

/// Where an entry lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Its namespace.
    pub namespace: NamespaceName,
    /// Its name.
    pub name: EntryName,
}

impl Place {
    /// Reads the key of an entry's document (spec, "Documents"); `None` if it is not of that form.
    #[must_use]
    pub fn parse(document_key: &[u8]) -> Option<Self> {
        let end = document_key.iter().position(|byte| *byte == 0)?;
        let namespace = std::str::from_utf8(&document_key[..end]).ok()?.parse().ok()?;
        let name = EntryName::new(&document_key[end + 1..]).ok()?;
        Some(Self { namespace, name })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` in namespace `{}`", self.name, self.namespace)
    }
}

/// Makes the key of an entry's document (spec, "Documents").
pub(crate) fn document_key(namespace: &NamespaceName, name: &[u8]) -> Result<DocumentKey, StoreError> {
    check_len(name)?;
    Ok(DocumentKey::new(prefix(namespace, name))?)
}

/// Makes what the keys of all documents of a namespace begin with, whose entry names begin with `start`.
pub(crate) fn prefix(namespace: &NamespaceName, start: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(namespace.as_str().len() + 1 + start.len());
    key.extend_from_slice(namespace.as_str().as_bytes());
    key.push(0);
    key.extend_from_slice(start);
    key
}

fn check_len(name: &[u8]) -> Result<(), StoreError> {
    if name.is_empty() || name.len() > MAX_NAME_LEN {
        return Err(StoreError::InvalidName(name.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_follow_the_grammar() {
        let longest = vec!["x".repeat(128); 7].join("/");
        assert!(longest.len() <= MAX_NAMESPACE_LEN);
        for good in ["a", "_", "a.b", "a-b_c.9", "orders/2026/eu", "0", longest.as_str()] {
            let namespace: NamespaceName = good.parse().unwrap();
            assert_eq!((namespace.as_str(), namespace.key().as_str()), (good, format!("store/{good}").as_str()));
        }
        let long_segment = "x".repeat(129);
        let many_segments = ["a"; 8].join("/");
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            ".",
            "..",
            "a..b",
            ".a",
            "a.",
            "-a",
            "a-",
            "a b",
            "a\0b",
            "ä",
            "a\\b",
            "a/../b",
            &long_segment,
            &many_segments,
        ] {
            assert_eq!(bad.parse::<NamespaceName>().unwrap_err().code(), "invalid_namespace", "{bad:?}");
        }
    }

    #[test]
    fn document_keys_lead_back_to_their_place() {
        let namespaces = ["a", "a/b", "a.b"].map(|name| name.parse::<NamespaceName>().unwrap());
        for namespace in &namespaces {
            for name in [&b"\0"[..], b"x", b"\0\0x", b"/../etc/passwd", &[0xff; MAX_NAME_LEN]] {
                let key = document_key(namespace, name).unwrap();
                let place = Place::parse(key.as_bytes()).unwrap();
                assert_eq!((&place.namespace, place.name.as_bytes()), (namespace, name));
            }
        }
        assert_eq!(document_key(&namespaces[0], b"").unwrap_err().code(), "invalid_name");
        assert_eq!(document_key(&namespaces[0], &[0; MAX_NAME_LEN + 1]).unwrap_err().code(), "invalid_name");
    }

    #[test]
    fn other_document_keys_have_no_place() {
        for key in [&b"a"[..], b"a\0", b"\0x", b"a..b\0x", b"\xff\0x", b"a/\0x"] {
            assert_eq!(Place::parse(key), None, "{}", key.escape_ascii());
        }
    }

    #[test]
    fn names_are_shown_escaped() {
        let place = Place::parse(b"n\0a\n\x1b[31m`").unwrap();
        assert_eq!(place.to_string(), "`a\\n\\x1b[31m`` in namespace `n`");
    }
}
