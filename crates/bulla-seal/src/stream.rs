use crate::chunk::ChunkCipher;
use crate::header::{HEADER_LEN, SALT_LEN};
use crate::{Context, MAX_MESSAGE_LEN, Params, SealError, SealKey, Suite, TAG_LEN, fill_random};

/// Seals a message chunk by chunk, without doing I/O: for those who bring their own.
///
/// Write [`StreamSealer::header`] first, then each chunk as it comes. Every chunk but the last has exactly the chunk size; an empty
/// message is one empty chunk.
#[derive(Debug)]
pub struct StreamSealer {
    cipher: ChunkCipher,
    header: [u8; HEADER_LEN],
    next: u64,
    message_len: u64,
    finished: bool,
}

impl StreamSealer {
    /// Begins a message.
    ///
    /// # Errors
    /// [`SealError::OneShotOnly`] for the deterministic suite, which needs the whole message at once; [`SealError::Random`].
    pub fn new(key: &SealKey, params: Params, context: &Context) -> Result<Self, SealError> {
        if params.suite == Suite::Aes256Deterministic {
            return Err(SealError::OneShotOnly);
        }
        let mut salt = [0; SALT_LEN];
        fill_random(&mut salt)?;
        let (cipher, header) = ChunkCipher::for_sealing(key, params, context, &salt)?;
        Ok(Self { cipher, header, next: 0, message_len: 0, finished: false })
    }

    /// Returns the bytes that come before the first chunk.
    #[must_use]
    pub fn header(&self) -> &[u8; HEADER_LEN] {
        &self.header
    }

    /// Returns how the message is sealed.
    #[must_use]
    pub fn params(&self) -> Params {
        self.cipher.params()
    }

    /// Seals the next chunk, which lies in `buffer` with 16 bytes of room for its tag behind it.
    ///
    /// # Errors
    /// [`SealError::ChunkLength`] if its length is not as it must be, or if the last chunk was sealed before;
    /// [`SealError::MessageLength`].
    pub fn seal_next(&mut self, last: bool, buffer: &mut [u8]) -> Result<(), SealError> {
        let size = self.params().chunk_size.bytes();
        let len = buffer.len().checked_sub(TAG_LEN).ok_or(SealError::ChunkLength)?;
        let fits = if last { len <= size && (len > 0 || self.next == 0) } else { len == size };
        if self.finished || !fits {
            return Err(SealError::ChunkLength);
        }
        self.message_len += len as u64;
        if self.message_len > MAX_MESSAGE_LEN {
            return Err(SealError::MessageLength);
        }
        self.cipher.seal_in_place(self.next, last, buffer)?;
        self.next += 1;
        self.finished = last;
        Ok(())
    }
}
