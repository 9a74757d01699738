use std::time::Duration;

use bulla::{Budget, GcOptions, WalkEvent};
use serde_json::json;

use super::Desk;
use crate::duration;
use crate::failure::Result;
use crate::pace::{Pace, RateArg};
use crate::progress::Progress;

/// Remove what nobody needs: expired entries, and blobs that no entry refers to
///
/// Such blobs are what a writer leaves behind that is killed. Others read and write meanwhile. While an entry is damaged, blobs stay: it may
/// refer to any of them. Stopped anywhere, it goes on when it is called again.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How old a blob must be, at least: the writer of a younger one is probably about to write its entry
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration::parse)]
    min_age: Duration,
    #[command(flatten)]
    rate: RateArg,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let progress = Progress::counting(&desk.output);
    let pace = Pace::new(&args.rate);
    let mut before = None;
    let mut told = Ok(());
    let counts = project
        .entries()
        .gc(&GcOptions { min_age: args.min_age }, &Budget::UNLIMITED, &mut |event| match event {
            WalkEvent::Progress(counts) => {
                pace.wait_since(&mut before, counts.read);
                progress.say(|| {
                    format!("collecting: {} expired entries and {} blobs removed", counts.expired, counts.deleted)
                });
            }
            WalkEvent::Found(finding) if told.is_ok() => {
                let record = json!({ "finding": finding.code(), "message": finding.to_string() });
                told = desk.output.result(&record, || finding.to_string());
            }
            _ => {}
        })
        .await
        .map_err(bulla::Error::from)?;
    drop(progress);
    told?;
    let record = json!({
        "expired": counts.expired,
        "deleted": counts.deleted,
        "freed": counts.freed,
        "recent": counts.recent,
        "kept": counts.kept,
        "refused": counts.refused,
    });
    desk.output.done(&record, || {
        format!(
            "removed {} expired entries and {} blobs of {} bytes; {} are too young",
            counts.expired, counts.deleted, counts.freed, counts.recent
        )
    })?;
    if counts.kept > 0 {
        desk.output.note(|| match counts.refused {
            0 => format!("{} blobs that nothing refers to stay: this backend cannot remove them safely", counts.kept),
            refused => format!(
                "{} blobs stay: {refused} damaged or quarantined entries may refer to them; see `bulla check` and `bulla quarantine`",
                counts.kept
            ),
        });
    }
    Ok(())
}
