use std::io::Write;
use std::path::PathBuf;

use bulla::{MachineName, Project};
use serde_json::json;

use super::Desk;
use crate::failure::Result;
use crate::target::{Privacy, Target};

/// Ask to be let in: print this machine's request, for `bulla authorize` on a machine that may let others in
///
/// This machine gets an identity, if it has none. The request holds public keys only, and is no secret; what matters is that it
/// arrives unaltered: have the fingerprint compared over a channel that you trust, the telephone say.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What this machine is to be called; its name in the network, if not given
    #[arg(long, value_name = "NAME")]
    name: Option<MachineName>,
    /// Write the request to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file that is written to, if it exists
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(args: &Args, desk: &Desk) -> Result<()> {
    let settings = desk.global.settings().load()?;
    let request = Project::enroll(&settings, args.name.clone())?;
    let fingerprint = request.fingerprint().to_string();
    let record = json!({
        "request": request.to_string(),
        "name": request.name().as_str(),
        "fingerprint": fingerprint,
        "project": request.project().map(|project| project.to_string()),
    });
    match &args.output {
        Some(path) => {
            let mut target = Target::create(path, args.force, Privacy::Sealed)?;
            writeln!(target, "{request}").map_err(|error| target.failure(&error))?;
            target.finish()?;
            desk.output.done(&record, || format!("wrote the request of {} to {}", request.name(), path.display()))?;
        }
        None => desk.output.result(&record, || request.to_string())?,
    }
    desk.output.note(|| format!("fingerprint of this machine: {fingerprint}"));
    Ok(())
}
