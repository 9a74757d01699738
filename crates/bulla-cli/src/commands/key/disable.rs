use serde_json::json;

use crate::commands::Desk;
use crate::failure::Result;

/// Put a version out of use until it is enabled again: it neither seals, opens, signs, verifies nor exports
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key's name
    name: String,
    /// The version's number
    version: u64,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let key = project.key(&args.name)?;
    project.keyring().disable_version(key.name(), args.version).await.map_err(super::failed)?;
    let newest = key.info().await?.newest;
    let record = json!({ "key": key.name().as_str(), "version": args.version, "state": "disabled" });
    desk.output.done(&record, || format!("disabled version {} of key {}", args.version, key.name()))?;
    if newest == args.version {
        desk.output.note(|| {
            format!("it is the newest, so that the key does not seal; `bulla key rotate {}` makes another", key.name())
        });
    }
    Ok(())
}
