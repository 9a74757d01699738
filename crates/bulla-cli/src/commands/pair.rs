//! A file in the clear and its sealed form: making one of the other, and telling whether they belong together.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;

use bulla::{Context, Key, KeyVersion, KeyringError, Project};
use bulla_seal::{RangeReader, SealWriter, SealedStream};
use zeroize::Zeroizing;

use crate::commands::seal::BUFFER_LEN;
use crate::failure::{Failure, open_error};

/// Why the work on a file ended.
pub(super) enum Ended {
    /// It alone is concerned.
    File(Failure),
    /// None of the others would fare better.
    Tree(Failure),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::File(failure)
    }
}

/// Describes what the system said about a file. Where there is no room, there is none for the rest of the tree either.
pub(super) fn ended(operation: &str, path: &std::path::Path, error: &io::Error) -> Ended {
    let failure = Failure::file(operation, path, error);
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Ended::Tree(failure),
        _ => Ended::File(failure),
    }
}

/// Seals and opens under one key.
pub(super) struct Pairing<'a> {
    pub(super) project: &'a Project,
    pub(super) key: Key,
    buffer: Zeroizing<Vec<u8>>,
}

/// Why bytes did not go from one file to the other.
pub(super) enum Broken {
    Read(io::Error),
    Write(io::Error),
    /// They do not open, or their key cannot be used.
    Refused(Ended),
}

impl<'a> Pairing<'a> {
    pub(super) fn new(project: &'a Project, key: Key) -> Self {
        Self { project, key, buffer: Zeroizing::new(vec![0; BUFFER_LEN]) }
    }

    /// Seals a file; returns its length.
    pub(super) async fn seal(
        &mut self,
        mut clear: &File,
        sealed: &mut impl Write,
        context: &Context,
    ) -> Result<u64, Broken> {
        let version = self.key.current().await.map_err(|error| Broken::Refused(Ended::Tree(error.into())))?;
        let mut writer = SealWriter::new(version.seal_key(), version.params(), context, sealed)
            .map_err(|error| Broken::Refused(Ended::Tree(error.into())))?;
        let mut len = 0;
        loop {
            match clear.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(read) => {
                    writer.write_all(&self.buffer[..read]).map_err(Broken::Write)?;
                    len += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Broken::Read(error)),
            }
        }
        writer.finish().map_err(Broken::Write)?;
        Ok(len)
    }

    /// Opens a file; hands over each piece once it has verified, and returns the length.
    pub(super) async fn open(
        &self,
        sealed: &File,
        context: &Context,
        mut take: impl FnMut(&[u8]) -> Result<(), Broken>,
    ) -> Result<u64, Broken> {
        let stream = SealedStream::new(sealed).map_err(broken)?;
        let version = self.version(stream.header().key_version()).await?;
        let opened = stream.open(version.seal_key(), context);
        let mut reader = opened.map_err(|error| Broken::Refused(Ended::File(error.into())))?;
        let mut len = 0;
        loop {
            let released = reader.fill_buf().map_err(broken)?;
            let taken = released.len();
            if taken == 0 {
                return Ok(len);
            }
            take(released)?;
            reader.consume(taken);
            len += taken as u64;
        }
    }

    /// Returns the length of what is sealed in a file. Its beginning and its end have verified then, and nothing between them.
    pub(super) async fn sealed_len(&self, sealed: &mut File, context: &Context) -> Result<u64, Broken> {
        let header = RangeReader::header(sealed).map_err(broken)?;
        let version = self.version(header.key_version()).await?;
        let reader = RangeReader::open(sealed, version.seal_key(), context).map_err(broken)?;
        Ok(reader.message_len())
    }

    /// Opens all of a sealed file and says whether the other holds the same.
    pub(super) async fn is_same(&self, mut clear: &File, sealed: &File, context: &Context) -> Result<bool, Broken> {
        let mut buffer = Zeroizing::new(vec![0; BUFFER_LEN]);
        let mut same = true;
        self.open(sealed, context, |released| {
            for piece in released.chunks(BUFFER_LEN) {
                let other = &mut buffer[..piece.len()];
                match clear.read_exact(other) {
                    Ok(()) => same &= other == piece,
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => same = false,
                    Err(error) => return Err(Broken::Read(error)),
                }
            }
            Ok(())
        })
        .await?;
        Ok(same && clear.read(&mut buffer[..1]).map_err(Broken::Read)? == 0)
    }

    async fn version(&self, id: bulla_seal::KeyVersionId) -> Result<Arc<KeyVersion>, Broken> {
        self.project.keyring().version(self.key.name(), id).await.map_err(|error| {
            Broken::Refused(match error {
                KeyringError::Open(error) => Ended::File(error.into()),
                error @ (KeyringError::Backend(_) | KeyringError::NoKey(_) | KeyringError::WrongUse { .. }) => {
                    Ended::Tree(bulla::Error::from(error).into())
                }
                error => Ended::File(bulla::Error::from(error).into()),
            })
        })
    }
}

fn broken(error: io::Error) -> Broken {
    match open_error(&error) {
        Some(error) => Broken::Refused(Ended::File(error.into())),
        None => Broken::Read(error),
    }
}
