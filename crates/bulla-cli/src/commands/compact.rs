use bulla::{Budget, WalkEvent};
use serde_json::json;

use super::Desk;
use crate::failure::Result;
use crate::progress::Progress;

/// Give room in the store's files that is no longer used back to the system
///
/// In small steps, between which others read and write. `bulla gc` before it finds more to give back. Stopped anywhere, it goes on when it is
/// called again.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let progress = Progress::counting(&desk.output);
    let counts = project
        .entries()
        .compact(&Budget::UNLIMITED, &mut |event| {
            if let WalkEvent::Progress(counts) = event {
                progress.say(|| format!("compacting: {} bytes given back", counts.freed));
            }
        })
        .await
        .map_err(bulla::Error::from)?;
    drop(progress);
    let disk = project.entries().disk_usage().await.map_err(bulla::Error::from)?;
    let record = json!({ "freed": counts.freed, "total": disk.map(|disk| disk.total) });
    desk.output.done(&record, || format!("gave {} bytes back", counts.freed))
}
