use std::path::PathBuf;

use bulla::{IdentityFile, Passphrase, StoredIdentity};

use super::record;
use crate::commands::Desk;
use crate::failure::Result;
use crate::passphrase;

/// Protect this machine's identity by a passphrase, or by another one
///
/// The passphrase is asked for at the terminal, if no file or descriptor is named. From then on every command needs it: from `BULLA_PASSPHRASE_FILE`,
/// from `BULLA_PASSPHRASE_FD`, or typed. Copies of the old file, in backups say, stay as they are.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Take the new passphrase from this file, which must be closed to everybody else
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, desk: &Desk) -> Result<()> {
    let settings = desk.global.settings().load()?;
    let file = IdentityFile::of(&settings)?;
    let is_named = settings.passphrase_file().get().is_some() || settings.passphrase_fd().get().is_some();
    let new = match (&args.new_passphrase_file, file.stored()?) {
        (Some(path), _) => Passphrase::read_file(path).map_err(bulla::Error::from)?,
        // It has no passphrase yet, so that the one that the settings lead to can only be meant.
        (None, StoredIdentity::Plain(_)) if is_named => file.passphrase()?,
        (None, _) => passphrase::ask_for_new(file.path())?,
    };
    file.protect(&new)?;
    desk.output
        .done(&record(&file, &file.stored()?), || format!("{} is protected by a passphrase now", file.path().display()))
}
