//! The commands, one a file.

mod check;
mod completions;
mod config;
mod demo;
mod get;
mod init;
mod key;
mod ls;
mod man;
mod open;
mod put;
mod rm;
mod seal;
mod status;

use std::ffi::{OsStr, OsString};

use bulla::{Namespace, Origin, Project, Setting};
use clap::Subcommand;

use crate::arguments::{Arguments, Global};
use crate::failure::Result;
use crate::output::Output;

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::Args),
    #[command(subcommand)]
    Key(key::Command),
    Seal(seal::Args),
    Open(open::Args),
    Put(put::Args),
    Get(get::Args),
    Ls(ls::Args),
    Rm(rm::Args),
    Check(check::Args),
    Status(status::Args),
    #[command(subcommand)]
    Config(config::Command),
    Completions(completions::Args),
    Man(man::Args),
    Demo(demo::Args),
}

/// Does what the arguments ask for.
pub(crate) async fn run(arguments: Arguments, output: &Output) -> Result<()> {
    let desk = Desk { global: arguments.global, output: *output };
    match arguments.command {
        Command::Init(args) => init::run(&args, &desk).await,
        Command::Key(command) => key::run(command, &desk).await,
        Command::Seal(args) => seal::run(&args, &desk).await,
        Command::Open(args) => open::run(&args, &desk).await,
        Command::Put(args) => put::run(&args, &desk).await,
        Command::Get(args) => get::run(&args, &desk).await,
        Command::Ls(args) => ls::run(&args, &desk).await,
        Command::Rm(args) => rm::run(&args, &desk).await,
        Command::Check(args) => check::run(&args, &desk).await,
        Command::Status(args) => status::run(&args, &desk).await,
        Command::Config(command) => config::run(&command, &desk),
        Command::Completions(args) => completions::run(&args, &desk),
        Command::Man(args) => man::run(&args, &desk),
        Command::Demo(args) => demo::run(&args, &desk).await,
    }
}

/// What a command works with.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) global: Global,
    pub(crate) output: Output,
}

impl Desk {
    /// Opens the project that the settings name.
    pub(crate) async fn project(&self) -> Result<Project> {
        Ok(Project::open(self.global.settings().load()?).await?)
    }

    /// Opens the project, with the named key that `--key` names.
    async fn project_with_key(&self, key: Option<&OsStr>) -> Result<Project> {
        let mut settings = self.global.settings();
        if let Some(key) = key {
            settings = settings.give(Setting::Key, key, Origin::Flag("--key"));
        }
        Ok(Project::open(settings.load()?).await?)
    }

    /// Opens the project, and returns the namespace that is meant.
    async fn namespace(&self, argument: &NamespaceArg) -> Result<Namespace> {
        let mut settings = self.global.settings();
        if let Some(name) = &argument.namespace {
            settings = settings.give(Setting::Namespace, name, Origin::Flag("--namespace"));
        }
        let project = Project::open(settings.load()?).await?;
        Ok(project.store(project.settings().namespace().get())?)
    }
}

/// Which namespace of entries is meant.
#[derive(Debug, clap::Args)]
struct NamespaceArg {
    /// The namespace of entries
    #[arg(short, long)]
    namespace: Option<OsString>,
}
