use bulla::IdentityFile;

use super::record;
use crate::commands::Desk;
use crate::failure::Result;

/// Take the passphrase from this machine's identity
///
/// From then on the mode of the file alone protects it: whoever can read it is this machine.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, desk: &Desk) -> Result<()> {
    let settings = desk.global.settings().load()?;
    let file = IdentityFile::of(&settings)?;
    file.unprotect()?;
    desk.output.done(&record(&file, &file.stored()?), || {
        format!("{} is no longer protected by a passphrase", file.path().display())
    })
}
