//! The text forms of sources.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use super::{CommandSource, EnvironmentSource, FileSource, Generate, MAX_VALUE_LEN, Source};

/// A source as settings and the command line write it.
///
/// `generate`, `env:NAME`, `file:PATH`, or `command:` with a program and its arguments. Those are separated by blanks; `'…'` keeps everything as it is,
/// `"…"` everything but `\"` and `\\`, and outside of both `\` keeps the character behind it. Nothing is expanded, and no shell is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceSpec {
    /// Random material.
    Generate,
    /// An environment variable.
    Environment(String),
    /// A file.
    File(PathBuf),
    /// A command.
    Command {
        /// What is run: a path, or a name that is looked for in `PATH`.
        program: String,
        /// Its arguments.
        arguments: Vec<String>,
    },
}

impl SourceSpec {
    /// Makes the source.
    #[must_use]
    pub fn source(&self) -> Arc<dyn Source> {
        match self {
            Self::Generate => Arc::new(Generate),
            Self::Environment(name) => Arc::new(EnvironmentSource::new(name)),
            Self::File(path) => Arc::new(FileSource::new(path)),
            Self::Command { program, arguments } => Arc::new(CommandSource::new(program, arguments)),
        }
    }
}

impl FromStr for SourceSpec {
    type Err = ParseSourceError;

    fn from_str(text: &str) -> Result<Self, ParseSourceError> {
        if text.len() > MAX_VALUE_LEN {
            return Err(ParseSourceError::TooLong);
        }
        if text.contains('\0') {
            return Err(ParseSourceError::Zero);
        }
        if text == "generate" {
            return Ok(Self::Generate);
        }
        match text.split_once(':') {
            Some(("env", "")) => Err(ParseSourceError::Variable),
            Some(("env", name)) if name.contains('=') => Err(ParseSourceError::Variable),
            Some(("env", name)) => Ok(Self::Environment(name.to_owned())),
            Some(("file", "")) => Err(ParseSourceError::Path),
            Some(("file", path)) => Ok(Self::File(path.into())),
            Some(("command", line)) => {
                let mut words = split(line)?.into_iter();
                let program = words.next().filter(|program| !program.is_empty()).ok_or(ParseSourceError::Program)?;
                Ok(Self::Command { program, arguments: words.collect() })
            }
            _ => Err(ParseSourceError::Kind),
        }
    }
}

impl fmt::Display for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generate => f.write_str("generate"),
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Command { program, arguments } => {
                write!(f, "command:{}", quoted(program))?;
                arguments.iter().try_for_each(|argument| write!(f, " {}", quoted(argument)))
            }
        }
    }
}

/// Splits a command line into words.
fn split(line: &str) -> Result<Vec<String>, ParseSourceError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next().ok_or(ParseSourceError::Quote)? {
                        '\'' => break,
                        inner => word.push(inner),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next().ok_or(ParseSourceError::Quote)? {
                        '"' => break,
                        '\\' => word.push(rest.next_if(|next| matches!(next, '"' | '\\')).unwrap_or('\\')),
                        inner => word.push(inner),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(rest.next().ok_or(ParseSourceError::Quote)?),
            plain => word.get_or_insert_default().push(plain),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A text names no source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseSourceError {
    /// No kind of source that there is.
    #[error("a source is `generate`, `env:NAME`, `file:PATH` or `command:PROGRAM ARGUMENT…`")]
    Kind,
    /// No name of a variable.
    #[error("`env:` is followed by the name of a variable, which is not empty and has no `=`")]
    Variable,
    /// No path.
    #[error("`file:` is followed by a path")]
    Path,
    /// No program.
    #[error("`command:` is followed by a program")]
    Program,
    /// A quotation that does not end.
    #[error("the command has a quotation mark or a `\\` without its end")]
    Quote,
    /// A zero byte, which neither names nor arguments can have.
    #[error("a source has no zero byte")]
    Zero,
    /// Too long a text.
    #[error("a source is written with at most {MAX_VALUE_LEN} bytes")]
    TooLong,
}

impl ParseSourceError {
    /// Returns the stable code of the failure.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "invalid_source"
    }
}
