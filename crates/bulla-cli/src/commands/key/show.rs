use serde_json::json;

use crate::commands::Desk;
use crate::failure::Result;
use crate::names::moment;

/// Show a key and its versions
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key's name
    name: String,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let key = project.key(&args.name)?;
    let info = key.info().await?;
    desk.output.result(&super::record(&info), || {
        let created = moment(info.created);
        format!("{} {} {}, made {created}", info.name, info.algorithm.use_case(), info.algorithm)
    })?;
    let mut after = None;
    loop {
        let page = project.keyring().versions(key.name(), after, 0).await.map_err(bulla::Error::from)?;
        for version in page.versions {
            let version = version.map_err(bulla::Error::from)?;
            let record = json!({
                "version": version.number,
                "id": version.id.to_string(),
                "state": version.state.to_string(),
                "created": moment(version.created),
                "epoch": version.epoch,
            });
            desk.output.result(&record, || {
                let (number, id, state, epoch) = (version.number, version.id, version.state, version.epoch);
                format!("  version {number:<4} {id} {state}, made {}, under epoch {epoch}", moment(version.created))
            })?;
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}
