//! Writing down as JSON what a strict reader reads, so that what is kept is the text of what was accepted.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

/// Writes the value that comes next.
pub(super) struct Transcript<'o>(pub(super) &'o mut Zeroizing<String>);

impl Transcript<'_> {
    fn push(&mut self, text: &str) {
        let needed = self.0.len().saturating_add(text.len());
        if needed > self.0.capacity() {
            // No copy is left behind when it grows.
            let mut larger = Zeroizing::new(String::with_capacity(needed.saturating_mul(2)));
            larger.push_str(self.0);
            *self.0 = larger;
        }
        self.0.push_str(text);
    }

    fn json<E: Error>(mut self, value: &(impl serde::Serialize + ?Sized)) -> Result<(), E> {
        let text = serde_json::to_string(value).map_err(|_| E::custom("it cannot be written"))?;
        self.push(&Zeroizing::new(text));
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Transcript<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Transcript<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(mut self) -> Result<(), E> {
        self.push("null");
        Ok(())
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<(), E> {
        self.push(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.json(&value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.json(&value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.json(&value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.json(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        self.push("[");
        let first = self.0.len();
        loop {
            let end = self.0.len();
            if end > first {
                self.push(",");
            }
            if list.next_element_seed(Transcript(self.0))?.is_none() {
                self.0.truncate(end);
                self.push("]");
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
        let mut separator = "{";
        while let Some(name) = object.next_key::<String>()? {
            self.push(separator);
            separator = ",";
            Transcript(self.0).json::<A::Error>(&name)?;
            self.push(":");
            object.next_value_seed(Transcript(self.0))?;
        }
        self.push(if separator == "{" { "{}" } else { "}" });
        Ok(())
    }
}
