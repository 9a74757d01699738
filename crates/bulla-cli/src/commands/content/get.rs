use std::io::Write;
use std::path::PathBuf;

use bulla::ContentName;
use serde_json::json;

use super::{Desk, NamespaceArg};
use crate::failure::Result;
use crate::input::DASH;
use crate::progress::Progress;
use crate::target::{Privacy, Target};

/// Write a value to standard output, or to a file, once all of it was checked against its name
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The name, as `bulla content put` wrote it
    name: String,
    /// Where to write to; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = DASH)]
    output: PathBuf,
    /// Replace the file that is written to, if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    namespace: NamespaceArg,
}

pub(super) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let name: ContentName = args.name.parse().map_err(bulla::Error::from)?;
    let namespace = desk.namespace(&args.namespace).await?;
    let mut reader = namespace.content_reader(&name).await.map_err(bulla::Error::from)?;
    let mut target = Target::create(&args.output, args.force, Privacy::Secret)?;
    let progress = Progress::over(&desk.output, "getting", Some(reader.message_len()));
    while let Some(piece) = reader.read_chunk().await.map_err(bulla::Error::from)? {
        target.write_all(piece).map_err(|error| target.failure(&error))?;
        progress.advance(piece.len());
    }
    drop(progress);
    let to_stdout = target.is_stdout();
    target.finish()?;
    let len = reader.stat().len;
    let record = json!({ "name": name.to_string(), "namespace": namespace.name().as_str(), "bytes": len });
    if to_stdout {
        desk.output.done_beside_data(&record);
        return Ok(());
    }
    desk.output.done(&record, || format!("got {name}, {len} bytes"))
}
