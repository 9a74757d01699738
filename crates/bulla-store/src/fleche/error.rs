use std::io;
use std::path::{Path, PathBuf};

use super::FlecheName;
use super::name::ParseFlecheNameError;
use crate::{Place, StoreError};

/// Why the content of a file in a fleche directory is refused. The codes are those of `spec/fleche.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlecheFault {
    /// No signature, where there are keys.
    #[error("it is not signed")]
    Unsigned,
    /// A signature by none of the keys: the file was altered, or signed under another key.
    #[error("its signature is by none of the keys; it was altered, or the key is missing")]
    BadSignature,
    /// No end as every pickle has it.
    #[error("it does not end as a pickle does")]
    NotAPickle,
    /// Something behind the pickle that is no signature, or behind the gzip stream.
    #[error("there are bytes behind its end")]
    TrailingBytes,
    /// A gzip stream that is cut or damaged.
    #[error("its gzip stream is cut or damaged")]
    BadGzip,
    /// More than may be read.
    #[error("it has more than the {0} bytes that are read of one file")]
    TooLarge(u64),
    /// The first key is too short to sign.
    #[error("the first key has less than 16 bytes, and so does not sign; put a longer one first")]
    ShortKey,
}

impl FlecheFault {
    /// Returns the stable code of the fault.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::BadSignature => "bad_signature",
            Self::NotAPickle => "not_a_pickle",
            Self::TrailingBytes => "trailing_bytes",
            Self::BadGzip => "bad_gzip",
            Self::TooLarge(_) => "file_too_large",
            Self::ShortKey => "short_key",
        }
    }

    /// Says whether no honest writer with the keys leaves such a file.
    pub(super) const fn is_violation(self) -> bool {
        !matches!(self, Self::TooLarge(_) | Self::ShortKey)
    }
}

/// What can go wrong with a fleche directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlecheError {
    /// A file that is refused. It stays where it is.
    #[error("`{}` is refused: {fault}", shown(.path))]
    Refused {
        /// Which file.
        path: PathBuf,
        /// Why.
        fault: FlecheFault,
    },
    /// A file whose payload belongs under another name.
    #[error("`{}` is refused: its payload belongs to the name {digest}", shown(.path))]
    WrongDigest {
        /// Which file.
        path: PathBuf,
        /// The name of its payload.
        digest: FlecheName,
    },
    /// A symbolic link, a folder, a device or the like.
    #[error("`{}` is refused: it is no regular file", shown(.0))]
    NotAFile(PathBuf),
    /// A file whose name is no digest.
    #[error("`{}` is left alone: {ParseFlecheNameError}", shown(.0))]
    NotADigest(PathBuf),
    /// No such file.
    #[error("there is no `{}`", shown(.0))]
    NotFound(PathBuf),
    /// An entry that holds something else than the file to be imported.
    #[error("the entry {place} has another value than `{}`; it stays as it is unless it is to be replaced", shown(.path))]
    Differs {
        /// Which entry.
        place: Place,
        /// Which file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("could not {operation} `{}`: {source}", shown(.path))]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The store to import into failed.
    #[error(transparent)]
    Store(#[from] Box<StoreError>),
}

impl FlecheError {
    /// Returns the stable code of the failure.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused { fault, .. } => fault.code(),
            Self::WrongDigest { .. } => "wrong_digest",
            Self::NotAFile(_) => "no_regular_file",
            Self::NotADigest(_) => "not_a_digest",
            Self::NotFound(_) => "not_found",
            Self::Differs { .. } => "differs",
            Self::Io { .. } => "file",
            Self::Store(error) => error.code(),
        }
    }

    /// Says whether it concerns one file, or one entry, and says nothing about the next.
    pub(super) fn is_of_one(&self) -> bool {
        match self {
            Self::Store(error) => error.is_integrity_failure(),
            _ => true,
        }
    }
}

/// Writes a path for people. Whoever can write a directory chooses the names in it.
fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}
