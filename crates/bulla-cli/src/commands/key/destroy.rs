use std::time::Duration;

use serde_json::json;

use super::dependents;
use crate::commands::Desk;
use crate::failure::Result;
use crate::{ask, duration};

/// Put a version out of use now, and destroy its material later
///
/// Until then `bulla key undelete` takes it back; then `bulla key purge` destroys it, and whatever is sealed under it is lost.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key's name
    name: String,
    /// The version's number
    version: u64,
    /// How long it can be taken back: `7d`, `12h`; `0s` destroys it at once
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = duration::parse)]
    after: Duration,
    /// Do not ask before it is destroyed at once
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let key = project.key(&args.name)?;
    let depending = dependents::find(&project, &args.name, Some(args.version), desk).await?;
    ask::confirm(&desk.output, args.yes || !args.after.is_zero(), "--yes", || {
        format!(
            "Version {} of key {} is destroyed at once; {}.",
            args.version,
            key.name(),
            dependents::loss(&depending)
        )
    })?;
    let state = project.keyring().destroy_version(key.name(), args.version, args.after).await.map_err(super::failed)?;
    let record = json!({
        "key": key.name().as_str(),
        "version": args.version,
        "state": state.to_string(),
        "after_seconds": args.after.as_secs(),
        "depending": dependents::record(&depending),
    });
    desk.output.done(&record, || {
        let (name, number) = (key.name(), args.version);
        if args.after.is_zero() {
            format!("destroyed version {number} of key {name}")
        } else {
            let after = duration::shown(args.after);
            format!(
                "version {number} of key {name} is out of use, and can be taken back for {after}: `bulla key undelete {name} {number}`; \
                 {}",
                dependents::loss(&depending)
            )
        }
    })
}
