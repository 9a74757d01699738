use std::fs;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use bulla::guard::audit::Verdict;
use serde_json::json;

use super::{Desk, LogArg, failure, verify};
use crate::failure::{Exit, Failure, Result};
use crate::target::{Privacy, Target};

/// Keep the last checkpoint of the audit log in a file, if the log still has all that the one there vouches for
///
/// The file is worth as much as it is out of reach of who can write the log: another machine's disk, a bucket whose objects are locked. Run it each
/// hour or so. Exits with 10 or 11, and leaves the file as it is, if the log is not what it was.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file
    file: PathBuf,
    #[command(flatten)]
    log: LogArg,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let log = args.log.open(&project)?;
    let seen = match fs::metadata(&args.file) {
        Ok(_) => Some(verify::read(&args.file, &log)?),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(Failure::file("read", &args.file, &error)),
    };
    let exit = match log.verify(seen.as_ref()) {
        Verdict::Ok(_) => None,
        Verdict::Altered(what) => Some((Exit::AuditAltered, what)),
        Verdict::Truncated(what) => Some((Exit::AuditTruncated, what)),
        Verdict::Unverifiable(why) => Some((Exit::AuditUnverifiable, why)),
    };
    if let Some((exit, what)) = exit {
        return Err(Failure::new(exit, "not_witnessed", what).with_hint("the file was left as it is"));
    }
    let checkpoint = log.checkpoint().map_err(failure)?;
    let mut target = Target::create(&args.file, true, Privacy::Sealed)?;
    target.write_all(checkpoint.to_string().as_bytes()).map_err(|error| target.failure(&error))?;
    target.finish()?;
    let record = json!({ "events": checkpoint.size(), "before": seen.map_or(0, |seen| seen.size()) });
    desk.output.done(&record, || format!("{} events are witnessed", checkpoint.size()))
}
