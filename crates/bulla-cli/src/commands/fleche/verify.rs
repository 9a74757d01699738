use std::path::PathBuf;

use bulla::WalkEvent;
use serde_json::json;

use super::{KeyArgs, digest_unless, show};
use crate::commands::Desk;
use crate::failure::{Exit, Failure, Result};
use crate::progress::Progress;

/// Verify every file of a directory: its signature, and its name where the payload says enough
///
/// Changes nothing. Findings go to standard output; there being any makes the exit code 7. That an older file was put back is not found.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory
    directory: PathBuf,
    #[command(flatten)]
    keys: KeyArgs,
    /// Verify signatures only: for directories in which fleche was made to compute names otherwise
    #[arg(long)]
    skip_names: bool,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let directory = args.keys.open(&args.directory, desk).await?;
    let progress = Progress::over(&desk.output, "verifying", None);
    let (mut seen, mut told) = (0, Ok(()));
    let counts = directory.verify(&mut digest_unless(args.skip_names), &mut |event| match event {
        WalkEvent::Progress(counts) => {
            progress.advance(usize::try_from(counts.bytes.saturating_sub(seen)).unwrap_or(usize::MAX));
            seen = counts.bytes;
        }
        WalkEvent::Found(finding) if told.is_ok() => told = show(&finding, desk),
        _ => {}
    })?;
    told?;
    drop(progress);
    let record = json!({
        "files": counts.files, "names_verified": counts.names, "bytes": counts.bytes, "refused": counts.refused,
    });
    let what = if args.keys.unsigned { "read, and verified nothing of," } else { "verified" };
    desk.output.done(&record, || {
        format!("{what} {} files, {} bytes; the names of {} follow from them", counts.files, counts.bytes, counts.names)
    })?;
    match counts.refused {
        0 => Ok(()),
        refused => Err(Failure::new(Exit::Damage, "damage", format!("{refused} files are refused"))),
    }
}
