use serde_json::{Map, json};

use crate::commands::{Desk, NamespaceArg};
use crate::failure::{Failure, Result};
use crate::names;

/// List what lies in the quarantine of a namespace
///
/// Each line has the id of a record, when it was found, what was wrong, how many bytes there were, and the entry's name.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    namespace: NamespaceArg,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let namespace = desk.namespace(&args.namespace).await?;
    let mut after = None;
    loop {
        let page = namespace.quarantine(after).await.map_err(bulla::Error::from)?;
        for found in page.records {
            let id = found.id.to_string();
            let mut line = Map::new();
            line.insert("id".to_owned(), json!(id));
            line.insert("namespace".to_owned(), json!(namespace.name().as_str()));
            match (found.record, found.place) {
                (Ok(record), Some(place)) => {
                    names::record(&mut line, place.name.as_bytes());
                    let len = record.cut_from.unwrap_or(record.document.len() as u64);
                    let at = names::moment(record.found);
                    line.extend([
                        ("found".to_owned(), json!(at)),
                        ("code".to_owned(), json!(record.code)),
                        ("bytes".to_owned(), json!(len)),
                        ("blob".to_owned(), json!(record.blob.map(|blob| blob.to_string()))),
                    ]);
                    let name = names::shown(place.name.as_bytes());
                    desk.output.result(&line.into(), || format!("{id} {at} {:<12} {len:>6} {name}", record.code))?;
                }
                (Err(error), _) => {
                    let failure = Failure::from(bulla::Error::from(error));
                    line.insert("error".to_owned(), failure.to_json());
                    desk.output.result(&line.into(), || format!("{id} is no record of this namespace"))?;
                }
                (Ok(_), None) => {}
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}
