use bulla::Outcome;
use clap::ValueEnum;

use crate::commands::Desk;
use crate::failure::Result;

/// Change the policy
///
/// With two persons asked for, who is let in by one authoriser is in once another has approved it, and the policy changes in the same
/// way. Putting machines out takes one.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Whether it takes two authorisers to let a machine in
    #[arg(long, value_name = "on|off")]
    two_person: Switch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    let two_person = args.two_person == Switch::On;
    let outcome = project.set_two_person(two_person).await?;
    super::tell(&project, desk).await?;
    if let Outcome::Waits(position) = outcome {
        desk.output.note(|| {
            format!("the change waits for a second authoriser; on another machine that may let others in:\n  bulla approve {position}")
        });
    }
    Ok(())
}
