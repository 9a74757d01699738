use bulla::{Budget, CheckOptions, WalkEvent};
use serde_json::json;

use super::Desk;
use crate::failure::{Exit, Failure, Result};
use crate::pace::{Pace, RateArg};
use crate::progress::Progress;

/// Verify every entry and every blob of the store, settings and quarantine, and say what is wrong
///
/// Changes nothing, unless told to put what is damaged into quarantine. Findings go to standard output; there being any makes the exit code 7.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Go on where the last check was stopped, and count with it; else begin anew
    #[arg(long)]
    resume: bool,
    /// Put entries that fail verification into quarantine
    #[arg(long)]
    quarantine: bool,
    #[command(flatten)]
    rate: RateArg,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let progress = Progress::over(&desk.output, "checking", None);
    let pace = Pace::new(&args.rate);
    let options = CheckOptions { resume: args.resume, quarantine: args.quarantine };
    let (mut before, mut shown) = (None, 0);
    let mut told = Ok(());
    let counts = project
        .entries()
        .check(&options, &Budget::UNLIMITED, &mut |event| match event {
            WalkEvent::Progress(counts) => {
                pace.wait_since(&mut before, counts.read);
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
        "quarantined": counts.quarantined,
        "moved": counts.moved,
    });
    desk.output.done(&record, || format!("verified {} entries, {} bytes", counts.ok, counts.bytes))?;
    if counts.quarantined + counts.moved > 0 {
        desk.output.note(|| {
            format!("{} entries lie in quarantine; `bulla quarantine ls` shows them", counts.quarantined + counts.moved)
        });
    }
    if counts.is_clean() {
        return Ok(());
    }
    let message = format!("check found {} damaged entries and {} orphan blobs", counts.damaged, counts.orphan_blobs);
    Err(Failure::new(Exit::Damage, "damage", message)
        .with_hint("restore what is damaged from a backup; `bulla gc` removes orphan blobs, once nothing is damaged"))
}
