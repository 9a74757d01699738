use serde_json::json;

use crate::commands::Desk;
use crate::failure::Result;

/// Take back a key, or a version of it, that waits to be deleted or destroyed
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key's name
    name: String,
    /// The version's number; without it, the key
    version: Option<u64>,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let key = project.key(&args.name)?;
    match args.version {
        Some(version) => {
            project.keyring().undelete_version(key.name(), version).await.map_err(super::failed)?;
            let record = json!({ "key": key.name().as_str(), "version": version });
            desk.output.done(&record, || format!("took back version {version} of key {}", key.name()))
        }
        None => {
            let info = project.keyring().undelete_key(key.name()).await.map_err(super::failed)?;
            desk.output.done(&super::record(&info), || format!("took back key {}", info.name))
        }
    }
}
