use std::io::Write;
use std::path::PathBuf;

use serde_json::json;

use super::{KeyArgs, parse_name};
use crate::commands::Desk;
use crate::failure::Result;
use crate::input::DASH;
use crate::target::{Privacy, Target};

/// Write the payload of a file to standard output, or to a file, once its signature has verified
///
/// The payload is a pickle: whoever unpickles it runs what it says.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory
    directory: PathBuf,
    /// The name: 64 hex digits
    name: String,
    /// Where to write to; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = DASH)]
    output: PathBuf,
    /// Replace the file that is written to, if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    keys: KeyArgs,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let name = parse_name(&args.name)?;
    let file = args.keys.open(&args.directory, desk).await?.load(&name)?;
    let mut target = Target::create(&args.output, args.force, Privacy::Secret)?;
    target.write_all(&file.payload).map_err(|error| target.failure(&error))?;
    let to_stdout = target.is_stdout();
    target.finish()?;
    let record = json!({
        "name": name.to_string(), "bytes": file.payload.len(), "kind": file.kind().name(), "gzipped": file.gzipped,
        "signed": file.signed, "verified_by": file.verified_by,
    });
    if to_stdout {
        desk.output.done_beside_data(&record);
        return Ok(());
    }
    desk.output.done(&record, || format!("got {name}, {} bytes", file.payload.len()))
}
