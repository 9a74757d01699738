//! What is wrong with an input, and where.

use std::fmt;

use super::encode;

/// Longest name or message of somebody else's that is shown, in characters.
const SHOWN: usize = 64;
/// Most parts of a pointer that are shown; those beyond are left out in the middle.
const SHOWN_PARTS: usize = 8;

/// Why an input is refused.
///
/// # Security
/// It names the field and the rule. No value is in it, nor in its message: a value may be a secret. Names that a stranger chose are cut short, and written
/// with everything escaped that a terminal or a log would act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputError(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    place: Place,
    fault: Fault,
    offset: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// Parts of a JSON pointer, the innermost first.
    Pointer(Vec<String>),
    Field(String),
}

impl InputError {
    /// Refuses a field by its name.
    pub(super) fn of_field(field: &str, fault: Fault) -> Self {
        Self(Box::new(Inner { place: Place::Field(shown(field)), fault, offset: None }))
    }

    /// Refuses a place within a document, which callers name by and by.
    pub(super) fn within(fault: Fault, offset: Option<usize>) -> Self {
        Self(Box::new(Inner { place: Place::Pointer(Vec::new()), fault, offset }))
    }

    /// Says that the place is within this member.
    pub(super) fn under(mut self, part: &str) -> Self {
        if let Place::Pointer(parts) = &mut self.0.place {
            parts.push(shown(part).replace('~', "~0").replace('/', "~1"));
        }
        self
    }

    /// Returns what is wrong.
    #[must_use]
    pub fn fault(&self) -> &Fault {
        &self.0.fault
    }

    /// Returns where: a JSON pointer (RFC 6901) into the document, empty for all of it, or the name of a parameter.
    ///
    /// Names are cut at 64 characters, and pointers in their middle: it is made to be shown, not to be followed.
    #[must_use]
    pub fn field(&self) -> String {
        match &self.0.place {
            Place::Field(field) => field.clone(),
            Place::Pointer(parts) => {
                let mut field = String::new();
                for (index, part) in parts.iter().rev().enumerate() {
                    if parts.len() > SHOWN_PARTS && index == SHOWN_PARTS / 2 {
                        field.push_str("/…");
                    }
                    if index < SHOWN_PARTS / 2 || parts.len() - index <= SHOWN_PARTS / 2 || parts.len() <= SHOWN_PARTS {
                        field.push('/');
                        field.push_str(part);
                    }
                }
                field
            }
        }
    }

    /// Returns at which byte of the document reading stopped, where there is one.
    #[must_use]
    pub fn offset(&self) -> Option<usize> {
        self.0.offset
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field() {
            whole if whole.is_empty() => self.0.fault.fmt(f),
            field => write!(f, "{field}: {}", self.0.fault),
        }
    }
}

impl std::error::Error for InputError {}

/// What is wrong with an input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// More bytes than the route reads.
    #[error("more than the {0} bytes that are read here")]
    Body(usize),
    /// Bytes that are not UTF-8.
    #[error("not UTF-8")]
    Utf8,
    /// A byte-order mark before the document.
    #[error("a byte-order mark, which JSON does not have")]
    ByteOrderMark,
    /// Not JSON.
    #[error("not JSON: expected {0}")]
    Syntax(&'static str),
    /// The document ends too early.
    #[error("not JSON: it ends in the middle")]
    End,
    /// Something follows the document.
    #[error("something follows the document")]
    Trailing,
    /// An escape sequence that there is not, or half of a surrogate pair.
    #[error("an escape sequence that stands for no character")]
    Escape,
    /// Lists and objects too deep within each other.
    #[error("more than {0} lists and objects within each other")]
    Depth(usize),
    /// Too many members of one object.
    #[error("more than {0} members")]
    Members(usize),
    /// Too many elements of one list.
    #[error("more than {0} elements")]
    Elements(usize),
    /// Too many values in a document.
    #[error("more than {0} values in one document")]
    Values(usize),
    /// A text that is too long.
    #[error("longer than {0} bytes")]
    TextLength(usize),
    /// A text that is too long, in characters.
    #[error("longer than {0} characters")]
    Characters(usize),
    /// The name of a member that is too long.
    #[error("the name of a member is longer than {0} bytes")]
    NameLength(usize),
    /// A number that cannot be kept as it is written.
    #[error("a number that is too large, or too long")]
    Number,
    /// A number outside of a range.
    #[error("not a whole number from {least} to {most}")]
    Range {
        /// The least there may be.
        least: u64,
        /// The most there may be.
        most: u64,
    },
    /// A name that was there before.
    #[error("is there twice")]
    Duplicate,
    /// A name that the request does not have.
    #[error("unknown here")]
    Unknown,
    /// A field that has to be there.
    #[error("the field `{0}` is missing")]
    Missing(String),
    /// Something else than was expected.
    #[error("expected {expected}, found {found}")]
    Type {
        /// What was expected.
        expected: String,
        /// What kind of value is there.
        found: &'static str,
    },
    /// A text that is empty, or only white space.
    #[error("is empty")]
    Empty,
    /// Too many parameters.
    #[error("more than {0} parameters")]
    Parameters(usize),
    /// A `%` without two hexadecimal digits.
    #[error("a `%` is followed by two hexadecimal digits")]
    PercentSequence,
    /// A character that has to be percent-encoded.
    #[error("a character that has to be percent-encoded")]
    Unencoded,
    /// A slash or backslash, encoded.
    #[error("an encoded slash")]
    EncodedSlash,
    /// A zero byte.
    #[error("a zero byte")]
    Nul,
    /// A segment `.` or `..`.
    #[error("a segment `.` or `..`")]
    DotSegment,
    /// No name: see the rule.
    #[error("no name: {0}")]
    Name(bulla_keyring::NameError),
    /// What a type says about a value that it does not take.
    #[error("{0}")]
    Other(String),
}

impl Fault {
    /// Returns its code, which stays the same between versions.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Body(_) => "too_large",
            Self::Utf8 => "not_utf8",
            Self::ByteOrderMark | Self::Syntax(_) | Self::End | Self::Trailing | Self::Escape => "not_json",
            Self::Depth(_) => "too_deep",
            Self::Members(_) | Self::Elements(_) | Self::Values(_) | Self::Parameters(_) => "too_many",
            Self::TextLength(_) | Self::Characters(_) | Self::NameLength(_) => "too_long",
            Self::Number => "number",
            Self::Range { .. } => "out_of_range",
            Self::Duplicate => "duplicate_field",
            Self::Unknown => "unknown_field",
            Self::Missing(_) => "missing_field",
            Self::Type { .. } => "wrong_type",
            Self::Empty => "empty",
            Self::PercentSequence | Self::Unencoded | Self::EncodedSlash | Self::Nul | Self::DotSegment => {
                "bad_encoding"
            }
            Self::Name(_) => "bad_name",
            Self::Other(_) => "refused",
        }
    }
}

/// Writes what somebody else chose so that it can be shown: the beginning of it, escaped.
pub(super) fn shown(text: &str) -> String {
    let mut shown = encode::log_line(&text.chars().take(SHOWN).collect::<String>());
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}
