use std::io;
use std::path::PathBuf;

use bulla::{BackupEvent, BackupInfo, BackupOptions, WalkEvent};
use serde_json::json;

use super::Desk;
use crate::failure::{Exit, Failure, Result};
use crate::pace::{Pace, RateArg};
use crate::progress::Progress;

/// Back up the project to a file: its machines, trust log and keys, and all entries of the store
///
/// The backup is sealed to every machine that is in, and to the recovery words: any one of them can restore it, even if all others are lost. It
/// appears whole or not at all, and others may go on working meanwhile. A machine that is put out later can still open the backup: keep few, and
/// delete old ones.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to write to; must not exist yet
    file: PathBuf,
    /// Replace the file, if it exists
    #[arg(long)]
    force: bool,
    /// Leave the entries of the store out
    #[arg(long)]
    without_entries: bool,
    #[command(flatten)]
    rate: RateArg,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let exists = || {
        let error = io::ErrorKind::AlreadyExists.into();
        Failure::file("write", &args.file, &error).with_hint("`--force` replaces it")
    };
    if !args.force && args.file.symlink_metadata().is_ok() {
        return Err(exists());
    }
    let project = desk.project().await?;
    let options = BackupOptions { replace: args.force, without_entries: args.without_entries };
    let progress = Progress::counting(&desk.output);
    let pace = Pace::new(&args.rate);
    let mut refused = 0_u64;
    let written = project
        .back_up(&args.file, &options, &mut |event| match event {
            BackupEvent::Entries(WalkEvent::Progress(counts)) => {
                pace.wait(counts.bytes);
                progress.say(|| format!("backing up: {} entries, {} MiB", counts.entries, counts.bytes >> 20));
            }
            BackupEvent::Entries(WalkEvent::Found(finding)) => {
                refused += 1;
                desk.output.note(|| finding.to_string());
            }
            BackupEvent::Trust(documents) => progress.say(|| format!("backing up: {documents} documents")),
            _ => {}
        })
        .await;
    let info = match written {
        Err(bulla::Error::File { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => return Err(exists()),
        Err(bulla::Error::File { path, source, .. }) => return Err(Failure::file("write", &path, &source)),
        written => written?,
    };
    drop(progress);
    let record = json!({
        "backup": info.id.to_string(),
        "project": info.project.to_string(),
        "file": args.file.to_string_lossy(),
        "machines": info.machines.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "documents": info.documents,
        "entries": info.store.map(|store| store.entries),
        "blobs": info.store.map(|store| store.blobs),
        "bytes": info.store.map(|store| store.bytes),
        "refused": refused,
        "trust_log": { "length": info.log_length, "head": info.head.to_string() },
    });
    desk.output.done(&record, || {
        format!(
            "backed up {} to {}\n  backup      {}\n  opened by   any one of {} machines{}",
            contents(&info),
            args.file.display(),
            info.id,
            info.machines.len(),
            if info.store.is_none() { "\n  not in it   entries of the store" } else { "" },
        )
    })?;
    match refused {
        0 => Ok(()),
        _ => {
            let message =
                format!("{refused} entries are refused, or their values missing; they are in the backup as they are");
            Err(Failure::new(Exit::Damage, "damage", message)
                .with_hint("`bulla check` looks at everything; an older backup may have them whole"))
        }
    }
}

/// Says what is in a backup.
pub(crate) fn contents(backup: &BackupInfo) -> String {
    match backup.store {
        None => format!("{} documents", backup.documents),
        Some(store) => {
            format!("{} documents and {} entries of {} bytes", backup.documents, store.entries, store.bytes)
        }
    }
}
