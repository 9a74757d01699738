//! Commands on named keys.

mod backup;
mod data_key;
mod dependents;
mod destroy;
mod disable;
mod enable;
mod export;
mod hmac;
mod import;
mod ls;
mod new;
mod purge;
mod restore;
mod rm;
mod rotate;
mod set;
mod settings;
mod show;
mod sign;
mod trim;
mod undelete;
mod verify;

use serde_json::json;

use super::Desk;
use crate::failure::{Failure, Result};

/// Named keys
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    New(new::Args),
    Ls(ls::Args),
    Show(show::Args),
    Rotate(rotate::Args),
    Set(set::Args),
    Disable(disable::Args),
    Enable(enable::Args),
    Where(dependents::Args),
    Trim(trim::Args),
    Destroy(destroy::Args),
    Rm(rm::Args),
    Undelete(undelete::Args),
    Purge(purge::Args),
    Sign(sign::Args),
    Verify(verify::Args),
    Hmac(hmac::Args),
    DataKey(data_key::Args),
    Import(import::Args),
    Export(export::Args),
    Backup(backup::Args),
    Restore(restore::Args),
}

pub(crate) async fn run(command: Command, desk: &Desk) -> Result<()> {
    match command {
        Command::New(args) => new::run(&args, desk).await,
        Command::Ls(args) => ls::run(&args, desk).await,
        Command::Show(args) => show::run(&args, desk).await,
        Command::Rotate(args) => rotate::run(&args, desk).await,
        Command::Set(args) => set::run(&args, desk).await,
        Command::Disable(args) => disable::run(&args, desk).await,
        Command::Enable(args) => enable::run(&args, desk).await,
        Command::Where(args) => dependents::run(&args, desk).await,
        Command::Trim(args) => trim::run(&args, desk).await,
        Command::Destroy(args) => destroy::run(&args, desk).await,
        Command::Rm(args) => rm::run(&args, desk).await,
        Command::Undelete(args) => undelete::run(&args, desk).await,
        Command::Purge(args) => purge::run(&args, desk).await,
        Command::Sign(args) => sign::run(&args, desk).await,
        Command::Verify(args) => verify::run(&args, desk).await,
        Command::Hmac(args) => hmac::run(&args, desk).await,
        Command::DataKey(args) => data_key::run(&args, desk).await,
        Command::Import(args) => import::run(&args, desk).await,
        Command::Export(args) => export::run(&args, desk).await,
        Command::Backup(args) => backup::run(&args, desk).await,
        Command::Restore(args) => restore::run(&args, desk).await,
    }
}

/// Describes a key in JSON.
fn record(key: &bulla::KeyInfo) -> serde_json::Value {
    json!({
        "key": key.name.as_str(),
        "use": key.algorithm.use_case().name(),
        "algorithm": key.algorithm.name(),
        "origin": key.origin.to_string(),
        "created": crate::names::moment(key.created),
        "rotated": crate::names::moment(key.rotated),
        "serial": key.serial,
        "versions": { "first": key.first, "newest": key.newest },
        "settings": settings::record(key),
        "deleting": key.deleting.map(crate::names::moment),
    })
}

/// Takes over what the keyring says.
fn failed(error: bulla::KeyringError) -> Failure {
    bulla::Error::from(error).into()
}
