//! The data of a secret: the text of a JSON object.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::DeserializeSeed as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::transcript::Transcript;
use crate::ApiError;

/// Longest data of a secret, in bytes of JSON text.
pub const MAX_SECRET_LEN: usize = 1_024 * 1_024;
/// How deep data is nested, at most.
pub const MAX_DEPTH: usize = 32;

/// The data of a secret. It is wiped on drop and silent in `Debug`; serialising it is how it is revealed.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretJson(Zeroizing<String>);

impl SecretJson {
    /// Takes the text of a JSON object.
    ///
    /// # Errors
    /// 400 for what is no JSON object or is nested too deep, 413 for one that is too long.
    pub fn parse(text: impl Into<String>) -> Result<Self, ApiError> {
        let text = Zeroizing::new(text.into());
        let raw: &RawValue = serde_json::from_str(&text).map_err(|_| ApiError::field("data", "it is not JSON"))?;
        let secret = Self(Zeroizing::new(raw.get().to_owned()));
        secret.check()?;
        Ok(secret)
    }

    /// Takes what was checked when it was stored.
    pub(crate) fn stored(bytes: Vec<u8>) -> Option<Self> {
        match String::from_utf8(bytes) {
            Ok(text) => Some(Self(Zeroizing::new(text))),
            Err(error) => {
                drop(Zeroizing::new(error.into_bytes()));
                None
            }
        }
    }

    /// Returns the text.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Checks that it is an object within the bounds: what was parsed may be any JSON.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn check(&self) -> Result<(), ApiError> {
        if self.0.len() > MAX_SECRET_LEN {
            let message = format!("data: it is longer than {MAX_SECRET_LEN} bytes");
            return Err(ApiError::new(http::StatusCode::PAYLOAD_TOO_LARGE, "too_large", message));
        }
        if !self.0.starts_with('{') {
            return Err(ApiError::field("data", "it has to be a JSON object"));
        }
        if depth(&self.0) > MAX_DEPTH {
            return Err(ApiError::field("data", format!("it is nested deeper than {MAX_DEPTH}")));
        }
        Ok(())
    }
}

/// Returns how deep a JSON text is nested.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

impl fmt::Debug for SecretJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretJson(..)")
    }
}

impl Serialize for SecretJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // An error of the parser could show what it stumbled over.
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(|_| S::Error::custom("stored data is not JSON"))?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SecretJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut text = Zeroizing::new(String::new());
        Transcript(&mut text).deserialize(deserializer)?;
        Ok(Self(text))
    }
}

impl JsonSchema for SecretJson {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_brackets_outside_of_strings_nest() {
        for (text, expected) in [("{}", 1), (r#"{"a":[{}]}"#, 3), (r#"{"[[[":"\"{{{"}"#, 1), (r#"{"a":{},"b":{}}"#, 2)]
        {
            assert_eq!(depth(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_read_is_written_down() {
        let text =
            r#"{"z":[1,-2,[],{},[null]],"a":{"b":true,"\"c\n":"\u0001é"},"n":1.5,"m":18446744073709551615,"e":null}"#;
        for written in [text, "[]", "{}", "1", "\"x\"", "null"] {
            let read: SecretJson = serde_json::from_str(written).unwrap();
            assert_eq!(read.expose(), written);
        }
    }

    #[test]
    fn numbers_and_order_stay_as_they_were_written() {
        let text = r#"{"z":12345678901234567890123,"a":1.0,"e":1e400}"#;
        assert_eq!(serde_json::to_string(&SecretJson::parse(text).unwrap()).unwrap(), text);
    }

    #[test]
    fn what_is_no_object_or_too_deep_is_refused() {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(MAX_DEPTH + 1), "}".repeat(MAX_DEPTH + 1));
        for text in ["", "[]", "1", "\"x\"", "null", "{", "{}x", deep.as_str()] {
            assert_eq!(SecretJson::parse(text).unwrap_err().status(), 400, "{text}");
        }
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_SECRET_LEN));
        assert_eq!(SecretJson::parse(long).unwrap_err().status(), 413);
        assert_eq!(format!("{:?}", SecretJson::parse(r#"{"a":"hidden"}"#).unwrap()), "SecretJson(..)");
    }
}
