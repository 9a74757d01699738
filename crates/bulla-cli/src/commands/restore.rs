use std::path::PathBuf;

use bulla::{
    BackendUrl, BackupInfo, MachineName, Project, RecoveryWords, RestoreAs, RestoreCounts, RestoreEvent,
    RestoreOptions, Settings, WalkEvent,
};
use serde_json::{Value, json};

use super::Desk;
use super::backup::contents;
use super::recover::read_words;
use crate::failure::{Exit, Failure, Result};
use crate::names::moment;
use crate::output::Output;
use crate::pace::{Pace, RateArg};
use crate::progress::Progress;

/// Restore a project from a backup: machines, trust log and keys, and the entries of the store that are in it
///
/// The settings must name the project, as `bulla config init --project ID --backend URL` writes them, and the backend must hold no project. All
/// of the backup is verified first. A restore that was interrupted is completed by the same command; until then there is no project. Entries that
/// are there, and are not as in the backup, stay.
///
/// What was done since the backup was made is undone: machines that were put out since are in again, and what was sealed since under new
/// versions of keys does not open. Machines that have seen more refuse to work until an authoriser accepts the restore, with
/// `--accept-rollback` or later with `bulla accept-rollback`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The backup
    file: PathBuf,
    /// Verify the backup, and restore nothing
    #[arg(long, conflicts_with_all = ["accept_rollback", "name"])]
    check: bool,
    /// Restore the entries only, into the project that is there: what is missing comes back, what is there stays
    #[arg(long, conflicts_with_all = ["check", "accept_rollback", "recovery"])]
    entries_only: bool,
    /// Replace entries that are there, and are not as in the backup
    #[arg(long, conflicts_with = "check")]
    overwrite: bool,
    /// Accept that the trust log goes back, on behalf of all machines; this machine must be one that may let others in
    #[arg(long)]
    accept_rollback: bool,
    /// Open the backup with the 24 recovery words, and let this machine in; they are read from a file, or from standard input
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    recovery: Option<PathBuf>,
    /// What this machine is to be called, with `--recovery`; its name in the network, if not given
    #[arg(long, value_name = "NAME", requires = "recovery")]
    name: Option<MachineName>,
    #[command(flatten)]
    rate: RateArg,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let settings = desk.global.settings().load()?;
    if settings.project().get().is_none() {
        return Err(unnamed(args)?);
    }
    let words = args.recovery.as_deref().map(|path| read_words(Some(path), desk)).transpose()?;
    if args.entries_only {
        restore_entries(args, desk).await
    } else if args.check {
        check(args, &settings, words.as_ref(), desk).await
    } else {
        restore(args, &settings, words.as_ref(), desk).await
    }
}

async fn check(args: &Args, settings: &Settings, words: Option<&RecoveryWords>, desk: &Desk) -> Result<()> {
    let mut telling = Telling::new(args, desk);
    let read = Project::read_backup(settings, &args.file, restore_as(words), &mut |event| telling.hear(&event)).await;
    let backup = named(read)?;
    drop(telling);
    let damaged: Vec<_> = backup.damaged().iter().map(ToString::to_string).collect();
    let record = record(backup.info(), &damaged);
    desk.output.done(&record, || format!("verified {}{}", described(backup.info()), warnings(&damaged)))?;
    end(&damaged)
}

async fn restore(args: &Args, settings: &Settings, words: Option<&RecoveryWords>, desk: &Desk) -> Result<()> {
    if settings.backend().get() == &BackendUrl::Memory {
        return Err(Failure::usage("a project in memory would be gone with this command")
            .with_hint("name a folder with `--backend sqlite:FOLDER`"));
    }
    let options = RestoreOptions { overwrite: args.overwrite };
    let mut telling = Telling::new(args, desk);
    let tell = &mut |event: RestoreEvent<'_>| telling.hear(&event);
    let restored = named(Project::restore(settings, &args.file, restore_as(words), &options, tell).await)?;
    drop(telling);
    let mut went_back = restored.went_back;
    if went_back && args.accept_rollback {
        Project::accept_rollback(settings.clone(), words).await?;
        went_back = false;
    }
    match words {
        _ if went_back => {}
        Some(words) => drop(Project::recover(settings.clone(), words, args.name.clone()).await?),
        // It opens here and now, and is remembered.
        None => drop(Project::open(settings.clone()).await?),
    }

    let damaged: Vec<_> = restored.damaged.iter().map(ToString::to_string).collect();
    let mut record = record(&restored.backup, &damaged);
    record["resumed"] = restored.resumed.into();
    record["refused_by_this_machine"] = went_back.into();
    record["entries"] = entries_record(restored.entries);
    desk.output.done(&record, || {
        let entries = entries_text(restored.entries);
        let mut text = format!("restored {}{entries}{}", described(&restored.backup), warnings(&damaged));
        if went_back {
            text.push_str(
                "\nthis machine has seen more of the trust log than was restored, and works again once a machine that may let others in \
                 has accepted it: `bulla accept-rollback`",
            );
        }
        text.push_str("\ncompare `bulla list` with the machines that there should be: who was put out since is in again");
        text
    })?;
    end(&damaged)?;
    end_of_entries(restored.entries)
}

