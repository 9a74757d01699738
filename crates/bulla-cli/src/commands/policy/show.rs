use crate::commands::Desk;
use crate::failure::Result;

/// Show the policy
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(desk: &Desk) -> Result<()> {
    let project = desk.project().await?;
    super::tell(&project, desk).await
}
