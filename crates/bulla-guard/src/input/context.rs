//! What is known beside a query.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::bounds::Bounds;
use super::error::{Fault, InputError};

/// Longest key of a context, in characters.
const LONGEST_KEY: usize = 100;

/// A value of a context. It reads itself from JSON; `null`, of which nobody can say what was meant, is refused.
#[derive(Debug, Clone, PartialEq)]
pub enum ContextValue {
    /// A text.
    Text(String),
    /// A whole number from zero on.
    Unsigned(u64),
    /// A whole number below zero.
    Signed(i64),
    /// A fraction.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// Several values.
    List(Vec<Self>),
    /// Values by name. The names are any text.
    Map(BTreeMap<String, Self>),
}

/// What is known beside a query: values by key, none of them altered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Context(BTreeMap<String, ContextValue>);

impl Context {
    /// Takes the values of a field.
    ///
    /// # Errors
    /// [`InputError`] for a key that is empty, longer than 100 characters or not of the alphabet of names; or if keys and values have more characters
    /// than the bound. A number counts with the characters that it is written with, a boolean with one.
    pub fn new(field: &str, values: BTreeMap<String, ContextValue>, bounds: &Bounds) -> Result<Self, InputError> {
        let mut left = bounds.context;
        for (key, value) in &values {
            check_key(key).map_err(|fault| InputError::within(fault, None).under(key).under(field))?;
            let within = take(&mut left, key.chars().count()) && take_value(&mut left, value);
            if !within {
                return Err(InputError::within(Fault::Characters(bounds.context), None).under(field));
            }
        }
        Ok(Self(values))
    }

    /// Returns the values by key.
    #[must_use]
    pub fn values(&self) -> &BTreeMap<String, ContextValue> {
        &self.0
    }

    /// Returns the values by key.
    #[must_use]
    pub fn into_values(self) -> BTreeMap<String, ContextValue> {
        self.0
    }
}

fn check_key(key: &str) -> Result<(), Fault> {
    if key.is_empty() {
        return Err(Fault::Empty);
    }
    if key.chars().nth(LONGEST_KEY).is_some() {
        return Err(Fault::Characters(LONGEST_KEY));
    }
    match key.chars().find(|c| !c.is_ascii_alphanumeric() && !"._-".contains(*c)) {
        Some(other) => Err(Fault::Name(bulla_keyring::NameError::Character(other))),
        None => Ok(()),
    }
}

/// Takes so many characters of those that are left, if there are as many.
fn take(left: &mut usize, characters: usize) -> bool {
    match left.checked_sub(characters) {
        Some(rest) => {
            *left = rest;
            true
        }
        None => false,
    }
}

fn take_value(left: &mut usize, value: &ContextValue) -> bool {
    match value {
        ContextValue::Text(text) => take(left, text.chars().count()),
        ContextValue::Unsigned(number) => take(left, number.to_string().len()),
        ContextValue::Signed(number) => take(left, number.to_string().len()),
        ContextValue::Float(number) => take(left, format!("{number:?}").len()),
        ContextValue::Bool(_) => take(left, 1),
        ContextValue::List(values) => values.iter().all(|value| take(left, 1) && take_value(left, value)),
        ContextValue::Map(values) => {
            values.iter().all(|(name, value)| take(left, name.chars().count() + 1) && take_value(left, value))
        }
    }
}

impl<'de> Deserialize<'de> for ContextValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = ContextValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, number, boolean, list or object")
    }

    fn visit_str<E>(self, text: &str) -> Result<ContextValue, E> {
        Ok(ContextValue::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<ContextValue, E> {
        Ok(ContextValue::Text(text))
    }

    fn visit_bool<E>(self, value: bool) -> Result<ContextValue, E> {
        Ok(ContextValue::Bool(value))
    }

    fn visit_u64<E>(self, number: u64) -> Result<ContextValue, E> {
        Ok(ContextValue::Unsigned(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<ContextValue, E> {
        Ok(u64::try_from(number).map_or(ContextValue::Signed(number), ContextValue::Unsigned))
    }

    fn visit_f64<E>(self, number: f64) -> Result<ContextValue, E> {
        Ok(ContextValue::Float(number))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ContextValue, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(ContextValue::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<ContextValue, A::Error> {
        let mut values = BTreeMap::new();
        while let Some((name, value)) = object.next_entry()? {
            values.insert(name, value);
        }
        Ok(ContextValue::Map(values))
    }
}
