use std::ffi::OsString;

use bulla::{Origin, Setting};
use serde_json::json;

use crate::commands::Desk;
use crate::failure::Result;

/// Write a settings file in which everything is explained
///
/// On a machine that is to join a project, name the project and its backend; `bulla authorize` prints both.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The project that this folder belongs to: 64 hex digits
    #[arg(long, value_name = "ID")]
    project: Option<OsString>,
}

pub(crate) fn run(args: &Args, desk: &Desk) -> Result<()> {
    let mut settings = desk.global.settings().environment(false);
    if let Some(project) = &args.project {
        settings = settings.give(Setting::Project, project, Origin::Flag("--project"));
    }
    let settings = settings.load_for_init()?;
    settings.write_file()?;
    let file = settings.file();
    desk.output.done(&json!({ "settings": file.to_string_lossy() }), || format!("wrote {}", file.display()))
}
