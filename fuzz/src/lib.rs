//! What the fuzz targets share: how input is cut up, and how a sealed value is opened in every way there is.
#![forbid(unsafe_code)]

pub mod context;
pub mod tampered;

use std::io::{self, Cursor, Read};

use bulla_seal::{Context, Header, OpenError, RangeReader, SealKey, SealedStream, Suite};

/// Fuzzer input that is taken apart from the front. What is missing at its end is zero or empty.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// Takes `len` bytes, or what is left.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Takes `N` bytes.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let taken = self.take(N);
        let mut array = [0; N];
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    /// Takes a byte.
    pub fn byte(&mut self) -> u8 {
        u8::from_be_bytes(self.array())
    }

    /// Takes two bytes as a big-endian number.
    pub fn number(&mut self) -> usize {
        usize::from(u16::from_be_bytes(self.array()))
    }

    /// Takes bytes that are preceded by their number.
    pub fn counted(&mut self) -> &'a [u8] {
        let len = self.number();
        self.take(len)
    }
}

/// Opens a sealed value in every way there is and panics if two of them disagree on the message or on the failure.
pub fn open_in_every_way(key: &SealKey, context: &Context, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let whole = key.open(context, sealed);

    let mut buffer = b"left over".to_vec();
    let into = key.open_into(context, sealed, &mut buffer).map(|()| buffer.clone());
    assert_eq!(into, whole, "open_into");
    assert!(whole.is_ok() || buffer.is_empty(), "open_into leaves bytes behind");

    let mut buffer = sealed.to_vec();
    let in_place = key.open_in_place(context, &mut buffer).map(|()| buffer.clone());
    assert_eq!(in_place, whole, "open_in_place");
    let undecrypted = buffer == sealed;
    match whole {
        Ok(_) => {}
        Err(OpenError::Damaged) => assert!(undecrypted || buffer.is_empty(), "open_in_place leaves bytes behind"),
        Err(_) => assert!(undecrypted, "open_in_place leaves nothing for another key"),
    }

    // The deterministic suite is refused before anything else is looked at.
    let deterministic = Header::parse(sealed).is_ok_and(|header| header.params().suite == Suite::Aes256Deterministic);
    let in_parts = if deterministic { Err(OpenError::OneShotOnly) } else { whole.clone() };
    assert_eq!(stream(key, context, sealed), in_parts, "OpenReader");
    assert_eq!(range(key, context, sealed), in_parts, "RangeReader");
    whole
}

fn stream(key: &SealKey, context: &Context, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let halting = Halting { rest: sealed, pieces: 0 };
    let mut reader = SealedStream::new(halting).map_err(open_error)?.open(key, context)?;
    let mut message = Vec::new();
    let read = loop {
        // What was read before an error stays in `message`.
        match reader.read_to_end(&mut message) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            ended => break ended.map_err(open_error),
        }
    };
    // An end or a failure stays one.
    let again = reader.read(&mut [0; 1]).map_err(open_error);
    assert_eq!(again, read.map(|_| 0), "OpenReader after its end");
    read.map(|_| message)
}

/// Hands out bytes in pieces and fails now and then, though not within the header.
struct Halting<'a> {
    rest: &'a [u8],
    pieces: u32,
}

impl Read for Halting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.pieces += 1;
        if self.pieces.is_multiple_of(3) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let room = buffer.len().min(1_500);
        self.rest.read(&mut buffer[..room])
    }
}

fn range(key: &SealKey, context: &Context, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut reader = RangeReader::open(Cursor::new(sealed), key, context).map_err(open_error)?;
    let claimed = reader.message_len();
    let mut message = Vec::new();
    reader.read_to_end(&mut message).map_err(open_error)?;
    assert_eq!(message.len() as u64, claimed, "RangeReader's length");
    Ok(message)
}

fn open_error(error: io::Error) -> OpenError {
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    *error.get_ref().and_then(|inner| inner.downcast_ref()).expect("bytes in memory fail in no other way")
}
