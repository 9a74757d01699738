use std::path::PathBuf;
use std::{fs, io};

use clap::CommandFactory;
use serde_json::json;

use super::Desk;
use crate::arguments::Arguments;
use crate::failure::{Failure, Result};

/// Write the manual: one page to standard output, or a page for each command to a folder
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder that the pages go to; pages of an earlier version are replaced
    folder: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, desk: &Desk) -> Result<()> {
    let command = Arguments::command();
    let Some(folder) = &args.folder else {
        let mut page = Vec::new();
        let rendered = clap_mangen::Man::new(command).render(&mut page);
        rendered.map_err(|error| Failure::file("write", "the manual".as_ref(), &error))?;
        return desk.output.bytes(&page);
    };
    let failed = |error: io::Error| Failure::file("write the manual to", folder, &error);
    fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(command, folder).map_err(failed)?;
    desk.output
        .done(&json!({ "folder": folder.to_string_lossy() }), || format!("wrote the manual to {}", folder.display()))
}
