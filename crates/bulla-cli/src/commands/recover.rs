use std::io::Read;
use std::path::{Path, PathBuf};

use bulla::{MachineName, Project, RecoveryWords};
use serde_json::json;
use zeroize::Zeroizing;

use super::Desk;
use crate::failure::{Exit, Failure, Result};
use crate::input::Input;
use crate::{ask, machines};

/// Longest text that words are read from, in bytes.
const MAX_LEN: usize = 4_096;

/// Let this machine in with the project's recovery words
///
/// For the day when no machine is left that may let others in. The settings must name the project and its backend, as `bulla config init
/// --project ID --backend URL` writes them. This machine gets an identity, if it has none, and may let others in from then on.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A file that holds the 24 words; `-`, or none, is standard input
    file: Option<PathBuf>,
    /// What this machine is to be called; its name in the network, if not given
    #[arg(long, value_name = "NAME")]
    name: Option<MachineName>,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let settings = desk.global.settings().load()?;
    let words = read_words(args.file.as_deref(), desk)?;
    let project = Project::recover(settings, &words, args.name.clone()).await?;
    drop(words);
    let me = project.keyring().identity().fingerprint();
    let machine = project.machine().await?;
    let record = json!({ "project": project.id().to_string(), "machine": machines::record(me, &machine) });
    desk.output.done(&record, || {
        let name = &machine.name;
        format!(
            "{name} ({me}) is in, and may let others in\n\
             now put out the machines that were lost (`bulla list`, `bulla revoke NAME --rotate`), and if the words were typed where \
             others may have seen them, the words: `bulla recovery new --name NAME`, `bulla revoke recovery --rotate`"
        )
    })
}

pub(super) fn read_words(file: Option<&Path>, desk: &Desk) -> Result<RecoveryWords> {
    let mut input = Input::open(file)?;
    if input.path().is_none() && ask::somebody(&desk.output) {
        desk.output.note(|| "the 24 recovery words, and then the end of input (Ctrl-D):".to_owned());
    }
    // Reserved at once, so that no copy is left behind by growing.
    let mut text = Zeroizing::new(String::with_capacity(MAX_LEN + 1));
    match input.by_ref().take(MAX_LEN as u64 + 1).read_to_string(&mut text) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => return Err(not_words("they are no text")),
        Err(error) => return Err(input.failure(&error)),
    }
    text.parse().map_err(|error: bulla::ParseRecoveryWordsError| not_words(&error.to_string()))
}

fn not_words(reason: &str) -> Failure {
    Failure::new(Exit::Refused, "bad_recovery_words", format!("these are no recovery words: {reason}"))
        .with_hint("they are 24 English words, in the order in which they were shown")
}
