use serde_json::json;

use super::{HINT, all, parse_id};
use crate::commands::{Desk, NamespaceArg};
use crate::failure::{Exit, Failure, Result};

/// Destroy what lies in quarantine, for good
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The id of a record. Several may be given
    #[arg(required_unless_present = "all")]
    ids: Vec<String>,
    /// Everything in the quarantine of the namespace
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    #[command(flatten)]
    namespace: NamespaceArg,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let named = args.ids.iter().map(|id| parse_id(id)).collect::<Result<Vec<_>>>()?;
    let namespace = desk.namespace(&args.namespace).await?;
    let ids = if args.all { all(&namespace).await? } else { named };
    let mut removed = 0_u64;
    let mut missing = None;
    for id in ids {
        if namespace.remove_quarantined(&id).await.map_err(bulla::Error::from)? {
            removed += 1;
        } else if !args.all {
            missing = missing.or(Some(id));
        }
    }
    let record = json!({ "namespace": namespace.name().as_str(), "removed": removed });
    if removed > 0 || missing.is_none() {
        desk.output.done(&record, || format!("removed {removed} from quarantine"))?;
    }
    match missing {
        None => Ok(()),
        Some(id) => {
            let message = format!("there is no quarantine record {id} in namespace `{}`", namespace.name());
            Err(Failure::new(Exit::NotFound, "not_found", message).with_hint(HINT))
        }
    }
}
