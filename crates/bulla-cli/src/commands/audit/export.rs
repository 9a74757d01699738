use std::io::Write;
use std::path::PathBuf;

use super::{Desk, Format, LogArg, failure};
use crate::failure::Result;
use crate::target::{Privacy, Target};

/// Write events of the audit log for other programs, one a line
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How to write them
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
    /// From this index on
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    from: u64,
    /// Write them there; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    log: LogArg,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let log = args.log.open(&project)?;
    let mut target = Target::create(&args.output, args.force, Privacy::Secret)?;
    let mut written = 0_u64;
    for stored in log.events(args.from).map_err(failure)? {
        let mut line = args.format.line(&stored.map_err(failure)?);
        line.push('\n');
        target.write_all(line.as_bytes()).map_err(|error| target.failure(&error))?;
        written += 1;
    }
    target.finish()?;
    desk.output.note(|| format!("{written} events"));
    Ok(())
}
