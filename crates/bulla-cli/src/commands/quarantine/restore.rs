use serde_json::{Map, json};

use super::parse_id;
use crate::commands::{Desk, NamespaceArg};
use crate::failure::Result;
use crate::names;

/// Put an entry back from quarantine, if it verifies now
///
/// As it does once a lost key, or a lost blob, is back. Nothing is put over an entry that is there.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The id of the record
    id: String,
    #[command(flatten)]
    namespace: NamespaceArg,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let id = parse_id(&args.id)?;
    let namespace = desk.namespace(&args.namespace).await?;
    let place = namespace.restore_quarantined(&id).await.map_err(bulla::Error::from)?;
    let mut record = Map::new();
    names::record(&mut record, place.name.as_bytes());
    record.insert("namespace".to_owned(), json!(namespace.name().as_str()));
    desk.output.done(&record.into(), || format!("put back {}", names::shown(place.name.as_bytes())))
}
