use std::path::PathBuf;

use bulla::{FlecheDirectory, FlecheError, MAX_FLECHE_LEN};
use serde_json::json;

use super::{KeyArgs, digest_unless, parse_name};
use crate::commands::Desk;
use crate::failure::Result;
use crate::input::Input;

/// Write a payload into a directory, signed by the first key, so that fleche reads it
///
/// Replaces what is there under the name. Once the command ended with exit code 0, the file survives a power cut.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory; made if it is missing
    directory: PathBuf,
    /// The name that fleche has for the payload: 64 hex digits
    name: String,
    /// The payload, a pickle; `-`, or none, is standard input
    file: Option<PathBuf>,
    /// Compress it
    #[arg(long)]
    gzip: bool,
    #[command(flatten)]
    keys: KeyArgs,
    /// Do not compare the name with what the payload says
    #[arg(long)]
    skip_names: bool,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let name = parse_name(&args.name)?;
    let keys = args.keys.keys(desk).await?;
    let payload = Input::open(args.file.as_deref())?.whole(usize::try_from(MAX_FLECHE_LEN).unwrap_or(usize::MAX))?;
    let directory = FlecheDirectory::create(&args.directory, keys)?;
    match digest_unless(args.skip_names)(&payload) {
        Some(digest) if digest != name => {
            return Err(FlecheError::WrongDigest { path: directory.path(&name), digest }.into());
        }
        _ => {}
    }
    directory.save(&name, &payload, args.gzip)?;
    let record = json!({ "name": name.to_string(), "bytes": payload.len(), "signed": !args.keys.unsigned });
    desk.output.done(&record, || format!("put {name}, {} bytes", payload.len()))
}
