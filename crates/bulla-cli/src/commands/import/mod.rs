//! Taking over what others wrote.

mod entries;
mod fact;

use super::Desk;
use crate::failure::Result;

/// Take over what other applications keep
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Entries(entries::Args),
    Fact(fact::Args),
}

pub(crate) async fn run(command: &Command, desk: &Desk) -> Result<()> {
    match command {
        Command::Entries(args) => entries::run(args, desk).await,
        Command::Fact(args) => fact::run(args, desk).await,
    }
}
