use crate::{KeyVersionId, MAX_CONTEXT_LEN, MAX_MATERIAL_LEN, MAX_MESSAGE_LEN, MIN_MATERIAL_LEN};

/// Why bytes were not opened. The codes are those of `spec/seal.md`.
///
/// # Security
/// A wrong key and a wrong context are one error on purpose, and so are all ways in which a value can have been altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The bytes do not begin as a sealed value does.
    #[error("these bytes are not a sealed value")]
    NotSealed,
    /// The bytes end before the first chunk could.
    #[error("the sealed value is cut short: it ends within its header or first chunk")]
    TooShort,
    /// A format version of the future.
    #[error("the sealed value has format version {0}, this program reads version 1; update it")]
    UnsupportedVersion(u8),
    /// A suite that this program does not have.
    #[error("the sealed value uses the unknown suite {0}")]
    UnsupportedSuite(u8),
    /// A chunk size out of bounds.
    #[error("the sealed value states a chunk size of 2^{0} bytes, allowed are 2^12 to 2^24")]
    BadChunkSize(u8),
    /// Flags that this program does not know.
    #[error("the sealed value carries the unknown flags {0:#06x}")]
    UnknownFlags(u16),
    /// A suite that can only be opened as a whole was met in a stream or range.
    #[error("a deterministic sealed value can only be opened whole, not as a stream or in ranges")]
    OneShotOnly,
    /// The key version that sealed it is not at hand.
    #[error("the sealed value names key version {0}, which is not known here")]
    UnknownVersion(KeyVersionId),
    /// Wrong key or wrong context; which of the two is not said.
    #[error("the sealed value cannot be opened: it was sealed under another key or context")]
    CannotOpen,
    /// Right key and context, but the bytes were changed, cut or extended.
    #[error("the sealed value is damaged: it was altered after it was sealed")]
    Damaged,
    /// The text form is not canonical.
    #[error("this text is not a sealed value in text form (`bulla:v1:` and base64url without padding)")]
    BadText,
}

impl OpenError {
    /// Returns the stable code of the failure.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotSealed => "not_sealed",
            Self::TooShort => "too_short",
            Self::UnsupportedVersion(_) => "unsupported_version",
            Self::UnsupportedSuite(_) => "unsupported_suite",
            Self::BadChunkSize(_) => "bad_chunk_size",
            Self::UnknownFlags(_) => "unknown_flags",
            Self::OneShotOnly => "one_shot_only",
            Self::UnknownVersion(_) => "unknown_version",
            Self::CannotOpen => "cannot_open",
            Self::Damaged => "damaged",
            Self::BadText => "bad_text",
        }
    }
}

/// Why bytes were not sealed: mostly input outside of the stated bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Key material too short or too long.
    #[error("key material has {MIN_MATERIAL_LEN} to {MAX_MATERIAL_LEN} bytes, this has {0}")]
    MaterialLength(usize),
    /// A private key that its algorithm does not have.
    #[error("this key material is no private key of its algorithm")]
    NoPrivateKey,
    /// A context domain of the wrong length.
    #[error("a context domain has 1 to 255 bytes, this has {0}")]
    DomainLength(usize),
    /// A context field given twice.
    #[error("a context names each field once, this one names a field twice")]
    DuplicateField,
    /// A context too long.
    #[error("a context has at most {MAX_CONTEXT_LEN} bytes, this has {0}")]
    ContextLength(usize),
    /// A message too long.
    #[error("a message has at most {MAX_MESSAGE_LEN} bytes")]
    MessageLength,
    /// A chunk size out of bounds.
    #[error("a chunk size is 2^12 to 2^24 bytes, this is 2^{0}")]
    ChunkSize(u8),
    /// Deterministic sealing asked of a stream.
    #[error("deterministic sealing needs the whole message at once and cannot stream")]
    OneShotOnly,
    /// A chunk of the wrong length handed to a [`StreamSealer`](crate::StreamSealer), or one behind the last.
    #[error("every chunk but the last has exactly the chunk size, and nothing follows the last")]
    ChunkLength,
    /// A sealer that was begun before a fork and used after it.
    #[error("a message that was begun before a fork cannot be continued in the child: begin it anew")]
    Forked,
    /// The system gave no random bytes.
    #[error("the system's random generator failed")]
    Random,
    /// The cryptographic library refused valid input.
    #[error("the cryptographic library failed")]
    Library,
}
