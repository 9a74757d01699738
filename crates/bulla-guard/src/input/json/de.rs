//! Hands what is read to the types of serde's.

use std::borrow::Cow;

use serde::de::value::{BorrowedStrDeserializer, StringDeserializer};
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::reader::{Names, Number, Reader};
use crate::input::error::{Fault, InputError};

impl<'de> Deserializer<'de> for &mut Reader<'de, '_> {
    type Error = InputError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, InputError> {
        match self.peek() {
            Some(b'"') => match self.text(self.bounds.text, Fault::TextLength)? {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
            Some(b'{') => {
                self.enter()?;
                let names = self.begin_names();
                let mut object = Object { reader: &mut *self, names, name: Cow::Borrowed("") };
                let value = visitor.visit_map(&mut object)?;
                let names = object.names;
                self.end_names(&names);
                self.close(b'}', "no further member")?;
                Ok(value)
            }
            Some(b'[') => {
                self.enter()?;
                let value = visitor.visit_seq(List { reader: &mut *self, count: 0 })?;
                self.close(b']', "no further element")?;
                Ok(value)
            }
            Some(b'-' | b'0'..=b'9') => match self.number()? {
                Number::Unsigned(number) => visitor.visit_u64(number),
                Number::Signed(number) => visitor.visit_i64(number),
                Number::Float(number) => visitor.visit_f64(number),
            },
            Some(b't') => self.word("true").and_then(|()| visitor.visit_bool(true)),
            Some(b'f') => self.word("false").and_then(|()| visitor.visit_bool(false)),
            Some(b'n') => self.word("null").and_then(|()| visitor.visit_unit()),
            next => Err(self.unexpected(next, "a value")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, InputError> {
        if self.peek() == Some(b'n') {
            self.word("null")?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, InputError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, InputError> {
        match self.peek() {
            Some(b'"') => visitor.visit_enum(self.text(self.bounds.text, Fault::TextLength)?.into_deserializer()),
            Some(b'{') => {
                self.enter()?;
                let value = visitor.visit_enum(Variant { reader: &mut *self, name: Cow::Borrowed("") })?;
                self.close(b'}', "no further member")?;
                Ok(value)
            }
            next => Err(self.unexpected(next, "a text or an object")),
        }
    }

    /// Requests are objects: the fields of a list would be whatever their order makes them.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, InputError> {
        if self.peek() == Some(b'[') {
            return Err(de::Error::invalid_type(Unexpected::Seq, &visitor));
        }
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map
        identifier ignored_any
    }
}

impl Reader<'_, '_> {
    /// Steps out of a list or object of which everything has to have been read.
    fn close(&mut self, byte: u8, expected: &'static str) -> Result<(), InputError> {
        match self.peek() {
            Some(next) if next == byte => {
                self.leave();
                Ok(())
            }
            Some(b',') => {
                let expected = expected.to_owned();
                Err(self.fail(Fault::Type { expected, found: "another" }))
            }
            next => Err(self.unexpected(next, "`,` or its end")),
        }
    }
}

struct List<'r, 'de, 'b> {
    reader: &'r mut Reader<'de, 'b>,
    count: usize,
}

impl<'de> SeqAccess<'de> for List<'_, 'de, '_> {
    type Error = InputError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, InputError> {
        match self.reader.peek() {
            Some(b']') => return Ok(None),
            _ if self.count == 0 => {}
            Some(b',') => self.reader.step(),
            next => return Err(self.reader.unexpected(next, "`,` or `]`")),
        }
        let index = self.count;
        self.count += 1;
        let most = self.reader.bounds.elements;
        if self.count > most {
            return Err(self.reader.fail(Fault::Elements(most)));
        }
        self.reader.count_value()?;
        seed.deserialize(&mut *self.reader).map(Some).map_err(|error| error.under(&index.to_string()))
    }
}

struct Object<'r, 'de, 'b> {
    reader: &'r mut Reader<'de, 'b>,
    names: Names<'de>,
    /// Of the member that is being read.
    name: Cow<'de, str>,
}

impl<'de> MapAccess<'de> for &mut Object<'_, 'de, '_> {
    type Error = InputError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, InputError> {
        match self.reader.peek() {
            Some(b'}') => return Ok(None),
            _ if self.names.is_empty() => {}
            Some(b',') => self.reader.step(),
            next => return Err(self.reader.unexpected(next, "`,` or `}`")),
        }
        match self.reader.peek() {
            Some(b'"') => {}
            next => return Err(self.reader.unexpected(next, "the name of a member")),
        }
        self.name = self.reader.name(&mut self.names)?;
        self.reader.count_value()?;
        match self.name.clone() {
            Cow::Borrowed(name) => seed.deserialize(BorrowedStrDeserializer::new(name)),
            Cow::Owned(name) => seed.deserialize(StringDeserializer::new(name)),
        }
        .map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, InputError> {
        self.reader.expect(b':', "`:`")?;
        seed.deserialize(&mut *self.reader).map_err(|error| error.under(&self.name))
    }
}

/// A variant of an enum with a value: an object of one member.
struct Variant<'r, 'de, 'b> {
    reader: &'r mut Reader<'de, 'b>,
    name: Cow<'de, str>,
}

impl<'de> EnumAccess<'de> for Variant<'_, 'de, '_> {
    type Error = InputError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(mut self, seed: V) -> Result<(V::Value, Self), InputError> {
        match self.reader.peek() {
            Some(b'"') => {}
            next => return Err(self.reader.unexpected(next, "the name of a member")),
        }
        self.name = self.reader.text(self.reader.bounds.member_name, Fault::NameLength)?;
        self.reader.count_value()?;
        let variant = seed.deserialize(self.name.clone().into_deserializer())?;
        self.reader.expect(b':', "`:`")?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de, '_> {
    type Error = InputError;

    fn unit_variant(self) -> Result<(), InputError> {
        <()>::deserialize(self.reader).map_err(|error| error.under(&self.name))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, InputError> {
        seed.deserialize(self.reader).map_err(|error| error.under(&self.name))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, InputError> {
        self.reader.deserialize_any(visitor).map_err(|error| error.under(&self.name))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, InputError> {
        self.reader.deserialize_struct("", fields, visitor).map_err(|error| error.under(&self.name))
    }
}
