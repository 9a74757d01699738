use std::thread;
use std::time::Duration;

use super::{Desk, Format, LogArg, failure};
use crate::failure::Result;

/// How often it is looked for more.
const PERIOD: Duration = Duration::from_millis(500);

/// Show the last events of the audit log
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many
    #[arg(short = 'n', long, default_value_t = 20)]
    lines: u64,
    /// Go on with what is appended, until it is interrupted
    #[arg(short, long)]
    follow: bool,
    /// How to write them [default: text, or json with --json]
    #[arg(long, value_enum)]
    format: Option<Format>,
    #[command(flatten)]
    log: LogArg,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let log = args.log.open(&project)?;
    let format = args.format.unwrap_or(if desk.output.json() { Format::Json } else { Format::Text });
    let mut next = 0;
    let mut events = log.tail(args.lines).map_err(failure)?;
    loop {
        for stored in events {
            let stored = stored.map_err(failure)?;
            next = stored.index + 1;
            desk.output.line(&format.line(&stored))?;
        }
        if !args.follow {
            return Ok(());
        }
        // Nobody wakes it earlier.
        thread::park_timeout(PERIOD);
        events = log.events(next).map_err(failure)?;
    }
}
