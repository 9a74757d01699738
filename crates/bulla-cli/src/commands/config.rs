use bulla::Origin;
use serde_json::json;

use super::Desk;
use crate::failure::Result;

/// Settings
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show every setting, and where its value came from
    Show,
}

pub(crate) fn run(command: &Command, desk: &Desk) -> Result<()> {
    match command {
        Command::Show => show(desk),
    }
}

fn show(desk: &Desk) -> Result<()> {
    let settings = desk.global.settings().load()?;
    for (setting, value, origin) in settings.report() {
        let value = value.map(|value| value.to_string_lossy().into_owned());
        let kind = match origin {
            Origin::File(_) => "file",
            Origin::Environment(_) => "environment",
            Origin::Flag(_) => "flag",
            Origin::Code => "code",
            _ => "default",
        };
        let record = json!({
            "setting": setting.name(),
            "value": value,
            "origin": kind,
            "from": origin.to_string(),
        });
        desk.output
            .result(&record, || format!("{:<26} {}  ({origin})", setting.name(), value.as_deref().unwrap_or("-")))?;
    }
    Ok(())
}
