use serde_json::json;

use super::Desk;
use crate::failure::Result;

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
        keys += page.keys.len() as u64;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let record = json!({
        "project": project.id().to_string(),
        "backend": settings.backend().get().to_string(),
        "settings": settings.file().to_string_lossy(),
        "identity": identity,
        "fingerprint": fingerprint,
        "trust_log": { "length": pin.length(), "head": head, "remembered": project.pin_is_kept() },
        "keys": keys,
        "namespaces": namespaces,
    });
    desk.output.result(&record, || {
        let remembered =
            if project.pin_is_kept() { "" } else { ", not remembered: the identity's folder is read-only" };
        let lines = [
            ("project", project.id().to_string()),
            ("backend", settings.backend().get().to_string()),
            ("settings", settings.file().display().to_string()),
            ("identity", identity.unwrap_or_else(|| "-".to_owned())),
            ("this machine", fingerprint),
            ("trust log", format!("{} records, head {head}{remembered}", pin.length())),
            ("keys", keys.to_string()),
            ("namespaces", if namespaces.is_empty() { "-".to_owned() } else { namespaces.join(", ") }),
        ];
        lines.map(|(name, value)| format!("{name:<13} {value}")).join("\n")
    })
}
