//! Where a command reads from: a file, or standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

/// What stands for standard input and standard output.
pub(crate) const DASH: &str = "-";

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

    /// Describes why reading failed.
    pub(crate) fn failure(&self, error: &io::Error) -> Failure {
        Failure::file("read", self.path().unwrap_or("standard input".as_ref()), error)
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}
