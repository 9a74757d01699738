use serde_json::json;

use crate::ask;
use crate::commands::Desk;
use crate::failure::Result;
use crate::progress::Progress;

/// Remove old versions of a key for good, unless anything in the store depends on them
///
/// They stop to open first; then it is looked again. What was sealed under them and is kept elsewhere, in files say, is lost: have it
/// sealed anew before (`bulla rewrap`).
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key's name
    name: String,
    /// The lowest version that stays
    #[arg(long, value_name = "VERSION")]
    below: u64,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let key = project.key(&args.name)?;
    let info = key.info().await?;
    ask::confirm(&desk.output, args.yes || args.below <= info.first, "--yes", || {
        format!(
            "Versions {} to {} of key {} go for good, and with them whatever is sealed under them outside of the store.",
            info.first,
            args.below.saturating_sub(1),
            info.name,
        )
    })?;
    let progress = Progress::counting(&desk.output);
    let removed = project
        .trim_key(&args.name, args.below, &mut |seen| {
            progress.say(|| format!("looking at what depends on it: {seen} entries"));
        })
        .await?;
    drop(progress);
    let record = json!({ "key": info.name.as_str(), "removed": removed, "first": args.below.max(info.first) });
    desk.output.done(&record, || format!("removed {removed} versions of key {}", info.name))
}
