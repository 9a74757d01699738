use std::path::PathBuf;

use crate::commands::Desk;
use crate::failure::Result;
use crate::input::Input;

/// Restore a key from a backup of it
///
/// Where the key is there, only versions that are missing come back, and nothing that it permits or forbids changes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What `bulla key backup` wrote; `-`, or none, is standard input
    file: Option<PathBuf>,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let backup = Input::open(args.file.as_deref())?.whole(bulla::MAX_KEY_BACKUP_LEN)?;
    let restored = project.keyring().restore_key(&backup).await.map_err(super::failed)?;
    let mut record = super::record(&restored.key);
    record["restored_versions"] = restored.versions.into();
    desk.output.done(&record, || format!("restored {} versions of key {}", restored.versions, restored.key.name))
}
