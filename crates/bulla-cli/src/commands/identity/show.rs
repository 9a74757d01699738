use bulla::{IdentityFile, StoredIdentity};

use super::record;
use crate::commands::Desk;
use crate::failure::Result;

/// Show which machine this is, and how its identity is protected
///
/// No passphrase is needed: until a protected identity is unlocked, its fingerprint is what the file says.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, desk: &Desk) -> Result<()> {
    let settings = desk.global.settings().load()?;
    let file = IdentityFile::of(&settings)?;
    let stored = file.stored()?;
    desk.output.result(&record(&file, &stored), || {
        let protection = match &stored {
            StoredIdentity::Plain(_) => "none but the mode of the file".to_owned(),
            StoredIdentity::Locked(identity) => {
                let cost = identity.cost();
                let (memory, passes, lanes) = (cost.memory_kib() / 1_024, cost.passes(), cost.lanes());
                format!("a passphrase (Argon2id, {memory} MiB, {passes} passes, {lanes} lanes)")
            }
        };
        format!(
            "this machine {}\n  file       {}\n  protection {protection}",
            stored.fingerprint(),
            file.path().display()
        )
    })
}
