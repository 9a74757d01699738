use bulla::{KeyInfo, KeyringError, Project};
use serde_json::json;

use super::Desk;
use crate::failure::{Exit, Failure, Result};
use crate::machines;
use crate::progress::Progress;

/// Verify that this machine opens the project, and everything that its keys are stored as
///
/// Verifies the whole trust log, this machine's own grant, its data keys, and each key with all of its versions. Changes nothing. What is
/// damaged goes to standard output, and makes the exit code 7; entries of the store are verified by `bulla check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: &Args, desk: &Desk) -> Result<()> {
    // Opening verifies the log from its root, the commitments of the data keys, and this machine's grant.
    let project = desk.project().await?;
    let keyring = project.keyring();
    let me = keyring.identity().fingerprint();
    let machine = project.machine().await?;

    let progress = Progress::counting(&desk.output);
    let mut found = Found { desk, epoch: keyring.epoch(), keys: 0, versions: 0, old: 0, damaged: 0 };
    let mut after = None;
    loop {
        let page = keyring.keys(after, 0).await.map_err(bulla::Error::from)?;
        for key in page.keys {
            match key {
                Ok(key) => found.key(&project, &key).await?,
                Err(error) => found.damage(error)?,
            }
            progress.say(|| format!("verifying: {} keys, {} versions", found.keys, found.versions));
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    drop(progress);

    let Found { epoch, keys, versions, old, damaged, .. } = found;
    let pin = project.pin();
    let record = json!({
        "machine": machines::record(me, &machine),
        "project": project.id().to_string(),
        "epoch": epoch,
        "trust_log": { "length": pin.length(), "head": pin.head().to_string() },
        "keys": keys,
        "versions": versions,
        "of_older_epochs": old,
        "damaged": damaged,
    });
    desk.output.result(&record, || {
        let lines = [
            format!("this machine is {} ({me})", machine.name),
            format!("it may {}", machines::may(machine.capability)),
            format!("trust log: {} records verified, epoch {epoch}", pin.length()),
            format!("keys: {keys} with {versions} versions verified"),
        ];
        lines.join("\n")
    })?;
    if old > 0 {
        desk.output.note(|| {
            format!("{old} keys were not renewed in epoch {epoch} yet; `bulla rotate --resume` completes that")
        });
    }
    match damaged {
        0 => Ok(()),
        _ => Err(Failure::new(Exit::Damage, "damage", format!("{damaged} rows of keys are damaged"))
            .with_hint("restore the newest copy of the database; what is listed as damaged is not used")),
    }
}

/// What was found so far.
struct Found<'a> {
    desk: &'a Desk,
    epoch: u64,
    keys: u64,
    versions: u64,
    /// Keys whose newest version is of an older epoch.
    old: u64,
    damaged: u64,
}

impl Found<'_> {
    async fn key(&mut self, project: &Project, key: &KeyInfo) -> Result<()> {
        self.keys += 1;
        let mut after = None;
        loop {
            let page = match project.keyring().versions(&key.name, after, 0).await {
                Ok(page) => page,
                Err(KeyringError::Backend(error)) => return Err(bulla::Error::from(error).into()),
                Err(error) => return self.damage(error),
            };
            for version in page.versions {
                match version {
                    Ok(version) => {
                        self.versions += 1;
                        self.old += u64::from(version.number == key.newest && version.epoch != self.epoch);
                    }
                    Err(error) => self.damage(error)?,
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn damage(&mut self, error: KeyringError) -> Result<()> {
        self.damaged += 1;
        let error = bulla::Error::from(error);
        let record = json!({ "finding": error.code(), "message": error.to_string() });
        self.desk.output.result(&record, || error.to_string())
    }
}
