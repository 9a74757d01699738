use std::path::PathBuf;

use bulla::{Algorithm, Encoding, KeySource};

use super::settings::SettingsArgs;
use crate::commands::Desk;
use crate::failure::{Failure, Result};
use crate::input::Input;

/// Make a key, with a first version
///
/// Its material is drawn at random, unless it is brought from outside. Algorithms to seal with are `aes256-gcm`, `chacha20-poly1305`, `aes256-det`, which
/// seals equal messages to equal bytes, and `xwing`, with a public key that anybody can seal to. Those to sign with are `hmac-sha256`, `ed25519`,
/// `ecdsa-p256` and `ml-dsa-65`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key's name: letters, digits, `.`, `_` and `-`, in segments joined by `/`
    name: String,
    /// What the key does
    #[arg(long, default_value_t)]
    algorithm: Algorithm,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Bring the material from outside: a file, or `-` for standard input. `key import` brings the next version
    #[arg(long, value_name = "FILE", conflicts_with = "source")]
    external: Option<PathBuf>,
    /// How that material is written: `hex`, `base64`, or `raw`
    #[arg(long, value_name = "ENCODING", default_value_t = Encoding::Hex, requires = "external")]
    encoding: Encoding,
    /// Where this machine fetches the material from: `env:NAME`, `file:PATH`, `command:PROGRAM ARGUMENT…` or `vault:PATH#FIELD`, with `hex:` or
    /// `base64:` before it where it is written so. Kept in the table `[sources]` of the settings file
    #[arg(long, value_name = "SPEC")]
    source: Option<KeySource>,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let settings = args.settings.settings();
    let project = desk.project().await?;
    let key = match (&args.external, &args.source) {
        (Some(path), _) => {
            let key = project.key(&args.name)?;
            let material = Input::open(Some(path))?.material(args.encoding)?;
            project
                .keyring()
                .create_external_key(key.name(), args.algorithm, &settings, &material)
                .await
                .map_err(super::failed)?;
            key
        }
        (None, Some(source)) => {
            // Written down once, and used from any folder below.
            let folder = std::env::current_dir().map_err(|error| Failure::file("find", ".".as_ref(), &error))?;
            let source = source.clone().within(&folder);
            project.create_sourced_key(&args.name, args.algorithm, &settings, &source).await?
        }
        (None, None) => project.create_key_with(&args.name, args.algorithm, &settings).await?,
    };
    let info = key.info().await?;
    desk.output.done(&super::record(&info), || format!("made key {}, {}", info.name, info.algorithm))
}
