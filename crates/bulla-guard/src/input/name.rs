//! Names with the grammar of key names.

use std::fmt;
use std::str::FromStr;

use bulla_keyring::{KeyName, NameError};
use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::error::{Fault, InputError};

/// The name of a role, an object, or something else that has no type of its own for it: 1 to 8 segments, as a [`KeyName`] has.
///
/// It is refused or taken as it is; two names are the same only if all their bytes are. It reads itself from JSON.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(KeyName);

impl Name {
    /// Reads the name in a field.
    ///
    /// # Errors
    /// [`Fault::Name`] with the rule, if it is none.
    pub fn of_field(field: &str, text: &str) -> Result<Self, InputError> {
        text.parse().map_err(|reason| InputError::of_field(field, Fault::Name(reason)))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl From<Name> for KeyName {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({})", self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Name, E> {
                text.parse().map_err(|reason: NameError| E::custom(Fault::Name(reason)))
            }
        }

        deserializer.deserialize_str(Text)
    }
}
