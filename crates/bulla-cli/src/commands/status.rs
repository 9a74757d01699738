use bulla::{Capability, Rotation, RotationPhase};
use serde_json::json;

use super::{Desk, approve, rotate};
use crate::failure::Result;
use crate::names::table_moment;

/// Show the project, this machine, and where everything lies
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let settings = project.settings();
    let pin = project.pin();
    let head = pin.head().to_string();
    let fingerprint = project.keyring().identity().fingerprint().to_string();
    let identity = settings.identity().get().as_ref().map(|path| path.to_string_lossy().into_owned());
    let namespaces = project.entries().namespaces().await.map_err(bulla::Error::from)?;
    let namespaces: Vec<_> = namespaces.iter().map(|name| name.as_str()).collect();
    let mut keys = 0_u64;
    let mut after = None;
    loop {
        let page = project.keyring().keys(after, 0).await.map_err(bulla::Error::from)?;
        let own = |key: &bulla::KeyInfo| key.name.is_system();
        keys += page.keys.iter().filter(|key| !key.as_ref().is_ok_and(own)).count() as u64;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let keyring = project.keyring();
    let machines = keyring.machines();
    let authorisers =
        machines.values().filter(|machine| machine.capability.is_some_and(Capability::may_authorise)).count();
    let pending = keyring.pending().await.map_err(bulla::Error::from)?;
    let rotation = keyring.rotation().await.map_err(bulla::Error::from)?;
    let record = json!({
        "project": project.id().to_string(),
        "backend": settings.backend().get().to_string(),
        "settings": settings.file().to_string_lossy(),
        "identity": identity,
        "fingerprint": fingerprint,
        "trust_log": { "length": pin.length(), "head": head, "remembered": project.pin_is_kept() },
        "machines": { "in": machines.len(), "authorise": authorisers },
        "epoch": keyring.epoch(),
        "rotation": rotation.as_ref().map(rotate::record),
        "pending": pending.iter().map(approve::record).collect::<Vec<_>>(),
        "keys": keys,
        "namespaces": namespaces,
    });
    desk.output.result(&record, || {
        let remembered =
            if project.pin_is_kept() { "" } else { ", not remembered: the identity's folder is read-only" };
        let mut lines = vec![
            ("project", project.id().to_string()),
            ("backend", settings.backend().get().to_string()),
            ("settings", settings.file().display().to_string()),
            ("identity", identity.unwrap_or_else(|| "-".to_owned())),
            ("this machine", fingerprint),
            ("trust log", format!("{} records, head {head}{remembered}", pin.length())),
            ("machines", format!("{}, of which {authorisers} let others in", machines.len())),
            ("epoch", keyring.epoch().to_string()),
            ("keys", keys.to_string()),
            ("namespaces", if namespaces.is_empty() { "-".to_owned() } else { namespaces.join(", ") }),
        ];
        if let Some(rotation) = rotation.filter(|rotation| !rotation.is_done()) {
            lines.push(("rotation", under_way(&rotation)));
        }
        lines.extend(pending.iter().map(|pending| ("to approve", approve::described(pending))));
        let lines: Vec<_> = lines.into_iter().map(|(name, value)| format!("{name:<13} {value}")).collect();
        lines.join("\n")
    })
}

/// Says how far a rotation is that has not ended.
fn under_way(rotation: &Rotation) -> String {
    let done = match rotation.phase {
        RotationPhase::Owed => "a machine was put out, and the data key was not rotated yet".to_owned(),
        phase => {
            let since = table_moment(rotation.started);
            format!("to epoch {}, since {since}, phase {phase}: {}", rotation.epoch, rotate::counts(rotation))
        }
    };
    format!("{done}; `bulla rotate --resume` completes it")
}
