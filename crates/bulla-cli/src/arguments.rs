use std::ffi::OsString;
use std::path::PathBuf;

use bulla::{Origin, Setting, Settings, SettingsBuilder};
use clap::{ArgAction, Args, Parser};

use crate::commands::Command;
use crate::failure::Exit;
use crate::passphrase;

/// Seals an application's data under keys that can be rotated at any moment without losing a byte.
#[derive(Debug, Parser)]
#[command(name = "bulla", version, after_help = Exit::HELP, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Answer in JSON: one object on a line for each result; a failure is one object on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing on standard error but why the command failed
    #[arg(short, long, global = true, action = ArgAction::SetTrue)]
    pub(crate) quiet: bool,
    /// Take this settings file, instead of the `bulla.toml` of this folder or the nearest above
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the project lives: `sqlite:FOLDER` or `json:FOLDER`
    #[arg(long, global = true, value_name = "URL")]
    backend: Option<OsString>,
    /// The file that holds this machine's identity
    #[arg(long, global = true, value_name = "FILE")]
    identity: Option<OsString>,
    /// Take no settings from `BULLA_*` environment variables
    #[arg(long, global = true)]
    no_env: bool,
}

impl Global {
    /// Begins to load settings with what the flags say on top.
    pub(crate) fn settings(&self) -> SettingsBuilder {
        let mut settings = Settings::builder();
        if !self.json {
            settings = settings.prompt(passphrase::prompt());
        }
        if let Some(file) = &self.config {
            settings = settings.file(file);
        }
        if self.no_env {
            settings = settings.ignore_environment_by_flag("--no-env");
        }
        if let Some(url) = &self.backend {
            settings = settings.give(Setting::Backend, url, Origin::Flag("--backend"));
        }
        if let Some(file) = &self.identity {
            settings = settings.give(Setting::Identity, file, Origin::Flag("--identity"));
        }
        settings
    }
}
