use std::path::PathBuf;

use bulla::{BackendUrl, BackupInfo, MachineName, Project, RecoveryWords, RestoreAs, Settings};
use serde_json::{Value, json};

use super::Desk;
use super::recover::read_words;
use crate::failure::{Exit, Failure, Result};
use crate::names::moment;
use crate::progress::Progress;

/// Restore the project's machines, trust log and keys from a backup
///
/// The settings must name the project, as `bulla config init --project ID --backend URL` writes them, and the backend must be empty. All of
/// the backup is verified first. A restore that was interrupted is completed by the same command; until then there is no project.
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
    /// Accept that the trust log goes back, on behalf of all machines; this machine must be one that may let others in
    #[arg(long)]
    accept_rollback: bool,
    /// Open the backup with the 24 recovery words, and let this machine in; they are read from a file, or from standard input
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    recovery: Option<PathBuf>,
    /// What this machine is to be called, with `--recovery`; its name in the network, if not given
    #[arg(long, value_name = "NAME", requires = "recovery")]
    name: Option<MachineName>,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let settings = desk.global.settings().load()?;
    if settings.project().get().is_none() {
        return Err(unnamed(args)?);
    }
    let words = args.recovery.as_deref().map(|path| read_words(Some(path), desk)).transpose()?;
    if args.check {
        check(args, &settings, words.as_ref(), desk).await
    } else {
        restore(args, &settings, words.as_ref(), desk).await
    }
}

async fn check(args: &Args, settings: &Settings, words: Option<&RecoveryWords>, desk: &Desk) -> Result<()> {
    let backup = named(Project::read_backup(settings, &args.file, restore_as(words)).await)?;
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
    let progress = Progress::counting(&desk.output);
    let restored = Project::restore(settings, &args.file, restore_as(words), |made| {
        progress.say(|| format!("restoring: {} of {} documents", made.done, made.total));
    });
    let restored = named(restored.await)?;
    drop(progress);
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
    desk.output.done(&record, || {
        let mut text = format!("restored {}{}", described(&restored.backup), warnings(&damaged));
        if went_back {
            text.push_str(
                "\nthis machine has seen more of the trust log than was restored, and works again once a machine that may let others in \
                 has accepted it: `bulla accept-rollback`",
            );
        }
        text.push_str("\ncompare `bulla list` with the machines that there should be: who was put out since is in again");
        text
    })?;
    end(&damaged)
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
        "trust_log": { "length": backup.log_length, "head": backup.head.to_string() },
        "damaged": damaged,
    })
}

fn described(backup: &BackupInfo) -> String {
    format!(
        "{} documents, as they were at {}\n  project     {}\n  backup      {}\n  made by     {}\n  opened by   any one of {} machines\n  \
         trust log   {} records, head {}",
        backup.documents,
        moment(backup.time),
        backup.project,
        backup.id,
        backup.author,
        backup.machines.len(),
        backup.log_length,
        backup.head,
    )
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
