use std::path::PathBuf;

use bulla::Project;
use serde_json::json;

use super::Desk;
use super::recover::read_words;
use crate::ask;
use crate::failure::Result;

/// Accept that an older copy of the database was restored
///
/// Machines that have seen more of the trust log than there is now refuse to work, for an attacker may have put an old copy back: one in
/// which a machine that was put out is still in. Where a restore was meant, this command, on a machine that may let others in, lets all
/// machines go on from the copy that there is. What was done since the copy was made has to be done again: put out, above all, whoever was put
/// out since.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Accept it without asking
    #[arg(long)]
    yes: bool,
    /// Accept it with the 24 recovery words, which is the only way where two have to agree; they are read from a file, or from standard
    /// input
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    recovery: Option<PathBuf>,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let settings = desk.global.settings().load()?;
    ask::confirm(&desk.output, args.yes, "--yes", || {
        let backend = settings.backend().get();
        format!("database  {backend}\nWas it restored from an older copy, on purpose?")
    })?;
    let words = args.recovery.as_deref().map(|path| read_words(Some(path), desk)).transpose()?;
    let project = Project::accept_rollback(settings, words.as_ref()).await?;
    let pin = project.pin();
    let record = json!({
        "project": project.id().to_string(),
        "trust_log": { "length": pin.length(), "head": pin.head().to_string() },
        "restores": pin.restores(),
    });
    desk.output.done(&record, || {
        format!(
            "accepted: the trust log goes on from {} records\n\
             compare `bulla list` with the machines that there should be: who was put out since the copy was made is in again",
            pin.length()
        )
    })
}
