//! What FACT encrypted at rest: files, and entries of its cache.

mod entries;
mod files;
mod key;
mod walk;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use bulla::Lifetime;

use self::entries::Entries;
use self::files::Files;
use self::walk::Found;
use super::super::tally::{Tally, Words};
use crate::commands::{Desk, NamespaceArg};
use crate::context::ContextArgs;
use crate::duration;
use crate::failure::{Exit, Failure, Result};

/// What the names of its encrypted files end with.
const SUFFIX: &str = ".encrypted";

/// Take over what FACT encrypted
///
/// Each file that its `encrypt_file` wrote, `x.encrypted`, is opened and sealed to `x.bulla` beside it; of a folder, every such file below it, bound
/// to its path as `bulla seal --recursive` does. With `--namespace`, the contents become entries of the store instead: those of such files, and those
/// of JSON files that hold entries of its secure cache, as one object or as an object of them by name. What was there stays.
///
/// The passphrase is what FACT found in `FACT_MASTER_KEY`. It is asked for at the terminal, if no file or descriptor is named.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files, and folders of them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Put what is found into this namespace of entries
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<OsString>,
    /// Take the passphrase from this file, which must be closed to everybody else
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Take the passphrase from this open descriptor
    #[arg(long, value_name = "NUMBER", conflicts_with = "passphrase_file")]
    passphrase_fd: Option<u32>,
    /// Take the Fernet key itself from this file, which must be closed to everybody else: where FACT was given one as its master key
    #[arg(long, value_name = "FILE", conflicts_with_all = ["passphrase_file", "passphrase_fd"])]
    fernet_key_file: Option<PathBuf>,
    /// Take over cache entries too that FACT kept in the clear: nobody can tell who wrote them
    #[arg(long, requires = "namespace")]
    plain: bool,
    /// How long the entries are to live: seconds, or `12h`, `30d`
    #[arg(long, value_name = "TIME", requires = "namespace", value_parser = duration::parse_or_seconds)]
    ttl: Option<Duration>,
    /// Replace sealed files and entries that hold something else
    #[arg(long)]
    force: bool,
    /// The named key to seal files under
    #[arg(long, value_name = "NAME", conflicts_with = "namespace")]
    key: Option<OsString>,
    /// Do not bind the files of a folder to their paths, as `bulla seal --recursive --movable`
    #[arg(long, conflicts_with = "namespace")]
    movable: bool,
    #[command(flatten)]
    context: ContextArgs,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    if args.namespace.is_some() && !args.context.is_empty() {
        return Err(Failure::usage("entries are bound to their names, and to no `--context`"));
    }
    // Found out before anything is asked for.
    let mut target = match &args.namespace {
        Some(name) => {
            let namespace = desk.namespace(&NamespaceArg { namespace: Some(name.clone()) }).await?;
            let lifetime = args.ttl.map_or(Lifetime::default(), Lifetime::For);
            Target::Entries(Box::new(Entries { namespace, lifetime, plain: args.plain, force: args.force }))
        }
        None => {
            let project = desk.project_with_key(args.key.as_deref()).await?;
            Target::Files(Box::new(Files::new(project, &args.context, args.movable, args.force).await?))
        }
    };
    let key = key::read(args, &desk.output)?;
    let mut tally = Tally::new(&desk.output, Words { done: "imported", doing: "importing" });
    for path in &args.paths {
        let mut deal = async |found: Found<'_>, tally: &mut Tally<'_>| match &mut target {
            Target::Files(files) => files.import(&key, &found, tally).await,
            Target::Entries(entries) => entries.import(&key, &found, tally).await,
        };
        walk::each(path, &mut tally, &mut deal).await?;
    }
    tally.finish(None)
}

/// What becomes of what is found.
enum Target<'a> {
    Files(Box<Files<'a>>),
    Entries(Box<Entries>),
}

/// Describes why a token was refused.
fn refused(error: bulla_seal::FernetError) -> Failure {
    let failure = Failure::new(Exit::Refused, "cannot_open", error.to_string());
    failure.with_hint("is it the passphrase that FACT_MASTER_KEY held when this was written?")
}
