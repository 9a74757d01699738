use std::time::Duration;

use serde_json::json;

use super::dependents;
use crate::commands::Desk;
use crate::failure::Result;
use crate::{ask, duration};

/// Put a key out of use now, and delete it with all of its versions later
///
/// `bulla key set --deletion yes` has to allow it. Until then `bulla key undelete` takes it back; then `bulla key purge` deletes it, and whatever
/// is sealed under it is lost.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key's name
    name: String,
    /// How long it can be taken back: `7d`, `12h`; `0s` deletes it at once
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = duration::parse)]
    after: Duration,
    /// Do not ask before it is deleted at once
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let key = project.key(&args.name)?;
    let depending = dependents::find(&project, &args.name, None, desk).await?;
    ask::confirm(&desk.output, args.yes || !args.after.is_zero(), "--yes", || {
        format!("Key {} is deleted at once, with all of its versions; {}.", key.name(), dependents::loss(&depending))
    })?;
    project.keyring().delete_key(key.name(), args.after).await.map_err(super::failed)?;
    let record = json!({
        "key": key.name().as_str(),
        "after_seconds": args.after.as_secs(),
        "depending": dependents::record(&depending),
    });
    desk.output.done(&record, || {
        let name = key.name();
        if args.after.is_zero() {
            format!("deleted key {name}")
        } else {
            let after = duration::shown(args.after);
            format!(
                "key {name} is out of use, and can be taken back for {after}: `bulla key undelete {name}`; {}",
                dependents::loss(&depending)
            )
        }
    })
}
