//! Commands on the words that a project is recovered with.

mod new;

use bulla::{MachineName, Outcome, Project, RecoveryWords};
use serde_json::json;

use super::Desk;
use crate::failure::Result;

/// The words that recover the project when no machine is left
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    New(new::Args),
}

pub(crate) async fn run(command: &Command, desk: &Desk) -> Result<()> {
    match command {
        Command::New(args) => new::run(args, desk).await,
    }
}

/// What the words are called among the machines, where nobody says otherwise.
pub(super) const DEFAULT_NAME: &str = "recovery";

/// What is said beside the words.
const ADVICE: &str = "write the 24 words down, on paper, and keep them where no machine reads them: they are shown this once, and whoever has \
                      them can let machines in";

/// Makes recovery words, and prints them, which is done nowhere else.
///
/// They are printed before the project knows them: words that are shown and of no use are less harm than words that are of use and were
/// never shown.
pub(super) async fn give_words(project: &Project, desk: &Desk, name: &MachineName) -> Result<()> {
    let words = RecoveryWords::generate().map_err(bulla::Error::from)?;
    let fingerprint = words.identity().map_err(bulla::Error::from)?.fingerprint();
    desk.output.note(|| format!("recovery words, called `{name}` among the machines; {ADVICE}:"));
    let exposed = words.expose_words();
    let record = json!({ "name": name.as_str(), "fingerprint": fingerprint.to_string(), "words": *exposed });
    desk.output.result(&record, || exposed.to_string())?;
    drop(exposed);
    match project.add_recovery(&words, name.clone()).await? {
        Outcome::Done(_) => desk.output.note(|| "they are good from now on".to_owned()),
        Outcome::Waits(position) => {
            desk.output
                .note(|| format!("they are good once a second authoriser has called `bulla approve {position}`"));
        }
    }
    Ok(())
}
