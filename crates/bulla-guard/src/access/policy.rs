//! Policies in the language of Vault, in both of its forms (spec, "Policies").

mod parse;
mod paths;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub use paths::{MAX_PATH_LEN, ParsePathError, RequestPath};
pub(crate) use paths::{PathGlob, WildSegment};

/// Longest text of a policy, in bytes.
pub const MAX_POLICY_LEN: usize = 64 * 1024;
/// Most paths in one policy.
pub const MAX_POLICY_PATHS: usize = 1_000;

/// Makes the capabilities: their numbers are bits.
macro_rules! capabilities {
    ($($(#[$doc:meta])* $variant:ident = $bit:literal $name:literal),+ $(,)?) => {
        /// What a policy lets somebody do with a path.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Capability {
            $($(#[$doc])* $variant = $bit),+
        }

        impl Capability {
            /// Every capability, in the order of their bits.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the name that policies use.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

capabilities! {
    /// Nothing at all, whatever else is said of the path.
    Deny = 0 "deny",
    /// Create what is not there.
    Create = 1 "create",
    /// Read.
    Read = 2 "read",
    /// Change what is there, or call what does something.
    Update = 3 "update",
    /// Delete.
    Delete = 4 "delete",
    /// List names.
    List = 5 "list",
    /// Use paths that are kept for administrators.
    Sudo = 6 "sudo",
    /// Change a part of what is there.
    Patch = 7 "patch",
    /// List names with all that lie below.
    Scan = 8 "scan",
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of capabilities.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Capabilities(u16);

impl Capabilities {
    /// No capability.
    pub const NONE: Self = Self(0);
    /// What the `root` policy has: every capability but to be denied.
    pub const ROOT: Self = Self(0b1_1111_1110);

    /// Makes a set of capabilities.
    #[must_use]
    pub const fn of(capabilities: &[Capability]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < capabilities.len() {
            bits |= 1 << capabilities[at] as u16;
            at += 1;
        }
        Self(bits)
    }

    /// Says whether a capability is in the set.
    #[must_use]
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u16) != 0
    }

    /// Says whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the capabilities of the set, in the order of their bits.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.iter().copied().filter(move |capability| self.contains(*capability))
    }

    /// Returns what is in either set; `deny` in one of them leaves nothing else.
    #[must_use]
    pub(crate) const fn joined(self, other: Self) -> Self {
        let both = Self(self.0 | other.0);
        if both.contains(Capability::Deny) { Self::of(&[Capability::Deny]) } else { both }
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Capability::name)).finish()
    }
}

/// A value of a parameter, as policies name it and requests bring it.
#[derive(Debug, Clone, PartialEq)]
pub enum ParameterValue {
    /// None.
    Null,
    /// True or false.
    Flag(bool),
    /// A number without a fraction.
    Integer(i64),
    /// Another number.
    Number(f64),
    /// A text.
    Text(String),
    /// Values in an order.
    List(Vec<Self>),
    /// Values by name.
    Map(Vec<(String, Self)>),
}

impl ParameterValue {
    /// Says whether a value that came is this one, which a policy names. A text may have `*` at its ends, for any characters there.
    pub(crate) fn stands_for(&self, came: &Self) -> bool {
        match (self, came) {
            (Self::Text(named), Self::Text(came)) => glob(named, came),
            // A number may be written with and without a fraction, and is the same.
            (Self::Integer(integer), Self::Number(number)) | (Self::Number(number), Self::Integer(integer)) => {
                *integer as f64 == *number
            }
            (Self::List(named), Self::List(came)) => {
                named.len() == came.len() && named.iter().zip(came).all(|(named, came)| named.stands_for(came))
            }
            (named, came) => named == came,
        }
    }
}

fn glob(named: &str, came: &str) -> bool {
    let (begins, inner) = named.strip_prefix('*').map_or((false, named), |rest| (true, rest));
    let (ends, inner) = inner.strip_suffix('*').map_or((false, inner), |rest| (true, rest));
    match (begins, ends) {
        (true, true) => came.contains(inner),
        (true, false) => came.ends_with(inner),
        (false, true) => came.starts_with(inner),
        (false, false) => came == named,
    }
}

/// Values by lower-case name of the parameter; no values stand for any.
pub(crate) type Parameters = BTreeMap<String, Vec<ParameterValue>>;

/// What a policy says of one path.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PathRule {
    pub(crate) glob: PathGlob,
    pub(crate) rights: Rights,
}

/// What may be done with a path, and on which conditions.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Rights {
    pub(crate) capabilities: Capabilities,
    pub(crate) allowed: Parameters,
    pub(crate) denied: Parameters,
    pub(crate) required: Vec<String>,
    pub(crate) min_wrapping: Option<Duration>,
    pub(crate) max_wrapping: Option<Duration>,
}

/// A policy, read.
///
/// # Examples
/// ```
/// use bulla_guard::access::Policy;
///
/// let policy: Policy = r#"path "secret/data/team/*" { capabilities = ["read", "list"] }"#.parse()?;
/// let same: Policy = r#"{"path": {"secret/data/team/*": {"capabilities": ["read", "list"]}}}"#.parse()?;
/// assert_eq!(policy.paths().collect::<Vec<_>>(), same.paths().collect::<Vec<_>>());
/// # Ok::<(), bulla_guard::access::PolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    text: Box<str>,
    rules: Vec<PathRule>,
}

impl Policy {
    /// Returns the text as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the paths that it names, with what may be done there, in the order of the text.
    pub fn paths(&self) -> impl Iterator<Item = (String, Capabilities)> {
        self.rules.iter().map(|rule| (rule.glob.to_string(), rule.rights.capabilities))
    }

    pub(crate) fn rules(&self) -> &[PathRule] {
        &self.rules
    }
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        Ok(Self { rules: parse::rules(text)?, text: text.into() })
    }
}

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Longer than a policy may be.
    #[error("a policy has at most {MAX_POLICY_LEN} bytes and {MAX_POLICY_PATHS} paths")]
    TooLong,
    /// Not of the language.
    #[error("line {line} of the policy cannot be read: {expected}")]
    Syntax {
        /// The line, counted from 1.
        line: usize,
        /// What should stand there, or what is wrong.
        expected: &'static str,
    },
    /// A word that the language has not, or that is not supported here.
    #[error("the policy has `{0}`, which is not supported here")]
    Unsupported(String),
    /// A path with `{{…}}`: there are no identities to fill in.
    #[error("the policy path `{0}` is a template; templates are not supported, write the path out")]
    Template(String),
    /// A path that cannot be one.
    #[error("the policy path `{path}` is refused: {reason}")]
    Path {
        /// The path as it is written.
        path: String,
        /// What is wrong with it.
        reason: ParsePathError,
    },
    /// A value that is not of the sort that its name wants.
    #[error("`{name}` of the policy path `{path}` {expected}")]
    Value {
        /// The path as it is written.
        path: String,
        /// What has the value.
        name: String,
        /// What it must be.
        expected: &'static str,
    },
}

/// What every token has, unless the project has its own policy `default`.
pub(crate) const DEFAULT_POLICY: &str = r#"# What every token may do with itself.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
path "sys/capabilities-self" { capabilities = ["update"] }
path "sys/internal/ui/resultant-acl" { capabilities = ["read"] }
path "cubbyhole/*" { capabilities = ["create", "read", "update", "delete", "list"] }
"#;
