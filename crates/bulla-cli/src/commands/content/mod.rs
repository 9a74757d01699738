//! Values that are named after themselves.

mod get;
mod put;

use clap::Subcommand;

use super::{Desk, NamespaceArg};
use crate::failure::Result;

/// Put and get values under names that follow from them
///
/// Equal values of one namespace have one name and are stored once. The name is made with a key of the project, so that it does not give
/// away to others what the value is.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Put(put::Args),
    Get(get::Args),
}

pub(crate) async fn run(command: &Command, desk: &Desk) -> Result<()> {
    match command {
        Command::Put(args) => put::run(args, desk).await,
        Command::Get(args) => get::run(args, desk).await,
    }
}
