use crate::chunk::ChunkCipher;
use crate::header::HEADER_LEN;
use crate::{Context, MAX_MESSAGE_LEN, Params, SealError, SealKey, Suite, TAG_LEN, random};

/// Seals a message chunk by chunk, without doing I/O: for those who bring their own.
///
/// Write [`StreamSealer::header`] first, then each chunk as it comes. Every chunk but the last has exactly the chunk size; an empty
/// message is one empty chunk.
///
/// # Security
/// A message that is being sealed must not go on in two copies, whether of a process, a container or a virtual machine: two messages
/// would share a key and nonces. A fork is noticed and refused; a restored snapshot is the caller's to avoid.
#[derive(Debug)]
pub struct StreamSealer {
    cipher: ChunkCipher,
    header: [u8; HEADER_LEN],
    next: u64,
    message_len: u64,
    finished: bool,
    /// In a forked child the same chunk numbers would serve another message under the same key.
    process: u32,
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
        let (cipher, header) = ChunkCipher::for_sealing(key, params, context, &random::salt()?)?;
        let process = std::process::id();
        Ok(Self { cipher, header, next: 0, message_len: 0, finished: false, process })
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
    /// As [`StreamSealer::seal_next_to`].
    pub fn seal_next(&mut self, last: bool, buffer: &mut [u8]) -> Result<(), SealError> {
        let index = self.number(last, buffer.len())?;
        self.cipher.seal_in_place(index, last, buffer)
    }

    /// Seals the next chunk to `out`, which is 16 bytes longer.
    ///
    /// # Errors
    /// [`SealError::ChunkLength`] if its length is not as it must be, or if the last chunk was sealed before;
    /// [`SealError::MessageLength`]; [`SealError::Forked`] in another process than the one that began.
    pub fn seal_next_to(&mut self, last: bool, chunk: &[u8], out: &mut [u8]) -> Result<(), SealError> {
        if out.len() != chunk.len() + TAG_LEN {
            return Err(SealError::ChunkLength);
        }
        let index = self.number(last, out.len())?;
        self.cipher.seal(index, last, chunk, out)
    }

    /// Gives the next chunk its number, which is used up even if sealing then fails: no nonce twice.
    fn number(&mut self, last: bool, stored_len: usize) -> Result<u64, SealError> {
        let size = self.params().chunk_size.bytes();
        let len = stored_len.checked_sub(TAG_LEN).ok_or(SealError::ChunkLength)?;
        let fits = if last { len <= size && (len > 0 || self.next == 0) } else { len == size };
        if self.finished || !fits {
            return Err(SealError::ChunkLength);
        }
        if self.process != std::process::id() {
            return Err(SealError::Forked);
        }
        let message_len = self.message_len.saturating_add(len as u64);
        if message_len > MAX_MESSAGE_LEN {
            return Err(SealError::MessageLength);
        }
        let index = self.next;
        self.next += 1;
        self.message_len = message_len;
        self.finished = last;
        Ok(index)
    }
}
