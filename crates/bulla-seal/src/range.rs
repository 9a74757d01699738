use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};

use zeroize::Zeroizing;

use crate::header::{HEADER_LEN, invalid_data, not_an_end};
use crate::{ChunkOpener, Context, Header, Layout, OpenError, SealKey, TAG_LEN};

/// Reads any range of the message of a sealed value that lies in a file, opening only the chunks it needs.
///
/// Its length is authentic: the last chunk is verified before anything else. It implements [`Read`] and [`Seek`] over the
/// message.
pub struct RangeReader<R: Read + Seek> {
    inner: R,
    opener: ChunkOpener,
    layout: Layout,
    chunk_len: u64,
    position: u64,
    /// The chunk opened last, and its number.
    chunk: Zeroizing<Vec<u8>>,
    index: Option<u64>,
    stored: Vec<u8>,
}

impl<R: Read + Seek> RangeReader<R> {
    /// Reads the header of the value that begins at the start of `inner` and fills it.
    ///
    /// # Errors
    /// An error of kind [`io::ErrorKind::InvalidData`] that wraps an [`OpenError`], or one of `inner`.
    pub fn header(inner: &mut R) -> io::Result<Header> {
        inner.seek(SeekFrom::Start(0))?;
        Header::read(inner).map(|(header, _)| header)
    }

    /// Checks the key, the context and the end of the value.
    ///
    /// # Errors
    /// An error of kind [`io::ErrorKind::InvalidData`] that wraps an [`OpenError`], or one of `inner`.
    pub fn open(mut inner: R, key: &SealKey, context: &Context) -> io::Result<Self> {
        let header = Self::header(&mut inner)?;
        let opener = ChunkOpener::new(key, context, &header).map_err(invalid_data)?;
        let sealed_len = inner.seek(SeekFrom::End(0))?;
        let last = opener.last_chunk(sealed_len).map_err(invalid_data)?;
        let size = header.params().chunk_size;
        let mut stored = vec![0; size.stored()];
        let last_len = chunk_len(&last);
        inner.seek(SeekFrom::Start(last.start))?;
        inner.read_exact(&mut stored[..last_len]).map_err(not_an_end)?;
        let layout = opener.verify_end(sealed_len, &stored[..last_len]).map_err(invalid_data)?;
        let chunk = Zeroizing::new(Vec::with_capacity(size.bytes()));
        Ok(Self { inner, opener, layout, chunk_len: size.bytes() as u64, position: 0, chunk, index: None, stored })
    }

    /// Returns the length of the message in bytes.
    #[must_use]
    pub fn message_len(&self) -> u64 {
        self.layout.message_len()
    }

    fn load(&mut self, index: u64) -> io::Result<()> {
        if self.index == Some(index) {
            return Ok(());
        }
        self.index = None;
        let range = self.layout.chunk(index).ok_or_else(|| invalid_data(OpenError::Damaged))?;
        let len = chunk_len(&range);
        self.inner.seek(SeekFrom::Start(range.start))?;
        self.inner.read_exact(&mut self.stored[..len]).map_err(not_an_end)?;
        self.chunk.resize(len - TAG_LEN, 0);
        self.opener.open(&self.layout, index, &self.stored[..len], &mut self.chunk).map_err(invalid_data)?;
        self.index = Some(index);
        Ok(())
    }
}

impl<R: Read + Seek> Read for RangeReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.message_len() || out.is_empty() {
            return Ok(0);
        }
        self.load(self.position / self.chunk_len)?;
        // Less than a chunk, which is in memory.
        let at = usize::try_from(self.position % self.chunk_len).unwrap_or(usize::MAX);
        let released = self.chunk.get(at..).unwrap_or_default();
        let taken = released.len().min(out.len());
        out[..taken].copy_from_slice(&released[..taken]);
        self.position += taken as u64;
        Ok(taken)
    }
}

impl<R: Read + Seek> Seek for RangeReader<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.message_len().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek to before the start of the message"))?;
        Ok(self.position)
    }
}

impl<R: Read + Seek> fmt::Debug for RangeReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangeReader").field("layout", &self.layout).finish_non_exhaustive()
    }
}

/// Length of a chunk as stored. Chunks are at most 16 MiB and 16 bytes long.
fn chunk_len(range: &std::ops::Range<u64>) -> usize {
    usize::try_from(range.end - range.start).unwrap_or(HEADER_LEN)
}
