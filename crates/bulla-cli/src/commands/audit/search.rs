use super::filter::FilterArgs;
use super::{Desk, Format, LogArg, failure};
use crate::failure::Result;

/// Find events in the audit log
///
/// Who did something, and from where, is blinded in the log. Whoever has the project's keys finds them by name.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: FilterArgs,
    /// How to write them [default: text, or json with --json]
    #[arg(long, value_enum)]
    format: Option<Format>,
    #[command(flatten)]
    log: LogArg,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let log = args.log.open(&project)?;
    let filter = args.filter.build(&project, &log).await?;
    let format = args.format.unwrap_or(if desk.output.json() { Format::Json } else { Format::Text });
    let mut found = 0_u64;
    if !args.filter.finds_nobody(&filter) {
        for stored in log.events(0).map_err(failure)? {
            let stored = stored.map_err(failure)?;
            if stored.event().is_ok_and(|event| filter.lets_through(&event)) {
                found += 1;
                desk.output.line(&format.line(&stored))?;
            }
        }
    }
    desk.output.note(|| format!("{found} events"));
    Ok(())
}
