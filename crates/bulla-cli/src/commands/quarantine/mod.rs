//! Commands on what failed verification.

mod add;
mod ls;
mod restore;
mod rm;

use bulla::{Namespace, QuarantineId};

use super::Desk;
use crate::failure::{Failure, Result};

/// What failed verification, with the bytes as they were found
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Ls(ls::Args),
    Add(add::Args),
    Restore(restore::Args),
    Rm(rm::Args),
}

pub(crate) async fn run(command: &Command, desk: &Desk) -> Result<()> {
    match command {
        Command::Ls(args) => ls::run(args, desk).await,
        Command::Add(args) => add::run(args, desk).await,
        Command::Restore(args) => restore::run(args, desk).await,
        Command::Rm(args) => rm::run(args, desk).await,
    }
}

fn parse_id(text: &str) -> Result<QuarantineId> {
    text.parse().map_err(|error| Failure::usage(format!("`{text}`: {error}")).with_hint(HINT))
}

const HINT: &str = "`bulla quarantine ls` lists records with their ids";

/// Returns the ids of all records of a namespace.
async fn all(namespace: &Namespace) -> Result<Vec<QuarantineId>> {
    let mut ids = Vec::new();
    let mut after = None;
    loop {
        let page = namespace.quarantine(after).await.map_err(bulla::Error::from)?;
        ids.extend(page.records.iter().map(|record| record.id));
        after = page.next;
        if after.is_none() {
            return Ok(ids);
        }
    }
}
