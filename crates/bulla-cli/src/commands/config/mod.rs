//! Commands on settings.

mod init;
mod show;

use super::Desk;
use crate::failure::Result;

/// Settings
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Init(init::Args),
    Show(show::Args),
}

pub(crate) fn run(command: &Command, desk: &Desk) -> Result<()> {
    match command {
        Command::Init(args) => init::run(args, desk),
        Command::Show(args) => show::run(args, desk),
    }
}
