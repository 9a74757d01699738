use bulla::Encoding;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::commands::Desk;
use crate::context::ContextArgs;
use crate::failure::{Failure, Result};

/// Draw a key for use elsewhere, or open one
///
/// Prints it twice: as it is, to be used and forgotten, and sealed under the named key, to be kept. `--open` gives back the first from the second.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The name of the key to seal it under
    name: String,
    /// Open this sealed key, and print it as it is
    #[arg(long, value_name = "BASE64", conflicts_with = "sealed_only")]
    open: Option<String>,
    /// Print only the sealed key: for those who make keys that they are not to see
    #[arg(long)]
    sealed_only: bool,
    #[command(flatten)]
    context: ContextArgs,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let key = project.key(&args.name)?;
    let context = args.context.build(&project)?;
    if let Some(sealed) = &args.open {
        let sealed = Encoding::Base64.decode(sealed.as_bytes());
        let sealed = sealed.map_err(|error| Failure::usage(format!("the sealed key cannot be read: {error}")))?;
        let plain = key.open_data_key(&context, sealed.expose()).await?;
        let plain = text(&Encoding::Base64.encode(plain.expose()));
        return desk.output.result(&json!({ "plain": plain.as_str() }), || plain.to_string());
    }
    let data_key = key.data_key(&context).await?;
    let sealed = text(&Encoding::Base64.encode(&data_key.wrapped));
    if args.sealed_only {
        return desk.output.result(&json!({ "sealed": sealed.as_str() }), || sealed.to_string());
    }
    let plain = text(&Encoding::Base64.encode(data_key.plain.expose()));
    let record: Value = json!({ "plain": plain.as_str(), "sealed": sealed.as_str() });
    desk.output.result(&record, || format!("plain   {}\nsealed  {}", *plain, *sealed))
}

fn text(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(String::from_utf8_lossy(bytes).into_owned())
}
