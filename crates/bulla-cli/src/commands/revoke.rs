use bulla::{Fingerprint, KeyringError, MachineName, PendingAct, Project, RevokeOptions};
use serde_json::json;

use super::{Desk, rotate};
use crate::failure::Result;
use crate::{ask, machines};

/// Put a machine out
///
/// From then on it opens nothing here. By itself that rotates nothing, and scrubs nothing from the machine: what it has read, it keeps, and
/// with the data key that it holds it can open copies of the backend made until now. `--rotate` sees to it that nothing sealed from now on
/// can be opened so.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The machine: its friendly name, or the beginning of its fingerprint
    machine: String,
    /// Also put out every machine that it let in, and those that they let in
    #[arg(long)]
    cascade: bool,
    /// Rotate the data key and every key
    #[arg(long)]
    rotate: bool,
    /// Then seal everything in the store anew
    #[arg(long, requires = "rotate")]
    reseal: bool,
    /// Put it out without asking
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let (fingerprint, name) = find(&project, &args.machine).await?;
    ask::confirm(&desk.output, args.yes, "--yes", || {
        let cascade = if args.cascade { ", and every machine that it let in" } else { "" };
        format!("machine      {name}\nfingerprint  {fingerprint}\nIs it this machine that is put out{cascade}?")
    })?;
    let options = RevokeOptions { cascade: args.cascade, rotate: args.rotate };
    let revocation = project.revoke(fingerprint, options).await?;

    let list = revocation.machines.iter().map(|(fingerprint, machine)| machines::record(*fingerprint, machine));
    let record = json!({
        "put_out": list.collect::<Vec<_>>(),
        "rotation_owed": revocation.rotation_owed,
        "warning": (!args.rotate && !revocation.machines.is_empty()).then_some(NOT_ROTATED),
    });
    desk.output.done(&record, || {
        let names: Vec<_> = revocation.machines.values().map(|machine| machine.name.as_str()).collect();
        if names.is_empty() {
            format!("withdrew the request of {name}")
        } else {
            format!("put out {}", names.join(", "))
        }
    })?;
    if let Some(error) = revocation.left_behind {
        desk.output
            .note(|| format!("warning: copies of data keys were left behind ({error}); `bulla rotate` deletes them"));
    }
    if args.rotate {
        return rotate::carry_out(&project, desk, false, args.reseal).await;
    }
    if !revocation.machines.is_empty() {
        desk.output.note(|| format!("warning: {NOT_ROTATED}"));
    }
    Ok(())
}

/// Finds the machine that is meant: one that is in, or one whose grant waits for approval.
async fn find(project: &Project, text: &str) -> Result<(Fingerprint, MachineName)> {
    match project.keyring().find_machine(text).await {
        Ok((fingerprint, machine)) => Ok((fingerprint, machine.name)),
        Err(error @ KeyringError::NoMachine(_)) => {
            let pending = project.keyring().pending().await.map_err(bulla::Error::from)?;
            let mut waiting = pending.into_iter().filter_map(|pending| match pending.act {
                PendingAct::Grant { name, public, .. } => Some((public.fingerprint(), name)),
                _ => None,
            });
            let found = waiting.find(|(fingerprint, name)| name.as_str() == text || fingerprint.to_string() == text);
            found.ok_or_else(|| bulla::Error::from(error).into())
        }
        Err(error) => Err(bulla::Error::from(error).into()),
    }
}

const NOT_ROTATED: &str = "nothing was rotated, and nothing scrubbed from the machine: it keeps what it has read and the data key that it \
                           holds; `bulla rotate` sees to it that it opens nothing that is sealed from now on";
