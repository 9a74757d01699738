//! What people note about a secret: names and texts of their own, within Vault's bounds.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::path::is_printed;
use crate::ApiError;

/// How many notes a secret can have.
pub const MAX_CUSTOM_KEYS: usize = 64;
/// Longest name of a note, in bytes.
pub const MAX_CUSTOM_KEY_LEN: usize = 128;
/// Longest text of a note, in bytes.
pub const MAX_CUSTOM_VALUE_LEN: usize = 512;

/// Notes as a request has them; `None` stands for `null`, which a merge patch removes.
#[derive(Debug, Clone, PartialEq, Eq, Default, JsonSchema)]
pub struct CustomNotes(pub BTreeMap<String, Option<String>>);

/// Checks notes against the bounds.
///
/// # Errors
/// 400 with the first that is out of them.
pub(crate) fn check(notes: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let fault = |problem: String| Err(ApiError::field("custom_metadata", problem));
    if notes.len() > MAX_CUSTOM_KEYS {
        return fault(format!("it has {} keys, more than {MAX_CUSTOM_KEYS}", notes.len()));
    }
    for (key, value) in notes {
        if !(1..=MAX_CUSTOM_KEY_LEN).contains(&key.len()) {
            return fault(format!("a key has {} bytes, and must have 1 to {MAX_CUSTOM_KEY_LEN}", key.len()));
        }
        if !is_printed(key) {
            return fault("a key contains a character that is not printed".to_owned());
        }
        if !(1..=MAX_CUSTOM_VALUE_LEN).contains(&value.len()) {
            let len = value.len();
            return fault(format!("the value of `{key}` has {len} bytes, and must have 1 to {MAX_CUSTOM_VALUE_LEN}"));
        }
        if !is_printed(value) {
            return fault(format!("the value of `{key}` contains a character that is not printed"));
        }
    }
    Ok(())
}

impl CustomNotes {
    /// Returns the notes that are to stand in place of all others.
    pub(crate) fn whole(&self) -> Result<BTreeMap<String, String>, ApiError> {
        let notes = self.0.iter().map(|(key, value)| (key.clone(), value.clone().unwrap_or_default())).collect();
        check(&notes)?;
        Ok(notes)
    }

    /// Applies the notes to others, as a merge patch.
    pub(crate) fn merge(&self, notes: &mut BTreeMap<String, String>) -> Result<(), ApiError> {
        for (key, value) in &self.0 {
            match value {
                Some(value) => drop(notes.insert(key.clone(), value.clone())),
                None => drop(notes.remove(key)),
            }
        }
        check(notes)
    }
}

impl<'de> Deserialize<'de> for CustomNotes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Notes)
    }
}

struct Notes;

impl<'de> Visitor<'de> for Notes {
    type Value = CustomNotes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut notes = BTreeMap::new();
        while let Some((key, Note(value))) = map.next_entry::<String, Note>()? {
            // One more than are allowed is enough to refuse them.
            if notes.len() <= MAX_CUSTOM_KEYS && notes.insert(key, value).is_some() {
                return Err(A::Error::custom("a key is there twice"));
            }
        }
        Ok(CustomNotes(notes))
    }
}

/// One note. Numbers and truth values are taken for their texts, as Vault does.
struct Note(Option<String>);

impl<'de> Deserialize<'de> for Note {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneNote)
    }
}

struct OneNote;

impl Visitor<'_> for OneNote {
    type Value = Note;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Note(None))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Note(Some(u8::from(value).to_string())))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Note(Some(value.to_string())))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Note(Some(value.to_string())))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Note(Some(value.to_string())))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Note(Some(value.to_owned())))
    }
}
