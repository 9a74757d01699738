//! Where the server's log goes, and how it is written.

use std::io;

use tracing::dispatcher::set_global_default;
use tracing::{Dispatch, Level};
use tracing_subscriber::fmt::MakeWriter;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object a line.
    Json,
}

/// Why there is no log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the process has a log already")]
pub struct LogTakenError;

/// Writes what happens to standard error, from now on and for the whole process.
///
/// # Errors
/// [`LogTakenError`] if somebody else keeps the log.
pub fn log_to_stderr(format: LogFormat, level: Level) -> Result<(), LogTakenError> {
    set_global_default(logger(format, level, io::stderr)).map_err(|_| LogTakenError)
}

/// Makes what writes log lines.
///
/// Requests are there at the level `debug`, with their endpoint and without their path: paths name secrets. What strangers send is
/// escaped, so that no line is theirs.
pub fn logger<W>(format: LogFormat, level: Level, writer: W) -> Dispatch
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_target(false).with_writer(writer);
    match format {
        LogFormat::Text => Dispatch::new(lines.finish()),
        LogFormat::Json => Dispatch::new(lines.json().flatten_event(true).finish()),
    }
}
