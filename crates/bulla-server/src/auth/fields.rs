//! What fields of requests hold, and answers that many have.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bulla_guard::access::RoleGrant;
use schemars::JsonSchema;
use serde::de::value::StrDeserializer;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize};

use crate::transit::{Number, Period};
use crate::{ApiError, Call};

/// Texts: a list of them, or one text that joins them with commas.
#[derive(Debug, Clone, PartialEq, Eq, Default, JsonSchema)]
pub struct Texts(#[schemars(with = "Vec<String>")] pub Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Many;
        impl<'de> Visitor<'de> for Many {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of texts")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Texts, E> {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Ok(Texts(parts.map(str::to_owned).collect()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = sequence.next_element::<String>()? {
                    texts.push(text);
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_any(Many)
    }
}

impl Texts {
    /// Reads each of them.
    pub(super) fn parse<T: FromStr<Err: fmt::Display>>(&self, field: &str) -> Result<Vec<T>, ApiError> {
        self.0.iter().map(|text| parse(field, text)).collect()
    }
}

/// A length of time as [`Period`] has it; nothing at all, or 0, is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
pub struct Lifetime(#[schemars(with = "crate::json::TextOrNumber")] pub Option<Duration>);

impl<'de> Deserialize<'de> for Lifetime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Time;
        impl Visitor<'_> for Time {
            type Value = Lifetime;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of seconds, or a time such as `72h`")
            }

            fn visit_u64<E: Error>(self, seconds: u64) -> Result<Lifetime, E> {
                Ok(Lifetime((seconds > 0).then(|| Duration::from_secs(seconds))))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Lifetime, E> {
                if text.is_empty() {
                    return Ok(Lifetime(None));
                }
                let Period(time) = Period::deserialize(StrDeserializer::<E>::new(text))?;
                Ok(Lifetime(Some(time).filter(|time| !time.is_zero())))
            }
        }
        deserializer.deserialize_any(Time)
    }
}

/// A role, for everything or for what a pattern stands for.
#[derive(Debug, Clone, PartialEq, Eq, DeriveDeserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Which role.
    pub role: String,
    /// For which resources; null for all.
    pub pattern: Option<String>,
}

impl Grant {
    pub(super) fn parse(&self) -> Result<RoleGrant, ApiError> {
        let pattern = self.pattern.as_deref().map(|pattern| parse("pattern", pattern)).transpose()?;
        Ok(RoleGrant { role: parse("role", &self.role)?, pattern })
    }

    pub(super) fn parse_all(grants: Option<Vec<Self>>) -> Result<Vec<RoleGrant>, ApiError> {
        grants.unwrap_or_default().iter().map(Self::parse).collect()
    }
}

impl From<&RoleGrant> for Grant {
    fn from(grant: &RoleGrant) -> Self {
        let pattern = grant.pattern.as_ref().map(|pattern| pattern.as_str().to_owned());
        Self { role: grant.role.to_string(), pattern }
    }
}

/// A list, as Vault answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KeyList {
    /// What there is.
    pub keys: Vec<String>,
}

impl KeyList {
    pub(super) fn of(names: impl IntoIterator<Item = impl fmt::Display>) -> Self {
        Self { keys: names.into_iter().map(|name| name.to_string()).collect() }
    }
}

/// Reads a text of a request.
pub(super) fn parse<T: FromStr<Err: fmt::Display>>(field: &str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|error| ApiError::field(field, error))
}

/// Reads the name in the path.
pub(super) fn name<T: FromStr<Err: fmt::Display>>(call: &Call) -> Result<T, ApiError> {
    parse("name", call.param("name"))
}

/// Reads a number of times, of which 0 is any.
pub(super) fn uses(field: &str, number: Option<Number>) -> Result<Option<u64>, ApiError> {
    let Some(Number(number)) = number else { return Ok(None) };
    let number = u64::try_from(number).map_err(|_| ApiError::field(field, "it cannot be negative"))?;
    Ok((number > 0).then_some(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_as_a_list_or_joined_and_times_may_be_nothing() {
        let texts = |json| serde_json::from_str::<Texts>(json).ok().map(|texts| texts.0.join("|"));
        assert_eq!(texts(r#"["a", "b,c"]"#).as_deref(), Some("a|b,c"));
        assert_eq!(texts(r#""a, b,,c ""#).as_deref(), Some("a|b|c"));
        assert_eq!((texts(r#""""#).as_deref(), texts("[1]"), texts("1")), (Some(""), None, None));
        let time = |json| serde_json::from_str::<Lifetime>(json).ok().map(|time| time.0.map(|time| time.as_secs()));
        assert_eq!([time("0"), time("\"\""), time("\"0s\"")], [Some(None); 3]);
        assert_eq!([time("5"), time("\"1h\"")], [Some(Some(5)), Some(Some(3_600))]);
        assert_eq!([time("-1"), time("\"x\""), time("[]")], [None; 3]);
    }
}
