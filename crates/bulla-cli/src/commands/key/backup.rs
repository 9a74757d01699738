use std::io::Write;
use std::path::PathBuf;

use serde_json::json;

use crate::commands::Desk;
use crate::failure::Result;
use crate::input::DASH;
use crate::target::{Privacy, Target};

/// Back up one key with all of its versions, sealed so that only this project opens it
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key's name
    name: String,
    /// Where to write to; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = DASH)]
    output: PathBuf,
    /// Replace the file that is written to, if it exists
    #[arg(long)]
    force: bool,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let key = project.key(&args.name)?;
    let backup = project.keyring().backup_key(key.name()).await.map_err(super::failed)?;
    let mut target = Target::create(&args.output, args.force, Privacy::Sealed)?;
    target.write_all(&backup).map_err(|error| target.failure(&error))?;
    let to_stdout = target.is_stdout();
    target.finish()?;
    let record = json!({ "key": key.name().as_str(), "bytes": backup.len(), "output": args.output.to_string_lossy() });
    if to_stdout {
        desk.output.done_beside_data(&record);
        return Ok(());
    }
    desk.output.done(&record, || format!("backed up key {} to {}", key.name(), args.output.display()))
}
