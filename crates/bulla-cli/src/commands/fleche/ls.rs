use std::path::PathBuf;

use bulla::{FlecheDirectory, FlecheStat};
use serde_json::json;

use crate::commands::Desk;
use crate::failure::{Exit, Failure, Result};

/// List the files of a directory; nothing is verified
///
/// What is there and is no file of fleche is named on standard error, hides no other, and makes the exit code 7.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory
    directory: PathBuf,
    /// Show length, kind, and whether a file is signed and gzipped too
    #[arg(short, long)]
    long: bool,
}

pub(crate) fn run(args: &Args, desk: &Desk) -> Result<()> {
    let directory = FlecheDirectory::open(&args.directory, None)?;
    let listing = directory.list()?;
    let mut odd = 0_u64;
    let mut refuse = |name: &str, failure: &Failure| {
        odd += 1;
        desk.output.note(|| failure.message().to_owned());
        let record = json!({ "name": name, "error": failure.to_json() });
        if desk.output.json() { desk.output.result(&record, String::new) } else { Ok(()) }
    };
    for name in &listing.others {
        let name = name.to_string_lossy();
        let message = format!("`{}` is left alone: it is no name of a file of fleche", name.escape_debug());
        refuse(&name, &Failure::new(Exit::Refused, "not_a_digest", message))?;
    }
    for name in listing.names {
        if !args.long && !desk.output.json() {
            desk.output.bytes(format!("{name}\n").as_bytes())?;
            continue;
        }
        match directory.stat(&name) {
            Ok(FlecheStat { len, kind, signed, gzipped, .. }) => {
                let record = json!({
                    "name": name.to_string(), "bytes": len, "kind": kind.name(), "signed": signed, "gzipped": gzipped,
                });
                desk.output.result(&record, || {
                    let (signed, gzipped) =
                        (if signed { "signed" } else { "unsigned" }, if gzipped { "gzip" } else { "-" });
                    format!("{len:>12} {:<5} {signed:<8} {gzipped:<4} {name}", kind.name())
                })?;
            }
            Err(error) => refuse(&name.to_string(), &error.into())?,
        }
    }
    match odd {
        0 => Ok(()),
        _ => Err(Failure::new(Exit::Damage, "damage", format!("{odd} of what is there are no files of fleche"))),
    }
}
