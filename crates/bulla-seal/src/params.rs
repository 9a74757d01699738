use crate::{HEADER_LEN, OpenError, SealError};

/// Longest message, in bytes (2^48): keeps AES-256-GCM far from its data limits under one message key.
pub const MAX_MESSAGE_LEN: u64 = 1 << 48;
/// Length of a chunk's tag, in bytes.
pub const TAG_LEN: usize = 16;

/// How a message is sealed. Choose by what is needed, or take the default: AES-256-GCM in chunks of 64 KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Params {
    /// What protects the chunks.
    pub suite: Suite,
    /// How the message is cut.
    pub chunk_size: ChunkSize,
}

impl Params {
    /// Takes a suite, with chunks of 64 KiB.
    #[must_use]
    pub fn new(suite: Suite) -> Self {
        Self { suite, chunk_size: ChunkSize::default() }
    }

    /// Returns the length of the sealed value of a message of `message_len` bytes.
    ///
    /// # Errors
    /// [`SealError::MessageLength`] if the message is longer than [`MAX_MESSAGE_LEN`].
    pub fn sealed_len(&self, message_len: u64) -> Result<u64, SealError> {
        if message_len > MAX_MESSAGE_LEN {
            return Err(SealError::MessageLength);
        }
        let chunks = message_len.div_ceil(self.chunk_size.bytes() as u64).max(1);
        Ok(HEADER_LEN as u64 + message_len + chunks * TAG_LEN as u64)
    }
}

/// The algorithms of a sealed value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
#[repr(u8)]
pub enum Suite {
    /// AES-256-GCM (NIST SP 800-38D). The default.
    #[default]
    Aes256Gcm = 1,
    /// ChaCha20-Poly1305 (RFC 8439), for machines without AES instructions.
    ChaCha20Poly1305 = 2,
    /// The message in the clear, each chunk followed by a GMAC tag.
    ///
    /// # Security
    /// A MAC: everyone who can verify a value can also have made it. It hides nothing.
    Authenticated = 3,
    /// AES-256-GCM with a salt derived from the message: equal messages under equal key versions and contexts seal to equal bytes.
    ///
    /// # Security
    /// Whoever sees two sealed values learns whether their messages are equal, and whoever can have messages sealed in a context can
    /// confirm guesses at what was sealed there. Look-up by equality ends at a rotation.
    Aes256Deterministic = 4,
}

impl TryFrom<u8> for Suite {
    type Error = OpenError;

    fn try_from(byte: u8) -> Result<Self, OpenError> {
        match byte {
            1 => Ok(Self::Aes256Gcm),
            2 => Ok(Self::ChaCha20Poly1305),
            3 => Ok(Self::Authenticated),
            4 => Ok(Self::Aes256Deterministic),
            other => Err(OpenError::UnsupportedSuite(other)),
        }
    }
}

/// Size of a chunk: a power of two from 4 KiB to 16 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkSize(u8);

impl ChunkSize {
    /// 4 KiB, the smallest.
    pub const MIN: Self = Self(12);
    /// 16 MiB, the largest.
    pub const MAX: Self = Self(24);

    /// Takes the binary logarithm of the size in bytes.
    ///
    /// # Errors
    /// [`SealError::ChunkSize`] unless it is 12 to 24.
    pub const fn from_log2(log2: u8) -> Result<Self, SealError> {
        if log2 < Self::MIN.0 || log2 > Self::MAX.0 {
            return Err(SealError::ChunkSize(log2));
        }
        Ok(Self(log2))
    }

    /// Returns the binary logarithm of the size.
    #[must_use]
    pub const fn log2(self) -> u8 {
        self.0
    }

    /// Returns the size in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        1 << self.0
    }

    /// Returns the length of a full chunk as it is stored: its body and its tag.
    #[must_use]
    pub const fn stored(self) -> usize {
        self.bytes() + TAG_LEN
    }
}

impl Default for ChunkSize {
    /// 64 KiB: a chunk stays in a core's second-level cache, and the tag costs 0.02 %.
    fn default() -> Self {
        Self(16)
    }
}
