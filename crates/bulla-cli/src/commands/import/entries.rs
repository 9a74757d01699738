use std::io::BufReader;
use std::path::PathBuf;

use bulla::{OnConflict, WalkEvent};
use serde_json::json;

use super::super::{Desk, NamespaceArg};
use crate::failure::{Failure, Result};
use crate::input::{DASH, Input};
use crate::pace::{Pace, RateArg};
use crate::progress::Progress;

/// How much is read at once.
const BUFFER_LEN: usize = 256 * 1_024;

/// Take over the entries of an archive that `bulla export` wrote
///
/// They are put as the namespace's settings say. Each is verified before it is put; entries that are there just so are passed over, so that an
/// import that was interrupted is completed by the same command.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The archive; `-` is standard input
    #[arg(default_value = DASH)]
    file: PathBuf,
    /// What to do where another entry is there: `fail`, `skip` or `replace`
    #[arg(long, value_name = "WHAT", default_value_t)]
    on_conflict: OnConflict,
    #[command(flatten)]
    namespace: NamespaceArg,
    #[command(flatten)]
    rate: RateArg,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let namespace = desk.namespace(&args.namespace).await?;
    let mut input = Input::open(Some(&args.file))?;
    let progress = Progress::over(&desk.output, "importing", input.len());
    let pace = Pace::new(&args.rate);
    let mut shown = 0;
    let imported = namespace
        .import(BufReader::with_capacity(BUFFER_LEN, &mut input), args.on_conflict, &mut |event| {
            if let WalkEvent::Progress(counts) = event {
                pace.wait(counts.bytes);
                progress.advance(usize::try_from(counts.bytes.saturating_sub(shown)).unwrap_or(usize::MAX));
                shown = counts.bytes;
            }
        })
        .await;
    let counts = match imported {
        Err(bulla::ArchiveError::Io(error)) => return Err(input.failure(&error)),
        Err(
            error @ (bulla::ArchiveError::NotAnArchive | bulla::ArchiveError::Newer | bulla::ArchiveError::Damaged(_)),
        ) => {
            return Err(Failure::from(bulla::Error::from(error)).about(&input.described()));
        }
        imported => imported.map_err(bulla::Error::from)?,
    };
    drop(progress);
    let record = json!({
        "namespace": namespace.name().as_str(),
        "imported": counts.imported,
        "equal": counts.equal,
        "skipped": counts.skipped,
        "expired": counts.expired,
        "bytes": counts.bytes,
    });
    desk.output.done(&record, || {
        let mut text = format!("imported {} entries into {}", counts.imported, namespace.name());
        for (count, what) in
            [(counts.equal, "were there"), (counts.skipped, "skipped"), (counts.expired, "have expired")]
        {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        text
    })
}
