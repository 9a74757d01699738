use std::io::BufWriter;
use std::path::PathBuf;

use bulla::WalkEvent;
use serde_json::json;

use super::{Desk, NamespaceArg};
use crate::failure::{Exit, Failure, Result};
use crate::input::DASH;
use crate::pace::{Pace, RateArg};
use crate::progress::Progress;
use crate::target::{Privacy, Target};

/// How much is written at once.
const BUFFER_LEN: usize = 256 * 1_024;

/// Write the entries of a namespace to an archive, in the clear, for another project or program
///
/// Nothing in the archive is sealed any more: `bulla export - | bulla seal - -o FILE` seals it again. `bulla import entries` reads it. To keep a
/// copy for this project, `bulla backup` is the way.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to write to; `-` is standard output
    #[arg(default_value = DASH)]
    file: PathBuf,
    /// Replace the file, if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    namespace: NamespaceArg,
    #[command(flatten)]
    rate: RateArg,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let namespace = desk.namespace(&args.namespace).await?;
    let mut target = Target::create(&args.file, args.force, Privacy::Secret)?;
    let progress = Progress::over(&desk.output, "exporting", None);
    let pace = Pace::new(&args.rate);
    let mut shown = 0;
    let exported = namespace
        .export(BufWriter::with_capacity(BUFFER_LEN, &mut target), &mut |event| match event {
            WalkEvent::Progress(counts) => {
                pace.wait(counts.bytes);
                progress.advance(usize::try_from(counts.bytes.saturating_sub(shown)).unwrap_or(usize::MAX));
                shown = counts.bytes;
            }
            WalkEvent::Found(finding) => desk.output.note(|| finding.to_string()),
            _ => {}
        })
        .await
        .map(|(_, counts)| counts);
    let counts = match exported {
        Err(bulla::ArchiveError::Io(error)) => return Err(target.failure(&error)),
        exported => exported.map_err(bulla::Error::from)?,
    };
    drop(progress);
    let to_stdout = target.is_stdout();
    target.finish()?;
    let record = json!({
        "namespace": namespace.name().as_str(),
        "entries": counts.exported,
        "bytes": counts.bytes,
        "failed": counts.failed,
    });
    if to_stdout {
        desk.output.done_beside_data(&record);
    } else {
        desk.output.done(&record, || {
            format!(
                "exported {} entries of {} bytes to {}, in the clear",
                counts.exported,
                counts.bytes,
                args.file.display()
            )
        })?;
    }
    match counts.failed {
        0 => Ok(()),
        failed => {
            Err(Failure::new(Exit::Damage, "damage", format!("{failed} entries are damaged, and not in the archive"))
                .with_hint("`bulla check` looks at everything"))
        }
    }
}
