use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use bulla::{Budget, ClearScope, WalkEvent};
use serde_json::json;

use super::{Desk, NamespaceArg};
use crate::ask;
use crate::failure::{Exit, Failure, Result};
use crate::progress::Progress;

/// Remove many entries of a namespace
///
/// It may be stopped anywhere: what was removed is gone, and the same command removes the rest. What fails verification stays, is named on
/// standard output, and makes the exit code 7.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("scope").required(true))]
pub(crate) struct Args {
    #[command(flatten)]
    namespace: NamespaceArg,
    /// Remove the entries whose names begin so
    #[arg(long, group = "scope")]
    prefix: Option<OsString>,
    /// Remove the entries with this tag
    #[arg(long, group = "scope")]
    tag: Option<String>,
    /// Remove all entries
    #[arg(long, group = "scope")]
    all: bool,
    /// Remove all entries without asking
    #[arg(long, requires = "all")]
    yes: bool,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let namespace = desk.namespace(&args.namespace).await?;
    let scope = match (&args.prefix, &args.tag) {
        (Some(prefix), _) => ClearScope::Prefix(prefix.as_bytes().to_vec()),
        (None, Some(tag)) => ClearScope::Tag(tag.clone()),
        (None, None) => {
            ask::confirm(&desk.output, args.yes, "--yes", || {
                format!("All entries of namespace `{}` will be removed.", namespace.name())
            })?;
            ClearScope::All
        }
    };
    let progress = Progress::counting(&desk.output);
    let mut told = Ok(());
    let counts = namespace
        .clear(&scope, &Budget::UNLIMITED, &mut |event| match event {
            WalkEvent::Progress(counts) => progress.say(|| format!("removed {} entries", counts.removed)),
            WalkEvent::Found(finding) if told.is_ok() => {
                let record = json!({ "finding": finding.code(), "message": finding.to_string() });
                told = desk.output.result(&record, || finding.to_string());
            }
            _ => {}
        })
        .await
        .map_err(bulla::Error::from)?;
    told?;
    drop(progress);
    let record = json!({
        "namespace": namespace.name().as_str(),
        "removed": counts.removed,
        "kept": counts.kept,
        "failed": counts.failed,
    });
    desk.output.done(&record, || format!("removed {} entries", counts.removed))?;
    if counts.failed == 0 {
        return Ok(());
    }
    let message = format!("{} entries were not removed", counts.failed);
    Err(Failure::new(Exit::Damage, "damage", message)
        .with_hint("`bulla check --quarantine` moves aside what is damaged"))
}
