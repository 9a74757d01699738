use std::fmt;
use std::ops::Range;

use zeroize::{Zeroize, Zeroizing};

use crate::header::{COMMITMENT_LEN, PREFIX_LEN, SALT_LEN, SALTED_PREFIX_LEN};
use crate::primitive::{self, AeadKey, Algorithm, NONCE_LEN};
use crate::{Context, HEADER_LEN, Header, MAX_MESSAGE_LEN, OpenError, Params, SealError, SealKey, Suite, TAG_LEN};

/// Opens the chunks of one sealed value in any order, without doing I/O.
///
/// The length of a sealed value is not in its header. Read the last chunk first ([`ChunkOpener::last_chunk`]) and hand it to
/// [`ChunkOpener::verify_end`]; the [`Layout`] that comes back is authentic and gives the place of every chunk.
#[derive(Debug)]
pub struct ChunkOpener {
    cipher: ChunkCipher,
    /// Tells one sealed value from another.
    commitment: [u8; COMMITMENT_LEN],
}

impl ChunkOpener {
    /// Checks the key and the context against the header.
    ///
    /// # Errors
    /// [`OpenError::UnknownVersion`] if the header names another key version, [`OpenError::CannotOpen`] if key or context are
    /// wrong, [`OpenError::OneShotOnly`] for a deterministic value.
    pub fn new(key: &SealKey, context: &Context, header: &Header) -> Result<Self, OpenError> {
        if header.params().suite == Suite::Aes256Deterministic {
            return Err(OpenError::OneShotOnly);
        }
        Ok(Self { cipher: ChunkCipher::for_opening(key, context, header)?, commitment: *header.commitment() })
    }

    /// Returns where the last chunk lies in a sealed value of `sealed_len` bytes, header included.
    ///
    /// # Errors
    /// [`OpenError::Damaged`] if no sealed value has that length.
    pub fn last_chunk(&self, sealed_len: u64) -> Result<Range<u64>, OpenError> {
        let layout = Layout::claimed(self.cipher.params, sealed_len)?;
        layout.chunk(layout.chunks - 1).ok_or(OpenError::Damaged)
    }

    /// Verifies that the chunk at [`ChunkOpener::last_chunk`] is the last, so that `sealed_len` is the true length.
    ///
    /// # Errors
    /// [`OpenError::Damaged`] if it is not.
    pub fn verify_end(&self, sealed_len: u64, last_chunk: &[u8]) -> Result<Layout, OpenError> {
        let layout = Layout { commitment: self.commitment, ..Layout::claimed(self.cipher.params, sealed_len)? };
        let mut body = Zeroizing::new(vec![0; last_chunk.len().saturating_sub(TAG_LEN)]);
        self.open(&layout, layout.chunks - 1, last_chunk, &mut body)?;
        Ok(layout)
    }

    /// Opens chunk `index` of a verified layout to `out`, which has the length of [`Layout::chunk`] less the tag.
    ///
    /// # Errors
    /// [`OpenError::Damaged`] if it does not verify, if the lengths are not those of the layout, or if the layout is another value's;
    /// `out` is wiped then.
    pub fn open(&self, layout: &Layout, index: u64, stored: &[u8], out: &mut [u8]) -> Result<(), OpenError> {
        let fits = layout.chunk(index).is_some_and(|range| range.end - range.start == stored.len() as u64)
            && layout.commitment == self.commitment
            && out.len() + TAG_LEN == stored.len();
        if !fits {
            out.zeroize();
            return Err(OpenError::Damaged);
        }
        self.cipher.open(index, index + 1 == layout.chunks, stored, out)
    }
}

/// Where the chunks of a sealed value lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    commitment: [u8; COMMITMENT_LEN],
    params: Params,
    message_len: u64,
    chunks: u64,
}

impl Layout {
    /// Computes the layout that a sealed value of this length would have (spec, "Opening", step 9).
    pub(crate) fn claimed(params: Params, sealed_len: u64) -> Result<Self, OpenError> {
        let stored = params.chunk_size.stored() as u64;
        let body = sealed_len.checked_sub(HEADER_LEN as u64).ok_or(OpenError::TooShort)?;
        let chunks = body.div_ceil(stored);
        let last = body.checked_sub(chunks.saturating_sub(1) * stored).ok_or(OpenError::Damaged)?;
        let ends_in_tag = last < TAG_LEN as u64;
        let empty_last = last == TAG_LEN as u64 && chunks > 1;
        if chunks == 0 || ends_in_tag || empty_last {
            return Err(OpenError::Damaged);
        }
        let message_len = body - chunks * TAG_LEN as u64;
        if message_len > MAX_MESSAGE_LEN {
            return Err(OpenError::Damaged);
        }
        Ok(Self { commitment: [0; COMMITMENT_LEN], params, message_len, chunks })
    }

    /// Returns the length of the message in bytes.
    #[must_use]
    pub fn message_len(&self) -> u64 {
        self.message_len
    }

    /// Returns the number of chunks, at least one.
    #[must_use]
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    /// Returns which bytes of the sealed value hold chunk `index`, tag included; `None` behind the last.
    #[must_use]
    pub fn chunk(&self, index: u64) -> Option<Range<u64>> {
        if index >= self.chunks {
            return None;
        }
        let stored = self.params.chunk_size.stored() as u64;
        let start = HEADER_LEN as u64 + index * stored;
        let end = (start + stored).min(HEADER_LEN as u64 + self.message_len + self.chunks * TAG_LEN as u64);
        Some(start..end)
    }
}

