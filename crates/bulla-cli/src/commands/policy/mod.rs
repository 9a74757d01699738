//! Commands on the project's policy.

mod set;
mod show;

use bulla::Project;

use super::Desk;
use crate::failure::Result;

/// What the project asks of those who let others in
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Show(show::Args),
    Set(set::Args),
}

pub(crate) async fn run(command: &Command, desk: &Desk) -> Result<()> {
    match command {
        Command::Show(_) => show::run(desk).await,
        Command::Set(args) => set::run(args, desk).await,
    }
}

/// Tells what the policy is.
async fn tell(project: &Project, desk: &Desk) -> Result<()> {
    let two_person = project.keyring().two_person().await.map_err(bulla::Error::from)?;
    desk.output.result(&serde_json::json!({ "two_person": two_person }), || {
        format!("two-person {}", if two_person { "on" } else { "off" })
    })
}
