use std::io::Write;
use std::path::PathBuf;

use bulla::Encoding;
use serde_json::json;

use crate::commands::Desk;
use crate::failure::Result;
use crate::input::DASH;
use crate::target::{Privacy, Target};

/// Hand out the material of a version, if the key is exportable
///
/// From then on it is as safe as you keep it; disabling or destroying the version here does not take it back.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key's name
    name: String,
    /// The version's number; otherwise the newest
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    /// Where to write to, readable by its owner only; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = DASH)]
    output: PathBuf,
    /// Replace the file that is written to, if it exists
    #[arg(long)]
    force: bool,
    /// How to write it: `hex`, `base64`, or `raw`
    #[arg(long, default_value_t = Encoding::Hex)]
    encoding: Encoding,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let key = project.key(&args.name)?;
    let number = match args.version {
        Some(number) => number,
        None => key.info().await?.newest,
    };
    let material = project.keyring().export_version(key.name(), number).await.map_err(super::failed)?;
    let mut target = Target::create(&args.output, args.force, Privacy::Secret)?;
    let line_end: &[u8] = if args.encoding == Encoding::Raw { b"" } else { b"\n" };
    let written = target.write_all(&args.encoding.encode(material.expose())).and_then(|()| target.write_all(line_end));
    written.map_err(|error| target.failure(&error))?;
    let to_stdout = target.is_stdout();
    target.finish()?;
    let record = json!({ "key": key.name().as_str(), "version": number, "output": args.output.to_string_lossy() });
    if to_stdout {
        desk.output.done_beside_data(&record);
        return Ok(());
    }
    desk.output
        .done(&record, || format!("exported version {number} of key {} to {}", key.name(), args.output.display()))
}
