use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use bulla::{ExpectedVersion, Lifetime};
use serde_json::{Map, json};

use super::{Desk, NamespaceArg};
use crate::duration;
use crate::failure::Result;
use crate::names;

/// Give an entry another lifetime, from now on
///
/// Everything else of it stays, but its version. A large value is not written again.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The entry's name
    pub(super) name: OsString,
    #[command(flatten)]
    namespace: NamespaceArg,
    /// How long the entry is to live: seconds, or `12h`, `30d`; without, as long as the namespace says
    #[arg(long, value_name = "TIME", value_parser = duration::parse_or_seconds)]
    ttl: Option<Duration>,
    /// Let it live until it is replaced or removed
    #[arg(long, conflicts_with = "ttl")]
    never: bool,
    /// Change only this version
    #[arg(long, value_name = "N")]
    expect_version: Option<u64>,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let namespace = desk.namespace(&args.namespace).await?;
    let name = args.name.as_bytes();
    let lifetime = match args.ttl {
        Some(duration) => Lifetime::For(duration),
        None if args.never => Lifetime::Unlimited,
        None => Lifetime::Inherited,
    };
    let expected = args.expect_version.map_or(ExpectedVersion::Any, ExpectedVersion::Version);
    let version = namespace.set_lifetime(name, lifetime, expected).await.map_err(bulla::Error::from)?;
    let mut record = Map::new();
    names::record(&mut record, name);
    record.extend([("namespace".to_owned(), json!(namespace.name().as_str())), ("version".to_owned(), json!(version))]);
    desk.output.done(&record.into(), || format!("{} is version {version} now", names::shown(name)))
}
