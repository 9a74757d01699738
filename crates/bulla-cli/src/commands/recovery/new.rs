use bulla::MachineName;

use crate::commands::Desk;
use crate::failure::Result;

/// Make recovery words: 24 words, shown once, with which `bulla recover` lets a new machine in
///
/// Older words keep working. Words that were lost or seen are put out as a machine is: `bulla revoke recovery`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What the words are called among the machines
    #[arg(long, value_name = "NAME", default_value = super::DEFAULT_NAME)]
    name: MachineName,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    super::give_words(&project, desk, &args.name).await
}
