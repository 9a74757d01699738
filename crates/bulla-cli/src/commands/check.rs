use bulla::WalkEvent;
use serde_json::json;

use super::Desk;
use crate::failure::{Exit, Failure, Result};
use crate::progress::Progress;

/// Verify every entry and every blob of the store, and say what is wrong
///
/// Changes nothing. Findings go to standard output; there being any makes the exit code 7.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let progress = Progress::over(&desk.output, "checking", None);
    let mut shown = 0;
    let mut told = Ok(());
    let counts = project
        .entries()
        .check(&mut |event| match event {
            WalkEvent::Progress(counts) => {
                progress.advance(usize::try_from(counts.bytes.saturating_sub(shown)).unwrap_or(usize::MAX));
                shown = counts.bytes;
            }
            WalkEvent::Found(finding) if told.is_ok() => {
                let record = json!({ "finding": finding.code(), "message": finding.to_string() });
                told = desk.output.result(&record, || finding.to_string());
            }
            _ => {}
        })
        .await
        .map_err(bulla::Error::from)?;
    told?;
    drop(progress);
    let record = json!({
        "entries": counts.ok,
        "expired": counts.expired,
        "bytes": counts.bytes,
        "damaged": counts.damaged,
        "missing_blobs": counts.missing_blobs,
        "orphan_blobs": counts.orphan_blobs,
        "recent_blobs": counts.recent_blobs,
    });
    desk.output.done(&record, || format!("verified {} entries, {} bytes", counts.ok, counts.bytes))?;
    if counts.is_clean() {
        return Ok(());
    }
    let message = format!("check found {} damaged entries and {} orphan blobs", counts.damaged, counts.orphan_blobs);
    Err(Failure::new(Exit::Damage, "damage", message)
        .with_hint("restore what is damaged from a backup; delete no blob while an entry is damaged"))
}
