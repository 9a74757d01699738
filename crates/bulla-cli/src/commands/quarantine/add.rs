use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use serde_json::{Map, json};

use crate::commands::{Desk, NamespaceArg};
use crate::failure::{Exit, Failure, Result};
use crate::names;

/// Put an entry that does not open into quarantine, whatever the reason
///
/// What fails verification goes there by itself when it is read. What lacks its key, or was written by a newer program, goes there only with this
/// command: its name is free then.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The entry's name
    name: OsString,
    #[command(flatten)]
    namespace: NamespaceArg,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let namespace = desk.namespace(&args.namespace).await?;
    let name = args.name.as_bytes();
    let shown = names::shown(name);
    if !namespace.set_aside(name).await.map_err(bulla::Error::from)? {
        let message = format!("the entry `{shown}` in namespace `{}` opens, or is not there", namespace.name());
        return Err(Failure::new(Exit::NotFound, "not_found", message).with_hint("`bulla get` reads it"));
    }
    let mut record = Map::new();
    names::record(&mut record, name);
    record.insert("namespace".to_owned(), json!(namespace.name().as_str()));
    desk.output.done(&record.into(), || format!("put {shown} into quarantine"))
}
