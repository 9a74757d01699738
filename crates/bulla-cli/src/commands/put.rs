use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use bulla::{ExpectedVersion, Lifetime, PutOptions};
use serde_json::{Map, json};

use super::{Desk, NamespaceArg};
use crate::duration;
use crate::failure::Result;
use crate::input::Input;
use crate::names;
use crate::progress::Progress;

/// Put a value into the store, replacing what is there
///
/// Once the command ended with exit code 0, the value survives a power cut.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The entry's name: any 1 to 1,024 bytes
    pub(super) name: OsString,
    /// The value; `-`, or none, is standard input
    file: Option<PathBuf>,
    #[command(flatten)]
    namespace: NamespaceArg,
    /// How long the entry is to live: seconds, or `12h`, `30d`
    #[arg(long, value_name = "TIME", value_parser = duration::parse_or_seconds)]
    ttl: Option<Duration>,
    /// What the value is, `text/plain` say
    #[arg(long, value_name = "TYPE")]
    media_type: Option<String>,
    /// A tag. May be given several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Replace only this version; 0 stands for no entry
    #[arg(long, value_name = "N")]
    expect_version: Option<u64>,
    /// Encrypt the value in whatever mode the namespace is, and keep it out of memory tiers
    #[arg(long)]
    sensitive: bool,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let namespace = desk.namespace(&args.namespace).await?;
    let options = PutOptions {
        lifetime: args.ttl.map_or(Lifetime::Inherited, Lifetime::For),
        media_type: args.media_type.clone(),
        tags: args.tags.clone(),
        expected: match args.expect_version {
            None => ExpectedVersion::Any,
            Some(0) => ExpectedVersion::Absent,
            Some(version) => ExpectedVersion::Version(version),
        },
        sensitive: args.sensitive,
        ..PutOptions::default()
    };
    let name = args.name.as_bytes();
    let input = Input::open(args.file.as_deref())?;
    let progress = Progress::over(&desk.output, "putting", input.len());
    let mut writer = namespace.writer(name, &options).map_err(bulla::Error::from)?;
    let len = input.put(async |piece| writer.write(piece).await, &progress).await?;
    let version = writer.finish().await.map_err(bulla::Error::from)?;
    drop(progress);

    let mut record = Map::new();
    names::record(&mut record, name);
    record.extend([
        ("namespace".to_owned(), json!(namespace.name().as_str())),
        ("version".to_owned(), json!(version)),
        ("bytes".to_owned(), json!(len)),
    ]);
    desk.output.done(&record.into(), || format!("put {} version {version}, {len} bytes", names::shown(name)))
}
