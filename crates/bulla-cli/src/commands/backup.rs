use std::io;
use std::path::PathBuf;

use serde_json::json;

use super::Desk;
use crate::failure::{Failure, Result};
use crate::progress::Progress;

/// Back up the project's machines, trust log and keys to a file
///
/// The backup is sealed to every machine that is in, and to the recovery words: any one of them can restore it, even if all others are lost. It
/// appears whole or not at all, and others may go on working meanwhile. The entries of the store (`bulla put`) are not part of it: copy their
/// database and blobs by other means. A machine that is put out later can still open the backup: keep few, and delete old ones.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to write to; must not exist yet
    file: PathBuf,
    /// Replace the file, if it exists
    #[arg(long)]
    force: bool,
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
    let progress = Progress::counting(&desk.output);
    let written = project.back_up(&args.file, args.force, |documents| {
        progress.say(|| format!("backing up: {documents} documents"));
    });
    let info = match written.await {
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
        "trust_log": { "length": info.log_length, "head": info.head.to_string() },
    });
    desk.output.done(&record, || {
        format!(
            "backed up {} documents to {}\n  backup      {}\n  opened by   any one of {} machines\n  not in it   entries of the store",
            info.documents,
            args.file.display(),
            info.id,
            info.machines.len(),
        )
    })
}
