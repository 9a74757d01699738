use bulla::Origin;
use serde_json::json;

use crate::commands::Desk;
use crate::failure::Result;

/// Show every setting, and where its value came from
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, desk: &Desk) -> Result<()> {
    let settings = desk.global.settings().load()?;
    let settings_of_all = settings.report().into_iter().map(|(setting, value, origin)| {
        (setting.name().to_owned(), value.map(|value| value.to_string_lossy().into_owned()), origin)
    });
    let sources = settings
        .sources()
        .iter()
        .map(|(name, source)| (format!("sources.{name}"), Some(source.get().to_string()), source.origin()));
    for (name, value, origin) in settings_of_all.chain(sources) {
        let kind = match origin {
            Origin::File(_) => "file",
            Origin::Environment(_) => "environment",
            Origin::Flag(_) => "flag",
            Origin::Code => "code",
            _ => "default",
        };
        let record = json!({
            "setting": name,
            "value": value,
            "origin": kind,
            "from": origin.to_string(),
        });
        desk.output.result(&record, || format!("{:<26} {}  ({origin})", name, value.as_deref().unwrap_or("-")))?;
    }
    Ok(())
}
