use bulla::{BackendUrl, Project};
use serde_json::json;

use super::{Desk, recovery};
use crate::failure::{Failure, Result};

/// Make a project in this folder
///
/// Writes `bulla.toml`, which names the project and where it lives, and makes an identity for this machine if it has none. The
/// project's first key is called `default`, unless the setting `key` says otherwise.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also make recovery words: 24 words, shown once, with which `bulla recover` lets a new machine in when none is left
    #[arg(long)]
    recovery: bool,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let settings = desk.global.settings().load_for_init()?;
    if settings.backend().get() == &BackendUrl::Memory {
        return Err(Failure::usage("a project in memory would be gone with this command")
            .with_hint("name a folder with `--backend sqlite:FOLDER`"));
    }
    let project = Project::init(settings).await?;
    let settings = project.settings();
    let fingerprint = project.keyring().identity().fingerprint();
    let record = json!({
        "project": project.id().to_string(),
        "backend": settings.backend().get().to_string(),
        "settings": settings.file().to_string_lossy(),
        "fingerprint": fingerprint.to_string(),
        "key": settings.key().get(),
    });
    desk.output.done(&record, || {
        format!(
            "made project {}\n  backend      {}\n  settings     {}\n  this machine {fingerprint}\n  first key    {}",
            project.id(),
            settings.backend().get(),
            settings.file().display(),
            settings.key().get(),
        )
    })?;
    if args.recovery {
        let name = recovery::DEFAULT_NAME.parse().expect("the name follows the grammar of names");
        recovery::give_words(&project, desk, &name).await?;
    }
    Ok(())
}