async fn restore_entries(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let options = RestoreOptions { overwrite: args.overwrite };
    let mut telling = Telling::new(args, desk);
    let tell = &mut |event: RestoreEvent<'_>| telling.hear(&event);
    let (backup, entries) = named(project.restore_entries(&args.file, &options, tell).await)?;
    drop(telling);
    if entries.is_none() {
        let message = format!("`{}` has no entries: it was made without them", args.file.display());
        return Err(Failure::new(Exit::NotFound, "no_entries", message));
    }
    let mut record = record(&backup, &[]);
    record["entries"] = entries_record(entries);
    desk.output.done(&record, || format!("restored the entries of backup {}{}", backup.id, entries_text(entries)))?;
    end_of_entries(entries)
}

/// Hears how far a restoring is.
struct Telling {
    progress: Progress,
    pace: Pace,
    output: Output,
}

impl Telling {
    fn new(args: &Args, desk: &Desk) -> Self {
        Self { progress: Progress::counting(&desk.output), pace: Pace::new(&args.rate), output: desk.output }
    }

    fn hear(&mut self, event: &RestoreEvent<'_>) {
        match event {
            RestoreEvent::Verified(bytes) => self.progress.say(|| format!("verifying: {} MiB", bytes >> 20)),
            RestoreEvent::Entries(WalkEvent::Progress(counts)) => {
                self.pace.wait(counts.bytes);
                let entries = counts.restored + counts.equal + counts.kept;
                self.progress.say(|| format!("restoring: {entries} entries, {} MiB", counts.bytes >> 20));
            }
            RestoreEvent::Entries(WalkEvent::Found(finding)) => self.output.note(|| finding.to_string()),
            RestoreEvent::Trust(made) => {
                self.progress.say(|| format!("restoring: {} of {} documents", made.done, made.total));
            }
            _ => {}
        }
    }
}

fn restore_as(words: Option<&RecoveryWords>) -> RestoreAs<'_> {
    words.map_or(RestoreAs::Machine, RestoreAs::Recovery)
}

/// Tells a file that is not there from one that cannot be read.
fn named<T>(read: bulla::Result<T>) -> Result<T> {
    read.map_err(|error| match error {
        bulla::Error::File { operation, path, source } => Failure::file(operation, &path, &source),
        error => error.into(),
    })
}

fn record(backup: &BackupInfo, damaged: &[String]) -> Value {
    json!({
        "backup": backup.id.to_string(),
        "project": backup.project.to_string(),
        "time": moment(backup.time),
        "author": backup.author.to_string(),
        "machines": backup.machines.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "documents": backup.documents,
        "contents": backup.store.map(|store| json!({
            "entries": store.entries,
            "blobs": store.blobs,
            "bytes": store.bytes,
        })),
        "trust_log": { "length": backup.log_length, "head": backup.head.to_string() },
        "damaged": damaged,
    })
}

fn described(backup: &BackupInfo) -> String {
    format!(
        "{}, as they were at {}\n  project     {}\n  backup      {}\n  made by     {}\n  opened by   any one of {} machines\n  \
         trust log   {} records, head {}",
        contents(backup),
        moment(backup.time),
        backup.project,
        backup.id,
        backup.author,
        backup.machines.len(),
        backup.log_length,
        backup.head,
    )
}

fn entries_record(entries: Option<RestoreCounts>) -> Value {
    entries.map_or(Value::Null, |counts| {
        json!({
            "restored": counts.restored,
            "equal": counts.equal,
            "kept": counts.kept,
            "refused": counts.refused,
            "blobs": counts.blobs,
        })
    })
}

fn entries_text(entries: Option<RestoreCounts>) -> String {
    match entries {
        None => "\n  entries     none are in it".to_owned(),
        Some(counts) => {
            let mut text = format!("\n  entries     {} restored", counts.restored);
            for (count, what) in [
                (counts.equal, "were there"),
                (counts.kept, "are there otherwise and stay (`--overwrite` replaces them)"),
                (counts.refused, "are refused"),
            ] {
                if count > 0 {
                    text.push_str(&format!(", {count} {what}"));
                }
            }
            text
        }
    }
}

/// Says at the end what could not be put where it was.
fn end_of_entries(entries: Option<RestoreCounts>) -> Result<()> {
    match entries.map_or(0, |counts| counts.refused) {
        0 => Ok(()),
        count => {
            let message =
                format!("{count} entries cannot lie where they lay: their namespaces blind names otherwise now");
            Err(Failure::new(Exit::Damage, "damage", message)
                .with_hint("restore into an empty place, and `bulla export` them from there"))
        }
    }
}

fn warnings(damaged: &[String]) -> String {
    damaged.iter().map(|row| format!("\nwarning: {row}")).collect()
}

/// Says at the end what no backup can make good.
fn end(damaged: &[String]) -> Result<()> {
    match damaged.len() {
        0 => Ok(()),
        count => {
            let message =
                format!("{count} rows of keys were damaged when the backup was made; all others are as they should be");
            Err(Failure::new(Exit::Damage, "damage", message)
                .with_hint("look for them in an older backup; what is listed as damaged is not used"))
        }
    }
}

/// Says which project the backup is of, for those who know that it is theirs.
fn unnamed(args: &Args) -> Result<Failure> {
    let header = named(bulla::read_backup_header(&args.file))?;
    let message = "the settings name no project, and a backup alone does not prove that it is of yours";
    Ok(Failure::new(Exit::NotFound, "no_project", message).with_hint(format!(
        "the backup says that it is of project {}, made at {}; if you know that id from where the project was made, \
         `bulla config init --project {} --backend URL`",
        header.project,
        moment(header.time),
        header.project
    )))
}
