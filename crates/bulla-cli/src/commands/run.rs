use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::Desk;
use super::secrets::Secrets;
use crate::failure::{Exit, Failure, Result};

/// Run a command with secrets in its environment
///
/// The secrets are those of the server that BULLA_ADDR or VAULT_ADDR names or, where neither is set, of the project here. The command takes the place of
/// this program, so that signals and its exit code are its own. What is in the environment of a process, its children have too, and this user can read
/// it: where a program can read a file, `bulla render` is the better way.
#[derive(Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "it is the help, as people read it")]
pub(crate) struct Args {
    /// A variable, and the field of a secret that it gets: NAME=PATH#FIELD. May be given several times
    #[arg(short, long = "env", value_name = "NAME=PATH#FIELD", value_parser = variable)]
    variables: Vec<(String, String)>,
    /// The command and its arguments, behind `--`
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let [program, arguments @ ..] = &args.command[..] else { return Err(Failure::usage("there is no command")) };
    let mut command = Command::new(program);
    command.args(arguments);
    // Whoever runs with a secret has no need of the token that it was read with.
    for token in ["BULLA_TOKEN", "VAULT_TOKEN"] {
        command.env_remove(token);
    }
    let secrets = Secrets::open(desk).await?;
    for (name, place) in &args.variables {
        let value = secrets.read(place).await?;
        if value.contains(&0) {
            return Err(Failure::usage(format!("`{place}` has a zero byte, which no variable can have")));
        }
        command.env(name, OsStr::from_bytes(&value));
    }
    // Its log is closed, and signed, before the command begins.
    drop(secrets);
    let error = command.exec();
    let exit = if error.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
    Err(Failure::new(exit, "not_run", format!("could not run `{}`: {error}", program.display())))
}

fn variable(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, place)) if !name.is_empty() && !name.contains('\0') => Ok((name.to_owned(), place.to_owned())),
        _ => Err("write NAME=PATH#FIELD".to_owned()),
    }
}
