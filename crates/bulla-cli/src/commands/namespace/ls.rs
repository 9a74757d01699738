use crate::commands::Desk;
use crate::failure::{Exit, Failure, Result};

/// List the namespaces
///
/// One whose settings cannot be read is named on standard error, hides no other, and makes the exit code 7.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let mut refused = 0_u64;
    for name in project.entries().namespaces().await.map_err(bulla::Error::from)? {
        match project.store(name.as_str())?.settings().await {
            Ok(settings) => {
                desk.output.result(&super::record(name.as_str(), &settings), || name.to_string())?;
            }
            Err(error) => {
                refused += 1;
                desk.output.note(|| error.to_string());
                if desk.output.json() {
                    let failure = Failure::from(bulla::Error::from(error));
                    let record = serde_json::json!({ "namespace": name.as_str(), "error": failure.to_json() });
                    desk.output.result(&record, String::new)?;
                }
            }
        }
    }
    match refused {
        0 => Ok(()),
        _ => Err(Failure::new(Exit::Damage, "damage", format!("the settings of {refused} namespaces cannot be read"))
            .with_hint("restore them from a backup, or set them anew with `bulla namespace set --anew`")),
    }
}
