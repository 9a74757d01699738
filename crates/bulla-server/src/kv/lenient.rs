//! Numbers, flags and spans of time as Vault's clients write them: also as text, and `null` or nothing where they mean neither.

use std::fmt;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// Longest span of time that is accepted, in seconds: 100 years.
const MAX_SECONDS: u64 = 100 * 366 * 86_400;

/// What can be written in several ways.
pub trait Lenient: Copy {
    /// What a client is told to write.
    const EXPECTED: &'static str;

    /// Reads a number.
    fn of_number(number: i64) -> Option<Self>;
    /// Reads a truth value.
    fn of_bool(value: bool) -> Option<Self>;
    /// Reads a text that is not empty.
    fn of_text(text: &str) -> Option<Self>;
}

/// A number that is not negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
pub struct Unsigned(pub u64);

/// A truth value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
pub struct Flag(pub bool);

/// A span of time in whole seconds; the part of a second is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
pub struct Seconds(#[schemars(with = "crate::json::TextOrNumber")] pub i64);

impl Lenient for Unsigned {
    const EXPECTED: &'static str = "a whole number that is not negative";

    fn of_number(number: i64) -> Option<Self> {
        u64::try_from(number).ok().map(Self)
    }

    fn of_bool(_: bool) -> Option<Self> {
        None
    }

    fn of_text(text: &str) -> Option<Self> {
        text.parse().ok().and_then(Self::of_number)
    }
}

impl Lenient for Flag {
    const EXPECTED: &'static str = "`true` or `false`";

    fn of_number(number: i64) -> Option<Self> {
        matches!(number, 0 | 1).then_some(Self(number == 1))
    }

    fn of_bool(value: bool) -> Option<Self> {
        Some(Self(value))
    }

    fn of_text(text: &str) -> Option<Self> {
        match text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(Self(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(Self(false)),
            _ => None,
        }
    }
}

impl Lenient for Seconds {
    const EXPECTED: &'static str = "a span of time as `3h25m19s`, of at most 100 years";

    fn of_number(number: i64) -> Option<Self> {
        (number.unsigned_abs() <= MAX_SECONDS).then_some(Self(number))
    }

    fn of_bool(_: bool) -> Option<Self> {
        None
    }

    fn of_text(text: &str) -> Option<Self> {
        if let Ok(number) = text.parse() {
            return Self::of_number(number);
        }
        let (sign, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text),
        };
        let mut nanos = 0_u128;
        while !rest.is_empty() {
            let (part, behind) = part(rest)?;
            nanos = nanos.checked_add(part)?;
            rest = behind;
        }
        let seconds = i64::try_from(nanos / 1_000_000_000).ok()?;
        Self::of_number(sign * seconds)
    }
}

/// Reads one number with its unit from the beginning of a text, in nanoseconds.
fn part(text: &str) -> Option<(u128, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(end);
    let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let unit: u128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || number.len() > 24 {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u128>().ok()? };
    let digits = &fraction[..fraction.len().min(9)];
    let scale = 10_u128.pow(u32::try_from(digits.len()).ok()?);
    let fraction = if digits.is_empty() { 0 } else { digits.parse::<u128>().ok()? };
    Some((whole.checked_mul(unit)?.checked_add(fraction * unit / scale)?, rest))
}

/// Reads a field that may be absent, `null` or an empty text: `#[serde(default, deserialize_with = "lenient::optional")]`.
pub(crate) fn optional<'de, D: Deserializer<'de>, T: Lenient>(deserializer: D) -> Result<Option<T>, D::Error> {
    deserializer.deserialize_any(Reader(PhantomData))
}

/// Reads a field of a merge patch: absent, or set to nothing, or to something.
pub(crate) fn patched<'de, D: Deserializer<'de>, T: Lenient>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    optional(deserializer).map(Some)
}

struct Reader<T>(PhantomData<T>);

impl<'de, T: Lenient> Visitor<'de> for Reader<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        T::of_bool(value).map(Some).ok_or_else(|| E::invalid_type(Unexpected::Bool(value), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        T::of_number(number).map(Some).ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        let read = i64::try_from(number).ok().and_then(T::of_number);
        read.map(Some).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        if text.is_empty() {
            return Ok(None);
        }
        T::of_text(text).map(Some).ok_or_else(|| E::invalid_value(Unexpected::Other("that text"), &self))
    }
}

impl<'de> Deserialize<'de> for Unsigned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        optional(deserializer)?.ok_or_else(|| D::Error::custom(format!("expected {}", Self::EXPECTED)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Lenient>(json: &str) -> Result<Option<T>, serde_json::Error> {
        optional(&mut serde_json::Deserializer::from_str(json))
    }

    #[test]
    fn spans_are_read_as_vault_reads_them() {
        let cases = [
            ("60", Some(60)),
            (r#""90""#, Some(90)),
            (r#""1h30m0.5s""#, Some(5_400)),
            (r#""1.5h""#, Some(5_400)),
            (r#""1d""#, Some(86_400)),
            (r#""100ms""#, Some(0)),
            (r#""-1s""#, Some(-1)),
            (r#""""#, None),
            ("null", None),
        ];
        for (json, expected) in cases {
            assert_eq!(read::<Seconds>(json).unwrap(), expected.map(Seconds), "{json}");
        }
        for json in [r#""x""#, "1.5", r#""1w""#, r#""1h1""#, r#""h""#, r#"".s""#, r#""99999999999999999999d""#, "true"]
        {
            assert!(read::<Seconds>(json).is_err(), "{json}");
        }
        assert!(read::<Seconds>(r#""3000000h""#).is_err());
    }

    #[test]
    fn numbers_and_flags_may_be_texts() {
        assert_eq!(read::<Unsigned>("7").unwrap(), Some(Unsigned(7)));
        assert_eq!(read::<Unsigned>(r#""7""#).unwrap(), Some(Unsigned(7)));
        assert_eq!(read::<Flag>(r#""true""#).unwrap(), Some(Flag(true)));
        assert_eq!(read::<Flag>("0").unwrap(), Some(Flag(false)));
        for json in ["-1", "1.5", "[]", "{}", r#""x""#, "18446744073709551615"] {
            assert!(read::<Unsigned>(json).is_err(), "{json}");
        }
        assert!(read::<Flag>("2").is_err());
    }
}
