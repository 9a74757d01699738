use std::path::PathBuf;

use bulla::Encoding;

use crate::commands::Desk;
use crate::failure::Result;
use crate::input::Input;

/// Sign a file, or what comes through a pipe, and print the signature
///
/// Its first eight bytes say which version made it; the rest is what any program that has the public key verifies.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key's name
    name: String,
    /// What to sign; `-`, or none, is standard input
    file: Option<PathBuf>,
    /// How to write the signature: `base64`, `hex`, or `raw`
    #[arg(long, default_value_t = Encoding::Base64)]
    encoding: Encoding,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let key = project.key(&args.name)?;
    let message = Input::open(args.file.as_deref())?.message()?;
    let signature = key.sign(&message).await?;
    desk.output.encoded(&signature, "signature", args.encoding)
}
