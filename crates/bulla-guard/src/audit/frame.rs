//! Frames, of which segments are made (`spec/audit.md`, "Local log").

use std::io;
use std::sync::Arc;

use bulla_backend::DiskFile;

/// Longest content of a frame.
pub(super) const MAX_FRAME_LEN: usize = 262_144;
const HEAD_LEN: usize = 8;
/// How much is read at a time.
const CHUNK: usize = 64 * 1024;

/// Appends a frame to a buffer; `bytes` are 1 to [`MAX_FRAME_LEN`].
pub(super) fn write(out: &mut Vec<u8>, index: u64, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&check(index, len, bytes).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Returns how long a frame is whose content has `len` bytes.
pub(super) const fn len(len: usize) -> u64 {
    (HEAD_LEN + len) as u64
}

fn check(index: u64, len: u32, bytes: &[u8]) -> u32 {
    let check = crc32c::crc32c(&index.to_be_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(check, &len.to_be_bytes()), bytes)
}

/// What comes next in a segment.
pub(super) enum Next<'a> {
    /// A whole frame's content.
    Frame(&'a [u8]),
    /// Nothing more behind this offset.
    End(u64),
    /// Something that is no whole frame.
    Bad,
}

/// Reads the frames of a file, from an offset up to a limit or the end.
#[derive(Debug)]
pub(super) struct Frames {
    file: Arc<dyn DiskFile>,
    /// Where the next frame begins.
    offset: u64,
    limit: u64,
    /// The bytes from `offset` on that are read already, behind `used`.
    buffer: Vec<u8>,
    used: usize,
}

impl Frames {
    pub(super) fn new(file: Arc<dyn DiskFile>, offset: u64, limit: Option<u64>) -> Self {
        Self { file, offset, limit: limit.unwrap_or(u64::MAX), buffer: Vec::new(), used: 0 }
    }

    /// Returns where the next frame begins.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads the next frame, which stands for `index`.
    pub(super) fn next(&mut self, index: u64) -> io::Result<Next<'_>> {
        self.fill(HEAD_LEN)?;
        let Some((head, _)) = self.buffer[self.used..].split_first_chunk::<HEAD_LEN>() else {
            return Ok(if self.buffer.len() == self.used { Next::End(self.offset) } else { Next::Bad });
        };
        let [len, wanted] = [&head[..4], &head[4..]].map(|word| word.try_into().map_or(0, u32::from_be_bytes));
        let content = usize::try_from(len).unwrap_or(usize::MAX);
        if content == 0 || content > MAX_FRAME_LEN {
            return Ok(Next::Bad);
        }
        self.fill(HEAD_LEN + content)?;
        let begin = self.used + HEAD_LEN;
        let Some(bytes) = self.buffer.get(begin..begin + content) else { return Ok(Next::Bad) };
        if check(index, len, bytes) != wanted {
            return Ok(Next::Bad);
        }
        self.used = begin + content;
        self.offset += self::len(content);
        Ok(Next::Frame(&self.buffer[begin..begin + content]))
    }

    /// Reads ahead until `wanted` bytes are there, or the end is.
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        let have = self.buffer.len() - self.used;
        if have >= wanted {
            return Ok(());
        }
        self.buffer.drain(..self.used);
        self.used = 0;
        let at = self.offset.saturating_add(have as u64);
        let room = usize::try_from(self.limit.saturating_sub(at)).unwrap_or(usize::MAX);
        let target = have + room.min(CHUNK.max(wanted - have));
        self.buffer.resize(target, 0);
        let read = self.file.read_at(at, &mut self.buffer[have..]);
        self.buffer.truncate(have + read.as_ref().map_or(0, |read| *read));
        read.map(drop)
    }
}
