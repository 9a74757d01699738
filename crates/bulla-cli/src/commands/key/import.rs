use std::path::PathBuf;

use bulla::Encoding;
use serde_json::json;

use crate::commands::Desk;
use crate::failure::Result;
use crate::input::Input;

/// Bring material from outside in, as the newest version of a key that was made for it (`key new --external` or `--source`)
///
/// Material that the key has already makes no version.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key's name
    name: String,
    /// The material; `-`, or none, is standard input
    file: Option<PathBuf>,
    /// How it is written: `hex`, `base64`, or `raw`
    #[arg(long, default_value_t = Encoding::Hex)]
    encoding: Encoding,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let key = project.key(&args.name)?;
    let material = Input::open(args.file.as_deref())?.material(args.encoding)?;
    let version = project.keyring().import_version(key.name(), &material).await.map_err(super::failed)?;
    let record = json!({ "key": key.name().as_str(), "version": version.number, "id": version.id.to_string() });
    desk.output.done(&record, || format!("the material is version {} of key {}", version.number, key.name()))
}
