use std::path::PathBuf;

use bulla::{Algorithm, Encoding};
use serde_json::json;

use crate::commands::Desk;
use crate::failure::{Exit, Failure, Result};
use crate::input::Input;

/// Verify a signature, or an HMAC, of a file or of what comes through a pipe
///
/// Ends with exit code 0 if it is this key's, and with 4 if it is not.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key's name
    name: String,
    /// What was signed; `-`, or none, is standard input
    file: Option<PathBuf>,
    /// The signature
    #[arg(long, value_name = "TEXT", required_unless_present = "signature_file", conflicts_with = "signature_file")]
    signature: Option<String>,
    /// The file that holds the signature
    #[arg(long, value_name = "FILE")]
    signature_file: Option<PathBuf>,
    /// How the signature is written: `base64`, `hex`, or `raw`
    #[arg(long, default_value_t = Encoding::Base64)]
    encoding: Encoding,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let key = project.key(&args.name)?;
    let signature = match (&args.signature, &args.signature_file) {
        (Some(text), _) => args.encoding.decode(text.as_bytes()),
        (None, path) => args.encoding.decode(&Input::open(path.as_deref())?.message()?),
    };
    let signature = signature.map_err(|error| Failure::usage(format!("the signature cannot be read: {error}")))?;
    let message = Input::open(args.file.as_deref())?.message()?;
    let verifies = match key.info().await?.algorithm {
        Algorithm::HmacSha256 => key.verify_hmac(&message, signature.expose()).await?,
        _ => key.verify(&message, signature.expose()).await?,
    };
    if verifies {
        let record = json!({ "key": key.name().as_str(), "verifies": true });
        return desk.output.done(&record, || format!("it is a signature of key {}", key.name()));
    }
    let message = format!("it is no signature of key `{}` over this message", key.name());
    Err(Failure::new(Exit::Refused, "bad_signature", message))
}
