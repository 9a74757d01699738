use std::io::{self, Read};

use crate::{ChunkSize, KeyVersionId, OpenError, Params, Suite, TAG_LEN};

/// Length of the header of a sealed value, in bytes.
pub const HEADER_LEN: usize = 72;

/// Header bytes that the deterministic salt depends on.
pub(crate) const PREFIX_LEN: usize = 16;
/// Header bytes that the message key depends on.
pub(crate) const SALTED_PREFIX_LEN: usize = 40;
pub(crate) const SALT_LEN: usize = 24;
pub(crate) const COMMITMENT_LEN: usize = 32;

const MAGIC: &[u8; 3] = b"BLA";
const VERSION: u8 = 1;

/// The readable part of a sealed value, with every field within its bounds.
///
/// # Security
/// Nothing in it is authentic before the value has been opened. In particular the key-version id is only a hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    params: Params,
    key_version: KeyVersionId,
    bytes: [u8; HEADER_LEN],
}

impl Header {
    /// Reads the header at the start of a whole sealed value.
    ///
    /// # Errors
    /// Names the first field that is not as the format says, in the order of the specification.
    pub fn parse(sealed: &[u8]) -> Result<Self, OpenError> {
        let seen = sealed.len().min(MAGIC.len());
        if sealed[..seen] != MAGIC[..seen] {
            return Err(OpenError::NotSealed);
        }
        match sealed.get(3) {
            None => return Err(OpenError::TooShort),
            Some(&VERSION) => {}
            Some(&other) => return Err(OpenError::UnsupportedVersion(other)),
        }
        if sealed.len() < HEADER_LEN + TAG_LEN {
            return Err(OpenError::TooShort);
        }
        let mut bytes = [0; HEADER_LEN];
        bytes.copy_from_slice(&sealed[..HEADER_LEN]);
        let suite = Suite::try_from(bytes[4])?;
        let chunk_size = ChunkSize::from_log2(bytes[5]).map_err(|_| OpenError::BadChunkSize(bytes[5]))?;
        let flags = u16::from_be_bytes([bytes[6], bytes[7]]);
        if flags != 0 {
            return Err(OpenError::UnknownFlags(flags));
        }
        let mut id = [0; 8];
        id.copy_from_slice(&bytes[8..PREFIX_LEN]);
        Ok(Self { params: Params { suite, chunk_size }, key_version: KeyVersionId(id), bytes })
    }

    /// Reads the header, and the first tag's worth of bytes behind it, from a stream; returns both.
    pub(crate) fn read(stream: &mut impl Read) -> io::Result<(Self, [u8; TAG_LEN])> {
        let mut start = [0; HEADER_LEN + TAG_LEN];
        let mut filled = 0;
        read_up_to(stream, &mut start, &mut filled)?;
        let header = Self::parse(&start[..filled]).map_err(invalid_data)?;
        let mut rest = [0; TAG_LEN];
        rest.copy_from_slice(&start[HEADER_LEN..]);
        Ok((header, rest))
    }

    /// Returns which key version the value says it was sealed under.
    #[must_use]
    pub fn key_version(&self) -> KeyVersionId {
        self.key_version
    }

    /// Returns the suite and chunk size.
    #[must_use]
    pub fn params(&self) -> Params {
        self.params
    }

    /// Writes the fields that come before the salt.
    pub(crate) fn prefix(params: Params, id: KeyVersionId) -> [u8; PREFIX_LEN] {
        let mut prefix = [0; PREFIX_LEN];
        prefix[..3].copy_from_slice(MAGIC);
        prefix[3] = VERSION;
        prefix[4] = params.suite as u8;
        prefix[5] = params.chunk_size.log2();
        prefix[8..].copy_from_slice(&id.0);
        prefix
    }

    pub(crate) fn salted_prefix(&self) -> [u8; SALTED_PREFIX_LEN] {
        let mut salted = [0; SALTED_PREFIX_LEN];
        salted.copy_from_slice(&self.bytes[..SALTED_PREFIX_LEN]);
        salted
    }

    pub(crate) fn salt(&self) -> &[u8] {
        &self.bytes[PREFIX_LEN..SALTED_PREFIX_LEN]
    }

    pub(crate) fn commitment(&self) -> &[u8; COMMITMENT_LEN] {
        const { assert!(SALTED_PREFIX_LEN + COMMITMENT_LEN == HEADER_LEN) };
        // The header ends in the commitment, so that there is always one.
        self.bytes.last_chunk().unwrap_or(&[0; COMMITMENT_LEN])
    }
}

/// Reads until `buffer` is full or the stream ends. `filled` counts what there is, also when an error interrupts, so that
/// the caller can go on later.
pub(crate) fn read_up_to(stream: &mut impl Read, buffer: &mut [u8], filled: &mut usize) -> io::Result<()> {
    while *filled < buffer.len() {
        match stream.read(&mut buffer[*filled..]) {
            Ok(0) => break,
            Ok(n) => *filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(not_an_end(error)),
        }
    }
    Ok(())
}

/// Keeps an early end that the source itself reports from looking like the end of the message to those who read on until
/// [`io::ErrorKind::UnexpectedEof`].
pub(crate) fn not_an_end(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof { invalid_data(OpenError::Damaged) } else { error }
}

pub(crate) fn invalid_data(error: OpenError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
