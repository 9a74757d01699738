//! The audit log of this machine, and comparing what is with what should be.

mod checkpoint;
mod export;
mod filter;
mod machines;
mod prove;
mod search;
mod tail;
mod verify;
mod witness;

use std::path::PathBuf;

use bulla::Project;
use bulla::guard::audit::{AuditError, LogReader, Stored};

use super::Desk;
use crate::failure::{Failure, Result};

/// Read and verify the audit log, and compare what is with what should be
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Tail(tail::Args),
    Search(search::Args),
    Verify(verify::Args),
    Prove(prove::Args),
    CheckProof(prove::CheckArgs),
    Export(export::Args),
    Checkpoint(checkpoint::Args),
    Witness(witness::Args),
    Machines(machines::Args),
}

pub(crate) async fn run(command: &Command, desk: &Desk) -> Result<()> {
    match command {
        Command::Tail(args) => tail::run(args, desk).await,
        Command::Search(args) => search::run(args, desk).await,
        Command::Verify(args) => verify::run(args, desk).await,
        Command::Prove(args) => prove::run(args, desk).await,
        Command::CheckProof(args) => prove::check(args, desk).await,
        Command::Export(args) => export::run(args, desk).await,
        Command::Checkpoint(args) => checkpoint::run(args, desk).await,
        Command::Witness(args) => witness::run(args, desk).await,
        Command::Machines(args) => machines::run(args, desk).await,
    }
}

/// Which log is read.
#[derive(Debug, clap::Args)]
struct LogArg {
    /// The folder of the log, instead of the one beside the identity: a copy, say
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

impl LogArg {
    fn open(&self, project: &Project) -> Result<LogReader> {
        Ok(project.audit_log(self.folder.clone())?)
    }
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// JSON lines, with all that an event says.
    Json,
    /// JSON lines as OCSF 1.6 has them, for other programs.
    Ocsf,
}

impl Format {
    /// Writes an event as one line.
    fn line(self, stored: &Stored) -> String {
        use bulla::guard::audit::Export;
        match self {
            Self::Json => Export::Json.line(stored),
            Self::Ocsf => Export::Ocsf.line(stored),
            Self::Text => text(stored),
        }
    }
}

/// Writes an event for people: when, what, by whom, to what, and how it went.
fn text(stored: &Stored) -> String {
    let Ok(event) = stored.event() else { return format!("{:>8}  of a later version", stored.index) };
    let mut line = format!(
        "{:>8}  {}  {:<8} {:<18} {}",
        stored.index,
        crate::names::table_moment(event.time),
        event.level.name(),
        event.class.name(),
        event.action,
    );
    match event.outcome {
        Some(outcome) => line.push_str(&format!(" {outcome}")),
        None => line.push_str(" begins"),
    }
    for (what, identifier) in [("by", event.principal), ("from", event.address)] {
        if let Some(identifier) = identifier {
            line.push_str(&format!(" {what} {identifier}"));
        }
    }
    if let Some(resource) = &event.resource {
        line.push_str(&format!(" on {resource}"));
    }
    for (name, value) in &event.fields {
        line.push_str(&format!(" {name}={value}"));
    }
    line
}

fn failure(error: AuditError) -> Failure {
    bulla::Error::from(error).into()
}
