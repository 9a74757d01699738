//! Commands on named keys.

mod ls;
mod new;
mod rotate;
mod show;

use super::Desk;
use crate::failure::Result;

/// Named keys
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    New(new::Args),
    Ls(ls::Args),
    Show(show::Args),
    Rotate(rotate::Args),
}

pub(crate) async fn run(command: Command, desk: &Desk) -> Result<()> {
    match command {
        Command::New(args) => new::run(&args, desk).await,
        Command::Ls(args) => ls::run(&args, desk).await,
        Command::Show(args) => show::run(&args, desk).await,
        Command::Rotate(args) => rotate::run(&args, desk).await,
    }
}

/// Describes a key in JSON.
fn record(key: &bulla::KeyInfo) -> serde_json::Value {
    serde_json::json!({
        "key": key.name.as_str(),
        "use": key.algorithm.use_case().name(),
        "algorithm": key.algorithm.name(),
        "created": crate::names::moment(key.created),
        "versions": { "first": key.first, "newest": key.newest },
    })
}
