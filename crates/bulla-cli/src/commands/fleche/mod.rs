//! Commands on directories of fleche.

mod get;
mod import;
mod ls;
mod put;
mod verify;

use std::env;
use std::path::PathBuf;

use bulla::source::{EnvironmentSource, FileSource, HexKeys, Source, SourceError};
use bulla::{Finding, FlecheDirectory, FlecheError, FlecheKeys, FlecheName};
use serde_json::json;

use super::Desk;
use crate::failure::{Exit, Failure, Result};

/// Where fleche itself takes its keys from.
const VARIABLE: &str = "FLECHE_SECRET_KEY";

/// Directories of fleche, a Python cache of pickled results
///
/// Payloads are handed over as bytes and never unpickled. What is refused stays where it is.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Ls(ls::Args),
    Verify(verify::Args),
    Get(get::Args),
    Put(put::Args),
    Import(import::Args),
}

pub(crate) async fn run(command: &Command, desk: &Desk) -> Result<()> {
    match command {
        Command::Ls(args) => ls::run(args, desk),
        Command::Verify(args) => verify::run(args, desk).await,
        Command::Get(args) => get::run(args, desk).await,
        Command::Put(args) => put::run(args, desk).await,
        Command::Import(args) => import::run(args, desk).await,
    }
}

/// By which keys a directory is read and written.
#[derive(Debug, clap::Args)]
struct KeyArgs {
    /// A file, of mode 0600, that holds the keys: hex, joined by `:`; the first signs, any verifies. Without it they are taken
    /// from `FLECHE_SECRET_KEY`
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Do without keys: nothing is verified, and nothing signed
    #[arg(long, conflicts_with = "key_file")]
    unsigned: bool,
}

impl KeyArgs {
    /// Returns the keys, and warns of those that are short; `None` if it is said that there are none.
    async fn keys(&self, desk: &Desk) -> Result<Option<FlecheKeys>> {
        if self.unsigned {
            if env::var_os(VARIABLE).is_some() {
                return Err(Failure::usage(format!("`--unsigned` does without keys, but `{VARIABLE}` is set"))
                    .with_hint(format!("leave the flag out, or unset `{VARIABLE}`")));
            }
            return Ok(None);
        }
        let (fetched, origin) = match &self.key_file {
            Some(file) => (FileSource::new(file).fetch().await, file.display().to_string()),
            None => (EnvironmentSource::new(VARIABLE).fetch().await, VARIABLE.to_owned()),
        };
        let fetched = fetched.map_err(|error| no_keys(&error))?;
        let refused =
            |code, error: &dyn std::fmt::Display| Failure::new(Exit::Usage, code, format!("`{origin}`: {error}"));
        let keys = HexKeys::try_from(fetched.forward()).map_err(|error| refused(error.code(), &error))?;
        for warning in keys.warnings() {
            desk.output.note(|| format!("warning: `{origin}`: {warning}"));
        }
        FlecheKeys::try_from(&keys).map(Some).map_err(|error| refused(error.code(), &error))
    }

    async fn open(&self, root: &PathBuf, desk: &Desk) -> Result<FlecheDirectory> {
        Ok(FlecheDirectory::open(root, self.keys(desk).await?)?)
    }
}

fn no_keys(error: &SourceError) -> Failure {
    let exit = match error {
        SourceError::Exposed { .. } => Exit::Refused,
        SourceError::NoFile(_) => Exit::NotFound,
        SourceError::NoVariable(_) | SourceError::Empty(_) => Exit::Usage,
        _ => Exit::Unavailable,
    };
    let failure = Failure::new(exit, error.code(), error.to_string());
    match error {
        SourceError::NoVariable(_) => {
            failure.with_hint("name a file with `--key-file`, or do without keys with `--unsigned`")
        }
        SourceError::Empty(_) => {
            failure.with_hint("fleche would read and write without a key; unset it if that is meant")
        }
        _ => failure,
    }
}

/// Reads the name of a file in a directory.
fn parse_name(text: &str) -> Result<FlecheName> {
    text.parse()
        .map_err(|error| Failure::new(Exit::Usage, "not_a_digest", format!("`{}`: {error}", text.escape_debug())))
}

/// Says under which name a payload belongs, unless nobody is to ask.
fn digest_unless(skipped: bool) -> impl FnMut(&[u8]) -> Option<FlecheName> + Send {
    move |payload| if skipped { None } else { FlecheName::of_payload(payload) }
}

/// Prints what was found.
fn show(finding: &Finding, desk: &Desk) -> Result<()> {
    let record = json!({ "finding": finding.code(), "message": finding.to_string() });
    desk.output.result(&record, || finding.to_string())
}

impl From<FlecheError> for Failure {
    fn from(error: FlecheError) -> Self {
        let exit = match error {
            FlecheError::Io { operation, path, source } => return Self::file(operation, &path, &source),
            FlecheError::Store(error) => return bulla::Error::from(*error).into(),
            FlecheError::NotFound(_) => Exit::NotFound,
            FlecheError::Differs { .. } => Exit::Conflict,
            _ => Exit::Refused,
        };
        Self::new(exit, error.code(), error.to_string())
    }
}
