use std::ffi::OsString;
use std::io::{self, BufRead, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bulla::{KeyName, KeyVersion, KeyringError, Project};
use bulla_seal::{KeyVersionId, SealedStream};
use serde_json::json;
use zeroize::Zeroizing;

use super::Desk;
use super::seal::opened_name;
use super::tree::{self, Direction, Plan};
use crate::context::ContextArgs;
use crate::failure::{Failure, Result, open_error};
use crate::input::{DASH, Input};
use crate::progress::Progress;
use crate::target::{Privacy, Target};

/// What begins a value that was sealed to a public key.
const SEALED_TO: &[u8] = b"BLX";

/// Open a sealed file, or what comes through a pipe
///
/// FILE.bulla is opened to FILE, which must not exist yet and will be readable by its owner only; `-`, or no FILE, is standard
/// input, opened to standard output. A file appears once all of it has verified, or not at all; what goes to a pipe is
/// released in pieces as they verify, and only exit code 0 says that it was all.
///
/// With `--recursive`, FILE is a folder that was sealed so: each file below it that ends in `.bulla` is opened, to a file beside it or in the same
/// place below the folder that `-o` names, and gets the mode and modification time that the sealed one has. Other files and symbolic links are left
/// as they are. A run that was interrupted is completed by the same command.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to open
    file: Option<PathBuf>,
    /// Where to write to; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Open every sealed file below the folder FILE
    #[arg(short, long, requires = "file")]
    recursive: bool,
    /// Remove each sealed file that was opened, once what it held is on disk and, read again, is the same
    #[arg(long, requires = "recursive")]
    remove_source: bool,
    /// Open files that were sealed with `--movable`
    #[arg(long, requires = "recursive")]
    movable: bool,
    /// Replace the file that is written to, if it exists
    #[arg(long)]
    force: bool,
    /// The named key that it must have been sealed under
    #[arg(long, value_name = "NAME")]
    key: Option<OsString>,
    #[command(flatten)]
    context: ContextArgs,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    if args.recursive {
        let plan = Plan {
            direction: Direction::Open,
            folder: args.file.as_deref(),
            output: args.output.as_deref(),
            force: args.force,
            remove_source: args.remove_source,
            movable: args.movable,
            key: args.key.as_deref(),
            context: &args.context,
        };
        return tree::run(&plan, desk).await;
    }
    let project = desk.project_with_key(args.key.as_deref()).await?;
    let name = project.settings().key().get();
    let context = args.context.build(&project)?;

    let input = Input::open(args.file.as_deref())?;
    let path = match (&args.output, input.path()) {
        (Some(path), _) => path.clone(),
        (None, Some(path)) => opened_name(path)?,
        (None, None) => DASH.into(),
    };
    let progress = Progress::over(&desk.output, "opening", input.len());
    let described = input.described();
    let failed = |error: &io::Error| match open_error(error) {
        Some(error) => Failure::from(error).about(&described),
        None => Failure::file("read", described.as_ref(), error),
    };
    let input = match Kind::of(input)? {
        Kind::Sealed(input) => input,
        Kind::SealedTo(sealed) => {
            let opened = match project.key(name)?.open(&context, &sealed).await {
                Err(bulla::Error::Keyring(KeyringError::Open(error))) => {
                    return Err(Failure::from(error).about(&described));
                }
                opened => Zeroizing::new(opened?),
            };
            let mut target = Target::create(&path, args.force, Privacy::Secret)?;
            target.write_all(&opened).map_err(|error| target.failure(&error))?;
            let to_stdout = target.is_stdout();
            target.finish()?;
            // Which version it was is not asked a second time.
            let record = json!({ "key": name, "bytes": opened.len(), "output": path.to_string_lossy() });
            if to_stdout {
                desk.output.done_beside_data(&record);
                return Ok(());
            }
            return desk.output.done(&record, || format!("opened {} bytes to {}", opened.len(), path.display()));
        }
    };
    let reader = SealedStream::new(input).map_err(|error| failed(&error))?;
    let id = reader.header().key_version();
    let version = find_version(&project, project.key(name)?.name(), id, &described).await?;
    let mut reader =
        reader.open(version.seal_key(), &context).map_err(|error| Failure::from(error).about(&described))?;
    let mut target = Target::create(&path, args.force, Privacy::Secret)?;

    let mut len = 0_u64;
    loop {
        let released = reader.fill_buf().map_err(|error| failed(&error))?;
        if released.is_empty() {
            break;
        }
        let taken = released.len();
        target.write_all(released).map_err(|error| target.failure(&error))?;
        reader.consume(taken);
        len += taken as u64;
        progress.advance(taken);
    }
    drop(progress);

    let to_stdout = target.is_stdout();
    target.finish()?;
    let record = json!({
        "key": name,
        "version": version.number(),
        "bytes": len,
        "output": path.to_string_lossy(),
    });
    let text = || format!("opened {len} bytes to {}", path.display());
    if to_stdout {
        desk.output.done_beside_data(&record);
        return Ok(());
    }
    desk.output.done(&record, text)
}

/// How a value was sealed, as its first bytes say.
pub(super) enum Kind {
    /// Under a key that both sides hold: it is opened as it is read.
    Sealed(io::Chain<io::Cursor<Vec<u8>>, Input>),
    /// To a public key: it is opened in one piece.
    SealedTo(Zeroizing<Vec<u8>>),
}

impl Kind {
    pub(super) fn of(mut input: Input) -> Result<Self> {
        let mut first = Vec::with_capacity(SEALED_TO.len());
        let read = input.by_ref().take(SEALED_TO.len() as u64).read_to_end(&mut first);
        read.map_err(|error| input.failure(&error))?;
        if first == SEALED_TO {
            let mut sealed = input.message()?;
            sealed.splice(..0, first);
            return Ok(Self::SealedTo(sealed));
        }
        Ok(Self::Sealed(io::Cursor::new(first).chain(input)))
    }
}

/// Finds the version of a key that a value names.
pub(super) async fn find_version(
    project: &Project,
    name: &KeyName,
    id: KeyVersionId,
    described: &str,
) -> Result<Arc<KeyVersion>> {
    match project.keyring().version(name, id).await {
        Ok(version) => Ok(version),
        Err(KeyringError::Open(error)) => Err(Failure::from(error).about(described)),
        Err(error) => Err(bulla::Error::from(error).into()),
    }
}
