//! Why a source gave nothing.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bulla_seal::SealError;

use super::MAX_VALUE_LEN;

/// A source gave no value. No message shows any of what a source holds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// No such environment variable.
    #[error("the environment variable `{0}` is not set")]
    NoVariable(String),
    /// No such file.
    #[error("there is no file `{}`", .0.display())]
    NoFile(PathBuf),
    /// Others could read or change the file.
    #[error(
        "`{}` has mode {mode:04o} and belongs to user {owner}: others can use this secret; make it yours, with mode 0600",
        .path.display()
    )]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The user it belongs to.
        owner: u32,
    },
    /// A folder, a device or the like.
    #[error("`{}` is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// The file was being written all the time that it was read.
    #[error("`{}` changed again and again while it was read; write it elsewhere, and rename it into place", .0.display())]
    Changing(PathBuf),
    /// The system refused to read the file.
    #[error("could not read `{}`: {source}", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A value of no bytes.
    #[error("{0} gave an empty value")]
    Empty(String),
    /// A value that is too long.
    #[error("{0} gave more than {MAX_VALUE_LEN} bytes")]
    TooLong(String),
    /// The command did not start.
    #[error("the command `{program}` could not be run: {source}")]
    NotRun {
        /// Its program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The command said that it failed.
    #[error("the command `{program}` ended with {status}; run it by hand to see what it says on standard error")]
    CommandFailed {
        /// Its program.
        program: String,
        /// Its exit code or signal, in words.
        status: String,
    },
    /// The command took too long.
    #[error("the command `{program}` was not done after {} ms and was killed", .time.as_millis())]
    TimedOut {
        /// Its program.
        program: String,
        /// How long it was given.
        time: Duration,
    },
    /// A server did not give what it keeps, or was not asked for it.
    #[error("{reason}")]
    Remote {
        /// What kind of problem that is.
        problem: RemoteProblem,
        /// What happened, with where it was looked for.
        reason: String,
        /// What to do about it.
        hint: Option<&'static str>,
    },
    /// A callable of the application failed.
    #[error("the application's own source failed")]
    Callable(#[source] Box<dyn Error + Send + Sync>),
    /// The system gave no random bytes.
    #[error(transparent)]
    Random(#[from] SealError),
}

/// Why a server gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteProblem {
    /// There is nothing, or it is not said where to look or by what right.
    Missing,
    /// It may not be had, or not in this way.
    Refused,
    /// The server cannot be reached, or cannot answer now.
    Unavailable,
}

impl SourceError {
    /// Returns the stable code of the failure.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoVariable(_) | Self::NoFile(_) => "source_missing",
            Self::Exposed { .. } => "source_exposed",
            Self::NotAFile(_) | Self::File { .. } => "source_file",
            Self::Changing(_) => "source_changing",
            Self::Empty(_) => "source_empty",
            Self::TooLong(_) => "source_too_long",
            Self::NotRun { .. } | Self::CommandFailed { .. } => "source_command",
            Self::TimedOut { .. } => "source_timed_out",
            Self::Remote { problem, .. } => match problem {
                RemoteProblem::Missing => "source_missing",
                RemoteProblem::Refused => "source_refused",
                RemoteProblem::Unavailable => "source_unavailable",
            },
            Self::Callable(_) => "source_callable",
            Self::Random(_) => "random",
        }
    }
}
