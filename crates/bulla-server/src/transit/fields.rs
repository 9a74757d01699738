//! What fields of a request may hold.
//!
//! Vault's command line sends numbers and flags as text, and its libraries send null for what was not given: both are taken.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use data_encoding::BASE64;
use schemars::JsonSchema;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, SeqAccess, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde::ser::{Serialize, Serializer};
use zeroize::Zeroizing;

use crate::ApiError;

/// Most items of a batch.
pub const MAX_BATCH: usize = 100_000;

/// Room that is made for a batch before its items are seen.
const BATCH_ROOM: usize = 1_024;

/// Text that may hold a secret: wiped on drop, silent in `Debug`. It comes from a client, or goes to one that was let through to it.
#[derive(Clone, PartialEq, Eq, Default, JsonSchema)]
pub struct SecretText(#[schemars(with = "String")] Zeroizing<String>);

impl SecretText {
    /// Shows the text.
    ///
    /// # Security
    /// The one way to it, but for the answer that it goes into: whoever calls it answers for every copy.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Encodes bytes with base64.
    pub(super) fn base64(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(BASE64.encode(bytes)))
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = SecretText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<SecretText, E> {
                Ok(text.into())
            }

            fn visit_string<E: Error>(self, text: String) -> Result<SecretText, E> {
                Ok(text.into())
            }

            // What stands in its place may be the secret in another form: no message repeats it.
            fn visit_i64<E: Error>(self, _: i64) -> Result<SecretText, E> {
                Err(E::invalid_type(Unexpected::Other("number"), &self))
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<SecretText, E> {
                Err(E::invalid_type(Unexpected::Other("number"), &self))
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<SecretText, E> {
                Err(E::invalid_type(Unexpected::Other("number"), &self))
            }
        }
        // Not as text, for then it is the reader of JSON who says what it found.
        deserializer.deserialize_any(Text)
    }
}

/// A whole number, or text that holds one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
pub struct Number(pub i64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Number, E> {
                Ok(Number(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
                i64::try_from(number).map(Number).map_err(|_| E::invalid_value(Unexpected::Other("number"), &self))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
                text.parse().map(Number).map_err(|_| E::invalid_value(Unexpected::Other("text"), &self))
            }
        }
        deserializer.deserialize_any(Whole)
    }
}

/// True or false, or text or a number that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
pub struct Flag(pub bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct YesOrNo;
        impl Visitor<'_> for YesOrNo {
            type Value = Flag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true or false")
            }

            fn visit_bool<E: Error>(self, flag: bool) -> Result<Flag, E> {
                Ok(Flag(flag))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Flag, E> {
                match number {
                    0 | 1 => Ok(Flag(number == 1)),
                    _ => Err(E::invalid_value(Unexpected::Other("number"), &self)),
                }
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Flag, E> {
                match text {
                    "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Flag(true)),
                    "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Flag(false)),
                    _ => Err(E::invalid_value(Unexpected::Other("text"), &self)),
                }
            }
        }
        deserializer.deserialize_any(YesOrNo)
    }
}

/// A length of time: a number of seconds, or text such as `90`, `72h` or `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
pub struct Period(#[schemars(with = "crate::json::TextOrNumber")] pub Duration);

impl Period {
    /// Reads text: a number of seconds, or numbers each followed by `d`, `h`, `m` or `s`.
    fn parse(text: &str) -> Option<Self> {
        if let Ok(seconds) = text.parse() {
            return Some(Self(Duration::from_secs(seconds)));
        }
        let (mut total, mut number) = (0_u64, None::<u64>);
        for c in text.chars() {
            if let Some(digit) = c.to_digit(10) {
                number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(digit.into())?);
                continue;
            }
            let unit = match c {
                'd' => 86_400,
                'h' => 3_600,
                'm' => 60,
                's' => 1,
                _ => return None,
            };
            total = total.checked_add(number.take()?.checked_mul(unit)?)?;
        }
        (number.is_none() && !text.is_empty()).then_some(Self(Duration::from_secs(total)))
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Time;
        impl Visitor<'_> for Time {
            type Value = Period;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of seconds, or a time such as `72h`")
            }

            fn visit_u64<E: Error>(self, seconds: u64) -> Result<Period, E> {
                Ok(Period(Duration::from_secs(seconds)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Period, E> {
                Period::parse(text).ok_or_else(|| E::invalid_value(Unexpected::Other("text"), &self))
            }
        }
        deserializer.deserialize_any(Time)
    }
}

/// The items of a batch, at most [`MAX_BATCH`].
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
pub struct Batch<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Batch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
            type Value = Batch<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of objects")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Batch<T>, A::Error> {
                let mut items = Vec::with_capacity(sequence.size_hint().unwrap_or(0).min(BATCH_ROOM));
                while let Some(item) = sequence.next_element_seed(Item(PhantomData))? {
                    if items.len() == MAX_BATCH {
                        return Err(A::Error::invalid_length(items.len() + 1, &"at most 100000 items"));
                    }
                    items.push(item);
                }
                Ok(Batch(items))
            }
        }
        deserializer.deserialize_seq(Items(PhantomData))
    }
}

