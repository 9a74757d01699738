use serde_json::json;

use super::{Desk, NamespaceArg};
use crate::failure::Result;
use crate::names;

/// List the tags of a namespace, and how many entries have each
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    namespace: NamespaceArg,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let namespace = desk.namespace(&args.namespace).await?;
    for (tag, entries) in namespace.tags().await.map_err(bulla::Error::from)? {
        let record = json!({ "tag": tag, "entries": entries });
        desk.output.result(&record, || format!("{entries}\t{}", names::shown(tag.as_bytes())))?;
    }
    Ok(())
}
