use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use bulla::{EntryQuery, ListedEntry};
use serde_json::{Map, json};

use super::{Desk, NamespaceArg};
use crate::failure::{Exit, Failure, Result};
use crate::names;

/// List the entries of the store
///
/// A damaged entry is named on standard error, hides no other, and makes the exit code 7.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only names that begin so
    #[arg(default_value = "")]
    prefix: OsString,
    /// Show version, length, expiry and media type too
    #[arg(short, long)]
    long: bool,
    /// End each name with a zero byte, and escape nothing
    #[arg(short = '0', long, conflicts_with = "long")]
    null: bool,
    #[command(flatten)]
    namespace: NamespaceArg,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let namespace = desk.namespace(&args.namespace).await?;
    let mut query = EntryQuery { prefix: args.prefix.as_bytes().to_vec(), ..EntryQuery::default() };
    let mut damaged = 0_u64;
    loop {
        let page = namespace.list(&query).await.map_err(bulla::Error::from)?;
        for entry in page.entries {
            damaged += u64::from(entry.stat.is_err());
            show(entry, args, desk)?;
        }
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    match damaged {
        0 => Ok(()),
        _ => Err(Failure::new(Exit::Damage, "damage", format!("{damaged} entries are damaged"))
            .with_hint("`bulla check` looks at everything")),
    }
}

fn show(entry: ListedEntry, args: &Args, desk: &Desk) -> Result<()> {
    let name = entry.name.as_bytes();
    let mut record = Map::new();
    names::record(&mut record, name);
    let stat = match entry.stat {
        Ok(stat) => stat,
        Err(error) => {
            desk.output.note(|| error.to_string());
            if desk.output.json() {
                let failure = Failure::from(bulla::Error::from(error));
                record.insert("error".to_owned(), failure.to_json());
                return desk.output.result(&record.into(), String::new);
            }
            return Ok(());
        }
    };
    if args.null && !desk.output.json() {
        return desk.output.bytes(&[name, b"\0"].concat());
    }
    names::record_stat(&mut record, &stat);
    desk.output.result(&json!(record), || {
        if !args.long {
            return names::shown(name);
        }
        let expires = stat.expires.map_or_else(|| "-".to_owned(), names::moment);
        let media_type = stat.media_type.as_deref().unwrap_or("-");
        format!("{:>6} {:>12} {:>20} {media_type} {}", stat.version, stat.len, expires, names::shown(name))
    })
}
