//! Names of users, roles and policies.

use std::fmt;
use std::str::FromStr;

use bulla_keyring::{MachineName, NameError};

/// Makes a type for the names of one sort of thing: one segment as in the name of a key.
macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Box<str>);

        impl $type {
            /// Returns the name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let segment: MachineName = text.parse()?;
                Ok(Self(segment.as_str().into()))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($type), "({})"), self.0)
            }
        }
    };
}

name! {
    /// The name of a user: one segment as in a [`KeyName`](bulla_keyring::KeyName).
    UserName
}
name! {
    /// The name of a role: one segment as in a [`KeyName`](bulla_keyring::KeyName).
    RoleName
}
name! {
    /// The name of a policy: one segment as in a [`KeyName`](bulla_keyring::KeyName).
    PolicyName
}
name! {
    /// The name of an `AppRole`: one segment as in a [`KeyName`](bulla_keyring::KeyName).
    AppRoleName
}
name! {
    /// The name of a binding: one segment as in a [`KeyName`](bulla_keyring::KeyName).
    BindingName
}
