use std::fmt;
use std::io::{self, BufRead, Read};

use zeroize::Zeroizing;

use crate::chunk::ChunkCipher;
use crate::header::{invalid_data, read_up_to};
use crate::{Context, Header, MAX_MESSAGE_LEN, OpenError, SealKey, Suite, TAG_LEN};

/// A sealed value at the start of a stream, of which the header has been read: it says which key version is needed.
pub struct SealedStream<R: Read> {
    header: Header,
    start: [u8; TAG_LEN],
    inner: R,
}

impl<R: Read> SealedStream<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// An error of kind [`io::ErrorKind::InvalidData`] that wraps an [`OpenError`], or one of the stream.
    pub fn new(mut inner: R) -> io::Result<Self> {
        let (header, start) = Header::read(&mut inner)?;
        if header.params().suite == Suite::Aes256Deterministic {
            return Err(invalid_data(OpenError::OneShotOnly));
        }
        Ok(Self { header, start, inner })
    }

    /// Returns the header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Checks the key and the context, after which the message can be read.
    ///
    /// # Errors
    /// [`OpenError::UnknownVersion`] if the header names another key version, [`OpenError::CannotOpen`] if key or context are wrong.
    pub fn open(self, key: &SealKey, context: &Context) -> Result<OpenReader<R>, OpenError> {
        let cipher = ChunkCipher::for_opening(key, context, &self.header)?;
        // Only now is the chunk size worth believing.
        let mut chunk = Zeroizing::new(vec![0; self.header.params().chunk_size.stored()]);
        chunk[..TAG_LEN].copy_from_slice(&self.start);
        Ok(OpenReader {
            inner: self.inner,
            cipher,
            chunk,
            stored: TAG_LEN,
            ahead: None,
            at: 0,
            len: 0,
            index: 0,
            released: 0,
            state: State::Reading,
        })
    }
}

impl<R: Read> fmt::Debug for SealedStream<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedStream").field("header", &self.header).finish_non_exhaustive()
    }
}

/// Opens a sealed value that is read from a stream ([`SealedStream::open`]), and releases each chunk once it has verified.
///
/// # Security
/// What was read is authentic, but only the end says that it was all: a value that was cut short or altered later on ends in
/// an error of kind [`io::ErrorKind::InvalidData`], which wraps an [`OpenError`]. Do not act on a part before the end was reached.
pub struct OpenReader<R: Read> {
    inner: R,
    cipher: ChunkCipher,
    /// One chunk: first as it is stored, then, opened in place, as it is released.
    chunk: Zeroizing<Vec<u8>>,
    /// How many stored bytes of the next chunk have come. None while a chunk is being released.
    stored: usize,
    /// The first byte behind the chunk that is being released.
    ahead: Option<u8>,
    at: usize,
    len: usize,
    index: u64,
    released: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Ended,
    Failed(OpenError),
}

impl<R: Read> OpenReader<R> {
    /// Opens the next chunk, if there is one. An error of the stream itself loses nothing: reading can go on behind it.
    fn advance(&mut self) -> io::Result<()> {
        match self.state {
            State::Reading => {}
            State::Ended => return Ok(()),
            State::Failed(error) => return Err(invalid_data(error)),
        }
        if let Some(first) = self.ahead.take() {
            self.chunk[0] = first;
            self.stored = 1;
        }
        read_up_to(&mut self.inner, &mut self.chunk, &mut self.stored)?;
        // Only a chunk that nothing follows is the last.
        let (mut ahead, mut followed) = ([0; 1], 0);
        if self.stored == self.chunk.len() {
            read_up_to(&mut self.inner, &mut ahead, &mut followed)?;
        }
        self.ahead = (followed == 1).then_some(ahead[0]);
        let last = self.ahead.is_none();
        match self.open_stored(last) {
            Ok(()) => {
                self.state = if last { State::Ended } else { State::Reading };
                Ok(())
            }
            Err(error) => {
                self.state = State::Failed(error);
                Err(invalid_data(error))
            }
        }
    }

    fn open_stored(&mut self, last: bool) -> Result<(), OpenError> {
        let len = self.stored.checked_sub(TAG_LEN).ok_or(OpenError::Damaged)?;
        self.released = self.released.saturating_add(len as u64);
        if (len == 0 && self.index > 0) || self.released > MAX_MESSAGE_LEN {
            return Err(OpenError::Damaged);
        }
        self.cipher.open_in_place(self.index, last, &mut self.chunk[..self.stored])?;
        self.index += 1;
        self.stored = 0;
        self.len = len;
        Ok(())
    }
}

impl<R: Read> BufRead for OpenReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.len {
            self.at = 0;
            self.len = 0;
            self.advance()?;
        }
        Ok(&self.chunk[self.at..self.len])
    }

    fn consume(&mut self, amount: usize) {
        self.at = self.at.saturating_add(amount).min(self.len);
    }
}

impl<R: Read> Read for OpenReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let released = self.fill_buf()?;
        let taken = released.len().min(out.len());
        out[..taken].copy_from_slice(&released[..taken]);
        self.consume(taken);
        Ok(taken)
    }
}

impl<R: Read> fmt::Debug for OpenReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenReader").field("cipher", &self.cipher).finish_non_exhaustive()
    }
}
