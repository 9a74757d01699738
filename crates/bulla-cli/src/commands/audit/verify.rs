use std::fs;
use std::path::{Path, PathBuf};

use bulla::Project;
use bulla::guard::audit::{Checkpoint, LogReader, MAX_NOTE_LEN, Verdict};
use serde_json::json;

use super::{Desk, LogArg};
use crate::failure::{Exit, Failure, Result};

/// Read and hash every event of the audit log, and hold it to what was signed
///
/// Edited, deleted, swapped and missing events are found without help. Whether all of the disk was put back, or the log was written anew by somebody
/// who has this machine's key, only a checkpoint shows that was kept elsewhere: `--against`. Exits with 0 if it is as it was signed, 10 if it was
/// altered, 11 if something is gone, 12 if it cannot be verified.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A checkpoint that was kept elsewhere, as `bulla audit checkpoint` prints it
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Verify what all machines of the project have published, instead of the log of this one
    #[arg(long, conflicts_with_all = ["against", "folder"])]
    machines: bool,
    #[command(flatten)]
    log: LogArg,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    if args.machines {
        return machines(&project, desk).await;
    }
    let log = args.log.open(&project)?;
    let verdict = match &args.against {
        Some(file) => log.verify(Some(&read(file, &log)?)),
        None => {
            // What this machine has published lies in the database: who rolled back both is not found out by it.
            let published = project.published_checkpoint().await?;
            without_outside(log.verify(published.as_ref()))
        }
    };
    tell(desk, &verdict, None)?;
    ended(&verdict)
}

async fn machines(project: &Project, desk: &Desk) -> Result<()> {
    let mut worst = None;
    for (machine, verdict) in project.verify_published_logs().await? {
        tell(desk, &verdict, Some(&machine.to_string()))?;
        // A machine that never logged anything has nothing to show.
        if verdict.exit_code() == 10 || verdict.exit_code() == 11 {
            worst = Some(verdict);
        }
    }
    worst.map_or(Ok(()), |verdict| ended(&verdict))
}

/// Reads a checkpoint of the log from a file.
pub(super) fn read(file: &Path, log: &LogReader) -> Result<Checkpoint> {
    let metadata = fs::metadata(file).map_err(|error| Failure::file("read", file, &error))?;
    if metadata.len() > MAX_NOTE_LEN as u64 {
        return Err(Failure::usage(format!("`{}` is too long for a checkpoint", file.display())));
    }
    let bytes = fs::read(file).map_err(|error| Failure::file("read", file, &error))?;
    Checkpoint::read(&bytes, log.origin()).map_err(|error| {
        Failure::new(Exit::AuditUnverifiable, "bad_checkpoint", format!("`{}`: {error}", file.display()))
    })
}

fn without_outside(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Ok(mut verified) => {
            verified.rollback_detectable = false;
            Verdict::Ok(verified)
        }
        other => other,
    }
}

fn tell(desk: &Desk, verdict: &Verdict, machine: Option<&str>) -> Result<()> {
    let mut record = json!({ "verdict": verdict.code(), "detail": verdict.to_string() });
    if let Some(machine) = machine {
        record["machine"] = json!(machine);
    }
    if let Verdict::Ok(verified) = verdict {
        record["events"] = json!(verified.size);
        record["unsigned"] = json!(verified.unsigned);
        record["torn"] = json!(verified.is_torn);
        record["rollback_detectable"] = json!(verified.rollback_detectable);
    }
    desk.output.result(&record, || match machine {
        Some(machine) => format!("{machine}  {verdict}"),
        None => verdict.to_string(),
    })
}

fn ended(verdict: &Verdict) -> Result<()> {
    let exit = match verdict {
        Verdict::Ok(_) => return Ok(()),
        Verdict::Altered(_) => Exit::AuditAltered,
        Verdict::Truncated(_) => Exit::AuditTruncated,
        Verdict::Unverifiable(_) => Exit::AuditUnverifiable,
    };
    Err(Failure::new(exit, verdict.code(), "the audit log is not as it was signed, or that cannot be known")
        .with_hint("keep it as it is; docs/runbooks.md says what to look into"))
}
