use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulla::{Algorithm, KeyVersion, KeyringError, PublicKey, SealToKey};
use bulla_seal::SealWriter;
use serde_json::json;
use zeroize::Zeroizing;

use super::Desk;
use super::tree::{self, Direction, Plan};
use crate::context::ContextArgs;
use crate::failure::{Failure, Result};
use crate::input::{DASH, Input};
use crate::progress::Progress;
use crate::target::{Privacy, Target};

/// What the names of sealed files end with.
pub(super) const SUFFIX: &str = ".bulla";
/// Most that is sealed to a public key at a time: what is opened in one piece, but for what sealing adds.
pub(super) const MAX_SEALED_TO_LEN: u64 = 500 << 20;
/// What the text of a public key to seal to begins with.
const PUBLIC_BEGINS: &str = "bulla-seal-to:";
/// Longest file that holds one.
const MAX_PUBLIC_LEN: usize = 16 << 10;
/// How much is read at once.
pub(super) const BUFFER_LEN: usize = 64 * 1_024;

/// Seal a file, or what comes through a pipe
///
/// FILE is sealed to FILE.bulla, which must not exist yet; `-`, or no FILE, is standard input, sealed to standard output. The new
/// file appears whole or not at all.
///
/// With `--recursive`, FILE is a folder: each file below it is sealed, to a file beside it or in the same place below the folder that `-o`
/// names. Modes and modification times are kept, of folders too. Each file is bound to its path as seen from FILE: one that is renamed or moved
/// later does not open, and two that were swapped are noticed; the folder as a whole may be moved. One of them is opened alone with `bulla open
/// --context path=PATH`. Symbolic links are left as they are. A run that was interrupted is completed by the same command: a sealed file with the
/// modification time and length of its source, whose beginning and end verify, is not sealed again.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to seal
    file: Option<PathBuf>,
    /// Where to write to; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Seal every file below the folder FILE
    #[arg(short, long, requires = "file", conflicts_with = "to")]
    recursive: bool,
    /// Remove each file that was sealed, once its sealed form is on disk and, read again, opens to the same
    #[arg(long, requires = "recursive")]
    remove_source: bool,
    /// Do not bind the files to their paths: each can be renamed, moved and opened alone, and swapped unnoticed
    #[arg(long, requires = "recursive")]
    movable: bool,
    /// Replace the file that is written to, if it exists
    #[arg(long)]
    force: bool,
    /// The named key to seal under
    #[arg(long, value_name = "NAME")]
    key: Option<OsString>,
    #[command(flatten)]
    context: ContextArgs,
    /// Seal to this public key (`bulla key show NAME --public`): its text, or a file that holds it. No project is needed, and only the project that
    /// the key belongs to opens
    #[arg(long, value_name = "PUBLIC", conflicts_with = "key")]
    to: Option<OsString>,
}

/// What a value is sealed under.
enum Sealing {
    /// A key that both sides hold.
    Under(Arc<KeyVersion>),
    /// A public key.
    To(Box<SealToKey>),
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    if args.recursive {
        let plan = Plan {
            direction: Direction::Seal,
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
    let (sealing, context, number) = match &args.to {
        Some(to) => {
            let to = read_public(to)?;
            let context = args.context.build_for(&to.project())?;
            (Sealing::To(Box::new(to)), context, None)
        }
        None => {
            let project = desk.project_with_key(args.key.as_deref()).await?;
            let key = project.key(project.settings().key().get())?;
            let context = args.context.build(&project)?;
            match key.current().await {
                Ok(version) => {
                    let number = version.number();
                    (Sealing::Under(version), context, Some(number))
                }
                Err(bulla::Error::Keyring(KeyringError::WrongUse { algorithm: Algorithm::XWing, .. })) => {
                    let number = key.info().await?.newest;
                    match key.public_key(Some(number)).await? {
                        PublicKey::XWing(to) => (Sealing::To(Box::new(to)), context, Some(number)),
                        other => return Err(Failure::usage(format!("nobody can seal to the public key {other:?}"))),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    };
    let (name, id) = match &sealing {
        Sealing::Under(version) => (version.name().to_string(), version.id()),
        Sealing::To(to) => (to.name().to_string(), to.id()),
    };

    let mut input = Input::open(args.file.as_deref())?;
    let path = args.output.clone().unwrap_or_else(|| input.path().map_or(DASH.into(), sealed_name));
    let mut target = Target::create(&path, args.force, Privacy::Sealed)?;
    let progress = Progress::over(&desk.output, "sealing", input.len());

    let mut writer = match &sealing {
        Sealing::Under(version) => {
            SealWriter::new(version.seal_key(), version.params(), &context, &mut target).map_err(bulla::Error::from)?
        }
        Sealing::To(to) => to.writer(&context, &mut target).map_err(|error| Failure::file("write", &path, &error))?,
    };
    let mut buffer = Zeroizing::new(vec![0; BUFFER_LEN]);
    let mut len = 0_u64;
    let written = loop {
        let read = match input.read(&mut buffer) {
            Ok(0) => break writer.finish().map(drop),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(input.failure(&error)),
        };
        if let Err(error) = writer.write_all(&buffer[..read]) {
            break Err(error);
        }
        len += read as u64;
        if matches!(sealing, Sealing::To(_)) && len > MAX_SEALED_TO_LEN {
            return Err(Failure::usage(format!(
                "at most {MAX_SEALED_TO_LEN} bytes are sealed to a public key at a time"
            )));
        }
        progress.advance(read);
    };
    written.map_err(|error| target.failure(&error))?;
    drop(progress);

    let to_stdout = target.is_stdout();
    target.finish()?;
    let record = json!({
        "key": name,
        "version": number,
        "version_id": id.to_string(),
        "bytes": len,
        "output": path.to_string_lossy(),
    });
    let text = || {
        let version = number.map_or_else(|| id.to_string(), |number| number.to_string());
        format!("sealed {len} bytes to {} under {name} version {version}", path.display())
    };
    if to_stdout {
        desk.output.done_beside_data(&record);
        return Ok(());
    }
    desk.output.done(&record, text)
}

/// Reads a public key: its text, or a file that holds it.
fn read_public(argument: &OsStr) -> Result<SealToKey> {
    let text = match argument.to_str().filter(|text| text.starts_with(PUBLIC_BEGINS)) {
        Some(text) => text.to_owned(),
        None => {
            let bytes = Input::open(Some(Path::new(argument)))?.whole(MAX_PUBLIC_LEN)?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
    };
    text.trim().parse().map_err(|error: bulla::ParseSealToKeyError| {
        Failure::usage(error.to_string()).with_hint("`bulla key show NAME --public` prints that of an `xwing` key")
    })
}

fn sealed_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(SUFFIX);
    name.into()
}

/// Undoes [`sealed_name`]; only that suffix is taken away.
pub(super) fn opened_name(path: &Path) -> Result<PathBuf> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let bytes = path.as_os_str().as_bytes();
    match bytes.strip_suffix(SUFFIX.as_bytes()) {
        Some(stem) if !stem.is_empty() && !stem.ends_with(b"/") => Ok(OsString::from_vec(stem.to_vec()).into()),
        _ => Err(Failure::usage(format!(
            "`{}` does not end in `{SUFFIX}`, so its opened name is not known",
            path.display()
        ))
        .with_hint("say where to write to with `-o FILE`")),
    }
}
