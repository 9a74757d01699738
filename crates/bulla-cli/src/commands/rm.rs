use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use bulla::ExpectedVersion;
use serde_json::{Map, json};

use super::{Desk, NamespaceArg};
use crate::failure::{Exit, Failure, Result};
use crate::names;

/// Remove an entry from the store
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The entry's name
    pub(super) name: OsString,
    #[command(flatten)]
    namespace: NamespaceArg,
    /// Remove only this version
    #[arg(long, value_name = "N")]
    expect_version: Option<u64>,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let namespace = desk.namespace(&args.namespace).await?;
    let name = args.name.as_bytes();
    let expected = args.expect_version.map_or(ExpectedVersion::Any, ExpectedVersion::Version);
    if !namespace.remove(name, expected).await.map_err(bulla::Error::from)? {
        let message = format!("there is no entry `{}` in namespace `{}`", names::shown(name), namespace.name());
        return Err(Failure::new(Exit::NotFound, "not_found", message).with_hint("`bulla ls` lists entries"));
    }
    let mut record = Map::new();
    names::record(&mut record, name);
    record.insert("namespace".to_owned(), json!(namespace.name().as_str()));
    desk.output.done(&record.into(), || format!("removed {}", names::shown(name)))
}
