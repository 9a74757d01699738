//! An event as it is stored (`spec/audit.md`, "Event").

use std::convert::Infallible;

use bulla_backend::Timestamp;
use bulla_seal::KeyVersionId;
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};

use super::event::{Batch, Class, Level, MAX_FIELDS, Outcome, Phase};
use super::value::{Code, Identifier, Text, Value};

/// Longest stored event, in bytes: what an entry bundle can hold.
pub const MAX_EVENT_LEN: usize = 65_535;

/// An event as it stands in the log. Its index is its place, and not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoggedEvent {
    /// When it was handed to the log.
    pub time: Timestamp,
    /// What it is about.
    pub class: Class,
    /// What was done.
    pub action: Code,
    /// Where in the course of it.
    pub phase: Phase,
    /// How it went; `None` of an intent.
    pub outcome: Option<Outcome>,
    /// How loud it is.
    pub level: Level,
    /// Which process logged it.
    pub process: [u8; 8],
    /// Who did it.
    pub principal: Option<Identifier>,
    /// From where.
    pub address: Option<Identifier>,
    /// To what.
    pub resource: Option<Value>,
    /// The index of the intent that this is the outcome of.
    pub intent: Option<u64>,
    /// For how many at once.
    pub batch: Option<Batch>,
    /// What else there is to say, by name.
    pub fields: Vec<(Code, Value)>,
}

/// The bytes are no stored event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the one encoding of an event")]
pub struct MalformedEvent;

impl From<minicbor::decode::Error> for MalformedEvent {
    fn from(_: minicbor::decode::Error) -> Self {
        Self
    }
}

type Result<T> = std::result::Result<T, MalformedEvent>;
type Written = std::result::Result<(), minicbor::encode::Error<Infallible>>;

impl LoggedEvent {
    /// Returns the field of a name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(other, _)| other.as_str() == name).map(|(_, value)| value)
    }

    /// Encodes the event.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        let written = self.write(&mut Encoder::new(&mut out));
        debug_assert!(written.is_ok(), "encoding to memory does not fail");
        out
    }

    fn write(&self, e: &mut Encoder<&mut Vec<u8>>) -> Written {
        let optional = [
            self.outcome.is_some(),
            self.principal.is_some(),
            self.address.is_some(),
            self.resource.is_some(),
            self.intent.is_some(),
            self.batch.is_some(),
            !self.fields.is_empty(),
        ];
        e.map(6 + optional.into_iter().filter(|is_present| *is_present).count() as u64)?;
        e.u64(1)?.u64(self.time.0)?.u64(2)?.u64(self.class.number())?;
        e.u64(3)?.str(self.action.as_str())?.u64(4)?.u64(self.phase.number())?;
        if let Some(outcome) = self.outcome {
            e.u64(5)?.u64(outcome.number())?;
        }
        e.u64(6)?.u64(self.level.number())?.u64(7)?.bytes(&self.process)?;
        for (key, identifier) in [(8, self.principal), (9, self.address)] {
            if let Some(identifier) = identifier {
                write_identifier(e.u64(key)?, &identifier)?;
            }
        }
        if let Some(resource) = &self.resource {
            write_value(e.u64(10)?, resource)?;
        }
        if let Some(intent) = self.intent {
            e.u64(11)?.u64(intent)?;
        }
        if let Some(Batch { count, root }) = self.batch {
            e.u64(12)?.array(2)?.u64(count)?.bytes(&root)?;
        }
        if !self.fields.is_empty() {
            e.u64(13)?.map(self.fields.len() as u64)?;
            for (name, value) in &self.fields {
                write_value(e.str(name.as_str())?, value)?;
            }
        }
        Ok(())
    }

    /// Reads stored bytes.
    ///
    /// # Errors
    /// [`MalformedEvent`] if they are not what [`Self::encode`] makes of an event.
    pub fn parse(stored: &[u8]) -> Result<Self> {
        if stored.len() > MAX_EVENT_LEN {
            return Err(MalformedEvent);
        }
        let event = Self::read(&mut Reader(Decoder::new(stored)))?;
        if event.encode() == stored { Ok(event) } else { Err(MalformedEvent) }
    }

    /// Reads stored bytes that are trusted to be the one encoding, or passes over what is none: of a future version.
    pub(super) fn glance(stored: &[u8]) -> Option<Self> {
        Self::read(&mut Reader(Decoder::new(stored))).ok()
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let mut left = r.0.map()?.ok_or(MalformedEvent)?;
        let mut next = None;
        let mut has = |r: &mut Reader<'_>, key: u64| -> Result<bool> {
            if next.is_none() && left > 0 {
                left -= 1;
                next = Some(r.uint()?);
            }
            let is_there = next == Some(key);
            if is_there {
                next = None;
            }
            Ok(is_there)
        };
        let mut must = |r: &mut Reader<'_>, key| if has(r, key)? { Ok(()) } else { Err(MalformedEvent) };
        must(r, 1)?;
        let time = Timestamp(r.uint()?);
        must(r, 2)?;
        let class = Class::from_number(r.uint()?).ok_or(MalformedEvent)?;
        must(r, 3)?;
        let action = r.code()?;
        must(r, 4)?;
        let phase = Phase::from_number(r.uint()?).ok_or(MalformedEvent)?;
        let outcome = if has(r, 5)? { Some(Outcome::from_number(r.uint()?).ok_or(MalformedEvent)?) } else { None };
        let mut must = |r: &mut Reader<'_>, key| if has(r, key)? { Ok(()) } else { Err(MalformedEvent) };
        must(r, 6)?;
        let level = Level::from_number(r.uint()?).ok_or(MalformedEvent)?;
        must(r, 7)?;
        let process = r.fixed()?;
        let principal = if has(r, 8)? { Some(r.identifier()?) } else { None };
        let address = if has(r, 9)? { Some(r.identifier()?) } else { None };
        let resource = if has(r, 10)? { Some(r.value()?) } else { None };
        let intent = if has(r, 11)? { Some(r.uint()?) } else { None };
        let batch = if has(r, 12)? { Some(r.batch()?) } else { None };
        let fields = if has(r, 13)? { r.fields()? } else { Vec::new() };
        let event = Self {
            time,
            class,
            action,
            phase,
            outcome,
            level,
            process,
            principal,
            address,
            resource,
            intent,
            batch,
            fields,
        };
        let fits = (phase == Phase::Intent) == outcome.is_none() && (phase == Phase::Outcome) == intent.is_some();
        if fits { Ok(event) } else { Err(MalformedEvent) }
    }
}

