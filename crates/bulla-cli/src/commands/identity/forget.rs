use bulla::IdentityFile;
use serde_json::json;

use crate::commands::Desk;
use crate::failure::Result;

/// Have the system's keyring forget the passphrase of this machine's identity
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, desk: &Desk) -> Result<()> {
    let settings = desk.global.settings().load()?;
    let file = IdentityFile::of(&settings)?;
    let forgotten = file.forget()?;
    let record = json!({ "identity": file.path().to_string_lossy(), "forgotten": forgotten });
    desk.output.done(&record, || {
        let said = if forgotten {
            "the system's keyring has forgotten the passphrase"
        } else {
            "the system's keyring kept no passphrase"
        };
        said.to_owned()
    })
}
