use std::path::PathBuf;

use bulla::Encoding;

use crate::commands::Desk;
use crate::failure::Result;
use crate::input::Input;

/// Compute the HMAC of a file, or of what comes through a pipe, and print it
///
/// Its first eight bytes say which version made it. `bulla key verify` verifies it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key's name
    name: String,
    /// What to authenticate; `-`, or none, is standard input
    file: Option<PathBuf>,
    /// How to write the HMAC: `base64`, `hex`, or `raw`
    #[arg(long, default_value_t = Encoding::Base64)]
    encoding: Encoding,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let key = project.key(&args.name)?;
    let message = Input::open(args.file.as_deref())?.message()?;
    let tag = key.hmac(&message).await?;
    desk.output.encoded(&tag, "hmac", args.encoding)
}
