use bulla::Algorithm;

use crate::commands::Desk;
use crate::failure::Result;

/// Make a key, with a first version
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key's name: letters, digits, `.`, `_` and `-`, in segments joined by `/`
    name: String,
    /// `aes256-gcm`, `chacha20-poly1305`, or `aes256-det`, which seals equal messages to equal bytes
    #[arg(long, default_value_t)]
    algorithm: Algorithm,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let key = project.key(&args.name)?;
    let info = project.keyring().create_key(key.name(), args.algorithm).await.map_err(bulla::Error::from)?;
    desk.output.done(&super::record(&info), || format!("made key {}, {}", info.name, info.algorithm))
}
