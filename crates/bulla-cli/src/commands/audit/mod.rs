//! Commands that compare what is with what should be.

mod machines;

use super::Desk;
use crate::failure::Result;

/// Compare what is with what should be
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Machines(machines::Args),
}

pub(crate) async fn run(command: &Command, desk: &Desk) -> Result<()> {
    match command {
        Command::Machines(args) => machines::run(args, desk).await,
    }
}
