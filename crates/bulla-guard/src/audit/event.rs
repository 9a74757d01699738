//! What happened, as the caller says it.

use std::fmt;
use std::time::Duration;

use bulla_backend::Timestamp;
use bulla_keyring::SystemVersion;

use super::logged::LoggedEvent;
use super::tree::Frontier;
use super::value::{Code, Identifier, Text, Value};

/// Most fields of an event; further ones are left out.
pub const MAX_FIELDS: usize = 24;

macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Returns its name in exports.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            pub(super) const fn number(self) -> u64 {
                match self { $(Self::$variant => $number,)+ }
            }

            pub(super) const fn from_number(number: u64) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

numbered! {
    /// What an event is about.
    Class {
        /// Who came.
        Authentication = 1 "authentication",
        /// What they were allowed.
        Authorization = 2 "authorization",
        /// A query.
        QueryProcessing = 3 "query_processing",
        /// What no honest peer does.
        SecurityViolation = 4 "security_violation",
        /// Named keys and their versions.
        Key = 5 "key",
        /// Machines, let in and put out.
        Machine = 6 "machine",
        /// Roles and policies.
        Grant = 7 "grant",
        /// Entries and namespaces.
        Store = 8 "store",
        /// Calls of objects.
        Object = 9 "object",
        /// Settings.
        Configuration = 10 "configuration",
        /// The log itself.
        Log = 11 "log",
    }
}

numbered! {
    /// Where in the course of an act an event stands.
    Phase {
        /// It is all there is to say.
        Notice = 0 "notice",
        /// Something is about to be done.
        Intent = 1 "intent",
        /// It was done, or not.
        Outcome = 2 "outcome",
    }
}

numbered! {
    /// How something went.
    Outcome {
        /// As it was asked for.
        Success = 1 "success",
        /// Not so.
        Failure = 2 "failure",
        /// Nobody was left to say.
        Unknown = 3 "unknown",
    }
}

numbered! {
    /// How loud an event is.
    Level {
        /// As it should be.
        Info = 0 "INFO",
        /// Worth a look.
        Warning = 1 "WARNING",
        /// Something is wrong.
        Error = 2 "ERROR",
        /// Somebody has to act.
        Critical = 3 "CRITICAL",
    }
}

/// How bad a security violation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Severity {
    /// Likely a mistake.
    Low,
    /// Perhaps an attempt.
    #[default]
    Medium,
    /// An attack.
    High,
    /// An attack that may have succeeded.
    Critical,
}

impl Severity {
    /// Returns the level it is logged at.
    #[must_use]
    pub const fn level(self) -> Level {
        match self {
            Self::Low => Level::Info,
            Self::Medium => Level::Warning,
            Self::High => Level::Error,
            Self::Critical => Level::Critical,
        }
    }
}

/// Many items that one event stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Batch {
    /// How many there are.
    pub count: u64,
    /// The root of the Merkle tree of their own bytes.
    pub root: [u8; 32],
}

impl Batch {
    /// Digests items; `None` of none.
    pub fn of<I: AsRef<[u8]>>(items: impl IntoIterator<Item = I>) -> Option<Self> {
        let mut tree = Frontier::new();
        items.into_iter().for_each(|item| tree.push(item.as_ref()));
        (!tree.is_empty()).then(|| Self { count: tree.len(), root: tree.root() })
    }
}

/// Something that happened, to be logged.
///
/// # Security
/// What is handed to [`Self::principal`], [`Self::address`] and [`Self::identifier`] is blinded before it is stored. All else is public: whoever
/// reads the log, or the backend that it is published to, reads it. Of a secret only [`Self::secret`] may speak, which takes none.
///
/// # Examples
/// ```
/// use bulla_guard::audit::{Code, Event, Outcome, Severity};
///
/// let came = Event::authentication("api_key", Outcome::Success).principal("alice").address("192.0.2.7");
/// assert!(came.is_strict());
/// let scan = Event::security_violation(Code::new("path_traversal"), Severity::default()).resource("/../etc/passwd");
/// assert!(!scan.is_strict());
/// ```
#[derive(Clone)]
#[must_use]
pub struct Event {
    class: Class,
    action: Code,
    outcome: Outcome,
    level: Level,
    principal: Option<Vec<u8>>,
    address: Option<Vec<u8>>,
    resource: Option<Text>,
    batch: Option<Batch>,
    fields: Vec<(Code, Field)>,
    is_strict: bool,
}

#[derive(Clone)]
enum Field {
    Stored(Value),
    Identifier(Vec<u8>),
}

impl Event {
    /// Begins an event of any class. A success is info, anything else a warning. It is strict unless it is a denial.
    pub fn new(class: Class, action: Code, outcome: Outcome) -> Self {
        let is_denial = matches!(class, Class::Authentication | Class::Authorization | Class::SecurityViolation)
            && outcome != Outcome::Success;
        Self {
            class,
            action,
            outcome,
            level: if outcome == Outcome::Success { Level::Info } else { Level::Warning },
            principal: None,
            address: None,
            resource: None,
            batch: None,
            fields: Vec::new(),
            is_strict: !is_denial,
        }
    }

