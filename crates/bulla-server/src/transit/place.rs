//! Where the keys of the API lie among the named keys of the project.
//!
//! The keys of the mount `transit` are the named keys whose names have one segment; those of another mount lie under its path. A key
//! that is *derived* lies beside, under a segment of that name, so that what it is cannot be told apart from where it is: there is no
//! second place to look, and no moment at which a key is one thing already and not yet the other.

use bulla::KeyName;

use crate::ApiError;

/// The mount whose keys need no prefix.
const DEFAULT_MOUNT: &str = "transit";
/// The segment that derived keys lie under.
const DERIVED: &str = "derived";
/// First segments under which lie keys of Bulla itself, and of its store.
const TAKEN: [&str; 2] = ["sys", "store"];
/// Longest path of a mount, in bytes.
const MAX_MOUNT_LEN: usize = 512;

/// A mount of the transit API.
#[derive(Debug)]
pub(super) struct Mount<'a> {
    path: &'a str,
}

/// A key as a client names it, and the two named keys of which it is one.
#[derive(Debug)]
pub(super) struct Place {
    mount: String,
    name: String,
    plain: KeyName,
    derived: KeyName,
}

impl<'a> Mount<'a> {
    /// Takes the path of a mount, with or without `/` at its end.
    pub(super) fn new(path: &'a str) -> Result<Self, ApiError> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let bad = |problem: &str| Err(ApiError::field("mount", problem));
        if path.len() > MAX_MOUNT_LEN || path.parse::<KeyName>().is_err() {
            return bad("its path is none that named keys can lie under");
        }
        let mut segments = path.split('/');
        if segments.clone().next().is_some_and(|first| TAKEN.contains(&first)) || segments.any(|one| one == DERIVED) {
            return bad("named keys under this path belong to Bulla itself");
        }
        Ok(Self { path })
    }

    /// Finds the place of a key.
    pub(super) fn place(&self, name: &str) -> Result<Place, ApiError> {
        if name.contains('/') {
            return Err(ApiError::field("name", "the name of a key has no `/`"));
        }
        let parsed = |text: String| text.parse::<KeyName>().map_err(|error| ApiError::field("name", error));
        let plain = if self.path == DEFAULT_MOUNT {
            parsed(name.to_owned())?
        } else {
            parsed(format!("{}/{name}", self.path))?
        };
        let derived = parsed(format!("{}/{DERIVED}/{name}", self.path))?;
        Ok(Place { mount: self.path.to_owned(), name: name.to_owned(), plain, derived })
    }

    /// Returns the name that a named key has in this mount, if it lies in it.
    pub(super) fn name_of<'k>(&self, key: &'k KeyName) -> Option<&'k str> {
        let text = key.as_str();
        let under = text.strip_prefix(self.path).and_then(|rest| rest.strip_prefix('/'));
        let name = match under {
            Some(rest) => rest.strip_prefix(DERIVED).and_then(|rest| rest.strip_prefix('/')).or_else(|| {
                // Under the default mount itself lie derived keys only.
                (self.path != DEFAULT_MOUNT).then_some(rest)
            })?,
            None if self.path == DEFAULT_MOUNT => text,
            None => return None,
        };
        (!name.contains('/') && !key.is_system()).then_some(name)
    }
}

impl Place {
    /// Finds the place of a key in a mount.
    pub(super) fn of(mount: &str, name: &str) -> Result<Self, ApiError> {
        Mount::new(mount)?.place(name)
    }

    /// Returns the path of the mount.
    pub(super) fn mount(&self) -> &str {
        &self.mount
    }

    /// Returns the name that clients use.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the named key of this name that is derived, or the one that is not.
    pub(super) fn key(&self, derived: bool) -> &KeyName {
        if derived { &self.derived } else { &self.plain }
    }

    /// Says whether a named key is the derived one.
    pub(super) fn is_derived(&self, key: &KeyName) -> bool {
        *key == self.derived
    }

    /// Returns both, first the one that is meant by a request that brings a context, or does not.
    pub(super) fn both(&self, with_context: bool) -> [&KeyName; 2] {
        [self.key(with_context), self.key(!with_context)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_place_and_comes_back_from_it() {
        for (mount, plain, derived) in [
            ("transit", "orders", "transit/derived/orders"),
            ("transit/", "orders", "transit/derived/orders"),
            ("payments", "payments/orders", "payments/derived/orders"),
            ("a/b", "a/b/orders", "a/b/derived/orders"),
        ] {
            let place = Place::of(mount, "orders").unwrap();
            assert_eq!([place.key(false).as_str(), place.key(true).as_str()], [plain, derived]);
            let mount = Mount::new(mount).unwrap();
            for key in place.both(true) {
                assert_eq!(mount.name_of(key), Some("orders"));
            }
        }
    }

    #[test]
    fn keys_of_others_are_out_of_reach() {
        for mount in [
            "sys",
            "sys/x",
            "store",
            "store/orders",
            "a/derived",
            "derived",
            "",
            "/",
            "a//b",
            "a b",
            "../a",
            "transit/derived",
        ] {
            assert!(Mount::new(mount).is_err(), "{mount}");
        }
        assert!(Mount::new(&"a/".repeat(300)).is_err());
        for name in ["", "a/b", "derived/a", "a b", "-a", "..", "a\0b", &"a".repeat(129)] {
            assert!(Place::of("transit", name).is_err(), "{name}");
        }
        let transit = Mount::new("transit").unwrap();
        for key in [
            "store/default",
            "payments/orders",
            "transit/orders",
            "sys",
            "sys/audit",
            "transit/derived/a/b",
            "transit/deriveda",
        ] {
            assert_eq!(transit.name_of(&key.parse().unwrap()), None, "{key}");
        }
        let payments = Mount::new("payments").unwrap();
        assert_eq!(payments.name_of(&"payments/derived".parse().unwrap()), Some("derived"));
        assert_eq!(payments.name_of(&"paymentsx/a".parse().unwrap()), None);
        assert_eq!(payments.name_of(&"orders".parse().unwrap()), None);
    }
}
