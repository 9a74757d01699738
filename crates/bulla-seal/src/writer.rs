use std::fmt;
use std::io::{self, Write};

use zeroize::Zeroizing;

use crate::{Context, Params, SealError, SealKey, StreamSealer, TAG_LEN};

const PAGE_LEN: usize = 4_096;

/// Seals what is written to it and passes it on, with one chunk in memory.
///
/// [`SealWriter::finish`] must be called: without it the sealed value has no end, and no one will open it.
///
/// # Examples
/// ```
/// use std::io::{Read, Write};
/// use bulla_seal::{Context, KeyVersionId, Params, ProjectId, SealKey, SealWriter, SealedStream, Secret};
///
/// let key = SealKey::new(KeyVersionId::random()?, Secret::<32>::random()?.expose())?;
/// let context = Context::user(&ProjectId([7; 32])).text("file", "report").build()?;
///
/// let mut writer = SealWriter::new(&key, Params::default(), &context, Vec::new())?;
/// writer.write_all(b"a long report")?;
/// let sealed = writer.finish()?;
///
/// let mut message = String::new();
/// SealedStream::new(sealed.as_slice())?.open(&key, &context)?.read_to_string(&mut message)?;
/// assert_eq!(message, "a long report");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SealWriter<W: Write> {
    sealer: StreamSealer,
    inner: W,
    /// The chunk that is being filled, with room for its tag and for a choice of where to begin.
    chunk: Zeroizing<Vec<u8>>,
    filled: usize,
    started: bool,
    failed: bool,
}

impl<W: Write> SealWriter<W> {
    /// Begins a sealed value. Nothing is written before the first chunk is full or the message has ended.
    ///
    /// # Errors
    /// [`SealError::OneShotOnly`] for the deterministic suite, [`SealError::Random`].
    pub fn new(key: &SealKey, params: Params, context: &Context, inner: W) -> Result<Self, SealError> {
        let sealer = StreamSealer::new(key, params, context)?;
        let chunk = Zeroizing::new(vec![0; params.chunk_size.stored() + PAGE_LEN]);
        Ok(Self { sealer, inner, chunk, filled: 0, started: false, failed: false })
    }

    /// Seals what is left as the last chunk, flushes, and returns the inner writer.
    ///
    /// # Errors
    /// Any error of the inner writer; the sealed value is then incomplete.
    pub fn finish(mut self) -> io::Result<W> {
        self.write_chunk(true)?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn write_chunk(&mut self, last: bool) -> io::Result<()> {
        self.begin()?;
        let stored = &mut self.chunk[..self.filled + TAG_LEN];
        self.sealer.seal_next(last, stored).map_err(io::Error::other)?;
        self.inner.write_all(stored)?;
        self.filled = 0;
        self.failed = false;
        Ok(())
    }

    /// Seals one full chunk, not the last, straight from the caller's bytes.
    fn write_through(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.begin()?;
        // Processors take a load for dependent on an earlier store if both have the same place in a page (4 KiB aliasing), which
        // halves the speed of sealing from one buffer to another. Half a page apart, they never do.
        let distance = chunk.as_ptr().addr().wrapping_sub(self.chunk.as_ptr().addr());
        let start = distance.wrapping_add(PAGE_LEN / 2) % PAGE_LEN;
        let stored = &mut self.chunk[start..start + chunk.len() + TAG_LEN];
        self.sealer.seal_next_to(false, chunk, stored).map_err(io::Error::other)?;
        self.inner.write_all(stored)?;
        self.failed = false;
        Ok(())
    }

    /// Writes the header if this is the first chunk, and marks the writer as failed until the chunk is written whole.
    fn begin(&mut self) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier write of this sealed value failed"));
        }
        self.failed = true;
        if !self.started {
            self.inner.write_all(self.sealer.header())?;
            self.started = true;
        }
        Ok(())
    }
}

impl<W: Write> Write for SealWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let size = self.sealer.params().chunk_size.bytes();
        // A full chunk waits for the next byte: only then is it known not to be the last.
        if self.filled == size && !bytes.is_empty() {
            self.write_chunk(false)?;
        }
        if self.filled == 0 && bytes.len() > size {
            self.write_through(&bytes[..size])?;
            return Ok(size);
        }
        let taken = bytes.len().min(size - self.filled);
        self.chunk[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
        self.filled += taken;
        Ok(taken)
    }

    /// Flushes the inner writer. A chunk that is not full stays here.
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W: Write> fmt::Debug for SealWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealWriter").field("sealer", &self.sealer).finish_non_exhaustive()
    }
}
