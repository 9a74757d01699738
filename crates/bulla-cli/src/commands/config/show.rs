use bulla::Origin;
use serde_json::json;

use crate::commands::Desk;
use crate::failure::Result;

/// Show every setting, and where its value came from
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, desk: &Desk) -> Result<()> {
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
