//! What a command says: data to standard output, all else to standard error.

use std::io::{self, Write};
use std::process::ExitCode;

use bulla::Encoding;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::failure::{Failure, Result};

/// How a command speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    pub(crate) const fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Prints the help or the version that was asked for.
    pub(crate) fn help(text: &clap::Error) -> ExitCode {
        match text.print() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(Failure::closed_pipe().exit() as u8),
        }
    }

    /// Says whether the answer is to be JSON.
    pub(crate) const fn json(&self) -> bool {
        self.json
    }

    /// Says whether a person watches standard error and wants to hear how the work goes on.
    pub(crate) fn shows_progress(&self) -> bool {
        !self.json && !self.quiet && io::IsTerminal::is_terminal(&io::stderr())
    }

    /// Writes one result: the record, or what people read.
    pub(crate) fn result(&self, record: &Value, text: impl FnOnce() -> String) -> Result<()> {
        let mut line = if self.json { record.to_string() } else { text() };
        line.push('\n');
        self.bytes(line.as_bytes())
    }

    /// Writes a line that is the same for people and programs.
    pub(crate) fn line(&self, line: &str) -> Result<()> {
        self.bytes(format!("{line}\n").as_bytes())
    }

    /// Writes the record of a command whose data is elsewhere: to standard output in JSON, else as a note.
    pub(crate) fn done(&self, record: &Value, text: impl FnOnce() -> String) -> Result<()> {
        if self.json {
            return self.result(record, String::new);
        }
        self.note(text);
        Ok(())
    }

    /// Writes the record of a command whose data went to standard output: in JSON alone, since such commands are silent by custom.
    pub(crate) fn done_beside_data(&self, record: &Value) {
        if self.json {
            to_stderr(&record.to_string());
        }
    }

    /// Writes bytes as text, in a record under the name of what they are, or as they are.
    pub(crate) fn encoded(&self, bytes: &[u8], what: &str, encoding: Encoding) -> Result<()> {
        if encoding == Encoding::Raw && !self.json {
            return self.bytes(bytes);
        }
        // JSON is text: raw bytes have no place in it.
        let encoding = if encoding == Encoding::Raw { Encoding::Base64 } else { encoding };
        let text = Zeroizing::new(String::from_utf8_lossy(&encoding.encode(bytes)).into_owned());
        self.result(&json!({ what: text.as_str(), "encoding": encoding.name() }), || text.to_string())
    }

    /// Writes data to standard output.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| stdout_failure(&error))
    }

    /// Tells people something that is no data.
    pub(crate) fn note(&self, text: impl FnOnce() -> String) {
        if !self.json && !self.quiet {
            to_stderr(&text());
        }
    }

    /// Says why the command failed.
    pub(crate) fn fail(&self, failure: &Failure) -> ExitCode {
        if !failure.is_silent() {
            to_stderr(&if self.json { failure.to_json().to_string() } else { failure.to_string() });
        }
        ExitCode::from(failure.exit() as u8)
    }
}

/// Describes why standard output did not take something.
pub(crate) fn stdout_failure(error: &io::Error) -> Failure {
    Failure::file("write to", "standard output".as_ref(), error)
}

fn to_stderr(text: &str) {
    // Nobody is left to hear that standard error is gone.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