/// The key of one message, which seals or opens its chunks.
pub(crate) struct ChunkCipher {
    params: Params,
    key: AeadKey,
}

impl fmt::Debug for ChunkCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkCipher").field("params", &self.params).finish_non_exhaustive()
    }
}

impl ChunkCipher {
    /// Derives the key of a new message, and writes the header that goes with it.
    pub(crate) fn for_sealing(
        key: &SealKey,
        params: Params,
        context: &Context,
        salt: &[u8; SALT_LEN],
    ) -> Result<(Self, [u8; HEADER_LEN]), SealError> {
        let mut header = [0; HEADER_LEN];
        header[..PREFIX_LEN].copy_from_slice(&Header::prefix(params, key.id()));
        header[PREFIX_LEN..SALTED_PREFIX_LEN].copy_from_slice(salt);
        let mut salted = [0; SALTED_PREFIX_LEN];
        salted.copy_from_slice(&header[..SALTED_PREFIX_LEN]);
        let (cipher, commitment) = Self::derive(key, params, context, &salted)?;
        header[SALTED_PREFIX_LEN..].copy_from_slice(&commitment);
        Ok((cipher, header))
    }

    /// Derives the key of an existing message, if key and context are the right ones.
    pub(crate) fn for_opening(key: &SealKey, context: &Context, header: &Header) -> Result<Self, OpenError> {
        if header.key_version() != key.id() {
            return Err(OpenError::UnknownVersion(header.key_version()));
        }
        let (cipher, commitment) =
            Self::derive(key, header.params(), context, &header.salted_prefix()).map_err(|_| OpenError::CannotOpen)?;
        if !primitive::constant_time_eq(&commitment, header.commitment()) {
            return Err(OpenError::CannotOpen);
        }
        Ok(cipher)
    }

    pub(crate) fn params(&self) -> Params {
        self.params
    }

    /// Seals one chunk to `out`, which is longer by the tag.
    pub(crate) fn seal(&self, index: u64, last: bool, chunk: &[u8], out: &mut [u8]) -> Result<(), SealError> {
        if self.params.suite == Suite::Authenticated {
            let (body, tag) = out.split_at_mut(chunk.len());
            body.copy_from_slice(chunk);
            return self.key.seal(nonce(index, last), chunk, &[], tag).map_err(|_| SealError::Library);
        }
        self.key.seal(nonce(index, last), &[], chunk, out).map_err(|_| SealError::Library)
    }

    /// Seals one chunk where it lies; the last 16 bytes of `buffer` receive the tag.
    pub(crate) fn seal_in_place(&self, index: u64, last: bool, buffer: &mut [u8]) -> Result<(), SealError> {
        if self.params.suite == Suite::Authenticated {
            let (body, tag) = buffer.split_at_mut(buffer.len() - TAG_LEN);
            return self.key.seal(nonce(index, last), body, &[], tag).map_err(|_| SealError::Library);
        }
        self.key.seal_in_place(nonce(index, last), &[], buffer).map_err(|_| SealError::Library)
    }

    /// Opens one chunk (body and tag) to `out`, which is shorter by the tag and wiped on failure.
    pub(crate) fn open(&self, index: u64, last: bool, stored: &[u8], out: &mut [u8]) -> Result<(), OpenError> {
        if self.params.suite == Suite::Authenticated {
            let (body, tag) = stored.split_at_checked(out.len()).ok_or(OpenError::Damaged)?;
            let verified = self.key.open(nonce(index, last), body, tag, &mut []);
            if verified.is_err() {
                out.zeroize();
                return Err(OpenError::Damaged);
            }
            out.copy_from_slice(body);
            return Ok(());
        }
        self.key.open(nonce(index, last), &[], stored, out).map_err(|_| OpenError::Damaged)
    }

    /// Opens one chunk (body and tag) where it lies; the body is wiped on failure.
    pub(crate) fn open_in_place(&self, index: u64, last: bool, buffer: &mut [u8]) -> Result<(), OpenError> {
        if self.params.suite == Suite::Authenticated {
            let at = buffer.len().checked_sub(TAG_LEN).ok_or(OpenError::Damaged)?;
            let (body, tag) = buffer.split_at(at);
            let verified = self.key.open(nonce(index, last), body, tag, &mut []);
            return verified.map_err(|_| {
                buffer.zeroize();
                OpenError::Damaged
            });
        }
        self.key.open_in_place(nonce(index, last), &[], buffer).map_err(|_| OpenError::Damaged)
    }

    fn derive(
        key: &SealKey,
        params: Params,
        context: &Context,
        salted_prefix: &[u8; SALTED_PREFIX_LEN],
    ) -> Result<(Self, [u8; COMMITMENT_LEN]), SealError> {
        let mut derived = [0; 64];
        let made = primitive::expand(key.prk(), &[salted_prefix, context.digest()], &mut derived).and_then(|()| {
            let algorithm = match params.suite {
                Suite::ChaCha20Poly1305 => Algorithm::ChaCha20Poly1305,
                Suite::Aes256Gcm | Suite::Authenticated | Suite::Aes256Deterministic => Algorithm::Aes256Gcm,
            };
            AeadKey::new(algorithm, &derived[..32])
        });
        let mut commitment = [0; COMMITMENT_LEN];
        commitment.copy_from_slice(&derived[32..]);
        derived.zeroize();
        Ok((Self { params, key: made? }, commitment))
    }
}

/// The nonce of a chunk: 11 bytes of its number, and whether it is the last.
fn nonce(index: u64, last: bool) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    nonce[3..11].copy_from_slice(&index.to_be_bytes());
    nonce[11] = u8::from(last);
    nonce
}
