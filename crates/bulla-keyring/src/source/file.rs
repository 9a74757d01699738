//! Files.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bulla_seal::sha256;
use zeroize::Zeroizing;

use super::{MAX_VALUE_LEN, SecretPair, Source, SourceError, SourceMark, checked, without_line_end};
use crate::private_file::{self, Refused};

/// How often a file is read again that changed meanwhile.
const MAX_ATTEMPTS: usize = 8;

/// Takes what a file holds, as it is when it is asked: text where it is UTF-8, without the line feed at its end; bytes otherwise.
///
/// The file belongs to this user and nobody else has access to it; or it is a secret as container platforms and systemd hand it over, of root
/// and of a group of this process or root's, with mode 0440 or less. A symbolic link is followed, for those platforms replace secrets by
/// changing one. A file that changes while it is read is read again.
///
/// [`Source::mark`] watches: it changes with the file's identity, times and size, and costs no reading.
#[derive(Debug, Clone)]
pub struct FileSource {
    path: PathBuf,
}

impl FileSource {
    /// Names the file.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn open(&self) -> Result<(File, Metadata), SourceError> {
        private_file::open(&self.path).map_err(|refused| match refused {
            Refused::Exposed { mode, owner } => SourceError::Exposed { path: self.path.clone(), mode, owner },
            Refused::NotAFile => SourceError::NotAFile(self.path.clone()),
            Refused::Io(source) => unreadable(&self.path, source),
        })
    }
}

#[async_trait]
impl Source for FileSource {
    async fn fetch(&self) -> Result<SecretPair, SourceError> {
        for _ in 0..MAX_ATTEMPTS {
            let (file, before) = self.open()?;
            // One byte more than a value has, reserved at once, so that no copy is left behind by growing.
            let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_VALUE_LEN + 1));
            let mut bounded = (&file).take(MAX_VALUE_LEN as u64 + 1);
            bounded.read_to_end(&mut bytes).map_err(|source| unreadable(&self.path, source))?;
            let after = file.metadata().map_err(|source| unreadable(&self.path, source))?;
            if mark_of(&before) == mark_of(&after) {
                without_line_end(&mut bytes);
                let value = checked(std::mem::take(&mut bytes), || format!("the file `{}`", self.path.display()))?;
                return Ok(value.into());
            }
        }
        Err(SourceError::Changing(self.path.clone()))
    }

    fn mark(&self) -> Result<Option<SourceMark>, SourceError> {
        self.open().map(|(_, metadata)| Some(mark_of(&metadata)))
    }
}

/// Tells one state of one file from others. The time of the last change of status cannot be set back by whoever writes the file.
fn mark_of(file: &Metadata) -> SourceMark {
    let (modified, changed) = ((file.mtime(), file.mtime_nsec()), (file.ctime(), file.ctime_nsec()));
    let parts = [file.dev(), file.ino(), file.size()].map(u64::to_be_bytes);
    let times = [modified.0, modified.1, changed.0, changed.1].map(i64::to_be_bytes);
    SourceMark(sha256(&[parts.concat(), times.concat()].concat()))
}

fn unreadable(path: &Path, source: io::Error) -> SourceError {
    match source.kind() {
        io::ErrorKind::NotFound => SourceError::NoFile(path.to_owned()),
        _ => SourceError::File { path: path.to_owned(), source },
    }
}
