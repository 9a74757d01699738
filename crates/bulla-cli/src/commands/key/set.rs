use super::settings::{SettingsArgs, VersionSettingsArgs, lines};
use crate::commands::Desk;
use crate::failure::{Failure, Result};

/// Change how a key may be used
///
/// All of the settings that are given change, or none. What restricts the key, a higher minimum say, takes a machine that may let others in, and is remembered by the
/// trust log: an older copy of the key is refused from then on.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key's name
    name: String,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    versions: VersionSettingsArgs,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let settings = [args.settings.settings(), args.versions.settings()].concat();
    if settings.is_empty() {
        return Err(Failure::usage("there is no setting to change").with_hint("`bulla key set --help` lists them"));
    }
    let project = desk.project().await?;
    let key = project.key(&args.name)?;
    let info = project.keyring().change_settings(key.name(), &settings).await.map_err(super::failed)?;
    desk.output.done(&super::record(&info), || {
        let settings: Vec<_> = lines(&info).into_iter().map(|(name, value)| format!("  {name:<11} {value}")).collect();
        format!("key {} is set as follows\n{}", info.name, settings.join("\n"))
    })
}
