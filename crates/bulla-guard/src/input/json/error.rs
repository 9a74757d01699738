//! What types say when they cannot be read: rules, and no values.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use crate::input::error::{Fault, InputError, shown};

impl de::Error for InputError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        of_type(Fault::Other(brief(&message.to_string())))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        of_type(Fault::Type { expected: brief(&expected.to_string()), found: kind(&found) })
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        of_type(Fault::Type { expected: brief(&expected.to_string()), found: "another value" })
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        of_type(Fault::Type { expected: brief(&expected.to_string()), found: "another number of elements" })
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        of_type(Fault::Type { expected: brief(&format!("one of {}", expected.join(", "))), found: "another text" })
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        of_type(Fault::Unknown).under(field)
    }

    fn missing_field(field: &'static str) -> Self {
        of_type(Fault::Missing(shown(field)))
    }

    fn duplicate_field(field: &'static str) -> Self {
        of_type(Fault::Duplicate).under(field)
    }
}

fn of_type(fault: Fault) -> InputError {
    InputError::within(fault, None)
}

/// Cuts what a type says: it is written by programmers, but may quote what a stranger wrote.
fn brief(message: &str) -> String {
    const LONGEST: usize = 200;
    let mut brief: String = message.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if message.chars().nth(LONGEST).is_some() {
        brief.push('…');
    }
    crate::input::encode::log_line(&brief)
}

/// Names the kind of a value, and not the value.
fn kind(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Char(_) | Unexpected::Str(_) | Unexpected::Bytes(_) => "a text",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "a list",
        Unexpected::Map => "an object",
        _ => "something else",
    }
}
