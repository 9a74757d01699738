use std::path::PathBuf;
use std::time::Duration;

use bulla::{Lifetime, PutOptions};
use serde_json::json;

use super::{Desk, NamespaceArg};
use crate::duration;
use crate::failure::Result;
use crate::input::Input;
use crate::progress::Progress;

/// Put a value, unless it is there already, and write its name to standard output
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The value; `-`, or none, is standard input
    file: Option<PathBuf>,
    #[command(flatten)]
    namespace: NamespaceArg,
    /// How long the value is to live at least: seconds, or `12h`, `30d`
    #[arg(long, value_name = "TIME", value_parser = duration::parse_or_seconds)]
    ttl: Option<Duration>,
    /// What the value is, `text/plain` say
    #[arg(long, value_name = "TYPE")]
    media_type: Option<String>,
    /// Encrypt the value in whatever mode the namespace is, and keep it out of memory tiers
    #[arg(long)]
    sensitive: bool,
}

pub(super) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let namespace = desk.namespace(&args.namespace).await?;
    let options = PutOptions {
        lifetime: args.ttl.map_or(Lifetime::Inherited, Lifetime::For),
        media_type: args.media_type.clone(),
        sensitive: args.sensitive,
        ..PutOptions::default()
    };
    let input = Input::open(args.file.as_deref())?;
    let progress = Progress::over(&desk.output, "putting", input.len());
    let mut writer = namespace.content_writer(&options).map_err(bulla::Error::from)?;
    let len = input.put(async |piece| writer.write(piece).await, &progress).await?;
    let name = writer.finish().await.map_err(bulla::Error::from)?;
    drop(progress);
    let record = json!({ "name": name.to_string(), "namespace": namespace.name().as_str(), "bytes": len });
    desk.output.result(&record, || name.to_string())
}
