use crate::commands::{Desk, NamespaceArg};
use crate::failure::Result;

/// Show how a namespace is kept
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    namespace: NamespaceArg,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let namespace = desk.namespace(&args.namespace).await?;
    let settings = namespace.settings().await.map_err(bulla::Error::from)?;
    let name = namespace.name();
    desk.output
        .result(&super::record(name.as_str(), &settings), || format!("namespace {name}\n{}", super::lines(&settings)))
}
