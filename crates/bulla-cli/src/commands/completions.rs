use clap::CommandFactory;
use clap_complete::Shell;

use super::Desk;
use crate::arguments::Arguments;
use crate::failure::Result;

/// Write what a shell needs to complete commands and options
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args, desk: &Desk) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "bulla", &mut script);
    desk.output.bytes(&script)
}
