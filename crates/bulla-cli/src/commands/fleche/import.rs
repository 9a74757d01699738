use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use bulla::{FlecheImport, WalkEvent};
use serde_json::json;

use super::{KeyArgs, digest_unless, show};
use crate::commands::{Desk, NamespaceArg};
use crate::failure::{Exit, Failure, Result};
use crate::progress::Progress;

/// Put every payload of a directory that verifies into the store, bound to its name
///
/// Run again, it goes on where it was stopped: what is there already is compared, and left alone. The directory is not changed. Findings go to standard
/// output; there being any makes the exit code 7.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory
    directory: PathBuf,
    #[command(flatten)]
    namespace: NamespaceArg,
    /// What the names of the entries begin with, before the 64 hex digits
    #[arg(long, default_value = "")]
    prefix: OsString,
    /// A tag beside `fleche` and `fleche:value` or `fleche:call`. May be given several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Replace entries that have another value than the file; they get a new version
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    keys: KeyArgs,
    /// Do not compare names with what payloads say: for directories in which fleche was made to compute names otherwise
    #[arg(long)]
    skip_names: bool,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let directory = args.keys.open(&args.directory, desk).await?;
    let namespace = desk.namespace(&args.namespace).await?;
    let options =
        FlecheImport { prefix: args.prefix.as_bytes().to_vec(), tags: args.tags.clone(), replace: args.replace };
    let progress = Progress::over(&desk.output, "importing", None);
    let (mut seen, mut told) = (0, Ok(()));
    let mut digest = digest_unless(args.skip_names);
    let counts = directory
        .import(&namespace, &options, &mut digest, &mut |event| match event {
            WalkEvent::Progress(counts) => {
                progress.advance(usize::try_from(counts.bytes.saturating_sub(seen)).unwrap_or(usize::MAX));
                seen = counts.bytes;
            }
            WalkEvent::Found(finding) if told.is_ok() => told = show(&finding, desk),
            _ => {}
        })
        .await?;
    told?;
    drop(progress);
    let record = json!({
        "namespace": namespace.name().as_str(), "imported": counts.imported, "names_verified": counts.names,
        "present": counts.present, "bytes": counts.bytes, "refused": counts.refused,
    });
    desk.output.done(&record, || {
        format!("imported {} files, {} bytes; {} were there already", counts.imported, counts.bytes, counts.present)
    })?;
    match counts.refused {
        0 => Ok(()),
        refused => Err(Failure::new(Exit::Damage, "damage", format!("{refused} files were not imported"))),
    }
}
