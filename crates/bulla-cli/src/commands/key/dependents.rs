use bulla::{Dependents, Project};
use serde_json::{Value, json};

use crate::commands::Desk;
use crate::failure::{Exit, Failure, Result};
use crate::progress::Progress;

/// Show what still depends on a key: entries of the store, and states of key flows
///
/// All entries are looked at, as they are now. Sealed values, signatures and data keys that are kept elsewhere are not known to the project.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key's name
    name: String,
    /// Only this version of it
    #[arg(long, value_name = "N")]
    version: Option<u64>,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let dependents = find(&project, &args.name, args.version, desk).await?;
    for version in &dependents.versions {
        let record = json!({
            "version": version.number,
            "id": version.id.to_string(),
            "entries": version.entries,
            "records": version.records,
            "states": version.states,
            "state_names": version.state_names,
        });
        desk.output.result(&record, || {
            let mut parts = vec![format!("{} entries", version.entries)];
            if version.records > 0 {
                parts.push(format!("{} settings or records in quarantine", version.records));
            }
            if version.states > 0 {
                parts.push(format!("{} states of key flows ({})", version.states, version.state_names.join(", ")));
            }
            format!("version {:<4} {}", version.number, parts.join(", "))
        })?;
    }
    for number in &dependents.damaged {
        let record = json!({ "version": number, "finding": "corrupt" });
        desk.output
            .result(&record, || format!("version {number:<4} cannot be read; what depends on it is not known"))?;
    }
    desk.output.result(&record(&dependents), || {
        let (entries, states) = (dependents.entries(), dependents.states());
        let what = args
            .version
            .map_or_else(|| format!("key {}", args.name), |number| format!("version {number} of key {}", args.name));
        format!("{entries} of {} entries, and {states} states of key flows, depend on {what}", dependents.seen)
    })?;
    if dependents.unreadable > 0 {
        desk.output.note(|| {
            format!(
                "{} entries are damaged and do not say what they depend on; `bulla check` lists them",
                dependents.unreadable
            )
        });
    }
    match dependents.damaged.len() {
        0 => Ok(()),
        damaged => Err(Failure::new(Exit::Damage, "damage", format!("{damaged} versions are damaged"))
            .with_hint("restore the newest copy of the database")),
    }
}

/// Finds out what depends on a key, and shows how far it is.
pub(super) async fn find(project: &Project, name: &str, version: Option<u64>, desk: &Desk) -> Result<Dependents> {
    let progress = Progress::counting(&desk.output);
    Ok(project
        .dependents(name, version, &mut |seen| {
            progress.say(|| format!("looking at what depends on it: {seen} entries"));
        })
        .await?)
}

/// Describes in JSON how much depends on a key.
pub(super) fn record(dependents: &Dependents) -> Value {
    json!({
        "key": dependents.key.as_str(),
        "entries": dependents.entries(),
        "records": dependents.records(),
        "states": dependents.states(),
        "seen": dependents.seen,
        "unreadable": dependents.unreadable,
    })
}

/// Says for people how much would be lost.
pub(super) fn loss(dependents: &Dependents) -> String {
    match (dependents.entries(), dependents.states(), dependents.records()) {
        (0, 0, 0) => "nothing in the store depends on it".to_owned(),
        (entries, states, 0) => {
            format!("{entries} entries and {states} states of key flows depend on it, and will be lost")
        }
        (entries, states, records) => format!(
            "{entries} entries and {states} states of key flows depend on it, and {records} settings or records in quarantine; they will be lost"
        ),
    }
}
