use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use bulla::GetOptions;
use serde_json::{Map, json};

use super::{Desk, NamespaceArg};
use crate::failure::Result;
use crate::input::DASH;
use crate::names;
use crate::progress::Progress;
use crate::target::{Privacy, Target};

/// Write a value of the store to standard output, or to a file
///
/// A file appears once all of the value has verified, or not at all; what goes to a pipe is released in pieces as they
/// verify, and only exit code 0 says that it was all.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The entry's name
    pub(super) name: OsString,
    /// Where to write to; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = DASH)]
    output: PathBuf,
    /// Replace the file that is written to, if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    namespace: NamespaceArg,
    /// Refuse any version but this: how an old entry that was put back is noticed
    #[arg(long, value_name = "N")]
    expect_version: Option<u64>,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let namespace = desk.namespace(&args.namespace).await?;
    let name = args.name.as_bytes();
    let options = args.expect_version.map_or_else(GetOptions::default, GetOptions::version);
    let mut reader = namespace.reader(name, &options).await.map_err(bulla::Error::from)?;
    let mut target = Target::create(&args.output, args.force, Privacy::Secret)?;
    let progress = Progress::over(&desk.output, "getting", Some(reader.message_len()));
    while let Some(piece) = reader.read_chunk().await.map_err(bulla::Error::from)? {
        target.write_all(piece).map_err(|error| target.failure(&error))?;
        progress.advance(piece.len());
    }
    drop(progress);

    let to_stdout = target.is_stdout();
    target.finish()?;
    let mut record = Map::new();
    names::record(&mut record, name);
    names::record_stat(&mut record, reader.stat());
    record.insert("namespace".to_owned(), json!(namespace.name().as_str()));
    let text = || format!("got {} version {}, {} bytes", names::shown(name), reader.stat().version, reader.stat().len);
    if to_stdout {
        desk.output.done_beside_data(&record.into());
        return Ok(());
    }
    desk.output.done(&record.into(), text)
}
