//! What there is to be allowed, and sets of it.

use std::fmt;
use std::ops::{BitAnd, BitOr};
use std::str::FromStr;

/// Makes the permissions: their numbers are bits in what is stored, and never change.
macro_rules! permissions {
    ($($(#[$doc:meta])* $variant:ident = $bit:literal $name:literal),+ $(,)?) => {
        /// One thing that somebody may do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Permission {
            $($(#[$doc])* $variant = $bit),+
        }

        impl Permission {
            /// Every permission, in the order of their bits.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the name that `spec/access.md` and the command line use.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

permissions! {
    /// Ask queries.
    ReadQueries = 0 "read:queries",
    /// Submit queries that change something.
    WriteQueries = 1 "write:queries",
    /// Clear and warm caches.
    ManageCache = 2 "manage:cache",
    /// Change the system itself: settings, backups, policies of the trust log.
    AdminSystem = 3 "admin:system",
    /// See metrics.
    ViewMetrics = 4 "view:metrics",
    /// Seal, open, sign and verify under named keys.
    UseKeys = 5 "use:keys",
    /// Create, rotate, restrict and delete named keys.
    ManageKeys = 6 "manage:keys",
    /// Take the material of keys out, where a key lets it go.
    ExportKeys = 7 "export:keys",
    /// Read entries of the store.
    ReadStore = 8 "read:store",
    /// Write and remove entries of the store.
    WriteStore = 9 "write:store",
    /// Create, set and delete namespaces of the store; see to its quarantine.
    ManageStore = 10 "manage:store",
    /// Call remote objects.
    CallObjects = 11 "call:objects",
    /// Offer and withdraw remote objects.
    ManageObjects = 12 "manage:objects",
    /// See which machines are in, and the trust log.
    ReadMachines = 13 "read:machines",
    /// Let machines in and put them out.
    AuthorizeMachines = 14 "authorize:machines",
    /// Create and delete users, their API keys, tokens and bindings.
    ManageUsers = 15 "manage:users",
    /// Define roles and policies.
    ManageRoles = 16 "manage:roles",
    /// Read and verify the audit log.
    ReadAudit = 17 "read:audit",
    /// Set up the audit log, its alerts and where it is published.
    ManageAudit = 18 "manage:audit",
    /// Read secrets.
    ReadSecrets = 19 "read:secrets",
    /// Write and delete secrets.
    WriteSecrets = 20 "write:secrets",
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Permission {
    type Err = ParsePermissionError;

    fn from_str(text: &str) -> Result<Self, ParsePermissionError> {
        Self::ALL.iter().copied().find(|permission| permission.name() == text).ok_or(ParsePermissionError)
    }
}

/// The text names no permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no permission has this name; `read:queries` is one, and the roles list the others")]
pub struct ParsePermissionError;

/// A set of permissions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Permissions(u64);

impl Permissions {
    /// No permission.
    pub const NONE: Self = Self(0);
    /// Every permission.
    pub const ALL: Self = Self((1 << Permission::ALL.len()) - 1);

    /// Makes a set of permissions.
    #[must_use]
    pub const fn of(permissions: &[Permission]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < permissions.len() {
            bits |= 1 << permissions[at] as u64;
            at += 1;
        }
        Self(bits)
    }

    /// Says whether a permission is in the set.
    #[must_use]
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u64) != 0
    }

    /// Says whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Says whether everything in this set is in the other.
    #[must_use]
    pub const fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Returns the permissions of the set, in the order of their bits.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |permission| self.contains(*permission))
    }

    /// Returns what is in either set.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// Takes what is stored; `None` for bits that no permission of this version has.
    pub(crate) const fn from_bits(bits: u64) -> Option<Self> {
        if Self(bits).is_within(Self::ALL) { Some(Self(bits)) } else { None }
    }
}

impl BitOr for Permissions {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

impl BitAnd for Permissions {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        permissions.into_iter().fold(Self::NONE, |set, permission| set | Self::of(&[permission]))
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Permission::name)).finish()
    }
}
