use super::{Desk, LogArg, failure};
use crate::failure::Result;

/// Print the last checkpoint of the audit log, to be kept elsewhere
///
/// It is a signed note of the form that transparency logs use (C2SP tlog-checkpoint). Whoever keeps it can tell later, by `bulla audit verify --against`,
/// whether anything before it was changed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    log: LogArg,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let checkpoint = args.log.open(&project)?.checkpoint().map_err(failure)?;
    desk.output.bytes(checkpoint.to_string().as_bytes())
}
