use serde_json::json;

use crate::commands::Desk;
use crate::failure::{Exit, Failure, Result};

/// List the keys
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Those of Bulla itself too, whose names begin with `sys/`
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let mut after = None;
    let mut damaged = 0_u64;
    loop {
        let page = project.keyring().keys(after, 0).await.map_err(bulla::Error::from)?;
        for key in page.keys {
            match key {
                Ok(key) if !args.all && key.name.is_system() => {}
                Ok(key) => desk.output.result(&super::record(&key), || {
                    format!("{:<32} {:<18} version {}", key.name, key.algorithm, key.newest)
                })?,
                Err(error) => {
                    damaged += 1;
                    let failure = Failure::from(bulla::Error::from(error));
                    desk.output.note(|| failure.to_string());
                    if desk.output.json() {
                        desk.output.result(&json!({ "error": failure.to_json() }), String::new)?;
                    }
                }
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    match damaged {
        0 => Ok(()),
        _ => Err(Failure::new(Exit::Damage, "damage", format!("{damaged} keys are damaged"))
            .with_hint("restore the newest copy of the database")),
    }
}
