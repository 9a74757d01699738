use bulla::{Budget, Usage};
use serde_json::json;

use super::{Desk, NamespaceArg};
use crate::failure::Result;

/// Evict entries of a namespace by its policy, until no more is left than asked for
///
/// What has expired goes first. Puts evict by themselves what passes the limit: this is for making room at a time of one's own choice,
/// or after a limit was lowered. Without an option, nine tenths of the limit are left.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    namespace: NamespaceArg,
    /// Leave at most so many entries
    #[arg(long, value_name = "N")]
    to_entries: Option<u64>,
    /// Leave at most so many bytes, as the storage counts them
    #[arg(long, value_name = "BYTES")]
    to_bytes: Option<u64>,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let namespace = desk.namespace(&args.namespace).await?;
    let keep = (args.to_entries.is_some() || args.to_bytes.is_some())
        .then(|| Usage { documents: args.to_entries.unwrap_or(u64::MAX), bytes: args.to_bytes.unwrap_or(u64::MAX) });
    let counts = namespace.evict(keep, &Budget::UNLIMITED).await.map_err(bulla::Error::from)?;
    let usage = namespace.usage().await.map_err(bulla::Error::from)?.unwrap_or_default();
    let record = json!({
        "namespace": namespace.name().as_str(),
        "evicted": counts.evicted,
        "expired": counts.expired,
        "entries": usage.documents,
        "bytes": usage.bytes,
    });
    desk.output.done(&record, || {
        format!(
            "evicted {} entries, and {} that had expired; {} entries are left, {} bytes",
            counts.evicted, counts.expired, usage.documents, usage.bytes
        )
    })
}