/// Reads an item of a batch, which is an object. serde would take an array for one too.
struct Item<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Item<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::deserialize(Object(deserializer))
    }
}

/// Reads objects, and nothing else.
struct Object<D>(D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Object<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

/// Decodes base64 to a buffer whose old content is lost. Ends of lines do not count: programs that encode put them in.
pub(super) fn decode_into(field: &str, text: &str, out: &mut Zeroizing<Vec<u8>>) -> Result<(), ApiError> {
    if decode_strictly(text.as_bytes(), out) {
        return Ok(());
    }
    if text.bytes().any(|byte| byte == b'\n' || byte == b'\r') {
        let joined: Vec<u8> = text.bytes().filter(|byte| *byte != b'\n' && *byte != b'\r').collect();
        if decode_strictly(&Zeroizing::new(joined), out) {
            return Ok(());
        }
    }
    Err(ApiError::field(field, "it is not base64"))
}

/// Decodes base64.
pub(super) fn decode(field: &str, text: &str) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    let mut out = Zeroizing::default();
    decode_into(field, text, &mut out).map(|()| out)
}

/// Decodes base64 as RFC 4648 §4 has it, and nothing else; says whether it was that.
pub(super) fn decode_strictly(text: &[u8], out: &mut Zeroizing<Vec<u8>>) -> bool {
    let Ok(len) = BASE64.decode_len(text.len()) else { return false };
    if out.capacity() < len {
        // Growing would leave behind what the buffer held.
        *out = Zeroizing::new(Vec::with_capacity(len));
    }
    out.resize(len, 0);
    match BASE64.decode_mut(text, out) {
        Ok(len) => {
            out.truncate(len);
            true
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_flags_and_times_may_be_text() {
        let number = |json| serde_json::from_str::<Number>(json).ok().map(|number| number.0);
        assert_eq!(
            [number("5"), number("\"-5\""), number("5.0"), number("\"\""), number("[]")],
            [Some(5), Some(-5), None, None, None]
        );
        assert_eq!(number("18446744073709551615"), None);
        let flag = |json| serde_json::from_str::<Flag>(json).ok().map(|flag| flag.0);
        assert_eq!(
            [flag("true"), flag("\"f\""), flag("1"), flag("2"), flag("\"yes\"")],
            [Some(true), Some(false), Some(true), None, None]
        );
        let period = |json| serde_json::from_str::<Period>(json).ok().map(|period| period.0.as_secs());
        assert_eq!(
            [period("90"), period("\"90\""), period("\"1h30m\""), period("\"2d\"")],
            [Some(90), Some(90), Some(5_400), Some(172_800)]
        );
        for bad in
            ["\"\"", "\"h\"", "\"1h3\"", "\"1w\"", "-1", "\"99999999999999999999d\"", "\"18446744073709551615d\""]
        {
            assert_eq!(period(bad), None, "{bad}");
        }
    }

    #[test]
    fn ends_of_lines_do_not_count_and_anything_else_does() {
        let decoded = |text| decode("input", text).ok().map(|bytes| bytes.to_vec());
        assert_eq!(decoded("aGVs\r\nbG8=\n"), Some(b"hello".to_vec()));
        assert_eq!(decoded(""), Some(Vec::new()));
        for bad in ["aGVsbG8", "aGVs bG8=", "aGVsbG9=", "-_==", "\n!"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_buffer_that_is_used_again_holds_only_the_last() {
        let mut out = Zeroizing::default();
        decode_into("input", "aGVsbG8gd29ybGQ=", &mut out).unwrap();
        decode_into("input", "aGk=", &mut out).unwrap();
        assert_eq!(*out, b"hi");
    }

    #[test]
    fn no_message_repeats_what_may_be_secret() {
        for json in ["4242", "-4242", "4242.5"] {
            let error = serde_json::from_str::<SecretText>(json).unwrap_err().to_string();
            assert!(!error.contains("42"), "{error}");
        }
        assert_eq!(format!("{:?}", SecretText::from("hush")), "SecretText(..)");
    }
}