fn write_identifier(e: &mut Encoder<&mut Vec<u8>>, identifier: &Identifier) -> Written {
    e.array(2)?.bytes(&identifier.version.0)?.bytes(&identifier.tag)?;
    Ok(())
}

fn write_value(e: &mut Encoder<&mut Vec<u8>>, value: &Value) -> Written {
    match value {
        Value::Text(text) => {
            if text.is_cut() {
                e.array(2)?;
            }
            match std::str::from_utf8(text.as_bytes()) {
                Ok(valid) => e.str(valid)?,
                Err(_) => e.bytes(text.as_bytes())?,
            };
            if text.is_cut() {
                e.u64(text.len())?;
            }
        }
        Value::Number(number) => drop(e.u64(*number)?),
        Value::Flag(flag) => drop(e.bool(*flag)?),
        Value::Digest(digest) => drop(e.array(1)?.bytes(digest)?),
        Value::Identifier(identifier) => write_identifier(e, identifier)?,
        Value::Secret => drop(e.null()?),
    }
    Ok(())
}

struct Reader<'b>(Decoder<'b>);

impl<'b> Reader<'b> {
    fn uint(&mut self) -> Result<u64> {
        Ok(self.0.u64()?)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.0.bytes()?.try_into().map_err(|_| MalformedEvent)
    }

    fn code(&mut self) -> Result<Code> {
        self.0.str()?.parse().map_err(|_| MalformedEvent)
    }

    fn array(&mut self, len: u64) -> Result<()> {
        if self.0.array()? == Some(len) { Ok(()) } else { Err(MalformedEvent) }
    }

    fn identifier(&mut self) -> Result<Identifier> {
        self.array(2)?;
        Ok(Identifier { version: KeyVersionId(self.fixed()?), tag: self.fixed()? })
    }

    fn batch(&mut self) -> Result<Batch> {
        self.array(2)?;
        let batch = Batch { count: self.uint()?, root: self.fixed()? };
        if batch.count > 0 { Ok(batch) } else { Err(MalformedEvent) }
    }

    /// Reads the bytes of text, which are a byte string if they are no UTF-8; what else there may be, encoding again shows.
    fn text(&mut self) -> Result<&'b [u8]> {
        match self.0.datatype()? {
            Type::String => Ok(self.0.str()?.as_bytes()),
            _ => Ok(self.0.bytes()?),
        }
    }

    fn value(&mut self) -> Result<Value> {
        Ok(match self.0.datatype()? {
            Type::String | Type::Bytes => {
                let bytes = self.text()?;
                Value::Text(Text::stored(bytes, bytes.len() as u64).ok_or(MalformedEvent)?)
            }
            Type::Bool => Value::Flag(self.0.bool()?),
            Type::Null => {
                self.0.null()?;
                Value::Secret
            }
            Type::Array => match self.0.array()? {
                Some(1) => Value::Digest(self.fixed()?),
                Some(2) => self.pair()?,
                _ => return Err(MalformedEvent),
            },
            _ => Value::Number(self.uint()?),
        })
    }

    fn pair(&mut self) -> Result<Value> {
        let bytes = self.text()?;
        match self.0.datatype()? {
            Type::Bytes => {
                let version = KeyVersionId(bytes.try_into().map_err(|_| MalformedEvent)?);
                Ok(Value::Identifier(Identifier { version, tag: self.fixed()? }))
            }
            _ => {
                let text = Text::stored(bytes, self.uint()?).ok_or(MalformedEvent)?;
                if text.is_cut() { Ok(Value::Text(text)) } else { Err(MalformedEvent) }
            }
        }
    }

    fn fields(&mut self) -> Result<Vec<(Code, Value)>> {
        let len = self.0.map()?.ok_or(MalformedEvent)?;
        if len == 0 || len > MAX_FIELDS as u64 {
            return Err(MalformedEvent);
        }
        let mut fields = Vec::<(Code, Value)>::new();
        for _ in 0..len {
            let name = self.code()?;
            // Keys in order are keys that stand there once.
            let is_behind = fields.last().is_none_or(|(last, _)| last.rank() < name.rank());
            if !is_behind || !name.is_field_name() {
                return Err(MalformedEvent);
            }
            fields.push((name, self.value()?));
        }
        Ok(fields)
    }
}
