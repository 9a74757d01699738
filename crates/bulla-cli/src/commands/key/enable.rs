use serde_json::json;

use crate::commands::Desk;
use crate::failure::Result;

/// Enable a version that was disabled
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
    project.keyring().enable_version(key.name(), args.version).await.map_err(super::failed)?;
    let record = json!({ "key": key.name().as_str(), "version": args.version, "state": "enabled" });
    desk.output.done(&record, || format!("enabled version {} of key {}", args.version, key.name()))
}
