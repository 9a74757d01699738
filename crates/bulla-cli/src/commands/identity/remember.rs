use bulla::{IdentityFile, StoredIdentity};

use super::record;
use crate::commands::Desk;
use crate::failure::{Failure, Result};

/// Have the system's keyring keep the passphrase of this machine's identity
///
/// The setting `passphrase_keyring` names the service under which it is kept; where it is set, commands look there before they ask. The program must have
/// been built with the feature `os-keyring`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, desk: &Desk) -> Result<()> {
    let settings = desk.global.settings().load()?;
    let file = IdentityFile::of(&settings)?;
    let stored = file.stored()?;
    if let StoredIdentity::Plain(_) = &stored {
        return Err(Failure::usage("there is no passphrase to remember: this identity is not protected by one")
            .with_hint("`bulla identity protect` does that"));
    }
    file.remember()?;
    desk.output.done(&record(&file, &stored), || "the system's keyring keeps the passphrase".to_owned())
}
