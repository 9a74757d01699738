//! Commands on this machine's identity.

mod forget;
mod protect;
mod remember;
mod show;
mod unprotect;

use bulla::{IdentityFile, StoredIdentity};
use serde_json::{Value, json};

use super::Desk;
use crate::failure::Result;

/// This machine's identity
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Show(show::Args),
    Protect(protect::Args),
    Unprotect(unprotect::Args),
    Remember(remember::Args),
    Forget(forget::Args),
}

pub(crate) fn run(command: &Command, desk: &Desk) -> Result<()> {
    match command {
        Command::Show(args) => show::run(args, desk),
        Command::Protect(args) => protect::run(args, desk),
        Command::Unprotect(args) => unprotect::run(args, desk),
        Command::Remember(args) => remember::run(args, desk),
        Command::Forget(args) => forget::run(args, desk),
    }
}

/// Describes an identity file in JSON.
fn record(file: &IdentityFile<'_>, stored: &StoredIdentity) -> Value {
    json!({
        "identity": file.path().to_string_lossy(),
        "fingerprint": stored.fingerprint().to_string(),
        "protection": protection(stored),
    })
}

/// Names what protects an identity, as its file does.
fn protection(stored: &StoredIdentity) -> &'static str {
    match stored {
        StoredIdentity::Plain(_) => "plain",
        StoredIdentity::Locked(_) => "passphrase",
    }
}
