use std::fmt;
use std::io::{self, BufRead, Read};

use zeroize::Zeroizing;

use crate::chunk::ChunkCipher;
use crate::header::{invalid_data, read_up_to};
use crate::{Context, Header, MAX_MESSAGE_LEN, OpenError, SealKey, Suite, TAG_LEN};

/// Opens a sealed value that is read from a stream, and releases each chunk once it has verified.
///
/// # Security
/// What was read is authentic, but only the end says that it was all: a value that was cut short or altered later on ends in
/// an error of kind [`io::ErrorKind::InvalidData`], which wraps an [`OpenError`]. Do not act on a part before the end was reached.
pub struct OpenReader<R: Read> {
    header: Header,
    inner: R,
    cipher: Option<ChunkCipher>,
    /// The next chunk as stored, which may be the last.
    stored: Zeroizing<Vec<u8>>,
    stored_len: usize,
    /// The chunk that is being released.
    message: Zeroizing<Vec<u8>>,
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
    /// Reads the header, which says what key version is needed.
    ///
    /// # Errors
    /// An error of kind [`io::ErrorKind::InvalidData`] that wraps an [`OpenError`], or one of the stream.
    pub fn new(mut inner: R) -> io::Result<Self> {
        let (header, start) = Header::read(&mut inner)?;
        if header.params().suite == Suite::Aes256Deterministic {
            return Err(invalid_data(OpenError::OneShotOnly));
        }
        let size = header.params().chunk_size;
        let mut stored = Zeroizing::new(vec![0; size.stored()]);
        stored[..TAG_LEN].copy_from_slice(&start);
        let message = Zeroizing::new(vec![0; size.stored()]);
        let state = State::Reading;
        let stored_len = TAG_LEN;
        Ok(Self {
            header,
            inner,
            cipher: None,
            stored,
            stored_len,
            message,
            at: 0,
            len: 0,
            index: 0,
            released: 0,
            state,
        })
    }

    /// Returns the header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Checks the key and the context, after which the message can be read.
    ///
    /// # Errors
    /// [`OpenError::UnknownVersion`] if the header names another key version, [`OpenError::CannotOpen`] if key or context are wrong.
    pub fn open(mut self, key: &SealKey, context: &Context) -> Result<Self, OpenError> {
        self.cipher = Some(ChunkCipher::for_opening(key, context, &self.header)?);
        Ok(self)
    }

    /// Opens the next chunk; `false` at the end of the message.
    fn advance(&mut self) -> io::Result<bool> {
        match self.state {
            State::Reading => {}
            State::Ended => return Ok(false),
            State::Failed(error) => return Err(invalid_data(error)),
        }
        // An error of the stream itself leaves the state as it is: what was read is kept, and reading can go on.
        let room = &mut self.stored[self.stored_len..];
        self.stored_len += read_up_to(&mut self.inner, room)?;
        // Only a chunk that is followed by nothing is the last: look one byte ahead, kept behind the message buffer's end.
        let mut ahead = [0; 1];
        let full = self.stored_len == self.stored.len();
        let followed = full && read_up_to(&mut self.inner, &mut ahead)? == 1;
        match self.open_stored(!followed) {
            Ok(()) => {
                self.stored[0] = ahead[0];
                self.stored_len = usize::from(followed);
                self.state = if followed { State::Reading } else { State::Ended };
                Ok(self.len > 0)
            }
            Err(error) => {
                self.state = State::Failed(error);
                Err(invalid_data(error))
            }
        }
    }

    fn open_stored(&mut self, last: bool) -> Result<(), OpenError> {
        let cipher = self.cipher.as_ref().ok_or(OpenError::CannotOpen)?;
        let len = self.stored_len.checked_sub(TAG_LEN).ok_or(OpenError::Damaged)?;
        self.released += len as u64;
        if (len == 0 && self.index > 0) || self.released > MAX_MESSAGE_LEN {
            return Err(OpenError::Damaged);
        }
        cipher.open(self.index, last, &self.stored[..self.stored_len], &mut self.message[..len])?;
        self.index += 1;
        self.at = 0;
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
        Ok(&self.message[self.at..self.len])
    }

    fn consume(&mut self, amount: usize) {
        self.at = (self.at + amount).min(self.len);
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
        f.debug_struct("OpenReader").field("header", &self.header).finish_non_exhaustive()
    }
}
