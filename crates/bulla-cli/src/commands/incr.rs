use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use serde_json::{Map, json};

use super::{Desk, NamespaceArg};
use crate::failure::Result;
use crate::names;

/// Add to a number in the store, and write the sum to standard output
///
/// A number is the decimal text of a 64-bit integer. However many commands add to it at the same time, each addition counts once.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The entry's name
    pub(super) name: OsString,
    /// How much to add; may be negative
    #[arg(default_value_t = 1, allow_negative_numbers = true)]
    delta: i64,
    /// What the number is before, where there is no entry
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    initial: i64,
    #[command(flatten)]
    namespace: NamespaceArg,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let namespace = desk.namespace(&args.namespace).await?;
    let name = args.name.as_bytes();
    let sum = namespace.increment(name, args.delta, args.initial).await.map_err(bulla::Error::from)?;
    let mut record = Map::new();
    names::record(&mut record, name);
    record.extend([("namespace".to_owned(), json!(namespace.name().as_str())), ("number".to_owned(), json!(sum))]);
    desk.output.result(&record.into(), || sum.to_string())
}