    /// Somebody came, by some method.
    pub fn authentication(method: &str, outcome: Outcome) -> Self {
        Self::new(Class::Authentication, Code::new("authenticate"), outcome).text(Code::new("method"), method)
    }

    /// Somebody was allowed to do something, or not.
    pub fn authorization(action: Code, outcome: Outcome) -> Self {
        Self::new(Class::Authorization, action, outcome)
    }

    /// A query was answered. Of its text only an identifier is kept.
    pub fn query_processing(name: &str, query: &[u8], duration: Duration, cache_hit: bool) -> Self {
        Self::new(Class::QueryProcessing, Code::new("query"), Outcome::Success)
            .text(Code::new("name"), name)
            .identifier(Code::new("query"), query)
            .number(Code::new("duration_ms"), u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
            .flag(Code::new("cache_hit"), cache_hit)
    }

    /// Something was done that no honest peer does.
    pub fn security_violation(kind: Code, severity: Severity) -> Self {
        let mut event = Self::new(Class::SecurityViolation, kind, Outcome::Failure);
        event.level = severity.level();
        event
    }

    /// Says who did it.
    pub fn principal(mut self, principal: impl AsRef<[u8]>) -> Self {
        self.principal = Some(principal.as_ref().to_vec());
        self
    }

    /// Says from where.
    pub fn address(mut self, address: impl AsRef<[u8]>) -> Self {
        self.address = Some(address.as_ref().to_vec());
        self
    }

    /// Says to what; public.
    pub fn resource(mut self, resource: impl AsRef<[u8]>) -> Self {
        self.resource = Some(Text::new(resource));
        self
    }

    /// Says for how many at once.
    pub fn batch(mut self, batch: Batch) -> Self {
        self.batch = Some(batch);
        self
    }

    /// Adds public text.
    pub fn text(self, name: Code, text: impl AsRef<[u8]>) -> Self {
        self.field(name, Field::Stored(Value::Text(Text::new(text))))
    }

    /// Adds a public number.
    pub fn number(self, name: Code, number: u64) -> Self {
        self.field(name, Field::Stored(Value::Number(number)))
    }

    /// Adds public yes or no.
    pub fn flag(self, name: Code, flag: bool) -> Self {
        self.field(name, Field::Stored(Value::Flag(flag)))
    }

    /// Adds a public digest.
    ///
    /// # Security
    /// A digest of what can be guessed is public what it is of. Use [`Self::identifier`] for that.
    pub fn digest(self, name: Code, digest: [u8; 32]) -> Self {
        self.field(name, Field::Stored(Value::Digest(digest)))
    }

    /// Adds an identifier, which is blinded.
    pub fn identifier(self, name: Code, identifier: impl AsRef<[u8]>) -> Self {
        self.field(name, Field::Identifier(identifier.as_ref().to_vec()))
    }

    /// Says that there was a secret.
    pub fn secret(self, name: Code) -> Self {
        self.field(name, Field::Stored(Value::Secret))
    }

    /// Nobody waits until it is durable: if it cannot be written, it is counted and left out.
    pub const fn best_effort(mut self) -> Self {
        self.is_strict = false;
        self
    }

    /// What it tells of must not go on unless it is durable.
    pub const fn strict(mut self) -> Self {
        self.is_strict = true;
        self
    }

    /// Says whether what it tells of must not go on unless it is durable.
    #[must_use]
    pub const fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// A field that was given twice has its last value; a name that is too long is left out, as are fields behind [`MAX_FIELDS`].
    fn field(mut self, name: Code, field: Field) -> Self {
        if let Some((_, old)) = self.fields.iter_mut().find(|(other, _)| *other == name) {
            *old = field;
        } else if self.fields.len() < MAX_FIELDS && name.is_field_name() {
            self.fields.push((name, field));
        }
        self
    }

    pub(crate) fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        if self.class != Class::SecurityViolation {
            self.level = if outcome == Outcome::Success { Level::Info } else { Level::Warning };
        }
        self
    }

    /// Makes of it what is stored.
    pub(super) fn log(self, phase: Phase, time: Timestamp, process: [u8; 8], key: &SystemVersion) -> LoggedEvent {
        let blind = |identifier: Vec<u8>| Identifier::blind(key, &identifier);
        let mut fields: Vec<(Code, Value)> = self
            .fields
            .into_iter()
            .map(|(name, field)| match field {
                Field::Stored(value) => (name, value),
                Field::Identifier(identifier) => (name, Value::Identifier(blind(identifier))),
            })
            .collect();
        fields.sort_by(|(a, _), (b, _)| a.rank().cmp(&b.rank()));
        let is_intent = phase == Phase::Intent;
        LoggedEvent {
            time,
            class: self.class,
            action: self.action,
            phase,
            outcome: (!is_intent).then_some(self.outcome),
            level: if is_intent && self.class != Class::SecurityViolation { Level::Info } else { self.level },
            process,
            principal: self.principal.map(blind),
            address: self.address.map(blind),
            resource: self.resource.map(Value::Text),
            intent: None,
            batch: self.batch,
            fields,
        }
    }
}

/// Identifiers are not shown: they are not blinded yet.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("class", &self.class)
            .field("action", &self.action)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}
