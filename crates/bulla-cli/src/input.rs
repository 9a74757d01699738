//! Where a command reads from: a file, or standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bulla::{Encoding, SecretVec, StoreError};
use zeroize::Zeroizing;

use crate::failure::{Failure, Result};
use crate::progress::Progress;

/// What stands for standard input and standard output.
pub(crate) const DASH: &str = "-";

/// Most that is read of a message that is signed, or of a value that is opened, in one piece.
const MAX_MESSAGE_LEN: usize = 512 << 20;
/// How much of a value is read at once: as much as may lie in an entry.
const PIECE_LEN: usize = 64 << 10;
/// Most that is read of material: what the longest takes in the longest encoding, and a line end.
const MAX_MATERIAL_LEN: usize = 4 << 10;

/// An open file, or standard input.
pub(crate) struct Input {
    path: Option<PathBuf>,
    reader: Box<dyn Read>,
    len: Option<u64>,
}

impl Input {
    /// Opens `path`, or takes standard input where there is none or it is `-`.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path.filter(|path| path.as_os_str() != DASH) else {
            return Ok(Self { path: None, reader: Box::new(io::stdin().lock()), len: None });
        };
        let failed = |error: io::Error| Failure::file("read", path, &error);
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let len = metadata.is_file().then_some(metadata.len());
        Ok(Self { path: Some(path.to_owned()), reader: Box::new(file), len })
    }

    /// Returns the file, unless this is standard input.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Returns how many bytes there are, if that can be known.
    pub(crate) fn len(&self) -> Option<u64> {
        self.len
    }

    /// Names it in a message.
    pub(crate) fn described(&self) -> String {
        self.path().map_or_else(|| "standard input".to_owned(), |path| path.display().to_string())
    }

    /// Reads all of a message that is dealt with in one piece.
    pub(crate) fn message(self) -> Result<Zeroizing<Vec<u8>>> {
        self.whole(MAX_MESSAGE_LEN)
    }

    /// Reads the material of a key.
    pub(crate) fn material(self, encoding: Encoding) -> Result<SecretVec> {
        let described = self.described();
        let text = self.whole(MAX_MATERIAL_LEN)?;
        encoding.decode(&text).map_err(|error| {
            Failure::usage(format!("`{described}` holds no material: {error}"))
                .with_hint("`--encoding` says how it is written: `hex`, `base64`, or `raw`")
        })
    }

    /// Reads all there is; more than `limit` is refused.
    pub(crate) fn whole(self, limit: usize) -> Result<Zeroizing<Vec<u8>>> {
        let described = self.described();
        whole(self.reader, &described, self.len.unwrap_or(0), limit)
    }

    /// Puts all there is into the store, piece by piece; returns how many bytes there were.
    pub(crate) async fn put(
        mut self,
        mut write: impl AsyncFnMut(&[u8]) -> std::result::Result<(), StoreError>,
        progress: &Progress,
    ) -> Result<u64> {
        let mut piece = Zeroizing::new(vec![0; PIECE_LEN]);
        let mut len = 0;
        loop {
            let read = match self.read(&mut piece) {
                Ok(0) => return Ok(len),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.failure(&error)),
            };
            write(&piece[..read]).await.map_err(bulla::Error::from)?;
            len += read as u64;
            progress.advance(read);
        }
    }

    /// Describes why reading failed.
    pub(crate) fn failure(&self, error: &io::Error) -> Failure {
        Failure::file("read", self.path().unwrap_or("standard input".as_ref()), error)
    }
}

/// Reads all there is, which is probably `len` bytes; more than `limit` is refused.
pub(crate) fn whole(reader: impl Read, described: &str, len: u64, limit: usize) -> Result<Zeroizing<Vec<u8>>> {
    // Room for all of it at once, so that no copy is left behind by growing.
    let room = usize::try_from(len).map_or(limit, |len| len.min(limit)) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    let read = reader.take(limit as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::file("read", described.as_ref(), &error))?;
    if bytes.len() > limit {
        return Err(Failure::usage(format!("`{described}` has more than the {limit} bytes that are taken")));
    }
    Ok(bytes)
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}
