use serde_json::json;

use crate::commands::Desk;
use crate::failure::Result;

/// Make a new version of a key, which seals from now on; what older versions sealed still opens
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key's name
    name: String,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let key = project.key(&args.name)?;
    let version = key.rotate().await?;
    let record = json!({ "key": key.name().as_str(), "version": version.number, "id": version.id.to_string() });
    desk.output.done(&record, || format!("rotated key {} to version {}", key.name(), version.number))
}
