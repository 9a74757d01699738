use serde_json::json;

use crate::commands::Desk;
use crate::failure::Result;

/// Destroy the versions, and delete the keys, whose time has come
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only those of this key
    name: Option<String>,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let keyring = project.keyring();
    let purged = match &args.name {
        Some(name) => keyring.purge_key(project.key(name)?.name()).await,
        None => keyring.purge().await,
    };
    let purged = purged.map_err(super::failed)?;
    let record = json!({ "versions": purged.versions, "keys": purged.keys });
    desk.output.done(&record, || format!("destroyed {} versions, deleted {} keys", purged.versions, purged.keys))
}
