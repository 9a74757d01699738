//! Deterministic CBOR (RFC 8949 §4.2.1), read strictly.
//!
//! Readers decode, encode again and compare: whatever is not the one deterministic encoding of what was read is refused.

use minicbor::{Decoder, Encoder, data::Int};

pub(crate) type Infallible = minicbor::encode::Error<core::convert::Infallible>;

/// The bytes are not what a reader asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Encodes to memory, which cannot fail: the writer's error type has no values.
pub(crate) fn encode(write: impl FnOnce(&mut Encoder<&mut Vec<u8>>) -> Result<(), Infallible>) -> Vec<u8> {
    let mut out = Vec::new();
    encode_to(&mut out, write);
    out
}

/// Encodes behind what is in a buffer: for what must leave no copies, and so has a buffer that need not grow.
pub(crate) fn encode_to(out: &mut Vec<u8>, write: impl FnOnce(&mut Encoder<&mut Vec<u8>>) -> Result<(), Infallible>) {
    let written = write(&mut Encoder::new(out));
    debug_assert!(written.is_ok(), "encoding to memory does not fail");
}

/// Reads the items of one array.
pub(crate) struct Reader<'b>(Decoder<'b>);

impl<'b> Reader<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self(Decoder::new(bytes))
    }

    /// Reads the head of an array of exactly `len` items.
    pub(crate) fn array(&mut self, len: u64) -> Result<(), Malformed> {
        if self.0.array()? == Some(len) { Ok(()) } else { Err(Malformed) }
    }

    pub(crate) fn uint(&mut self) -> Result<u64, Malformed> {
        let value: Int = self.0.int()?;
        u64::try_from(value).map_err(|_| Malformed)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'b [u8], Malformed> {
        Ok(self.0.bytes()?)
    }

    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.bytes()?.try_into().map_err(|_| Malformed)
    }

    /// Reads text, or leaves what is not text where it is.
    pub(crate) fn peek_text(&mut self) -> Result<&'b str, Malformed> {
        match self.0.datatype()? {
            minicbor::data::Type::String => self.text(),
            _ => Err(Malformed),
        }
    }

    pub(crate) fn text(&mut self) -> Result<&'b str, Malformed> {
        Ok(self.0.str()?)
    }

    /// Reads the head of an array; the caller bounds what it says.
    pub(crate) fn array_len(&mut self) -> Result<u64, Malformed> {
        self.0.array()?.ok_or(Malformed)
    }

    /// Reads the head of a map: how many entries follow.
    pub(crate) fn map_len(&mut self) -> Result<u64, Malformed> {
        self.0.map()?.ok_or(Malformed)
    }
}

impl From<minicbor::decode::Error> for Malformed {
    fn from(_: minicbor::decode::Error) -> Self {
        Self
    }
}
